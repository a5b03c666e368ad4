import PreforkLibc
import Testing

@testable import Prefork

@Suite struct LogWriterTests {
    @Test func writesTheLine() throws {
        let pipe = try makePipe()
        let readEnd = Descriptor(pipe.readEnd)
        let writeEnd = Descriptor(pipe.writeEnd)
        #expect(LogWriter.write(Array("line\n".utf8), to: writeEnd.raw))
        writeEnd.close()
        #expect(contents(of: readEnd.raw) == Array("line\n".utf8))
    }

    @Test func fullPipeReturnsAtOnce() throws {
        let pipe = try makePipe()
        let readEnd = Descriptor(pipe.readEnd)
        let writeEnd = Descriptor(pipe.writeEnd)
        let line = [UInt8](repeating: 46, count: 1023) + [10]
        let isDone = try endsWithoutAReader(pipe) {
            // This is more than a pipe holds.
            for _ in 0..<2000 { _ = LogWriter.write(line, to: pipe.writeEnd) }
        }
        #expect(isDone)
        writeEnd.close()
        let found = contents(of: readEnd.raw)
        #expect(found.count >= 4096)
        #expect(found.count % line.count == 0, "the reader finds whole lines only")
    }

    /// A line that is longer than the room that is left must not wait for a reader either.
    @Test func longLineToAnAlmostFullPipe() throws {
        let pipe = try makePipe()
        let readEnd = Descriptor(pipe.readEnd)
        let writeEnd = Descriptor(pipe.writeEnd)
        let line = [UInt8](repeating: 46, count: 1_500_000) + [10]
        let isDone = try endsWithoutAReader(pipe) { _ = LogWriter.write(line, to: pipe.writeEnd) }
        #expect(isDone)
        writeEnd.close()
        #expect(!contents(of: readEnd.raw).isEmpty)
    }

    /// Another process may fill the pipe after poll(2) has found room. The write itself must not wait, and must not
    /// affect the other processes that share the pipe's description.
    @Test func writeToAFullPipeDoesNotWait() throws {
        let pipe = try makePipe()
        let readEnd = Descriptor(pipe.readEnd)
        let writeEnd = Descriptor(pipe.writeEnd)
        while LogWriter.write([UInt8](repeating: 46, count: 4096), to: writeEnd.raw) {}
        let isDone = try endsWithoutAReader(pipe) {
            let line = [UInt8](repeating: 46, count: 64)
            line.withUnsafeBytes { bytes in
                #expect(LogWriter.writeWithoutWaiting(bytes, to: pipe.writeEnd) == -1)
            }
        }
        #expect(isDone)
        #expect(fcntl(writeEnd.raw, F_GETFL) & O_NONBLOCK == 0)
        readEnd.close()
    }

    /// Whether `body`, in a thread of its own, ends before the pipe is read. It ends in any case.
    private func endsWithoutAReader(
        _ pipe: (readEnd: CInt, writeEnd: CInt),
        _ body: @escaping @Sendable () -> Void
    ) throws -> Bool {
        let ends = try Channel.makePair().split()
        let ours = Descriptor(ends.first)
        let theirs = Descriptor(ends.second)
        let number = theirs.raw
        let thread = try Thread {
            body()
            Channel.send(0, to: number)
        }
        let isDone = try becomesReadable(ours.raw)
        if !isDone {
            try System.setNonBlocking(pipe.readEnd)
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while Channel.receive(from: ours.raw) == .nothing {
                if read(pipe.readEnd, &buffer, buffer.count) <= 0 { System.pause(milliseconds: 1) }
            }
        }
        thread.join()
        return isDone
    }

    @Test func longLineArrivesWhole() throws {
        let pipe = try makePipe()
        let readEnd = Descriptor(pipe.readEnd)
        let writeEnd = Descriptor(pipe.writeEnd)
        let line = (0..<9999).map { UInt8(32 + $0 % 90) } + [10]
        #expect(LogWriter.write(line, to: writeEnd.raw))
        writeEnd.close()
        #expect(contents(of: readEnd.raw) == line)
    }

    @Test func closedDescriptorIsNoLine() {
        #expect(!LogWriter.write([10], to: -1))
    }

    /// The bytes up to the end of the file.
    private func contents(of descriptor: CInt) -> [UInt8] {
        var found: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count <= 0 { return found }
            found += buffer.prefix(count)
        }
    }
}
