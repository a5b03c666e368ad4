import Testing

@testable import Prefork

/// `memory.events` of version 2 as Linux 6.1 writes it. `oom_group_kill` exists since 5.17.
private let events = "low 0\nhigh 12\nmax 4711\noom 5\noom_kill 3\noom_group_kill 1\n"
/// `memory.oom_control` of version 1. `oom_kill` exists since 4.13.
private let control = "oom_kill_disable 0\nunder_oom 1\noom_kill 2\n"

private let unified = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
private let legacy = """
    32 25 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
    33 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory

    """

@Suite struct OutOfMemoryCountTests {
    @Test func versionTwo() {
        #expect(OutOfMemoryCount.decode(events) == 3)
        #expect(OutOfMemoryCount.decode("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n") == 0)
    }

    @Test func versionOne() {
        #expect(OutOfMemoryCount.decode(control) == 2)
        #expect(OutOfMemoryCount.decode("oom_kill_disable 1\nunder_oom 0\n") == nil)
    }

    @Test(arguments: [
        "", "\n", "oom_kill", "oom_kill \n", "oom_kill x\n", "oom_kill -1\n", "oom_kill 1 2\n",
        "oom 1\noom_group_kill 1\n", "oom_kill 99999999999999999999\n", " \n \n", "OOM_KILL 1\n",
    ])
    func garbage(text: String) {
        #expect(OutOfMemoryCount.decode(text) == nil)
    }

    /// The group's own file. In version 1 it counts the group alone, and in version 2 also the groups below it.
    @Test func ownGroup() {
        let files = [
            "/proc/self/cgroup": "0::/system.slice/app.service\n",
            "/proc/self/mountinfo": unified,
            "/sys/fs/cgroup/system.slice/app.service/memory.events": events,
            "/sys/fs/cgroup/system.slice/memory.events": "oom_kill 70\n",
        ]
        let count = OutOfMemoryCount { files[$0] }
        #expect(count?.path == "/sys/fs/cgroup/system.slice/app.service/memory.events")
        #expect(count?.current { files[$0] } == 3)
        #expect(count?.current { _ in nil } == nil)
    }

    @Test func ownGroupOfVersionOne() {
        let files = [
            "/proc/self/cgroup": "4:memory:/docker/0123\n1:cpu:/other\n0::/\n",
            "/proc/self/mountinfo": legacy + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            "/sys/fs/cgroup/memory/docker/0123/memory.oom_control": control,
            "/sys/fs/cgroup/memory/memory.oom_control": "oom_kill 70\n",
            "/sys/fs/cgroup/cpu/other/memory.oom_control": "oom_kill 71\n",
        ]
        let count = OutOfMemoryCount { files[$0] }
        #expect(count?.path == "/sys/fs/cgroup/memory/docker/0123/memory.oom_control")
        #expect(count?.current { files[$0] } == 2)
    }

    /// Docker on version 1 without a namespace. The path is the host's, and the mount shows the container's part.
    @Test func containerWithoutNamespace() {
        let files = [
            "/proc/self/cgroup": "4:memory:/docker/0123\n",
            "/proc/self/mountinfo": "33 25 0:30 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            "/sys/fs/cgroup/memory/memory.oom_control": control,
        ]
        #expect(OutOfMemoryCount { files[$0] }?.path == "/sys/fs/cgroup/memory/memory.oom_control")
    }

    /// Another group is mounted there. Its strikes do not count.
    @Test(arguments: ["0::/..\n", "0::/../other\n"])
    func groupOutsideOfTheNamespace(membership: String) {
        let files = [
            "/proc/self/cgroup": membership,
            "/proc/self/mountinfo": unified,
            "/sys/fs/cgroup/memory.events": events,
        ]
        #expect(OutOfMemoryCount { files[$0] } == nil)
    }

    @Test func nobodyCounts() {
        #expect(OutOfMemoryCount { _ in nil } == nil)
        // The root of version 2 has no such file.
        let files = ["/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": unified]
        #expect(OutOfMemoryCount { files[$0] } == nil)
    }
}

@Suite struct OutOfMemoryBlameTests {
    @Test func aStrikeSinceTheStartIsBlamed() {
        var blame = OutOfMemoryAttribution()
        let mark = blame.mark(count: 7)
        let verdicts = [7, 8].map { blame.isLikely(count: $0, since: mark) }
        #expect(verdicts == [false, true])
    }

    /// Both were killed before the first was reaped, and its replacement was started before the second was.
    @Test func twoAtOnce() {
        var blame = OutOfMemoryAttribution()
        let (first, second) = (blame.mark(count: 0), blame.mark(count: 0))
        var verdicts = [blame.isLikely(count: 2, since: first)]
        let replacement = blame.mark(count: 2)
        verdicts += [second, replacement].map { blame.isLikely(count: 2, since: $0) }
        #expect(verdicts == [true, true, false])
    }

    @Test func oneStrikeAccountsForOneDeath() {
        var blame = OutOfMemoryAttribution()
        let (struck, killedByHand) = (blame.mark(count: 0), blame.mark(count: 0))
        let verdicts = [struck, killedByHand].map { blame.isLikely(count: 1, since: $0) }
        #expect(verdicts == [true, false])
    }

    /// A count that shrinks belongs to another group, because the process was moved.
    @Test func countThatShrinks() {
        var blame = OutOfMemoryAttribution()
        let mark = blame.mark(count: 5)
        let verdict = blame.isLikely(count: 1, since: mark)
        #expect(!verdict)
    }
}

@Suite struct OutOfMemoryVerdictTests {
    private let killed = WaitStatus.signaled(9, coreDumped: false)

    @Test func onlySIGKILL() {
        var blame = OutOfMemoryAttribution()
        let mark = blame.mark(count: 0)
        for status in [WaitStatus.signaled(15, coreDumped: false), .exited(9), .exited(137), .lost] {
            let verdict = blame.isLikely(status, isKilled: false, since: mark) { 1 }
            #expect(!verdict, "\(status)")
        }
        let verdict = blame.isLikely(killed, isKilled: false, since: mark) { 1 }
        #expect(verdict, "the strike was still there to be blamed")
    }

    /// The master kills a child that ignores TERM while the killer strikes a helper. The strike is left for the process
    /// that it hit.
    @Test func whomTheMasterHasKilledIsNotBlamed() {
        var blame = OutOfMemoryAttribution()
        let mark = blame.mark(count: 0)
        var verdicts = [blame.isLikely(killed, isKilled: true, since: mark) { 1 }]
        verdicts.append(blame.isLikely(killed, isKilled: false, since: mark) { 1 })
        #expect(verdicts == [false, true])
    }

    @Test func nobodyCounts() {
        var blame = OutOfMemoryAttribution()
        let mark = blame.mark(count: 0)
        var verdicts = [blame.isLikely(killed, isKilled: false, since: mark) { nil }]
        verdicts.append(blame.isLikely(killed, isKilled: false, since: nil) { 1 })
        #expect(verdicts == [false, false])
    }
}

@Suite struct OutOfMemoryExitTests {
    @Test func supervisorPassesItOn() {
        var supervisor = Supervisor(Supervisor.Rules(recovery: .unlimited), children: 1)
        let now = Instant(nanoseconds: 0)
        _ = supervisor.handle(.timer, at: now)
        _ = supervisor.handle(.spawned(slot: 0, pid: 100), at: now)
        let killed = WaitStatus.signaled(9, coreDumped: false)
        let actions = supervisor.handle(.exited(pid: 100, .init(status: killed, isOutOfMemory: true)), at: now)
        let reported = actions.compactMap { action -> Prefork.ChildExit? in
            if case .report(let event) = action { event.exit } else { nil }
        }
        #expect(reported.map(\.isProbablyOutOfMemory) == [true])
        #expect(supervisor.slots.map { $0.lastExit?.isProbablyOutOfMemory } == [true])
    }
}
