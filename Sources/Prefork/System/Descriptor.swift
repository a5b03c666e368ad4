// Descriptors and the files behind them.
import PreforkLibc

/// An open descriptor with one owner; closed when the owner ends.
struct Descriptor: ~Copyable {
    let raw: CInt

    init(_ raw: CInt) { self.raw = raw }

    // Not repeated on EINTR: Linux has released the number by then, and it may be another thread's already (close(2)).
    deinit { closeDescriptor(raw) }

    /// Hands the number to somebody else, who closes it.
    consuming func release() -> CInt {
        let raw = raw
        discard self
        return raw
    }

    /// Closes now; says so where the end of a scope would do it unseen.
    consuming func close() {}

    /// The number, or -1 where there is none.
    static func number(of descriptor: borrowing Descriptor?) -> CInt {
        switch descriptor {
        case .some(let descriptor): descriptor.raw
        case .none: -1
        }
    }
}

/// A file as fstat(2) knows it.
struct FileIdentity: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64

    init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }

    init(_ status: stat) {
        device = UInt64(truncatingIfNeeded: status.st_dev)
        inode = UInt64(truncatingIfNeeded: status.st_ino)
    }
}

private func closeDescriptor(_ raw: CInt) { close(raw) }
