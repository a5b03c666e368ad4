// The C library's own bind(2) and listen(2), behind those of this module.
import PreforkLibc
import Synchronization

enum CLibrary {
    private typealias Bind = @convention(c) (CInt, UnsafePointer<sockaddr>?, socklen_t) -> CInt
    private typealias Listen = @convention(c) (CInt, CInt) -> CInt

    // Numbers instead of lazy closures: two threads that look a function up at the same time store the same.
    private static let bindAddress = Atomic<UInt>(0)
    private static let listenAddress = Atomic<UInt>(0)

    /// Looks both functions up, so that a process that the program forks later needs no lock of the dynamic linker.
    static func resolve() {
        _ = address("bind", bindAddress)
        _ = address("listen", listenAddress)
    }

    static func bind(_ socket: CInt, _ sockaddr: UnsafePointer<sockaddr>?, _ length: socklen_t) -> CInt {
        guard let found = address("bind", bindAddress) else { return SystemCall.bind(socket, sockaddr, length) }
        return unsafeBitCast(found, to: Bind.self)(socket, sockaddr, length)
    }

    static func listen(_ socket: CInt, _ backlog: CInt) -> CInt {
        guard let found = address("listen", listenAddress) else { return SystemCall.listen(socket, backlog) }
        return unsafeBitCast(found, to: Listen.self)(socket, backlog)
    }

    /// dlsym(3) with RTLD_NEXT. `nil` in a fully static executable.
    private static func address(_ name: String, _ cache: borrowing Atomic<UInt>) -> UnsafeMutableRawPointer? {
        if let known = UnsafeMutableRawPointer(bitPattern: cache.load(ordering: .relaxed)) { return known }
        let savedErrno = errno
        defer { errno = savedErrno }
        let found = dlsym(UnsafeMutableRawPointer(bitPattern: -1), name)  // RTLD_NEXT is -1 on Linux and Darwin.
        cache.store(UInt(bitPattern: found), ordering: .relaxed)
        return found
    }
}

/// The system calls themselves, for an executable without dlsym(3).
enum SystemCall {
    #if (os(Linux) || os(Android)) && arch(x86_64)
        private static let numbers: (bind: Int, listen: Int)? = (49, 50)  // asm/unistd_64.h
    #elseif (os(Linux) || os(Android)) && arch(arm64)
        private static let numbers: (bind: Int, listen: Int)? = (200, 201)  // asm-generic/unistd.h
    #else
        private static let numbers: (bind: Int, listen: Int)? = nil
    #endif

    static func bind(_ socket: CInt, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t) -> CInt {
        call(numbers?.bind, Int(socket), Int(bitPattern: address), Int(length))
    }

    static func listen(_ socket: CInt, _ backlog: CInt) -> CInt { call(numbers?.listen, Int(socket), Int(backlog), 0) }

    private static func call(_ number: Int?, _ first: Int, _ second: Int, _ third: Int) -> CInt {
        guard let number else {
            errno = ENOSYS
            return -1
        }
        return CInt(truncatingIfNeeded: systemCall(number, first, second, third))
    }
}

#if os(Linux) || os(Android)
    /// syscall(2). It takes its arguments in registers, like a function with as many parameters on x86-64 and arm64.
    @_silgen_name("syscall")
    private func systemCall(_ number: Int, _ first: Int, _ second: Int, _ third: Int) -> Int
#else
    private func systemCall(_ number: Int, _ first: Int, _ second: Int, _ third: Int) -> Int { -1 }
#endif
