// Listeners as records of a handover.
import PreforkLibc

extension Listener {
    /// Everything that the next program needs to have this listener.
    var handoverRecord: HandoverRecord {
        var record = HandoverRecord("listener")
        record.set("address", address.description)
        record.set("name", address.name)
        record.set("configured", configured?.description)
        record.set("sharded", mode == .sharded)
        record.set("sockets", sockets.map(\.raw))
        record.set("order", order.members)
        record.set("unknown-order", !order.isKnown)
        record.set("group", isGroup)
        record.set("backlog", backlog)
        record.set("decoys", decoy?.descriptors ?? [])
        record.set("defers", decoy?.awaitsHandshakes == false)
        record.set("stays-open", admissionFault)
        record.set("refused", isSteeringRefused)
        if let file { file.write(to: &record) }
        if let adopted {
            record.set("adopted", true)
            record.set("non-blocking", adopted.isNonBlocking)
        }
        return record
    }

    var descriptors: [CInt] { sockets.map(\.raw) + (decoy?.descriptors ?? []) }

    /// A listener of the old program. Its descriptors are numbers without an owner until the `init` that takes them.
    struct HandedOver {
        let record: HandoverRecord
        let sockets: [CInt]
        let decoys: [CInt]
        let address: Prefork.Address
        let bound: SocketAddress
        /// The text of the address in the old program's configuration. `nil` if it had none.
        let configured: String?
        let isAdopted: Bool

        /// Checks everything that can be checked without taking anything.
        init(_ record: HandoverRecord, _ handover: Handover) throws(HandoverRecord.Fault) {
            self.record = record
            sockets = try handover.descriptors(record, "sockets")
            decoys = try handover.descriptors(record, "decoys")
            configured = try record.optionalText("configured")
            isAdopted = record.flag("adopted")
            guard let text = try record.optionalText("address"), let address = try? Prefork.Address(text) else {
                throw record.fault("address")
            }
            let name = try record.optionalText("name")
            self.address = name.map { address.named($0) } ?? address
            guard let first = sockets.first, let bound = try? SocketAddress(of: first),
                (bound.family == AF_UNIX) == address.isUnix
            else { throw record.fault("sockets") }
            self.bound = bound
            let count = sockets.count + decoys.count
            let order: [Int] = try record.numbers("order")
            guard order.allSatisfy({ (0..<count).contains($0) }), Set(order).count == order.count else {
                throw record.fault("order")
            }
            let _: CInt? = try record.optional("backlog", in: 0 ... .max)
            _ = try SocketFile(record)
        }
    }

    /// Takes the sockets.
    /// - Parameters:
    ///   - named: the address with the name that the new program gives it.
    ///   - take: gives up a descriptor.
    convenience init(
        _ old: HandedOver, named: Prefork.Address?, lowest: CInt, backlog: CInt?, take: (CInt) -> OpenSocket
    ) {
        let record = old.record
        let sockets = old.sockets.map(take)
        let decoys = old.decoys.map(take)
        let address = named?.name.map { old.address.named($0) } ?? old.address
        self.init(
            address: address,
            mode: record.flag("sharded") ? .sharded : .shared,
            sockets: sockets,
            lowest: lowest,
            bound: old.bound.family == AF_UNIX ? nil : old.bound,
            isGroup: record.flag("group"),
            backlog: backlog ?? (try? record.optional("backlog")) ?? nil,
            file: (try? SocketFile(record)) ?? nil,
            decoy: decoys.isEmpty
                ? nil : Decoy(decoys, address: old.bound, lowest: lowest, awaitsHandshakes: !record.flag("defers")),
            admissionFault: (try? record.optionalText("stays-open")) ?? nil,
            adopted: old.isAdopted ? AdoptedSocket(isNonBlocking: record.flag("non-blocking")) : nil
        )
        configured = named
        let members: [Int] = (try? record.numbers("order")) ?? []
        order = GroupOrder(members: members, isKnown: !record.flag("unknown-order"))
        isSteeringRefused = record.flag("refused")
    }
}

extension SocketFile {
    func write(to record: inout HandoverRecord) {
        record.set("path", path)
        record.set("device", identity.device)
        record.set("inode", identity.inode)
        record.set("link", link)
    }

    /// - Returns: `nil` if the record has none.
    init?(_ record: HandoverRecord) throws(HandoverRecord.Fault) {
        guard let path = try record.optionalText("path") else { return nil }
        self.init(
            path: path,
            identity: FileIdentity(device: try record.number("device"), inode: try record.number("inode")),
            link: try record.optionalText("link"))
    }
}
