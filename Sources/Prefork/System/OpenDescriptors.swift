// Which descriptors this process has, and how many it may have.
import PreforkLibc

enum OpenDescriptors {
    /// A container's limit may be a billion. Trying all those numbers would take minutes.
    static let mostTried = 65_536

    /// The open descriptors from `lowest` on, as /proc/self/fd or /dev/fd lists them. If neither exists, each number up
    /// to the limit is tried, but no more than `mostTried`.
    static func list(from lowest: CInt) -> [CInt] {
        for path in ["/proc/self/fd", "/dev/fd"] {
            guard let names = try? System.entries(of: path) else { continue }
            // The list contains the directory's own descriptor, which is closed again.
            return names.compactMap { CInt($0) }.filter { $0 >= lowest && System.isOpen($0) }
        }
        let end = CInt(clamping: min(max(limit ?? 0, 1024), mostTried))
        return lowest < end ? (lowest..<end).filter { System.isOpen($0) } : []
    }

    /// How many descriptors this process may have (getrlimit(2), RLIMIT_NOFILE). `nil` if the system refuses to say.
    static var limit: Int? {
        var limit = rlimit()
        guard getrlimit(SystemConstant.openFiles, &limit) == 0 else { return nil }
        return Int(clamping: limit.rlim_cur)
    }
}

/// The descriptors, other than the standard ones, that this process inherited from the process that started it.
enum InheritedDescriptors {
    private static let found = OpenDescriptors.list(from: 3).filter { !System.isCloseOnExec($0) }
        .compactMap { number in System.identity(of: number).map { (number, $0) } }

    /// Looks for them. Call it early, because those that the program opens without close-on-exec look alike.
    static func find() { _ = found }

    /// Those that are still the same.
    static var own: [CInt] { found.filter { System.identity(of: $0.0) == $0.1 }.map(\.0) }
}
