// The least that a Swift process can be: what its runtime and libraries take in memory.
import Glibc

@main enum BarePause {
    static func main() {
        while true { pause() }
    }
}
