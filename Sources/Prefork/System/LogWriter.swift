// Writing to a standard error that other processes share, that may have no reader, and that must not stop a master.
import PreforkLibc

enum LogWriter {
    /// Writes all of `bytes`, or as much as there is room for. The rest is lost, so that a reader that has stopped
    /// reading does not block the master. No signal of a failed write ends or stops the master, for example if the
    /// reader is gone, the file is at its limit, or the terminal stops processes in the background.
    /// - Returns: whether all bytes were written.
    static func write(_ bytes: [UInt8], to descriptor: CInt) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard hasRoom(descriptor) else { return false }
            // PIPE_BUF bytes are written whole or not at all, and never mix with other processes' lines (pipe(7)).
            let part = rest.prefix(Int(PIPE_BUF))
            let isWritten = withoutSignals {
                part.withUnsafeBytes { writeWithoutWaiting($0, to: descriptor) } == part.count
            }
            if !isWritten { return false }
            rest = rest.dropFirst(part.count)
        }
        return true
    }

    /// Like write(2), but does not wait. O_NONBLOCK would affect every process that shares the open file description.
    /// This uses a flag of the call if the kernel has one for such a file, and otherwise an open file description of
    /// its own. If both are impossible, the write waits only if another process fills the room that poll(2) has just
    /// found.
    static func writeWithoutWaiting(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> Int {
        var status = stat()
        let kind = fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : S_IFREG
        // A regular file does not wait for a reader. The flag would refuse blocks that must be allocated first.
        if kind == S_IFREG { return systemWrite(descriptor, bytes.baseAddress, bytes.count) }
        if let count = writeOnceWithoutWaiting(bytes, to: descriptor) { return count }
        let own = open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
        guard own >= 0 else { return systemWrite(descriptor, bytes.baseAddress, bytes.count) }
        do throws(SystemError) {
            let reopened = try System.own(own)
            let count = systemWrite(reopened.raw, bytes.baseAddress, bytes.count)
            reopened.close()
            return count
        } catch {
            return systemWrite(descriptor, bytes.baseAddress, bytes.count)
        }
    }

    /// The signals that a write can cause in its thread: SIGPIPE without a reader (pipe(7)), SIGXFSZ at the limit of a
    /// file's size (setrlimit(2)), SIGTTOU in the background of a terminal with TOSTOP (termios(3)). Each would end or
    /// stop the whole process.
    private static let causedSignals = [SIGPIPE, SIGXFSZ, SIGTTOU]

    /// Runs `body` with these signals blocked in this thread, then discards those that `body` caused. Only a signal
    /// that was pending before can have another cause, and it stays pending. A terminal writes the line if SIGTTOU is
    /// blocked.
    private static func withoutSignals(_ body: () -> Bool) -> Bool {
        var blocked = sigset_t()
        var previous = sigset_t()
        var before = sigset_t()
        sigemptyset(&blocked)
        for signal in causedSignals { sigaddset(&blocked, signal) }
        sigpending(&before)
        pthread_sigmask(SIG_BLOCK, &blocked, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
        let result = body()
        if result { return true }
        var after = sigset_t()
        sigpending(&after)
        for signal in causedSignals where sigismember(&after, signal) == 1 && sigismember(&before, signal) == 0 {
            discard(signal)
        }
        return false
    }

    #if canImport(Darwin)
        private static func discard(_ signal: CInt) {
            var set = sigset_t()
            var taken: CInt = 0
            sigemptyset(&set)
            sigaddset(&set, signal)
            sigwait(&set, &taken)
        }
    #else
        /// Does not wait, because the signal may have been sent to the process, and another thread may have taken it.
        private static func discard(_ signal: CInt) {
            var set = sigset_t()
            var atOnce = timespec()
            sigemptyset(&set)
            sigaddset(&set, signal)
            sigtimedwait(&set, nil, &atOnce)
        }
    #endif

    private static func hasRoom(_ descriptor: CInt) -> Bool {
        var requests = [pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)]
        guard (try? System.poll(&requests, until: .distantPast)) != nil else { return false }
        // Darwin's poll(2) answers POLLNVAL for devices that it cannot poll. A closed descriptor fails in write(2).
        return requests[0].revents & Int16(POLLOUT | POLLNVAL) != 0
    }

    #if os(Linux) || os(Android)
        /// `nil` if the kernel has no such flag for this file, or denies the call. Nothing is written then. Pipes have
        /// the flag since Linux 6.4, terminals do not.
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

/// write(2) under a name that `LogWriter.write` does not hide.
private func systemWrite(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
