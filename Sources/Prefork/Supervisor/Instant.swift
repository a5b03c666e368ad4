/// A point on the system's monotonic clock, or on a test's virtual one.
struct Instant: Comparable, Hashable, Sendable {
    var nanoseconds: Int64

    static let distantPast = Instant(nanoseconds: .min)

    static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Saturates, because a deadline of "never" (`Duration.seconds(Int64.max)`) must not overflow.
    static func + (instant: Instant, duration: Duration) -> Instant {
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
        return Instant(nanoseconds: overflow ? (duration < .zero ? .min : .max) : sum)
    }

    static func - (instant: Instant, duration: Duration) -> Instant {
        let (difference, overflow) = instant.nanoseconds.subtractingReportingOverflow(duration.clampedNanoseconds)
        return Instant(nanoseconds: overflow ? (duration < .zero ? .max : .min) : difference)
    }

    static func - (later: Instant, earlier: Instant) -> Duration {
        let (difference, overflow) = later.nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
        return .nanoseconds(overflow ? (later < earlier ? .min : .max) : difference)
    }
}

extension Duration {
    /// Whole nanoseconds, at most about 292 years.
    var clampedNanoseconds: Int64 {
        // Checked first, because `components` traps on values that it cannot hold.
        if self >= .nanoseconds(Int64.max) { return .max }
        if self <= .nanoseconds(Int64.min) { return .min }
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    /// As a person reads it: `12.4 s`, `0.1 s`, `0 s`, `0.004 s`.
    var inSeconds: String {
        let milliseconds = clampedNanoseconds / 1_000_000
        if milliseconds == 0 { return "0 s" }
        let sign = milliseconds < 0 ? "-" : ""
        let tenths = abs(milliseconds / 100)
        if tenths > 0 {
            return sign + (tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s")
        }
        let digits = String(abs(milliseconds))
        return sign + "0." + String(repeating: "0", count: 3 - digits.count) + digits + " s"
    }
}
