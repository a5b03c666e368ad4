import Testing

@testable import Prefork

private func at(_ time: Duration) -> Instant { Instant(nanoseconds: 1_000_000_000_000) + time }

/// The small values that say how long a slot waits, and when a fleet gives up.
@Suite("Back-off")
struct BackoffTests {
    @Suite("Delays")
    struct Delays {
        private typealias Interval = Prefork.Configuration.Recovery.Delays

        @Test("The delays are zero, then 100 ms, then doubled up to 25 s")
        func usual() {
            let usual = Interval()
            #expect((0...4).map(usual.delay) == [0, 100, 200, 400, 800].map { .milliseconds($0) })
            #expect(usual.delay(afterFailures: 8) == .milliseconds(12_800))
            #expect(usual.delay(afterFailures: 9) == .seconds(25))
            #expect(usual.delay(afterFailures: 10) == .seconds(25))
        }

        @Test("Constant delays stay constant")
        func constant() {
            #expect((0...20).allSatisfy { Interval.constant(.seconds(3)).delay(afterFailures: $0) == .seconds(3) })
        }

        @Test("A slot that has failed for years is answered at once, and no product overflows")
        func extremes() {
            let many = 50_000_000
            let longest = Duration.seconds(Int64.max) * 18
            let time = ContinuousClock().measure {
                // A slot that fails a thousand times a second does so within a day.
                #expect(Interval().delay(afterFailures: many) == .seconds(25))
                #expect(Interval.constant(.milliseconds(1)).delay(afterFailures: many) == .milliseconds(1))
                #expect(Interval.constant(.zero).delay(afterFailures: many) == .zero)
                #expect(Interval(next: .zero).delay(afterFailures: many) == .zero)
                #expect(Interval(next: .seconds(1), maximum: longest).delay(afterFailures: many) == longest)
            }
            #expect(time < .seconds(1))
        }

        @Test("No delay is above the maximum, even if the configuration says so")
        func maximum() {
            #expect(Interval(first: .seconds(2), maximum: .seconds(1)).delay(afterFailures: 0) == .seconds(1))
            #expect(Interval(next: .seconds(2), maximum: .seconds(1)).delay(afterFailures: 1) == .seconds(1))
        }
    }

    @Suite("Failed starts")
    struct Failures {
        @Test("Up to five for each child are not enough to give up, however long they take")
        func few() {
            var failures = StartFailures()
            #expect(failures.state(ofChildren: 2, at: at(.zero)) == .few)
            for count in 1...10 {
                failures.note(at: at(.seconds(100 * count)))
                #expect(failures.state(ofChildren: 2, at: at(.seconds(100 * count))) == .few)
            }
            failures.note(at: at(.seconds(1100)))
            #expect(failures.state(ofChildren: 2, at: at(.seconds(1100))) == .tooMany)
            #expect(failures.state(ofChildren: 3, at: at(.seconds(1100))) == .few)
        }

        @Test("More are not enough before 15 seconds have passed since the first")
        func time() {
            var failures = StartFailures()
            for _ in 0..<100 { failures.note(at: at(.seconds(5))) }
            #expect(failures.count == 100)
            #expect(failures.first == at(.seconds(5)))
            #expect(failures.state(ofChildren: 1, at: at(.seconds(5))) == .many(.seconds(15)))
            #expect(failures.state(ofChildren: 1, at: at(.seconds(8))) == .many(.seconds(12)))
            let border = at(.seconds(20))
            #expect(failures.state(ofChildren: 1, at: border - .nanoseconds(1)) == .many(.nanoseconds(1)))
            #expect(failures.state(ofChildren: 1, at: border) == .tooMany)
        }

        @Test("The limit does not overflow for any number of children")
        func overflow() {
            var failures = StartFailures()
            failures.note(at: at(.zero))
            #expect(failures.state(ofChildren: .max, at: at(.seconds(100))) == .few)
        }
    }

    @Suite("Exits that a strict mode counts")
    struct Strict {
        @Test("Without a window all exits count")
        func all() {
            var exits = StrictExits()
            for count in 1...100 {
                #expect(exits.count(at: at(.seconds(1_000_000 * count)), within: nil) == count)
            }
        }

        @Test("Exits that are older than the window are forgotten, and one that is exactly as old counts")
        func window() {
            var exits = StrictExits()
            let window = Duration.seconds(60)
            #expect(exits.count(at: at(.seconds(0)), within: window) == 1)
            #expect(exits.count(at: at(.seconds(30)), within: window) == 2)
            #expect(exits.count(at: at(.seconds(60)), within: window) == 3)
            #expect(exits.count(at: at(.seconds(60) + .nanoseconds(1)), within: window) == 3)
            #expect(exits.count(at: at(.seconds(1000)), within: window) == 1)
        }
    }

    @Suite("Crashes")
    struct Suspicion {
        private static func suspicion(start: Int, services: [Int]) -> Crashes.Suspicion {
            var crashes = Crashes()
            for service in services {
                crashes.note(start: .milliseconds(start), service: .milliseconds(service))
            }
            return crashes.suspicion
        }

        @Test("Fewer than four arouse no suspicion")
        func few() {
            #expect(Crashes().suspicion == .unknown)
            #expect(Self.suspicion(start: 100, services: [0, 0, 0]) == .unknown)
            #expect(Self.suspicion(start: 100, services: [500, 20, 100]) == .unknown)
        }

        @Test("Children that serve for less than a quarter of their start's time belong to a broken program")
        func share() {
            #expect(Self.suspicion(start: 100, services: [25, 25, 25, 24]) == .brokenProgram)
            #expect(Self.suspicion(start: 100, services: [25, 25, 25, 25]) == .poison)
            #expect(Self.suspicion(start: 100, services: [0, 0, 0, 100]) == .poison)
            #expect(Self.suspicion(start: 0, services: [0, 0, 0, 0]) == .poison)
        }

        @Test("Eight children that end at about the same age belong to a broken program")
        func age() {
            #expect(Self.suspicion(start: 100, services: [50, 99, 60, 70, 80, 90, 50, 99]) == .brokenProgram)
            #expect(Self.suspicion(start: 100, services: [50, 100, 60, 70, 80, 90, 50, 99]) == .poison)
            #expect(Self.suspicion(start: 100, services: [50, 99, 60, 70, 80, 90, 50]) == .poison)
        }

        @Test("Only the last eight count")
        func last() {
            let random = [50, 500, 60, 300, 80, 900, 55, 120]
            #expect(Self.suspicion(start: 100, services: random) == .poison)
            #expect(Self.suspicion(start: 100, services: random + Array(repeating: 60, count: 7)) == .poison)
            #expect(Self.suspicion(start: 100, services: random + Array(repeating: 60, count: 8)) == .brokenProgram)
        }

        @Test("Forgotten crashes arouse no suspicion")
        func forget() {
            var crashes = Crashes()
            for _ in 0..<8 { crashes.note(start: .seconds(1), service: .zero) }
            #expect(crashes.suspicion == .brokenProgram)
            crashes.forget()
            #expect(crashes.suspicion == .unknown)
            #expect(crashes == Crashes())
        }
    }

    @Suite("Backtraces")
    struct Backtraces {
        private static let trap = WaitStatus.signaled(4, coreDumped: false)

        @Test("Five crashes within a minute are too many, and only the fifth says so")
        func suppress() {
            var policy = BacktracePolicy()
            var verdicts: [Bool] = []
            for second in 0..<8 { verdicts.append(policy.noteCrash(Self.trap, at: at(.seconds(15 * second)))) }
            #expect(verdicts == [false, false, false, false, true, false, false, false])
            #expect(policy.areSuppressed)
        }

        @Test("Five crashes in more than a minute are not too many")
        func slow() {
            var policy = BacktracePolicy()
            for number in 0..<1000 {
                let time = at((.seconds(60) + .nanoseconds(1)) / 4 * number + .nanoseconds(number))
                let isTooMany = policy.noteCrash(Self.trap, at: time)
                #expect(!isTooMany)
            }
            #expect(!policy.areSuppressed)
        }

        @Test("Only signals that print a backtrace count")
        func signals() {
            func isCounted(_ status: WaitStatus) -> Bool {
                var policy = BacktracePolicy()
                for _ in 0..<10 { _ = policy.noteCrash(status, at: at(.zero)) }
                return policy.areSuppressed
            }
            // ILL, TRAP, ABRT, FPE and SEGV have the same numbers everywhere.
            for number: Int32 in [4, 5, 6, 8, 11] { #expect(isCounted(.signaled(number, coreDumped: true))) }
            for number: Int32 in [1, 2, 9, 13, 14, 15] { #expect(!isCounted(.signaled(number, coreDumped: false))) }
            for status: Int32 in [0, 4, 6, 11, 134] { #expect(!isCounted(.exited(status))) }
            #expect(!isCounted(.lost))
        }

        @Test("Backtraces are printed again after a minute without a crash, and that is reported once")
        func resume() {
            var policy = BacktracePolicy()
            #expect(policy.resume(at: at(.seconds(1000))) == false)
            for _ in 0..<5 { _ = policy.noteCrash(Self.trap, at: at(.zero)) }
            #expect(policy.resume(at: at(.seconds(59))) == false)
            // Each further crash prolongs the suppression.
            let isNew = policy.noteCrash(Self.trap, at: at(.seconds(59)))
            #expect(!isNew)
            #expect(policy.resume(at: at(.seconds(119) - .nanoseconds(1))) == false)
            #expect(policy.areSuppressed)
            #expect(policy.resume(at: at(.seconds(119))) == true)
            #expect(!policy.areSuppressed)
            #expect(policy.resume(at: at(.seconds(119))) == false)
            // The next five print again.
            let verdicts = (0..<5).map { _ in policy.noteCrash(Self.trap, at: at(.seconds(120))) }
            #expect(verdicts == [false, false, false, false, true])
        }
    }
}
