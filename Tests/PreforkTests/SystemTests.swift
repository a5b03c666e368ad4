import PreforkLibc
import Synchronization
import Testing

@testable import Prefork

// Other suites run at the same time in this process: whether a descriptor is closed is seen at the other end of its channel,
// never by its number, which may be another test's by then.

private func isHungUp(_ end: CInt) -> Bool { Channel.receive(from: end) == .hungUp }

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
        #expect(ExitWatch.reap(System.pid) == .lost)
    }
}

@Suite struct DescriptorTests {
    @Test func endOfTheOwnerCloses() throws {
        let ends = try Channel.makePair().split()
        let other = Descriptor(ends.second)
        do {
            let owned = Descriptor(ends.first)
            #expect(owned.raw == ends.first)
            #expect(!isHungUp(other.raw))
        }
        #expect(isHungUp(other.raw))
    }

    @Test func closeCloses() throws {
        let ends = try Channel.makePair().split()
        let other = Descriptor(ends.second)
        Descriptor(ends.first).close()
        #expect(isHungUp(other.raw))
    }

    @Test func releaseDoesNotClose() throws {
        let ends = try Channel.makePair().split()
        let other = Descriptor(ends.second)
        let raw = Descriptor(ends.first).release()
        #expect(raw == ends.first)
        #expect(!isHungUp(other.raw))
        Descriptor(raw).close()
        #expect(isHungUp(other.raw))
    }

    @Test func numberOfNone() {
        #expect(Descriptor.number(of: nil) == -1)
        let one: Descriptor? = Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC))
        #expect(Descriptor.number(of: one) >= 0)
    }

    @Test func movesOutOfTheWay() throws {
        let ends = try Channel.makePair().split()
        let other = Descriptor(ends.second)
        let moved = try System.move(Descriptor(ends.first), atLeast: 300)
        #expect(moved.raw >= 300)
        #expect(isCloseOnExec(moved.raw))
        Channel.send(7, to: moved.raw)
        #expect(Channel.receive(from: other.raw) == .bytes([7]))
        // The old copy is closed: nothing else holds this end open.
        moved.close()
        #expect(isHungUp(other.raw))
    }

    @Test func staysWhereItIsHighEnough() throws {
        let moved = try System.move(Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC)), atLeast: 300)
        let raw = moved.raw
        let again = try System.move(moved, atLeast: raw)
        #expect(again.raw == raw)
        #expect(System.isOpen(raw))
    }

    @Test func movingNothingFails() {
        let error = failure { () throws(SystemError) in try System.move(Descriptor(-1), atLeast: 300).release() }
        #expect(error?.call == "fcntl")
        #expect(error?.code == EBADF)
    }

    @Test func flags() throws {
        let pipe = try makePipe()
        let readEnd = Descriptor(pipe.readEnd)
        let writeEnd = Descriptor(pipe.writeEnd)
        #expect(!isNonBlocking(readEnd.raw))
        try System.setNonBlocking(readEnd.raw)
        #expect(isNonBlocking(readEnd.raw))
        #expect(!isNonBlocking(writeEnd.raw))
        #expect(failure { () throws(SystemError) in try System.setCloseOnExec(-1) }?.code == EBADF)
        #expect(failure { () throws(SystemError) in try System.setNonBlocking(-1) }?.code == EBADF)
    }

    @Test func identities() throws {
        let ends = try Channel.makePair().split()
        let first = Descriptor(ends.first)
        let second = Descriptor(ends.second)
        #expect(System.identity(of: first.raw) != nil)
        #expect(System.identity(of: first.raw) == System.identity(of: first.raw))
        #expect(System.identity(of: first.raw) != System.identity(of: second.raw))
        #expect(System.identity(of: -1) == nil)
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

    /// A pipe in the file system without a writer: an open(2) that waits would hang for ever.
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
        // More than any system's default buffer holds; each send returns at once.
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
