import Testing

@testable import Prefork

@Suite("Many descriptors as one") struct EventQueueTests {
    @Test("report what is readable, until it is read or removed") func ready() throws {
        let queue = try EventQueue()
        let exit = try Channel.makePair()
        let channel = try Channel.makePair()
        try queue.add(exit.first.raw, .exit(pid: 7))
        try queue.add(channel.first.raw, .channel(pid: .max))
        #expect(try queue.ready() == [] && !System.isAnyReadable([queue.raw]))
        Channel.send(1, to: channel.second.raw)
        #expect(System.isAnyReadable([queue.raw]))
        #expect(try queue.ready() == [.channel(pid: .max)])
        #expect(try queue.ready() == [.channel(pid: .max)])
        Channel.empty(channel.first.raw)
        #expect(try queue.ready() == [])
        Channel.send(1, to: exit.second.raw)
        #expect(try queue.ready() == [.exit(pid: 7)])
        queue.remove(exit.first.raw)
        queue.remove(exit.first.raw)
        #expect(try queue.ready() == [] && !System.isAnyReadable([queue.raw]))
        exit.close()
        channel.close()
    }

    @Test("report a hang-up") func hangUp() throws {
        let queue = try EventQueue()
        let ends = try Channel.makePair().split()
        let first = Descriptor(ends.first)
        try queue.add(first.raw, .channel(pid: 7))
        Descriptor(ends.second).close()
        #expect(try queue.ready() == [.channel(pid: 7)])
        queue.remove(first.raw)
        #expect(try queue.ready() == [])
        first.close()
    }

    @Test("report all in turn if there are more than fit into one look") func many() throws {
        let queue = try EventQueue()
        var ends: [OpenSocket] = []
        for pid in 0..<600 as Range<Int32> {
            let pair = try Channel.makePair().split()
            ends += [OpenSocket(Descriptor(pair.first)), OpenSocket(Descriptor(pair.second))]
            try queue.add(pair.first, .channel(pid: pid))
            Channel.send(1, to: pair.second)
        }
        var seen: Set<PollSet.Token> = []
        for _ in 0..<3 { seen.formUnion(try queue.ready()) }
        #expect(seen.count == 600)
        #expect(ends.count == 1200)
    }
}

@Suite("The watch over children") struct ChildWatchTests {
    private let begin = Bench.begin

    /// A child without a descriptor that reports its exit, and the other end of its channel.
    private func unwatched(_ pid: Int32) throws -> (ChildHandle, OpenSocket) {
        let ends = try Channel.makePair().split()
        let child = ChildHandle(pid, slot: 0, exit: nil, channel: Descriptor(ends.first), outOfMemory: nil)
        return (child, OpenSocket(Descriptor(ends.second)))
    }

    @Test("looks every second at a child that no descriptor reports, and sooner once it has closed its channel")
    func sweep() throws {
        let watch = try ChildWatch()
        #expect(watch.nextLook(at: begin) == nil && watch.due(at: begin) == [])
        let (child, other) = try unwatched(7)
        watch.add(child)
        #expect(watch.nextLook(at: begin) == begin + .seconds(1))
        // What happens meanwhile does not put it off.
        #expect(watch.nextLook(at: begin + .milliseconds(900)) == begin + .seconds(1))
        #expect(watch.due(at: begin + .milliseconds(900)) == [])
        #expect(watch.due(at: begin + .seconds(1)) == [7])
        #expect(watch.nextLook(at: begin + .seconds(1)) == begin + .seconds(2))
        watch.noteHangUp(7)
        #expect(watch.due(at: begin + .seconds(1)) == [7])
        #expect(watch.nextLook(at: begin + .seconds(1)) == begin + .milliseconds(1050))
        watch.remove(child)
        #expect(watch.nextLook(at: begin + .seconds(1)) == nil && watch.due(at: begin + .seconds(9)) == [])
        #expect(other.raw != -1)
    }

    @Test("does not report a channel that is not read any more, though it has hung up") func ignored() throws {
        let watch = try ChildWatch()
        let (child, other) = try unwatched(7)
        watch.add(child)
        Channel.send(Array(repeating: 0xFF, count: 40), to: other.raw)
        #expect(try watch.ready() == [.channel(pid: 7)])
        guard case .fault = child.receive(at: begin) else {
            Issue.record("no fault")
            return
        }
        #expect(child.channelDescriptor == -1)
        watch.removeChannel(child)
        #expect(try watch.ready() == [])
    }

    @Test("does not report a held child, and looks at it every 200 ms") func held() throws {
        let watch = try ChildWatch()
        let (exit, channel) = (try Channel.makePair().split(), try Channel.makePair().split())
        let (exitEnd, channelEnd) = (OpenSocket(Descriptor(exit.second)), OpenSocket(Descriptor(channel.second)))
        let child = ChildHandle(
            7, slot: 0, exit: Descriptor(exit.first), channel: Descriptor(channel.first), outOfMemory: nil)
        watch.add(child)
        #expect(watch.nextLook(at: begin) == nil)
        Channel.send(1, to: exitEnd.raw)
        #expect(try watch.ready() == [.exit(pid: 7)])
        watch.hold(child, at: begin)
        #expect(try watch.ready() == [])
        #expect(watch.nextLook(at: begin) == begin + .milliseconds(200))
        #expect(watch.due(at: begin + .milliseconds(199)) == [])
        #expect(watch.due(at: begin + .milliseconds(200)) == [7])
        // Its messages are still read.
        Channel.send(1, to: channelEnd.raw)
        #expect(try watch.ready() == [.channel(pid: 7)])
        watch.remove(child)
        #expect(try watch.ready() == [] && watch.nextLook(at: begin + .seconds(1)) == nil)
    }
}
