// The arguments that this process was started with.
import PreforkLibc

/// This process's argv, byte by byte.
enum ProcessArguments {
    static var own: [CString] {
        let known = (0..<Int(CommandLine.argc)).compactMap { CommandLine.unsafeArgv[$0].map { CString(copying: $0) } }
        return known.isEmpty ? initial() : known
    }

    #if os(Linux) || os(Android)
        /// Written once, by the dynamic linker, before any code of this program runs.
        private nonisolated(unsafe) static let stackEnd = symbol(
            "__libc_stack_end", as: UnsafePointer<UnsafeRawPointer?>.self)
        private static let mostArguments = 1 << 24

        /// argv as the kernel has put it on the stack. It follows its count, to which glibc's `__libc_stack_end`
        /// points. Swift reads /proc/self/cmdline instead, and finds no arguments without /proc. Empty if the place is
        /// not known, or does not look like arguments.
        static func initial() -> [CString] {
            guard let stack = stackEnd?.pointee else { return [] }
            let count = stack.load(as: Int.self)
            guard (1...mostArguments).contains(count) else { return [] }
            let start = stack + MemoryLayout<Int>.stride
            let texts = start.assumingMemoryBound(to: UnsafePointer<CChar>?.self)
            guard texts[count] == nil else { return [] }
            return (0..<count).compactMap { texts[$0].map { CString(copying: $0) } }
        }
    #else
        static func initial() -> [CString] { [] }
    #endif
}
