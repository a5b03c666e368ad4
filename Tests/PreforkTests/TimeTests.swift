import Testing

@testable import Prefork

@Suite struct TimeTests {
    @Test(arguments: [
        (Duration.zero, "0 s"), (.milliseconds(12_400), "12.4 s"), (.milliseconds(100), "0.1 s"),
        (.milliseconds(4), "0.004 s"), (.milliseconds(99), "0.099 s"), (.milliseconds(10), "0.010 s"),
        (.microseconds(999), "0 s"), (.milliseconds(1000), "1 s"), (.milliseconds(1099), "1 s"),
        (.milliseconds(1999), "1.9 s"), (.seconds(3600), "3600 s"), (.milliseconds(-4), "-0.004 s"),
        (.milliseconds(-99), "-0.099 s"), (.milliseconds(-100), "-0.1 s"), (.milliseconds(-500), "-0.5 s"),
        (.milliseconds(-999), "-0.9 s"), (.milliseconds(-1000), "-1 s"), (.milliseconds(-1500), "-1.5 s"),
        (.seconds(Int64.max), "9223372036.8 s"), (.seconds(Int64.min), "-9223372036.8 s"),
    ])
    func inSeconds(duration: Duration, text: String) {
        #expect(duration.inSeconds == text)
    }

    @Test func nanosecondsAreClamped() {
        #expect(Duration.seconds(Int64.max).clampedNanoseconds == .max)
        #expect(Duration.seconds(Int64.min).clampedNanoseconds == .min)
        #expect(Duration.nanoseconds(Int64.max).clampedNanoseconds == .max)
        #expect((Duration.nanoseconds(Int64.max) + .nanoseconds(1)).clampedNanoseconds == .max)
        #expect((Duration.nanoseconds(Int64.min) - .nanoseconds(1)).clampedNanoseconds == .min)
        #expect(Duration.milliseconds(-1500).clampedNanoseconds == -1_500_000_000)
    }

    @Test func instantsSaturate() {
        let now = Instant(nanoseconds: 1_000)
        let last = Instant(nanoseconds: .max)
        #expect(now + .seconds(Int64.max) == last)
        #expect(now - .seconds(Int64.max) < Instant(nanoseconds: -Int64.max + 2_000))
        #expect(last + .nanoseconds(1) == last)
        #expect(last - .nanoseconds(-1) == last)
        #expect(Instant.distantPast - .nanoseconds(1) == .distantPast)
        #expect(Instant.distantPast + .nanoseconds(-1) == .distantPast)
        #expect(last - Instant.distantPast == .nanoseconds(Int64.max))
        #expect(Instant.distantPast - last == .nanoseconds(Int64.min))
    }

    @Test func instantsAddUp() {
        let now = Instant(nanoseconds: 5_000)
        #expect(now + .microseconds(2) == Instant(nanoseconds: 7_000))
        #expect(now - .microseconds(2) == Instant(nanoseconds: 3_000))
        #expect((now + .seconds(3)) - now == .seconds(3))
        #expect(now - (now + .seconds(3)) == .seconds(-3))
        #expect(Instant.distantPast < now)
        #expect(!(now < now))
    }

    @Test func clockDoesNotGoBack() {
        var last = System.now()
        for _ in 0..<1000 {
            let now = System.now()
            #expect(now >= last)
            last = now
        }
    }
}
