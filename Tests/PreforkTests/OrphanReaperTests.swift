import Testing

@testable import Prefork

@Suite struct OrphanReaperTests {
    private static func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }
    private static func zombie(_ pid: Int32, started: UInt64 = 1) -> OrphanReaper.Zombie {
        .init(pid: pid, started: started)
    }

    @Test func looksAtOnceAtTheStart() {
        #expect(OrphanReaper(delay: .seconds(2)).next <= Self.at(0))
    }

    @Test func reapsAfterTheDelayAndNotBefore() {
        var reaper = OrphanReaper(delay: .seconds(2))
        #expect(reaper.look([], at: Self.at(0)).isEmpty)
        reaper.childHasEnded(at: Self.at(1000))
        #expect(reaper.next == Self.at(1000), "at once, if the last look was long ago")
        #expect(reaper.look([Self.zombie(5)], at: Self.at(1000)).isEmpty)
        #expect(reaper.look([Self.zombie(5)], at: Self.at(1500)).isEmpty)
        #expect(reaper.pids == [5])
        #expect(reaper.look([Self.zombie(5)], at: Self.at(2999)).isEmpty)
        #expect(reaper.next <= Self.at(2999) + OrphanReaper.lookInterval)
        #expect(reaper.look([Self.zombie(5)], at: Self.at(3000)) == [Self.zombie(5)])
    }

    /// Other code has waited for the process, and its number was used again.
    @Test func aNumberGivenAnewStartsAnew() {
        var reaper = OrphanReaper(delay: .seconds(2))
        #expect(reaper.look([Self.zombie(5, started: 1)], at: Self.at(0)).isEmpty)
        #expect(reaper.look([Self.zombie(5, started: 2)], at: Self.at(2500)).isEmpty)
        #expect(reaper.look([Self.zombie(5, started: 2)], at: Self.at(4500)) == [Self.zombie(5, started: 2)])
    }

    /// A number is gone and comes back. A waiter is not robbed because of an earlier process with that number.
    @Test func whatIsGoneIsForgotten() {
        var reaper = OrphanReaper(delay: .seconds(2))
        #expect(reaper.look([Self.zombie(5)], at: Self.at(0)).isEmpty)
        #expect(reaper.look([], at: Self.at(1000)).isEmpty)
        #expect(reaper.look([Self.zombie(5)], at: Self.at(2500)).isEmpty)
    }

    /// In a paused container, code that would have waited in time was paused, too.
    @Test func aPauseCountsForNobody() {
        var reaper = OrphanReaper(delay: .seconds(2))
        reaper.childHasEnded(at: Self.at(0))
        #expect(reaper.look([Self.zombie(5)], at: Self.at(0)).isEmpty)
        #expect(reaper.look([Self.zombie(5)], at: Self.at(60_000)).isEmpty)
        #expect(reaper.next <= Self.at(62_000))
        #expect(reaper.look([Self.zombie(5)], at: Self.at(61_999)).isEmpty)
        #expect(reaper.look([Self.zombie(5)], at: Self.at(62_000)) == [Self.zombie(5)])
    }

    @Test func looksAgainSoonWhereItCouldNot() {
        var reaper = OrphanReaper(delay: .seconds(2))
        reaper.childHasEnded(at: Self.at(0))
        reaper.couldNotLook(at: Self.at(0))
        #expect(reaper.next == Self.at(0) + OrphanReaper.secondLook)
        #expect(reaper.look([Self.zombie(5)], at: Self.at(500)).isEmpty)
        #expect(reaper.next == Self.at(500) + OrphanReaper.secondLook, "the news is not forgotten")
    }

    @Test func aStreamOfSignalsDoesNotMeanAStreamOfLooks() {
        var reaper = OrphanReaper(delay: .seconds(2))
        var looks = 0
        for now in stride(from: Int64(0), to: 10_000, by: 1) {
            reaper.childHasEnded(at: Self.at(now))
            if reaper.next <= Self.at(now) {
                _ = reaper.look([], at: Self.at(now))
                looks += 1
            }
        }
        #expect((35...41).contains(looks), "\(looks) in ten seconds")
    }

    /// An idle process 1 sleeps.
    @Test func rarelyLooksWithoutNews() {
        var reaper = OrphanReaper(delay: .seconds(2))
        _ = reaper.look([], at: Self.at(0))
        #expect(reaper.next == Self.at(0) + OrphanReaper.sweepInterval)
        reaper.childHasEnded(at: Self.at(5000))
        _ = reaper.look([], at: Self.at(5000))
        #expect(reaper.next == Self.at(5000) + OrphanReaper.secondLook, "a list that changes may leave one out")
        _ = reaper.look([], at: Self.at(5500))
        #expect(reaper.next == Self.at(5500) + OrphanReaper.sweepInterval)
    }

    /// Random ends and waits, lists that leave some out, and a clock. A waiter in time is never robbed, and no zombie
    /// is older than the delay and a second.
    @Test(arguments: 0..<200)
    func randomSchedules(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        let delay = Duration.milliseconds(Int64.random(in: 0...3000, using: &random))
        var reaper = OrphanReaper(delay: delay)
        var dead: [OrphanReaper.Zombie: (end: Instant, waitedFor: Instant?)] = [:]
        var started: UInt64 = 0
        for now in stride(from: Int64(0), to: 20_000, by: 5) {
            let now = Self.at(now)
            if Int.random(in: 0..<40, using: &random) == 0 {
                started += 1
                let zombie = Self.zombie(Int32.random(in: 2...9, using: &random), started: started)
                if !dead.keys.contains(where: { $0.pid == zombie.pid }) {
                    let waits = Bool.random(using: &random) && delay > .milliseconds(10)
                    let patience = waits ? Int64.random(in: 0..<(delay.clampedNanoseconds), using: &random) : 0
                    dead[zombie] = (now, waits ? now + .nanoseconds(patience) : nil)
                    reaper.childHasEnded(at: now)
                }
            }
            for (zombie, state) in dead {
                if let wait = state.waitedFor, wait <= now { dead[zombie] = nil }
            }
            if reaper.next <= now {
                // Once in a while one of the processes that were not seen last time is left out.
                var shown = Set(dead.keys)
                if Int.random(in: 0..<10, using: &random) == 0,
                    let left = shown.first(where: { now - (dead[$0]?.end ?? now) < .milliseconds(5) })
                {
                    shown.remove(left)
                }
                for zombie in reaper.look(shown, at: now) {
                    let state = dead.removeValue(forKey: zombie)
                    #expect(state != nil, "one that is there")
                    if let state { #expect(now - state.end >= delay, "not too soon") }
                    #expect(state?.waitedFor == nil, "no waiter is robbed")
                }
            }
            for (zombie, state) in dead where state.waitedFor == nil {
                #expect(now - state.end <= delay + .seconds(1), "\(zombie) is old at \(now)")
            }
        }
    }
}

@Suite struct ProcessStatTests {
    @Test func aNameMayContainAnything() throws {
        let line =
            "17 (a) Z 1 (x) S 1) Z 1 17 17 0 -1 4227084 86 0 0 0 0 0 0 0 20 0 1 0 4711 0 0 18446744073709551615\n"
        let stat = try #require(ProcessStat(Array(line.utf8)))
        #expect(stat.pid == 17 && stat.parent == 1 && stat.isZombie && stat.started == 4711)
    }

    @Test(arguments: ["", "17", "17 (a", "17 (a) Z", "x (a) Z 1 17 17 0 -1 4227084 86 0 0 0 0 0 0 0 20 0 1 0 4711 0"])
    func whatIsNoLineIsNil(line: String) {
        #expect(ProcessStat(Array(line.utf8)) == nil)
    }

    private func stat(_ state: String, parent: Int32, threads: Int) throws -> ProcessStat {
        let line = "17 (a) \(state) \(parent) 17 17 0 -1 4227084 86 0 0 0 0 0 0 0 20 0 \(threads) 0 4711 0 0\n"
        return try #require(ProcessStat(Array(line.utf8)))
    }

    @Test func aZombieOfOurs() throws {
        let stat = try stat("Z", parent: 1, threads: 1)
        #expect(Orphans.Zombie(stat, childOf: 1) == Orphans.Zombie(pid: 17, started: 4711))
    }

    /// The zombie has a number that was used again, or comes from a list of all processes.
    @Test func aZombieOfAnothers() throws {
        #expect(Orphans.Zombie(try stat("Z", parent: 2, threads: 1), childOf: 1) == nil)
        #expect(Orphans.Zombie(try stat("Z", parent: 1, threads: 1), childOf: 2) == nil)
    }

    @Test(arguments: ["R", "S", "D", "T", "t", "I", "X"]) func whatIsNoZombie(state: String) throws {
        let stat = try stat(state, parent: 1, threads: 1)
        #expect(Orphans.Zombie(stat, childOf: 1) == nil && !stat.hasLostFirstThread)
    }

    /// Its first thread has ended, but the others go on, so waiting for it would block.
    @Test func aProcessWithoutItsFirstThreadLives() throws {
        let stat = try stat("Z", parent: 1, threads: 2)
        #expect(Orphans.Zombie(stat, childOf: 1) == nil && stat.hasLostFirstThread)
        #expect(try !self.stat("Z", parent: 1, threads: 1).hasLostFirstThread)
        #expect(try !self.stat("S", parent: 1, threads: 2).hasLostFirstThread)
    }

    #if os(Linux)
        @Test func ofThisProcess() throws {
            let stat = try #require(ProcessStat(try System.readFile("/proc/self/stat")))
            #expect(stat.pid == System.pid && stat.parent == System.parentPID && !stat.isZombie)
        }
    #endif
}

#if os(Linux)
    import PreforkLibc

    @Suite struct OrphansTests {
        /// Processes that this thread has started are in no list. A process that was seen once is checked even if a
        /// list leaves it out.
        @Test func whoWasSeenIsLookedAtAgain() throws {
            let ownStat = try System.readFile("/proc/thread-self/stat")
            let isFirst = ProcessStat(ownStat)?.pid == getpid()
            try #require(!isFirst, "the test library runs nothing in the first thread")
            var pid: pid_t = 0
            let arguments: [UnsafeMutablePointer<CChar>?] = [strdup("true"), nil]
            defer { free(arguments[0]) }
            try #require(posix_spawn(&pid, "/bin/true", nil, nil, arguments, nil) == 0)
            defer { waitpid(pid, nil, 0) }
            var information = siginfo_t()
            while waitid(P_PID, id_t(pid), &information, CInt(WEXITED | WNOWAIT)) == -1, errno == EINTR {}
            func sees(_ known: Set<Int32>, _ seen: [Int32]) throws -> Bool {
                try Orphans.zombies(except: known, seen: seen).contains { $0.pid == pid }
            }
            #expect(try !sees([], []))
            #expect(try sees([], [pid]))
            #expect(try !sees([pid], [pid]))
        }
    }
#endif
