// The time of day, as people read it.
import PreforkLibc

enum WallClock {
    /// The current time (clock_gettime(2)).
    static func timestamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return timestamp(of: now)
    }

    /// A time in UTC with milliseconds, as RFC 3339 writes it: `2026-11-27T14:22:30.123Z`. It is the seconds since 1970
    /// alone if the C library can't split them (gmtime_r(3)).
    static func timestamp(of time: timespec) -> String {
        var seconds = time.tv_sec
        var parts = tm()
        guard gmtime_r(&seconds, &parts) != nil else { return "\(time.tv_sec)" }
        let date =
            digits(Int(parts.tm_year) + 1900, 4) + "-" + digits(Int(parts.tm_mon) + 1, 2) + "-"
            + digits(Int(parts.tm_mday), 2)
        let clock =
            digits(Int(parts.tm_hour), 2) + ":" + digits(Int(parts.tm_min), 2) + ":"
            + digits(Int(parts.tm_sec), 2)
        return date + "T" + clock + "." + digits(Int(time.tv_nsec) / 1_000_000, 3) + "Z"
    }

    /// The number with leading zeros.
    private static func digits(_ number: Int, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }
}
