import PreforkLibc
import Testing

@testable import Prefork

@Suite struct WallClockTests {
    // date -u -d @SECONDS +%FT%TZ
    @Test(arguments: [
        (0, 0, "1970-01-01T00:00:00.000Z"), (951_782_399, 999_999_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400, 5_000_000, "2000-02-29T00:00:00.005Z"), (1_795_789_350, 123_456_789, "2026-11-27T14:22:30.123Z"),
        (4_102_444_800, 0, "2100-01-01T00:00:00.000Z"), (-1, 0, "1969-12-31T23:59:59.000Z"),
    ])
    func timestamps(seconds: Int, nanoseconds: Int, text: String) {
        #expect(WallClock.timestamp(of: timespec(tv_sec: seconds, tv_nsec: nanoseconds)) == text)
    }

    @Test func aYearThatTheLibraryCannotHold() {
        #expect(WallClock.timestamp(of: timespec(tv_sec: .max, tv_nsec: 0)) == "\(Int.max)")
    }

    @Test func theCurrentTime() {
        let (before, text, after) = (time(nil), WallClock.timestamp(), time(nil))
        let candidates = (before...after).map { WallClock.timestamp(of: timespec(tv_sec: $0, tv_nsec: 0)).prefix(19) }
        #expect(candidates.contains(text.prefix(19)))
    }
}

@Suite struct JournalTests {
    @Test func comparesTheFile() throws {
        let file = try #require(System.identity(of: 2))
        let right = "\(file.device):\(file.inode)"
        #expect(Journal.receives(2, stream: right))
        for wrong in [
            nil, "", ":", "\(file.device)", "\(file.device):\(file.inode + 1)", "\(file.device + 1):\(file.inode)",
            "+\(right)", "\(right):", "\(right) ", "0:0",
        ] {
            #expect(!Journal.receives(2, stream: wrong), "\(wrong ?? "no variable")")
        }
        #expect(!Journal.receives(-1, stream: right))
    }
}
