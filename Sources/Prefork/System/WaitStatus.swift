/// How a child ended, as waitpid(2) reports it.
enum WaitStatus: Hashable, Sendable {
    case exited(CInt)
    case signaled(CInt, coreDumped: Bool)
    /// Other code in this process has waited for the child, so its status is lost.
    case lost

    /// Decodes as WIFEXITED and its relatives do, which Swift does not import. Linux and Darwin encode alike.
    init(rawStatus: CInt) {
        let signal = rawStatus & 0x7f
        self = signal == 0 ? .exited((rawStatus >> 8) & 0xff) : .signaled(signal, coreDumped: rawStatus & 0x80 != 0)
    }
}
