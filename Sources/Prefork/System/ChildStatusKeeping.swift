// Exit statuses of children that the kernel would otherwise throw away.
import PreforkLibc

/// Makes the kernel keep exit statuses until `restore`. It discards them if SIGCHLD is ignored or has SA_NOCLDWAIT,
/// both of which a program can inherit through exec (waitpid(2)).
struct ChildStatusKeeping: ~Copyable {
    private let previous: sigaction?
    private let installed: UInt

    init() {
        var action = sigaction()
        sigaction(SIGCHLD, nil, &action)
        let ignored = action.handlerAddress == sigaction.ignoreAddress
        let discards = action.sa_flags & CInt(SA_NOCLDWAIT) != 0
        guard ignored || discards else {
            previous = nil
            installed = 0
            return
        }
        previous = action
        if ignored { action = sigaction() }
        action.sa_flags &= ~CInt(SA_NOCLDWAIT)
        sigaction(SIGCHLD, &action, nil)
        installed = action.handlerAddress
    }

    /// Restores the previous disposition, unless the program has installed another meanwhile.
    consuming func restore() {
        var current = sigaction()
        sigaction(SIGCHLD, nil, &current)
        if var previous, current.handlerAddress == installed { sigaction(SIGCHLD, &previous, nil) }
    }
}
