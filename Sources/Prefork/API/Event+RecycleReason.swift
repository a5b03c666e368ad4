extension Prefork.Event {
    /// Why a child that serves is replaced.
    package enum RecycleReason: Sendable, Hashable, CustomStringConvertible {
        case age
        /// Its resident memory in bytes.
        case memory(Int)
        /// The child called `requestReplacement()`.
        case child
        /// A client of the control socket sent `recycle`.
        case request

        package var description: String {
            switch self {
            case .age: "it is old enough (recycling.after)"
            case .memory(let bytes): "it has \(bytes / 1_048_576) MiB of resident memory (recycling.above)"
            case .child: "it asked for it"
            case .request: "a request"
            }
        }
    }
}
