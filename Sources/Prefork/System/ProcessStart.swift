// What this process had when it started.

/// What a process had at its start, before its program changed it. Children get the same.
struct ProcessStart: Sendable {
    /// Of this process, as it is at the first use. ``Prefork/role`` uses it, and so does `run`.
    static let own = ProcessStart()

    /// The signals that were ignored. The program that started this one may have wanted that: nohup ignores HUP, and
    /// systemd ignores PIPE.
    let ignoredSignals: [Signal]

    private init() {
        ignoredSignals = Signal.ignored()
    }
}
