// Functions of the C library that Swift's modules do not show, because glibc declares them for _GNU_SOURCE only. Each
// is looked up by name at run time. An older C library, or an executable without dlsym(3), falls back to something
// portable.
import PreforkLibc

#if os(Linux) || os(Android)
    /// dlsym(3) in everything that is loaded. `nil` if the symbol does not exist.
    func symbol<Function>(_ name: String, as type: Function.Type) -> Function? {
        let everythingLoaded: UnsafeMutableRawPointer? = nil  // RTLD_DEFAULT, a cast that Swift does not import.
        return dlsym(everythingLoaded, name).map { unsafeBitCast($0, to: type) }
    }

    enum HiddenSymbols {
        private typealias SystemCall = @convention(c) (Int, Int, Int, Int, Int) -> Int
        private typealias CloseFrom =
            @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, CInt) -> CInt
        private typealias ChangeDirectory =
            @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, UnsafePointer<CChar>) -> CInt
        private typealias WriteVector = @convention(c) (CInt, UnsafePointer<iovec>, CInt, Int, CInt) -> Int
        private typealias Accept =
            @convention(c) (CInt, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?, CInt) -> CInt
        private typealias Duplicate = @convention(c) (CInt, CInt, CInt) -> CInt
        private typealias GetAffinity = @convention(c) (Int32, Int, UnsafeMutableRawPointer) -> CInt
        private typealias SetAffinity = @convention(c) (Int32, Int, UnsafeRawPointer) -> CInt
        private typealias MemoryFile = @convention(c) (UnsafePointer<CChar>, CUnsignedInt) -> CInt
        private typealias GetAuxiliaryValue = @convention(c) (UInt) -> UInt

        // Called by syscall(2), because glibc has wrappers only since 2.36. The numbers are the same on every
        // architecture, because they are newer than the common table of Linux 5.1.
        private static let pidfdOpenNumber = 434
        private static let pidfdSendSignalNumber = 424
        private static let programHeadersKey: UInt = 3  // AT_PHDR, getauxval(3)
        private static let executablePathKey: UInt = 31  // AT_EXECFN, getauxval(3)

        private static let secureKey: UInt = 23  // AT_SECURE, getauxval(3)

        private static let systemCall = symbol("syscall", as: SystemCall.self)
        private static let closeFrom = symbol("posix_spawn_file_actions_addclosefrom_np", as: CloseFrom.self)
        private static let changeDirectory = symbol(
            "posix_spawn_file_actions_addchdir_np", as: ChangeDirectory.self)
        private static let writeVector = symbol("pwritev2", as: WriteVector.self)
        private static let withoutWaiting: CInt = 8  // RWF_NOWAIT
        private static let duplicate = symbol("dup3", as: Duplicate.self)
        private static let acceptWithFlags = symbol("accept4", as: Accept.self)
        private static let getAffinity = symbol("sched_getaffinity", as: GetAffinity.self)
        private static let setAffinity = symbol("sched_setaffinity", as: SetAffinity.self)
        private static let memoryFile = symbol("memfd_create", as: MemoryFile.self)
        private static let memoryFileFlags: CUnsignedInt = 3  // MFD_CLOEXEC | MFD_ALLOW_SEALING
        private static let notExecutable: CUnsignedInt = 8  // MFD_NOEXEC_SEAL, Linux 6.3; vm.memfd_noexec may demand it
        private static let getAuxiliaryValue = symbol("getauxval", as: GetAuxiliaryValue.self)

        /// pidfd_open(2): close-on-exec from the start, readable when the process has ended. Linux 5.3.
        static func pidfdOpen(_ pid: Int32) throws(SystemError) -> CInt {
            guard let systemCall else { throw SystemError(call: "pidfd_open", code: ENOSYS) }
            let result = try System.call("pidfd_open", "\(pid)") {
                systemCall(pidfdOpenNumber, Int(pid), 0, 0, 0)
            }
            return CInt(truncatingIfNeeded: result)
        }

        /// pidfd_send_signal(2): never hits another process, even if this one has been reaped. Linux 5.1.
        static func pidfdSendSignal(_ pidfd: CInt, _ signal: Signal) throws(SystemError) {
            guard let systemCall else { throw SystemError(call: "pidfd_send_signal", code: ENOSYS) }
            _ = try System.call("pidfd_send_signal") {
                systemCall(pidfdSendSignalNumber, Int(pidfd), Int(signal.number), 0, 0)
            }
        }

        /// dup3(2) with O_CLOEXEC. glibc 2.9.
        /// - Returns: `false` if there is no such function.
        static func duplicateCloseOnExec(_ descriptor: CInt, as number: CInt) throws(SystemError) -> Bool {
            guard let duplicate else { return false }
            _ = try System.call("dup3") { duplicate(descriptor, number, O_CLOEXEC) }
            return true
        }

        /// accept4(2): close-on-exec and non-blocking from the start. glibc 2.10.
        /// - Returns: `nil` if there is no such function.
        static func acceptCloseOnExecNonBlocking(_ descriptor: CInt) throws(SystemError) -> CInt? {
            guard let acceptWithFlags else { return nil }
            return try System.call("accept4") {
                acceptWithFlags(descriptor, nil, nil, SystemConstant.closeOnExecNonBlocking)
            }
        }

        /// memfd_create(2), close-on-exec, not sealed yet. Linux 3.17, glibc 2.27.
        static func memoryFile(_ name: String) throws(SystemError) -> CInt {
            guard let memoryFile else { throw SystemError(call: "memfd_create", code: ENOSYS) }
            do throws(SystemError) {
                return try System.call("memfd_create") { memoryFile(name, memoryFileFlags | notExecutable) }
            } catch {
                guard error.code == EINVAL else { throw error }
                return try System.call("memfd_create") { memoryFile(name, memoryFileFlags) }
            }
        }

        static var hasCloseFrom: Bool { closeFrom != nil }

        /// posix_spawn_file_actions_addclosefrom_np(3). glibc 2.34.
        static func addCloseFrom(
            _ actions: inout posix_spawn_file_actions_t,
            _ lowest: CInt
        ) throws(SystemError) {
            try System.check("posix_spawn_file_actions_addclosefrom_np", closeFrom?(&actions, lowest) ?? ENOSYS)
        }

        /// posix_spawn_file_actions_addchdir_np(3). glibc 2.29. Does nothing with an older one.
        static func addChangeDirectory(
            _ actions: inout posix_spawn_file_actions_t,
            _ path: CString
        ) throws(SystemError) {
            guard let changeDirectory else { return }
            let code = withCStrings([path]) { $0[0].map { changeDirectory(&actions, $0) } ?? ENOENT }
            try System.check("posix_spawn_file_actions_addchdir_np", code, path.text)
        }

        /// pwritev2(2) with RWF_NOWAIT, at the file's own position: EAGAIN instead of waiting. glibc 2.26.
        static func writeWithoutWaiting(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) throws(SystemError) -> Int
        {
            guard let writeVector else { throw SystemError(call: "pwritev2", code: ENOSYS) }
            var vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
            return try System.call("pwritev2") { writeVector(descriptor, &vector, 1, -1, withoutWaiting) }
        }

        /// sched_getaffinity(2) of this thread.
        static func affinity() throws(SystemError) -> ProcessorSet {
            guard let getAffinity else { throw SystemError(call: "sched_getaffinity", code: ENOSYS) }
            var mask = ProcessorSet()
            _ = try System.call("sched_getaffinity") {
                mask.words.withUnsafeMutableBytes { bytes in
                    bytes.baseAddress.map { getAffinity(0, bytes.count, $0) } ?? -1
                }
            }
            return mask
        }

        /// sched_setaffinity(2) of this thread. Threads and processes that it starts afterwards inherit the mask.
        static func setAffinity(_ mask: ProcessorSet) throws(SystemError) {
            guard let setAffinity else { throw SystemError(call: "sched_setaffinity", code: ENOSYS) }
            _ = try System.call("sched_setaffinity") {
                mask.words.withUnsafeBytes { bytes in
                    bytes.baseAddress.map { setAffinity(0, bytes.count, $0) } ?? -1
                }
            }
        }

        /// The address of the program's headers in memory (getauxval(3), AT_PHDR). A dynamic linker that was started as
        /// a program of its own sets it to those of the program that it runs.
        static func programHeaders() -> UInt? {
            guard let address = getAuxiliaryValue?(programHeadersKey), address != 0 else { return nil }
            return address
        }

        /// Whether this program has rights that the process which started it has not (getauxval(3), AT_SECURE), as a
        /// set-user-ID program. Then its environment is not to be trusted.
        static var hasMoreRights: Bool { (getAuxiliaryValue?(secureKey) ?? 0) != 0 }

        /// The path that this program was started by (getauxval(3), AT_EXECFN), for a system without /proc.
        static func executedPath() -> CString? {
            guard let address = getAuxiliaryValue?(executablePathKey), address != 0,
                let path = UnsafePointer<CChar>(bitPattern: address)
            else { return nil }
            return CString(copying: path)
        }
    }
#endif
