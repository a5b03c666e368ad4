import PreforkLibc
import Synchronization
import Testing

@testable import Prefork

private func isCloseOnExec(_ descriptor: CInt) -> Bool { fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0 }

private func isNonBlocking(_ descriptor: CInt) -> Bool { fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0 }

@Suite struct WaitStatusTests {
    @Test(arguments: [
        (0x0000, WaitStatus.exited(0)), (0x0100, .exited(1)), (0x4e00, .exited(78)), (0xff00, .exited(255)),
        (0x0009, .signaled(9, coreDumped: false)), (0x000f, .signaled(15, coreDumped: false)),
        (0x0086, .signaled(6, coreDumped: true)), (0x008b, .signaled(11, coreDumped: true)),
        (0x0040, .signaled(64, coreDumped: false)),
    ])
    func decodes(raw: Int, expected: WaitStatus) {
        #expect(WaitStatus(rawStatus: CInt(raw)) == expected)
    }

    @Test func strangersAreNoChildren() {
        #expect(!ExitWatch.isChild(0))
        #expect(!ExitWatch.isChild(-1))
        #expect(!ExitWatch.isChild(1))
        #expect(!ExitWatch.isChild(System.pid))
        #expect(ExitWatch.reap(System.pid)?.status == .lost)
    }
}

@Suite struct ReadFileTests {
    @Test func readsAllBytes() throws {
        try withTemporaryDirectory { directory in
            let text = String(repeating: "0123456789\0é\n", count: 5000)
            try writeFile("\(directory)/file", text)
            #expect(try System.readFile("\(directory)/file") == Array(text.utf8))
            try writeFile("\(directory)/file", "")
            #expect(try System.readFile("\(directory)/file") == [])
        }
    }

    @Test func saysWhatFailed() throws {
        try withTemporaryDirectory { directory in
            let missing = failure { () throws(SystemError) in try System.readFile("\(directory)/none") }
            #expect(missing == SystemError(call: "open", code: ENOENT, context: "\(directory)/none"))
            let folder = failure { () throws(SystemError) in try System.readFile(directory) }
            #expect(folder == SystemError(call: "read", code: EISDIR, context: directory))
        }
    }

    /// A pipe in the file system without a writer. An open(2) that waits would hang forever.
    @Test func doesNotWaitForAPipe() throws {
        try withTemporaryDirectory { directory in
            try #require(mkfifo("\(directory)/pipe", 0o600) == 0)
            #expect(try System.readFile("\(directory)/pipe") == [])
        }
    }
}

@Suite struct ChannelTests {
    @Test func carriesBytesBothWays() throws {
        let pair = try Channel.makePair()
        #expect(Channel.receive(from: pair.first.raw) == .nothing)
        for byte in [UInt8(1), 0, 255] { Channel.send(byte, to: pair.first.raw) }
        #expect(Channel.receive(from: pair.second.raw) == .bytes([1, 0, 255]))
        #expect(Channel.receive(from: pair.second.raw) == .nothing)
        Channel.send(9, to: pair.second.raw)
        #expect(Channel.receive(from: pair.first.raw) == .bytes([9]))
        pair.close()
    }

    @Test func bothEndsAreCloseOnExecAndNonBlocking() throws {
        let pair = try Channel.makePair()
        for end in [pair.first.raw, pair.second.raw] {
            #expect(isCloseOnExec(end))
            #expect(isNonBlocking(end))
        }
        pair.close()
    }

    @Test(.timeLimit(.minutes(1))) func fullBufferDrops() throws {
        let pair = try Channel.makePair()
        // This is more than any system's default buffer holds. Each send returns at once.
        for _ in 0..<20_000 { Channel.send(1, to: pair.first.raw) }
        var received = 0
        while case .bytes(let bytes) = Channel.receive(from: pair.second.raw) { received += bytes.count }
        #expect(received > 0)
        #expect(received < 20_000)
        Channel.send(2, to: pair.first.raw)
        #expect(Channel.receive(from: pair.second.raw) == .bytes([2]))
        pair.close()
    }

    @Test func hangUpComesAfterTheBytes() throws {
        let ends = try Channel.makePair().split()
        let second = Descriptor(ends.second)
        Channel.send(1, to: ends.first)
        Channel.send(2, to: ends.first)
        Descriptor(ends.first).close()
        #expect(Channel.receive(from: second.raw) == .bytes([1, 2]))
        #expect(Channel.receive(from: second.raw) == .hungUp)
        #expect(Channel.receive(from: second.raw) == .hungUp)
    }

    @Test func whatIsNoChannelIsAHangUp() throws {
        #expect(Channel.receive(from: -1) == .hungUp)
        Channel.send(1, to: -1)
    }

    @Test func hangUpIsSeenByPoll() throws {
        let ends = try Channel.makePair().split()
        let second = Descriptor(ends.second)
        var requests = [pollfd(fd: second.raw, events: Int16(POLLIN), revents: 0)]
        try System.poll(&requests, until: System.now())
        #expect(requests[0].revents == 0)
        Descriptor(ends.first).close()
        try System.poll(&requests, until: nil)
        #expect(requests[0].revents & Int16(POLLHUP) != 0)
    }
}

@Suite struct ThreadTests {
    @Test func joinWaitsForTheEnd() throws {
        let flag = Flag()
        let thread = try Thread { flag.value.store(true, ordering: .releasing) }
        thread.join()
        let isSet = flag.value.load(ordering: .acquiring)
        #expect(isSet)
    }
}

private final class Flag: Sendable {
    let value = Atomic<Bool>(false)
}
