/// The fleet of the old program, checked. Its descriptors are still numbers without an owner, so a program that cannot
/// continue the fleet has taken nothing.
struct Predecessor {
    let process: Handover.Process
    let supervisor: Supervisor
    let listeners: [Listener.HandedOver]
    let children: [ChildHandle.HandedOver]
    let programs: [(generation: Int, path: CString, descriptor: CInt?)]
    let requested: [String: RequestedListener]
    let control: HandoverRecord?
    let clients: [HandoverRecord]

    init(_ handover: Handover, _ rules: Supervisor.Rules) throws(HandoverRecord.Fault) {
        process = handover.process
        let supervisor = try Supervisor(rules, handover.records)
        self.supervisor = supervisor
        var listeners: [Listener.HandedOver] = []
        for record in handover.records("listener") { listeners.append(try .init(record, handover)) }
        self.listeners = listeners
        var children: [ChildHandle.HandedOver] = []
        for record in handover.records("channel") { children.append(try .init(record, handover)) }
        self.children = children
        let pids = supervisor.slots.enumerated().flatMap { slot, record in
            record.children.map { Place(pid: $0.pid, slot: slot) }
        }
        guard Set(pids) == Set(children.map { Place(pid: $0.pid, slot: $0.slot) }), pids.count == children.count else {
            throw HandoverRecord.Fault("its slots and its children do not fit")
        }
        for listener in listeners where listener.record.flag("sharded") {
            guard listener.sockets.count >= supervisor.target else {
                throw HandoverRecord.Fault("\(listener.address) has no socket for each slot")
            }
        }
        var programs: [(Int, CString, CInt?)] = []
        for record in handover.records("program") {
            guard let path = try record.path("path") else { throw record.fault("path") }
            let number: CInt? = try record.optional("descriptor")
            if let number { _ = try handover.descriptor(number, of: record, "descriptor") }
            programs.append((try record.number("generation", in: 1 ... .max), path, number))
        }
        self.programs = programs
        var requested: [String: RequestedListener] = [:]
        for record in handover.records("requested") {
            requested[try record.text("key")] = try RequestedListener(record, count: listeners.count)
        }
        self.requested = requested
        control = handover.records("control").first
        if let control, let number: CInt = try control.optional("descriptor"), number != -1 {
            _ = try handover.descriptor(number, of: control, "descriptor")
            _ = try SocketFile(control)
        }
        clients = handover.records("client")
        for record in clients {
            _ = try handover.descriptor(try record.number("descriptor"), of: record, "descriptor")
        }
    }

    private struct Place: Hashable {
        let pid: Int32
        let slot: Int
    }

    /// The descriptors that nothing of the fleet needs any more. They stood for the way back.
    var unused: [CInt] {
        let used = Set(
            listeners.flatMap { $0.sockets + $0.decoys } + children.flatMap(\.descriptors)
                + programs.compactMap(\.descriptor)
                + ([control].compactMap { $0 } + clients).compactMap(Self.descriptor))
        return process.descriptors.filter { !used.contains($0) }
    }

    static func descriptor(_ record: HandoverRecord) -> CInt? {
        let number: CInt? = (try? record.optional("descriptor")) ?? nil
        return number == -1 ? nil : number
    }
}
