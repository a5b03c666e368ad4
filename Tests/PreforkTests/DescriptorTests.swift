import PreforkLibc
import Testing

@testable import Prefork

// Other suites run at the same time in this process. A closed descriptor is therefore recognized at the other end of
// its channel, not by its number, which may belong to another test by then.

private func isHungUp(_ end: CInt) -> Bool { Channel.receive(from: end) == .hungUp }

private func isCloseOnExec(_ descriptor: CInt) -> Bool { fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0 }

private func isNonBlocking(_ descriptor: CInt) -> Bool { fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0 }

@Suite struct NullTests {
    /// In a chroot without /dev.
    @Test func withoutTheDevice() throws {
        for path in ["/dev/null", "/nowhere/null"] {
            let null = try System.openNull(path)
            var byte: UInt8 = 0
            #expect(read(null.raw, &byte, 1) == 0, "it reads as empty")
            #expect(fcntl(null.raw, F_GETFD) & FD_CLOEXEC != 0)
        }
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
        // The old copy is closed, so nothing else holds this end open.
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

    @Test func aCopyLeavesTheOriginal() throws {
        let ends = try Channel.makePair().split()
        let first = Descriptor(ends.first)
        let other = Descriptor(ends.second)
        let copy = try System.duplicate(first.raw, atLeast: first.raw)
        #expect(copy.raw > first.raw)
        #expect(isCloseOnExec(copy.raw))
        #expect(System.identity(of: copy.raw) == System.identity(of: first.raw))
        first.close()
        #expect(!isHungUp(other.raw))
        copy.close()
        #expect(isHungUp(other.raw))
    }

    @Test func openOnesAreListed() throws {
        let first = Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC))
        let listed = OpenDescriptors.list(from: first.raw)
        #expect(listed.contains(first.raw))
        #expect(listed.allSatisfy { $0 >= first.raw })
        #expect(!OpenDescriptors.list(from: first.raw + 1).contains(first.raw))
        #expect(OpenDescriptors.limit.map { $0 > Int(first.raw) } == true)
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
        try System.setNonBlocking(readEnd.raw, false)
        #expect(!isNonBlocking(readEnd.raw))
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
