/// The ingredients of a child process.
struct SpawnPlan: Sendable {
    /// A path. PATH is not searched.
    var executable: CString
    /// The whole argv, including the program's name.
    var arguments: [CString]
    var environment: [CString]
    /// The child gets `descriptors[i]` as `numbers(count)[i]`. Each must be close-on-exec and above the last of these
    /// numbers.
    var descriptors: [CInt]
    /// The directory that the child starts in. `nil` means that of this process.
    var directory: CString?
    /// Signals that stay ignored if this process ignores them. All others get their default dispositions.
    var ignoredSignals: [Signal]

    /// The numbers that a child's own descriptors have, behind the three standard ones.
    static func numbers(_ count: Int) -> Range<CInt> { 3..<(3 + CInt(count)) }
}
