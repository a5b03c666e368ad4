// The smallest Swift process. It shows the memory that the runtime and its libraries take.
import Glibc

@main enum BarePause {
    static func main() {
        while true { pause() }
    }
}
