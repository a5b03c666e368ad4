/// Decides which deaths by SIGKILL the out-of-memory killer caused. These are the deaths that the master has not
/// caused, as long as the kernel's count accounts for them.
struct OutOfMemoryAttribution {
    /// The counts before a child was started.
    struct Mark: Equatable {
        fileprivate let count: Int
        fileprivate let attributed: Int
    }

    /// How many deaths were attributed to it so far.
    private var attributed = 0

    func mark(count: Int) -> Mark { Mark(count: count, attributed: attributed) }

    /// Whether the out-of-memory killer is the likely cause of a child's death.
    /// - Parameters:
    ///   - isKilled: the master has sent SIGKILL.
    ///   - mark: `nil` if there was no count when the child was started.
    ///   - count: how often it has struck by now. `nil` if there is no count. Called only if it matters.
    mutating func isLikely(_ status: WaitStatus, isKilled: Bool, since mark: Mark?, count: () -> Int?) -> Bool {
        guard case .signaled(Signal.kill.number, _) = status, !isKilled, let mark, let count = count() else {
            return false
        }
        return isLikely(count: count, since: mark)
    }

    /// Whether the count has grown since `mark` by more than the deaths that were attributed since.
    mutating func isLikely(count: Int, since mark: Mark) -> Bool {
        guard count - mark.count > attributed - mark.attributed else { return false }
        attributed += 1
        return true
    }
}
