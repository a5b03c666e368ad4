// A server in C that binds by itself, and one line of Prefork.
import CServer
import ExampleSupport  // the command line
import Foundation
import PreforkTakeover

@main struct CTakeover {
    static func main() {
        let options = ExampleOptions.parseOrExit()
        if !options.isSingle { Prefork.takeOver(options.addresses, configuration: options.configuration) }
        options.delayChild()

        // Blocked in all threads of the server, so that sigwait(3) below takes it.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let host = options.onlyAddress.host ?? ""
        let port = serve(host, UInt16(options.onlyAddress.port ?? 0))
        guard port >= 0 else { leave(71, "the server cannot listen: \(String(cString: strerror(errno)))") }
        if options.isSingle { say("listening on \(host):\(port)") }
        var number: Int32 = 0
        sigwait(&signals, &number)
        finish()
    }
}
