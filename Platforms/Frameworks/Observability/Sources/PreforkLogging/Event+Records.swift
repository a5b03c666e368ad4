import Logging
import Prefork

/// One call of a logger.
struct Record {
    let message: Logger.Message
    let metadata: Logger.Metadata

    init(_ message: Logger.Message, _ fields: Fields) {
        self.message = message
        metadata = fields.metadata
    }
}

extension Prefork.Event {
    /// The records of an event, in order.
    var records: [Record] {
        let first = Record(message ?? "fleet event", fields)
        guard let status else { return [first] }
        return [first] + status.slots.map { Record("slot status", $0.fields) }
            + status.listeners.filter { $0.mode != .sharded }.map { Record("listener status", $0.fields) }
    }

    /// `nil` for a code that is newer than this file.
    private var message: Logger.Message? {
        switch code {
        case .mechanisms: "fleet starts"
        case .procIsMissing: "there is no /proc"
        case .moreChildrenThanProcessors: "more children than processors"
        case .notAdopted: "sockets were passed that are not served"
        case .ignoredVariable: "variable ignored"
        case .bindRetry: "address is not available, trying again"
        case .listening: "listening"
        case .sharing: "children share their listeners"
        case .spawned: "child started"
        case .spawnFailed: "child could not be started"
        case .ready: "child ready"
        case .fleetReady: "fleet ready"
        case .notReady: "child not ready in time, stopping it"
        case .nothingBound: "child has bound none of the fleet's addresses"
        case .exited: "child exited"
        case .draining: "child drains unasked"
        case .killing: "child has not exited in time, killing it"
        case .cancelling: "child cancels what is left"
        case .channelFault: "child broke the channel's protocol"
        case .unresponsive: "child does not respond, replacing it"
        case .backtracesSuppressed: "too many crashes, backtraces are off"
        case .backtracesResumed: "backtraces are on again"
        case .restarting: "fleet restarts"
        case .retiring: "child drains, another has taken its place"
        case .restarted: "fleet restarted"
        case .restartFailed: "restart failed"
        case .rolledBack: "fleet is back at an earlier build"
        case .upgraded: "master upgraded"
        case .upgradeFailed: "upgrade failed"
        case .dropped: "connections closed that no child had accepted"
        case .recycling: "child is being replaced"
        case .resized: "fleet resized"
        case .resizeFailed: "resize failed"
        case .steeringRefused: "connections cannot be steered"
        case .queueFilling: "connections wait"
        case .listenerStopped: "listener was stopped"
        case .socketFileRemoved: "socket file was removed"
        case .stopping: "fleet stops"
        case .alreadyStopping: "fleet is already stopping"
        case .admissionStaysOpen: "listener stays open during the stop"
        case .stopped: "fleet stopped"
        case .suspended: "master did not run"
        case .reapedOrphans: "orphans reaped"
        case .status: "fleet status"
        case .systemError: "system call failed"
        default: nil
        }
    }

    /// The names of ``Prefork/Event/count`` and ``Prefork/Event/limit``.
    private var numbers: (count: String, limit: String) {
        switch code {
        case .moreChildrenThanProcessors: ("children", "processors")
        case .bindRetry: ("attempt", "attempts")
        case .notAdopted: ("sockets", "limit")
        case .dropped: ("connections", "limit")
        case .fleetReady: ("children", "limit")
        case .resized, .resizeFailed: ("children", "children.before")
        default: ("count", "limit")
        }
    }

    private var fields: Fields {
        var fields = Fields()
        fields.add("event", code)
        fields.add("child.slot", slot)
        fields.add("child.pid", pid)
        fields.add("child.replaces", replacedPID)
        fields.add("child.replacement", replacementPID)
        fields.add("generation", generation)
        fields.add("generation.serving", servingGeneration)
        fields.add("duration.seconds", duration?.inSeconds)
        fields.add(numbers.count, count)
        fields.add(numbers.limit, limit)
        fields.add("address", address)
        fields.add("addresses", list: addresses)
        fields.add("queue.waiting", queue?.waiting)
        fields.add("queue.limit", queue?.limit)
        fields.add("program", path)
        fields.add("orphans", list: pids)
        fields.add("mechanisms.exits", mechanisms?.exitNotice)
        fields.add("mechanisms.descriptors", mechanisms?.descriptorClosing)
        fields.add("reason", reason)
        fields.add("kill.reason", killReason)
        fields.add("drain.origin", drainOrigin?.code)
        fields.add("drain.sender", drainOrigin?.sender)
        fields.add("drain.user", drainOrigin?.user)
        fields.add("stop.reason", stopReason?.code)
        fields.add("stop.signal", stopReason?.signal)
        fields.add("stop.sender", stopReason?.sender)
        fields.add("stop.user", stopReason?.user)
        fields.add("stop.message", stopReason?.message)
        fields.add("error", systemError)
        if let exit { fields.add(exit) }
        fields.add("exit.consequence", consequence?.code)
        fields.add("exit.delay.seconds", consequence?.delay?.inSeconds)
        if let status { fields.add(status) }
        // A code that is newer than this file may have details that it does not know either.
        if message == nil { fields.add("description", description) }
        return fields
    }
}

extension Prefork.Status.Slot {
    fileprivate var fields: Fields {
        var fields = Fields()
        fields.add("event", Prefork.Event.Code.status)
        fields.add("child.slot", slot)
        fields.add("child.pid", state.pid)
        fields.add("child.state", state.code)
        fields.add("child.replacement", replacement)
        fields.add("generation", generation)
        fields.add("duration.seconds", (state.delay ?? since).inSeconds)
        fields.add("child.launches", spawns)
        fields.add("child.rotation", isInRotation)
        fields.add("queue.waiting", waiting)
        if let lastExit { fields.add(lastExit) }
        return fields
    }
}

extension Prefork.Status.Listener {
    /// Of a listener that all children share.
    fileprivate var fields: Fields {
        var fields = Fields()
        fields.add("event", Prefork.Event.Code.status)
        fields.add("address", address)
        fields.add("listener.mode", mode)
        fields.add("listener.ownership", ownership)
        fields.add("queue.waiting", queues.first??.waiting)
        fields.add("queue.limit", queues.first??.limit)
        return fields
    }
}
