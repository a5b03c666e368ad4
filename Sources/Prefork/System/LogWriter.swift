// Writing to a standard error that others share, that nobody may be reading, and that must not stop a master.
import PreforkLibc

extension System {
    /// Writes all of `bytes`, or as much as there is room for: a reader that has stopped must not stop the master, and one
    /// that is gone must not kill it by SIGPIPE.
    /// - Returns: false where not all was written.
    static func writeLine(_ bytes: [UInt8], to descriptor: CInt) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard hasRoom(descriptor) else { return false }
            // One write for each PIPE_BUF: that much is written whole or not at all, also beside the lines of other
            // processes on the same pipe (pipe(7)).
            let part = rest.prefix(Int(PIPE_BUF))
            let isWritten = withoutBrokenPipeSignal {
                part.withUnsafeBytes { writeWithoutWaiting($0, to: descriptor) } == part.count
            }
            if !isWritten { return false }
            rest = rest.dropFirst(part.count)
        }
        return true
    }

    /// O_NONBLOCK would be set for everybody who shares the open file description, so it is this one write that must not
    /// wait: by its flag where the kernel has that for such a file, else through a description of our own. Where neither can
    /// be had, poll(2) has just found room, and only another process that fills it in between can make us wait.
    /// - Returns: as write(2).
    static func writeWithoutWaiting(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> Int {
        var status = stat()
        let kind = fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : S_IFREG
        // A regular file does not wait for a reader, and its flag would refuse what has to be allocated first.
        if kind == S_IFREG { return write(descriptor, bytes.baseAddress, bytes.count) }
        if let count = writeOnceWithoutWaiting(bytes, to: descriptor) { return count }
        let own = open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
        guard own >= 0 else { return write(descriptor, bytes.baseAddress, bytes.count) }
        let reopened = Descriptor(own)
        let count = write(own, bytes.baseAddress, bytes.count)
        reopened.close()
        return count
    }

    /// Runs `body` with SIGPIPE blocked in this thread and takes away the one that `body` caused. SIGPIPE is sent to the
    /// thread that writes (pipe(7)), so one that was pending before is the only other that can be there: then it stays.
    private static func withoutBrokenPipeSignal(_ body: () -> Bool) -> Bool {
        var pipe = sigset_t()
        var previous = sigset_t()
        var pending = sigset_t()
        sigemptyset(&pipe)
        sigaddset(&pipe, SIGPIPE)
        sigpending(&pending)
        let wasPending = sigismember(&pending, SIGPIPE) == 1
        pthread_sigmask(SIG_BLOCK, &pipe, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
        let result = body()
        if !result && !wasPending {
            sigpending(&pending)
            if sigismember(&pending, SIGPIPE) == 1 {
                var taken: CInt = 0
                sigwait(&pipe, &taken)
            }
        }
        return result
    }

    private static func hasRoom(_ descriptor: CInt) -> Bool {
        var requests = [pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)]
        guard (try? poll(&requests, until: .distantPast)) != nil else { return false }
        // Darwin's poll(2) has no answer for some devices, and says so by POLLNVAL. A closed descriptor is write(2)'s to refuse.
        return requests[0].revents & Int16(POLLOUT | POLLNVAL) != 0
    }

    #if os(Linux) || os(Android)
        /// nil where the kernel has no such flag for that file (it came to pipes with Linux 6.4, terminals have none), or denies
        /// the call: nothing is written then.
        private static func writeOnceWithoutWaiting(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> Int? {
            do throws(SystemError) {
                return try HiddenSymbols.writeWithoutWaiting(bytes, to: descriptor)
            } catch {
                return [EAGAIN, EWOULDBLOCK, EPIPE].contains(error.code) ? -1 : nil
            }
        }
    #else
        private static func writeOnceWithoutWaiting(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> Int? {
            nil
        }
    #endif
}
