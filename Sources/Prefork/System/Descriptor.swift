// Open descriptors, their owners and their flags.
import PreforkLibc

/// An open descriptor with one owner. It is closed when its owner ends.
struct Descriptor: ~Copyable {
    let raw: CInt

    init(_ raw: CInt) { self.raw = raw }

    // close(2) is not repeated after EINTR. Linux has released the number by then, and another thread may use it
    // already.
    deinit { closeDescriptor(raw) }

    /// Hands the number to a new owner, which must close it.
    consuming func release() -> CInt {
        let raw = raw
        discard self
        return raw
    }

    /// Closes the descriptor now. The end of the scope would do the same, but silently.
    consuming func close() {}

    /// The number, or -1 for `nil`.
    static func number(of descriptor: borrowing Descriptor?) -> CInt {
        switch descriptor {
        case .some(let descriptor): descriptor.raw
        case .none: -1
        }
    }
}

/// An open descriptor that several values refer to, for example an array. The last one closes it.
final class OpenSocket {
    private let descriptor: Descriptor
    var raw: CInt { descriptor.raw }

    init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
}

extension System {
    /// Sets close-on-exec (fcntl(2), FD_CLOEXEC).
    static func setCloseOnExec(_ descriptor: CInt) throws(SystemError) {
        let flags = try call("fcntl", "F_GETFD") { fcntl(descriptor, F_GETFD) }
        _ = try call("fcntl", "F_SETFD") { fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) }
    }

    /// The status flags of the open file description, such as O_NONBLOCK (fcntl(2), F_GETFL).
    static func statusFlags(of descriptor: CInt) throws(SystemError) -> CInt {
        try call("fcntl", "F_GETFL") { fcntl(descriptor, F_GETFL) }
    }

    /// Sets or clears O_NONBLOCK. It belongs to the open file description, so it affects every process that has
    /// a copy.
    static func setNonBlocking(_ descriptor: CInt, _ isNonBlocking: Bool = true) throws(SystemError) {
        let flags = try statusFlags(of: descriptor)
        let wanted = isNonBlocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK
        _ = try call("fcntl", "F_SETFL") { fcntl(descriptor, F_SETFL, wanted) }
    }

    /// Whether the descriptor ends with the program of this process.
    static func isCloseOnExec(_ descriptor: CInt) -> Bool {
        let flags = fcntl(descriptor, F_GETFD)
        return flags == -1 || flags & FD_CLOEXEC != 0
    }

    static func isOpen(_ descriptor: CInt) -> Bool { fcntl(descriptor, F_GETFD) != -1 }

    /// Makes a number stand for another open file (dup2(2)). Close-on-exec is set in the same step if the system has
    /// dup3(2). Otherwise another thread's fork and exec may inherit the descriptor.
    static func replace(_ number: CInt, by descriptor: CInt, isCloseOnExec: Bool) throws(SystemError) {
        guard isCloseOnExec else {
            _ = try call("dup2") { dup2(descriptor, number) }
            return
        }
        #if os(Linux) || os(Android)
            if try HiddenSymbols.duplicateCloseOnExec(descriptor, as: number) { return }
        #endif
        _ = try call("dup2") { dup2(descriptor, number) }
        try setCloseOnExec(number)
    }

    /// A copy with the lowest free number that is not below `minimum`, close-on-exec from the start.
    static func duplicate(_ descriptor: CInt, atLeast minimum: CInt) throws(SystemError) -> Descriptor {
        Descriptor(try call("fcntl", "F_DUPFD_CLOEXEC") { fcntl(descriptor, F_DUPFD_CLOEXEC, minimum) })
    }

    /// Owns a descriptor that this process has just opened. Its number is not that of a standard descriptor, even if
    /// other code has closed one of those. Otherwise printed text would go into this file, and every child would
    /// inherit it.
    static func own(_ raw: CInt) throws(SystemError) -> Descriptor { try move(Descriptor(raw), atLeast: 3) }

    /// The same descriptor, or a copy that replaces it if its number is below `minimum`.
    static func move(_ descriptor: consuming Descriptor, atLeast minimum: CInt) throws(SystemError) -> Descriptor {
        if descriptor.raw >= minimum { return descriptor }
        return try duplicate(descriptor.raw, atLeast: minimum)
    }

    /// Opens /dev/null on those of 0, 1 and 2 that are closed. Otherwise a listener or a pidfd could take such a
    /// number, and the next `print` would write to it.
    static func openStandardDescriptors() throws(SystemError) {
        for number in CInt(0)...2 where !isOpen(number) {
            // dup2(2) makes a copy that is not close-on-exec. The original is above the standard numbers and is closed.
            let null = try move(try openNull(), atLeast: 3)
            // If another thread has taken the number meanwhile, this replaces it.
            _ = try call("dup2") { dup2(null.raw, number) }
        }
    }

    /// Opens a file that reads as empty, close-on-exec: /dev/null. A chroot may have none. Then it is a pipe that no
    /// process writes to, on which a write fails as on a closed descriptor.
    static func openNull(_ path: String = "/dev/null") throws(SystemError) -> Descriptor {
        do throws(SystemError) {
            return Descriptor(try call("open", path) { open(path, O_RDWR | O_CLOEXEC) })
        } catch {
            if error.isShortage { throw error }
        }
        var ends: [CInt] = [-1, -1]
        _ = try call("pipe") { pipe(&ends) }
        let reading = Descriptor(ends[0])
        Descriptor(ends[1]).close()
        try setCloseOnExec(reading.raw)
        return reading
    }
}

/// close(2) under a name that `Descriptor.close` does not hide.
private func closeDescriptor(_ raw: CInt) { close(raw) }
