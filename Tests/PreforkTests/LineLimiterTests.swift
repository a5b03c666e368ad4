import Testing

@testable import Prefork

@Suite struct LineLimiterTests {
    /// A minute of a crash loop with an event each millisecond.
    @Test func boundsTheLinesOfACrashLoop() throws {
        var limiter = LineLimiter()
        var linesInMinute: [Int] = []
        for minute in 0..<3 {
            var count = 0
            for millisecond in 0..<60_000 {
                let now = Instant(nanoseconds: Int64(minute * 60_000 + millisecond) * 1_000_000)
                count += limiter.admit("line", always: false, at: now).count
            }
            linesInMinute.append(count)
        }
        // After the burst, four lines a second are written, each with the line that reports how many were left out.
        let steady = 60 * LineLimiter.perSecond * 2
        #expect(linesInMinute[0] <= LineLimiter.burst + steady)
        #expect(linesInMinute[0] > LineLimiter.burst + steady - 20)
        #expect(linesInMinute[1] <= steady)
        #expect(linesInMinute[2] <= steady)
        #expect(linesInMinute[2] > steady - 20)
    }

    @Test func tellsHowManyWereLeftOut() throws {
        var limiter = LineLimiter()
        var generator = SplitMix64(seed: 1)
        var now = Instant(nanoseconds: 5_000_000_000)
        var told = 0
        var shown = 0
        let events = 20_000
        for index in 0..<events {
            now.nanoseconds += Int64.random(in: 0...50_000_000, using: &generator)
            let lines = limiter.admit("line \(index)", always: index % 1000 == 999, at: now)
            guard let last = lines.last else { continue }
            #expect(last == "line \(index)")
            shown += 1
            if lines.count == 2 {
                let words = lines[0].split(separator: " ", maxSplits: 1)
                #expect(words.last == "lines left out")
                told += try #require(Int(words[0]))
            }
            #expect(lines.count <= 2)
            #expect(limiter.leftOut == 0)
        }
        #expect(told > 0)
        #expect(told + shown + limiter.leftOut == events)
    }

    @Test func rareLinesAlwaysPass() {
        var limiter = LineLimiter()
        let now = Instant(nanoseconds: 0)
        for _ in 0..<LineLimiter.burst {
            #expect(limiter.admit("line", always: false, at: now) == ["line"])
        }
        #expect(limiter.admit("line", always: false, at: now) == [])
        #expect(limiter.admit("line", always: false, at: now) == [])
        #expect(limiter.admit("rare", always: true, at: now) == ["2 lines left out", "rare"])
        for _ in 0..<1000 { #expect(limiter.admit("rare", always: true, at: now) == ["rare"]) }
        #expect(limiter.admit("line", always: false, at: now) == [])
    }

    @Test func comesBackAfterAPause() {
        var limiter = LineLimiter()
        for _ in 0..<1000 { _ = limiter.admit("line", always: false, at: Instant(nanoseconds: 0)) }
        #expect(limiter.admit("line", always: false, at: Instant(nanoseconds: 249_000_000)) == [])
        let next = Instant(nanoseconds: 250_000_000)
        #expect(limiter.admit("line", always: false, at: next) == ["901 lines left out", "line"])
        #expect(limiter.admit("line", always: false, at: next) == [])
        // No more than the burst is saved up.
        let muchLater = Instant(nanoseconds: 1_000_000_000_000_000)
        let admitted = (0..<1000).filter { _ in !limiter.admit("line", always: false, at: muchLater).isEmpty }
        #expect(admitted.count == LineLimiter.burst)
    }

    @Test func clockThatStandsOrGoesBackDoesNoHarm() {
        var limiter = LineLimiter()
        for second in (0..<Int64(1000)).reversed() {
            _ = limiter.admit("line", always: false, at: Instant(nanoseconds: second * 1_000_000_000))
        }
        #expect(limiter.leftOut == 1000 - LineLimiter.burst)
    }
}
