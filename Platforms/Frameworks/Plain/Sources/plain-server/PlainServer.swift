import ExampleSupport  // the command line, and what is said on one connection
import Foundation
import Prefork

@main struct PlainServer {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        let options = ExampleOptions.parseOrExit()
        if options.isSingle {
            let single = SingleServer(options.onlyAddress)
            return serve(single.listener, until: single.stopDescriptor)
        }
        options.delayChild()
        Prefork.main(options.onlyAddress, configuration: options.configuration) { child in
            serve(try child.takeListener(), until: child.stopDescriptor)
        }
    }
}
