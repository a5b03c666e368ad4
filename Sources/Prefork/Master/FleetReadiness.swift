/// Which slots have had a child up. The fleet is ready, once, when all of them have, even if the child of another slot
/// has ended meanwhile: a client that crashes children must not keep a service from starting.
struct FleetReadiness {
    private var slots = SlotSet()
    private(set) var isReached = false

    /// - Parameters:
    ///   - up: the slots whose child is up.
    ///   - target: the number of slots.
    /// - Returns: whether the fleet has just become ready.
    mutating func note(up: SlotSet, of target: Int) -> Bool {
        if isReached { return false }
        slots.formUnion(up)
        isReached = slots.firstMissing(from: 0) >= target
        return isReached
    }
}
