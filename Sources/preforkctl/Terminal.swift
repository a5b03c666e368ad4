import PreforkLibc

/// The standard output of this process.
enum Terminal {
    static let isTerminal = isatty(1) == 1

    /// NO_COLOR asks for none if it is not empty (no-color.org).
    static var hasColor: Bool {
        isTerminal && (getenv("NO_COLOR").map { $0.pointee == 0 } ?? true)
            && getenv("TERM").map { String(cString: $0) } != "dumb"
    }

    /// 80 columns and 24 rows if the system does not say.
    static var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    static func write(_ text: String, to descriptor: CInt = 1) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { PreforkLibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // The reader has gone.
            if count < 0 { exit(ExitStatus.refused) }
            rest = rest.dropFirst(count)
        }
    }
}
