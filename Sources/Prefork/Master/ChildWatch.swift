/// What tells the master that a child has sent a message or has ended. Used only in the master's thread.
final class ChildWatch {
    private let queue: EventQueue
    /// Children that no descriptor reports the end of. They are looked at in intervals.
    private(set) var unwatched: Set<Int32> = []
    /// Those of `unwatched` that have closed their channels, so they are about to end.
    private(set) var ending: Set<Int32> = []
    /// Children that have ended according to their descriptors, but cannot be reaped, because something traces them.
    private(set) var held: Set<Int32> = []
    private var nextSweep: Instant?
    private var nextLookAtHeld: Instant?

    /// It bounds the delay if another library removes the handler of SIGCHLD.
    private static let sweepInterval: Duration = .seconds(1)
    private static let endingInterval: Duration = .milliseconds(50)
    private static let heldInterval: Duration = .milliseconds(200)

    init() throws(SystemError) { queue = try EventQueue() }

    /// The descriptor that is readable while `ready` has something.
    var raw: CInt { queue.raw }

    /// What has happened. A child that has ended appears until it is reaped or held.
    func ready() throws(SystemError) -> [EventQueue.Token] { try queue.ready() }

    // MARK: Children

    func add(_ child: ChildHandle) {
        do throws(SystemError) {
            // A child that an earlier program of this process has started may have closed its channel.
            if child.channelDescriptor != -1 { try queue.add(child.channelDescriptor, .channel(pid: child.pid)) }
            guard child.exitDescriptor != -1 else {
                unwatched.insert(child.pid)
                return
            }
            try queue.add(child.exitDescriptor, .exit(pid: child.pid))
        } catch {
            // The kernel is short of memory. A look at a child also reads its messages.
            unwatched.insert(child.pid)
        }
    }

    /// Call it before the child's descriptors are closed.
    func remove(_ child: ChildHandle) {
        removeChannel(child)
        if child.exitDescriptor != -1 { queue.remove(child.exitDescriptor) }
        unwatched.remove(child.pid)
        ending.remove(child.pid)
        held.remove(child.pid)
    }

    /// Call it before the channel is closed, or when it is not read any more.
    func removeChannel(_ child: ChildHandle) {
        if child.openChannel != -1 { queue.remove(child.openChannel) }
    }

    /// The child has closed its channel.
    func noteHangUp(_ pid: Int32) { if unwatched.contains(pid) { ending.insert(pid) } }

    /// The kernel reports the end of a child, but does not let its parent reap it while a tracer holds it (ptrace(2)).
    /// Its descriptor would wake the loop at once, again and again, so the child is looked at only in intervals.
    func hold(_ child: ChildHandle, at now: Instant) {
        queue.remove(child.exitDescriptor)
        held.insert(child.pid)
        nextLookAtHeld = nextLookAtHeld ?? now + Self.heldInterval
    }

    // MARK: Looks

    /// When to look at children that no descriptor reports. `nil` for never.
    func nextLook(at now: Instant) -> Instant? {
        if held.isEmpty { nextLookAtHeld = nil }
        if unwatched.isEmpty { nextSweep = nil } else { nextSweep = nextSweep ?? now + Self.sweepInterval }
        let ends = ending.isEmpty ? nil : now + Self.endingInterval
        return SlotTimes.earlier(ends, SlotTimes.earlier(nextSweep, nextLookAtHeld))
    }

    /// The children to look at now.
    func due(at now: Instant) -> Set<Int32> {
        var due = ending
        if let next = nextSweep, next <= now {
            nextSweep = nil
            due.formUnion(unwatched)
        }
        if let next = nextLookAtHeld, next <= now {
            nextLookAtHeld = now + Self.heldInterval
            due.formUnion(held)
        }
        return due
    }
}
