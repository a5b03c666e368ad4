// A server that knows nothing of a fleet but one line. It carries out the steps that a test gives it as arguments, and
// reports each outcome.
import PreforkLibc
import PreforkTakeover
import Synchronization

@main struct TakeoverServer {
    static func main() {
        let arguments = Arguments(CommandLine.arguments.dropFirst())
        var steps = Steps()
        for step in arguments.early { steps.run(step) }
        let child = Prefork.takeOver(arguments.given, configuration: arguments.configuration)
        report("slot \(child.slot)")
        for step in arguments.steps { steps.run(step) }
    }
}

/// `early:STEP` runs before the takeover, also in the master.
struct Arguments {
    var early: [Substring] = []
    var steps: [Substring] = []
    var given: [Prefork.Address] = []
    var configuration = Prefork.Configuration()

    init(_ words: ArraySlice<String>) {
        configuration.children = 2
        for word in words {
            let (name, value) = split(word, ":")
            switch name {
            case "give":
                do { given.append(try Prefork.Address(String(value))) } catch { report("\(error)") }
            case "children": configuration.children = Int(value)
            case "grace": configuration.shutdown.gracePeriod = .milliseconds(Int(value)!)
            case "timeout": configuration.readiness.timeout = .milliseconds(Int(value)!)
            case "never-recover": configuration.recovery.threshold = .never
            case "shared": configuration.sockets.mode = .shared
            case "early": early.append(value)
            default: steps.append(word[...])
            }
        }
    }
}

struct Steps {
    /// The sockets of all `bind` steps.
    private var sockets: [CInt] = []

    mutating func run(_ step: Substring) {
        let (name, value) = split(String(step), ":")
        switch name {
        case "bind": bindAndListen(value)
        case "udp": report("udp \(outcome { bind(on: newSocket(AF_INET, datagram), .loopback(0)) })")
        case "fork": forkAndBind(value)
        case "threads": bindInThreads(Int(value)!)
        case "repeat": bindAndClose(value)
        case "user": setuid(uid_t(value)!)
        case "chdir": chdir(String(value))
        case "rebind": bindPortAgain()
        case "close":
            for socket in sockets { close(socket) }
            sockets = []
        case "listen": listenWithoutBind()
        case "twice": Prefork.takeOver()
        case "run":
            do {
                try Prefork(.tcp("127.0.0.1", port: 0)).run { (_: Prefork.Child) in }
            } catch {
                report("run \(error)")
            }
        case "ignore-term": signal(SIGTERM, SIG_IGN)
        case "await": awaitSignals()
        case "idle": while true { pause() }
        case "sigwait": waitForTerm()
        case "serve": Service(sockets, removesAtEnd: value.isEmpty ? nil : String(value)).run()
        default: report("unknown step \(step)")
        }
    }

    /// Waits for SIGUSR1. From then on, each SIGUSR2 interrupts the call that this thread is in.
    private func awaitSignals() {
        var awaited = sigset_t()
        sigemptyset(&awaited)
        sigaddset(&awaited, SIGUSR1)
        pthread_sigmask(SIG_BLOCK, &awaited, nil)
        signal(SIGUSR2) { _ in report("interrupted") }
        report("awaiting")
        var received: CInt = 0
        sigwait(&awaited, &received)
        report("awaited")
    }

    /// `ADDRESS[,nonblocking][,cloexec][,v6only][,nodelay][,unlink]`
    private mutating func bindAndListen(_ text: Substring) {
        let words = text.split(separator: ",")
        let options = Set(words.dropFirst())
        let address = SocketName(words[0])
        let socket = newSocket(address.family, stream)
        if options.contains("nonblocking") { _ = fcntl(socket, F_SETFL, O_NONBLOCK) }
        if options.contains("cloexec") { _ = fcntl(socket, F_SETFD, FD_CLOEXEC) }
        if address.family == AF_INET6 {
            var only: CInt = options.contains("v6only") ? 1 : 0
            setsockopt(socket, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &only, socklen_t(MemoryLayout<CInt>.size))
        }
        if options.contains("nodelay") {
            var on: CInt = 1
            setsockopt(socket, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
        }
        if options.contains("unlink"), let path = address.path { unlink(path) }
        errno = 7777
        let result = outcome { bind(on: socket, address) }
        if result == "0", errno != 7777 { report("errno became \(errno)") }
        guard result == "0" else {
            report("bind \(words[0]) \(result)")
            close(socket)
            return
        }
        if listen(socket, 5) != 0 { report("listen \(errno)") }
        let flags =
            (fcntl(socket, F_GETFL) & O_NONBLOCK != 0 ? " nonblocking" : "")
            + (fcntl(socket, F_GETFD) & FD_CLOEXEC != 0 ? " cloexec" : "")
            + (flag(socket, CInt(IPPROTO_TCP), TCP_NODELAY) ? " nodelay" : "")
        report("bind \(words[0]) 0\(flags)")
        report("name \(SocketName(of: socket).text)")
        sockets.append(socket)
    }

    /// Blocks SIGTERM in this thread, and takes it later, as programs with threads for signals do.
    private func waitForTerm() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        report("blocked")
        // The signal must come while no thread waits for it.
        var pending = sigset_t()
        while sigismember(&pending, SIGTERM) != 1 { sigpending(&pending) }
        var number: CInt = 0
        sigwait(&signals, &number)
        report("took \(number)")
        exit(0)
    }

    /// Lets the kernel choose a port, closes the socket, and binds that port.
    private func bindPortAgain() {
        let first = newSocket(AF_INET, stream)
        _ = bind(on: first, .loopback(0))
        let chosen = SocketName(of: first)
        close(first)
        report("rebind \(outcome { bind(on: newSocket(AF_INET, stream), chosen) })")
    }

    /// `COUNT,ADDRESS`. A `#` in the address stands for the number of the round, a `%` for the
    /// process id.
    private func bindAndClose(_ text: Substring) {
        let words = text.split(separator: ",")
        var outcomes: [String: Int] = [:]
        for round in 0..<Int(words[0])! {
            let text = words[1].map { $0 == "#" ? "\(round)" : $0 == "%" ? "\(getpid())" : "\($0)" }.joined()
            let address = SocketName(Substring(text))
            let socket = newSocket(address.family, stream)
            outcomes[outcome { bind(on: socket, address) }, default: 0] += 1
            close(socket)
        }
        for (outcome, count) in outcomes.sorted(by: { $0.key < $1.key }) { report("repeat \(count) \(outcome)") }
    }

    /// After fork(2) without exec, the process is not a child of the fleet.
    private func forkAndBind(_ text: Substring) {
        let fork = unsafeBitCast(dlsym(nil, "fork"), to: (@convention(c) () -> pid_t).self)
        let pid = fork()
        if pid == 0 {
            let result = outcome { bind(on: newSocket(AF_INET, stream), SocketName(text)) }
            report("forked \(result)")
            _exit(0)
        }
        waitpid(pid, nil, 0)
    }

    private func bindInThreads(_ count: Int) {
        let threads = (0..<count).map { _ in
            var thread = pthread_t()
            pthread_create(
                &thread, nil,
                { _ in
                    let socket = newSocket(AF_INET, stream)
                    let result = outcome { bind(on: socket, .loopback(0)) }
                    report("thread \(result) \(SocketName(of: socket).text)")
                    return nil
                }, nil)
            return thread
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    /// A new socket, which may have the number of one that was taken over and closed.
    private func listenWithoutBind() {
        let socket = newSocket(AF_INET, stream)
        let result = outcome { listen(socket, 5) }
        report("listen \(result)\(flag(socket, SOL_SOCKET, SO_ACCEPTCONN) ? " listening" : "")")
        close(socket)
    }
}

/// Accepts in one thread, answers with its process id, and drains at SIGTERM.
struct Service {
    private static let stop = Atomic<Bool>(false)
    private static let wakeWriter = Atomic<CInt>(-1)
    private let sockets: [CInt]
    private let removed: String?

    init(_ sockets: [CInt], removesAtEnd path: String?) {
        self.sockets = sockets
        removed = path
    }

    func run() -> Never {
        var ends: [CInt] = [-1, -1]
        pipe(&ends)
        Self.wakeWriter.store(ends[1], ordering: .sequentiallyConsistent)
        signal(SIGTERM) { _ in
            Service.stop.store(true, ordering: .sequentiallyConsistent)
            var byte: UInt8 = 0
            write(Service.wakeWriter.load(ordering: .sequentiallyConsistent), &byte, 1)
        }
        report("serving")
        while !Self.stop.load(ordering: .sequentiallyConsistent) {
            var watched = (sockets + [ends[0]]).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            poll(&watched, nfds_t(watched.count), -1)
            for entry in watched.dropLast() where entry.revents != 0 { answer(accept(entry.fd, nil, nil)) }
        }
        for socket in sockets { close(socket) }
        if let removed { unlink(removed) }
        report("drained")
        exit(0)
    }

    private func answer(_ connection: CInt) {
        if connection < 0 { return }
        var buffer = [UInt8](repeating: 0, count: 2048)
        let count = max(0, read(connection, &buffer, buffer.count))
        if String(decoding: buffer.prefix(count), as: UTF8.self).contains("/slow") { usleep(700_000) }
        let body = "\(getpid())"
        let text = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        _ = write(connection, text, text.utf8.count)
        close(connection)
    }
}
