import PreforkLibc
import Testing

@testable import Prefork

@Suite struct PollTests {
    @Test func returnsAtTheDeadline() throws {
        var requests: [pollfd] = []
        let deadline = System.now() + .microseconds(1500)
        try System.poll(&requests, until: deadline)
        // It must not return earlier, because a loop would spin through the last millisecond.
        #expect(System.now() >= deadline)
    }

    @Test func deadlineInThePastReturnsAtOnce() throws {
        var requests = [pollfd(fd: -1, events: Int16(POLLIN), revents: 0)]
        try System.poll(&requests, until: .distantPast)
        #expect(requests[0].revents == 0)
    }
}

@Suite struct PollSetTests {
    @Test func tokensOfReadyDescriptorsInOrder() throws {
        let wake = try Channel.makePair()
        let exit = try Channel.makePair()
        let channel = try Channel.makePair()
        var watched = PollSet(wake: wake.first.raw)
        watched.add(channel.first.raw, .channel(pid: 7))
        watched.add(exit.first.raw, .exit(pid: 7))
        #expect(watched.ready == [])
        #expect(watched.wait(until: .distantPast) == nil)
        #expect(watched.ready == [])
        Channel.send(1, to: exit.second.raw)
        #expect(watched.wait(until: nil) == nil)
        #expect(watched.ready == [.exit(pid: 7)])
        Channel.send(1, to: channel.second.raw)
        Channel.send(1, to: wake.second.raw)
        watched.wait(until: nil)
        #expect(watched.ready == [.wake, .channel(pid: 7), .exit(pid: 7)])
        // A descriptor that was read is no longer ready in the next turn.
        _ = Channel.receive(from: exit.first.raw)
        watched.wait(until: nil)
        #expect(watched.ready == [.wake, .channel(pid: 7)])
        wake.close()
        exit.close()
        channel.close()
    }

    @Test func aHangUpIsReady() throws {
        let ends = try Channel.makePair().split()
        let first = Descriptor(ends.first)
        Descriptor(ends.second).close()
        var watched = PollSet()
        watched.add(first.raw, .channel(pid: 7))
        watched.wait(until: nil)
        #expect(watched.ready == [.channel(pid: 7)])
    }

    @Test func noDescriptorIsIgnored() throws {
        var watched = PollSet(wake: -1)
        watched.add(-1, .exit(pid: 7))
        let deadline = System.now() + .microseconds(1500)
        #expect(watched.wait(until: deadline) == nil)
        #expect(System.now() >= deadline)
        #expect(watched.ready == [])
    }

    #if os(Linux)
        /// poll(2) refuses more entries than RLIMIT_NOFILE. A loop that tries again must not spin.
        @Test("a failure is reported after a pause", .enabled(if: (OpenDescriptors.limit ?? .max) < 2_000_000))
        func failure() throws {
            let limit = try #require(OpenDescriptors.limit)
            let one = Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC))
            var watched = PollSet()
            for _ in 0...limit { watched.add(one.raw, .wake) }
            let start = System.now()
            let error = watched.wait(until: nil)
            #expect(error?.call == "poll")
            #expect(error?.code == EINVAL)
            #expect(System.now() - start >= .milliseconds(9))
            #expect(watched.ready == [])
        }
    #endif
}
