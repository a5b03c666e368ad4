/// An address that the master listens on for its whole life. Used only in the master's thread.
final class Listener {
    /// How the listeners of an address are created.
    struct Options {
        var backlog: CInt
        /// The lowest number of a descriptor in the master. The numbers below are those of the children's descriptors.
        var lowest: CInt
        /// How many slots have a socket of their own. `nil` if all share one.
        var shards: Int?
        /// Whether a stop keeps new connections out, see `Decoy`.
        var closesAdmission = false
        /// TCP_DEFER_ACCEPT in seconds.
        var deferAccept: CInt?
        /// The queue of TCP_FASTOPEN.
        var fastOpen: CInt?
        /// Whether the files of Unix-domain sockets get a second name, see `SocketFile.link`.
        var keepsFiles = false
    }

    /// The address, with the port that the kernel has chosen for port 0.
    let address: Prefork.Address
    let mode: Prefork.ListenerMode
    /// The sockets, one for each slot or one for all. Empty after `close`.
    private(set) var sockets: [OpenSocket]
    /// The numbers of the sockets in their group: those of `sockets`, by index, then the decoys.
    var order: GroupOrder
    /// The number of sockets before any was closed.
    private var size: Int
    /// During the last part of a stop: the inodes of the sockets that children may still have, by their indices.
    private var inodes: [Int: UInt64] = [:]
    /// The indices of the sockets that a child has stopped and that cannot listen again.
    var faults: [Int: SystemError] = [:]
    /// Why the file of a Unix-domain socket that something has removed could not be made again.
    var fileFault: SystemError?
    /// The socket that the last one of a Unix-domain address has replaced.
    private var replaced: OpenSocket?
    /// The lowest number of a descriptor.
    let lowest: CInt
    /// The address of an internet socket.
    let bound: SocketAddress?
    /// Whether SO_REUSEPORT is set.
    let isGroup: Bool
    private(set) var file: SocketFile?
    /// The backlog that the sockets must have. A child may have changed it by calling listen(2). `nil` if it is not
    /// known.
    let backlog: CInt?
    /// `nil` if a stop cannot keep new connections out. `admissionFault` says why.
    private(set) var decoy: Decoy?
    private(set) var admissionFault: String?
    let adopted: AdoptedSocket?
    /// Whether the kernel has refused a steering program.
    var isSteeringRefused = false
    /// The address as the program has configured it. `nil` for an adopted socket, and for one that children asked for.
    var configured: Prefork.Address?

    init(
        address: Prefork.Address,
        mode: Prefork.ListenerMode,
        sockets: [OpenSocket],
        lowest: CInt,
        bound: SocketAddress? = nil,
        isGroup: Bool = false,
        backlog: CInt?,
        file: SocketFile? = nil,
        decoy: Decoy? = nil,
        admissionFault: String? = nil,
        adopted: AdoptedSocket? = nil
    ) {
        self.address = address
        self.mode = mode
        self.sockets = sockets
        order = GroupOrder(count: sockets.count)
        size = sockets.count
        self.lowest = lowest
        self.bound = bound
        self.isGroup = isGroup
        self.backlog = backlog
        self.file = file
        self.decoy = decoy
        self.admissionFault = admissionFault
        self.adopted = adopted
    }

    deinit { close() }

    var ownership: Prefork.ListenerOwnership { adopted == nil ? .bound : .adopted }

    /// The first socket. `nil` after `close`.
    var raw: CInt? { sockets.first?.raw }

    /// The index of a slot's socket.
    func index(of slot: Int) -> Int { mode == .sharded ? slot : 0 }

    /// The socket for a child in this slot. `nil` after `close`.
    func socket(of slot: Int) -> CInt? { sockets.isEmpty ? nil : sockets[index(of: slot)].raw }

    /// The sockets of these slots, each once.
    func sockets(of slots: SlotSet) -> [CInt] {
        if mode == .sharded { return slots.compactMap { socket(of: $0) } }
        return slots.isEmpty ? [] : sockets.map(\.raw)
    }

    // MARK: The group

    /// A slot's socket that is in the group. `nil` if there is none.
    private var member: CInt? { order.members.first { sockets.indices.contains($0) }.map { sockets[$0].raw } }

    /// The numbers of these slots' sockets. If they are not known, or none of these sockets listens, the numbers of all
    /// slots.
    private func numbers(_ slots: SlotSet) -> SlotSet {
        let known = order.numbers(of: mode == .sharded ? slots : [0]) ?? []
        return known.isEmpty ? SlotSet(order.members.indices.lazy.filter { self.order.members[$0] < self.size }) : known
    }

    private var decoyMembers: [Int] { (0..<(decoy?.count ?? 0)).map { size + $0 } }

    /// Notes the sockets that have left the group because a child has stopped them.
    private func noteStopped() {
        let stopped = PlatformListener.stopped(sockets.map(\.raw))
        if !stopped.isEmpty { order.remove(stopped) }
    }

    // MARK: More slots

    func missingSockets(upTo slots: Int) -> Int { mode == .sharded ? max(0, slots - sockets.count) : 0 }

    /// Binds sockets for more slots. They do not listen yet, so they get no connections.
    func bindMore(upTo slots: Int, _ options: Options) throws(SystemError) -> [OpenSocket] {
        guard let bound, missingSockets(upTo: slots) > 0 else { return [] }
        var options = options
        options.lowest = lowest
        return try Self.bindMembers(missingSockets(upTo: slots), bound, address, options)
    }

    /// Lets them join the group. They get connections once they are in rotation.
    func append(_ members: [OpenSocket], _ options: Options) throws(SystemError) {
        if members.isEmpty { return }
        if sockets.count == 1, decoy != nil { makeSecondDecoy(options) }
        for member in members {
            try System.listen(member.raw, backlog: backlog ?? options.backlog, address.description)
            order.append(sockets.count)
            sockets.append(member)
            size = sockets.count
        }
    }

    /// A group of several sockets needs two, see `Decoy`.
    private func makeSecondDecoy(_ options: Options) {
        guard let bound else { return }
        var options = options
        (options.lowest, options.shards) = (lowest, 2)
        let (pair, fault) = Self.makeDecoy(bound, address.effectiveNetwork, options)
        (decoy, admissionFault) = (pair, fault)
    }

    // MARK: While the fleet runs

    /// Gives children that start from now on another socket.
    func replace(_ socket: OpenSocket, _ file: SocketFile) {
        // Stays open until `ListenerView`s of it are gone.
        replaced = sockets.first
        sockets = [socket]
        self.file = file
    }

    /// Steers new connections to these slots only. Connections that are queued elsewhere stay there.
    /// - Parameter rotation: ascending, not empty.
    /// - Returns: the kernel's first refusal. It then spreads connections over all slots.
    func steer(to rotation: SlotSet) -> SystemError? {
        guard mode == .sharded, sockets.count > 1, let member else { return nil }
        do throws(SystemError) {
            try ReuseportSteering.spread(over: numbers(rotation)).attach(to: member)
            isSteeringRefused = false
            return nil
        } catch {
            // The old program would go on steering to slots that have left the rotation. The shortest program steers to
            // all slots. If the kernel refuses even that one, removing the program (Linux 5.3) has the same effect.
            do throws(SystemError) {
                try ReuseportSteering.spread(over: SlotSet(0..<order.count)).attach(to: member)
            } catch {
                try? PlatformListener.detachProgram(from: member)
            }
            defer { isSteeringRefused = true }
            return isSteeringRefused ? nil : error
        }
    }

    /// Restores the backlog. A framework in the child may have called listen(2) again with its own (SwiftNIO: 128). On
    /// a listening socket that changes only the backlog.
    func restoreBacklog(of slot: Int) {
        // On a socket that a child has stopped, listen(2) would do more than that.
        guard let raw = socket(of: slot), let backlog, PlatformListener.stopped([raw]).isEmpty else { return }
        // An adopted socket keeps the backlog that it was found with. listen(2) is called only if it differs.
        if adopted != nil, AdoptedSocket.backlog(of: raw) == Int(backlog) { return }
        try? System.listen(raw, backlog: backlog)
    }

    // MARK: The end

    /// Begins to keep new connections out. `isAdmissionClosed` reports the progress.
    /// - Parameter rotation: the slots that still accept meanwhile.
    func beginClosingAdmission(_ rotation: SlotSet, at now: Instant) {
        guard let decoy else { return }
        // No more children are started, so listeners that a child has stopped stay as they are.
        noteStopped()
        guard let member else { return giveUpAdmission("a child has stopped it with shutdown(2)", rotation) }
        do throws(SystemError) {
            try decoy.begin(numbers(rotation), behind: order.count, beside: member, at: now)
            for decoy in decoyMembers { order.append(decoy) }
        } catch {
            giveUpAdmission("\(error)", rotation)
        }
    }

    /// Steers to fewer slots, because fewer children accept than at the beginning.
    func narrowAdmission(to rotation: SlotSet) {
        guard let decoy, !decoy.isActive, let member else { return }
        do throws(SystemError) {
            try decoy.steer(to: numbers(rotation), beside: member)
        } catch {
            giveUpAdmission("\(error)", rotation)
        }
    }

    /// Whether new connections are kept out, or cannot be.
    func isAdmissionClosed(_ rotation: SlotSet, at now: Instant) -> Bool {
        guard let decoy, !decoy.isActive, let member else { return true }
        do throws(SystemError) {
            guard decoy.isFull else {
                try decoy.proceed(numbers(rotation), beside: member, at: now)
                return false
            }
            try decoy.close()
        } catch {
            giveUpAdmission("\(error)", rotation)
        }
        return true
    }

    /// Gives up closing admission. New connections are queued until the last copy of the listener is closed.
    func giveUpAdmission(_ reason: String, _ rotation: SlotSet) {
        guard let decoy, !decoy.isActive else { return }
        order.remove(decoyMembers)
        if let member { decoy.giveUp(numbers(rotation), beside: member) }
        self.decoy = nil
        admissionFault = reason
    }

    /// The family of the address, if `release` has something to do for it.
    var releasedFamily: CInt? { decoy?.isActive == true ? bound?.family : nil }

    /// Closes what is not needed to keep new connections out. Call it after all children were asked to exit.
    /// - Parameter listening: the inodes of all listening sockets. Empty if they are not known.
    func closeAfterExitRequests(_ listening: Set<UInt64>) {
        if adopted != nil { return }  // It stays non-blocking as long as children poll it.
        guard let decoy, decoy.isActive else {
            decoy = nil
            return closeSockets()
        }
        for index in sockets.indices where order.members.contains(index) {
            inodes[index] = System.identity(of: sockets[index].raw)?.inode
        }
        if !inodes.values.allSatisfy({ listening.contains($0) }) { inodes = [:] }
        if size == 1 {
            closeSockets()  // The decoy will be alone, and gets all connections anyway.
        } else if !inodes.isEmpty {
            closeFirst()
        }
        // Otherwise our copies stay open. Each socket that left the group would change the numbers of the others.
    }

    /// Frees the address as soon as no child has a copy of the listener, so that a successor can bind it while the last
    /// requests finish.
    /// - Parameter listening: the inodes of all listening sockets.
    /// - Returns: whether a child may still have a copy.
    func release(_ listening: Set<UInt64>) -> Bool {
        guard !inodes.isEmpty else { return false }
        let gone = inodes.filter { !listening.contains($0.value) }.map(\.key)
        for index in gone { inodes[index] = nil }
        leave(gone)
        if inodes.isEmpty {
            closeSockets()
            decoy = nil
        } else if order.members.first.map({ $0 >= size }) == true {
            closeSockets()  // Number 0 stays the decoy's, in any order in which the others leave.
        }
        return !inodes.isEmpty
    }

    /// Closes this process's copies, and removes the socket's file if it is still the fleet's. Never shutdown(2), which
    /// would also end other processes' copies. Further calls do nothing.
    func close() {
        // No child is left, so a socket leaves the group at once when our copy of it is closed.
        if decoy?.isActive == true, let first = closeFirst() { leave([first]) }
        if let adopted, let raw { adopted.restore(raw, backlog: backlog) }
        closeSockets()
        // Closed last, because from now on the kernel refuses connections.
        decoy = nil
        inodes = [:]
    }

    /// Closes our copy of the socket with the number 0. If that was the last copy, the last decoy takes the number.
    /// Meanwhile connections are steered to the decoy before it.
    @discardableResult
    private func closeFirst() -> Int? {
        guard size > 1, !sockets.isEmpty, let first = order.members.first, first < size else { return nil }
        sockets[first] = sockets[first == 0 ? 1 : 0]
        return first
    }

    /// Notes that these sockets have left the group. Of the decoys, the one with the lowest number keeps it for the
    /// longest time.
    private func leave(_ gone: [Int]) {
        if gone.isEmpty { return }
        order.remove(gone)
        if let number = order.members.firstIndex(where: { $0 >= size }) { decoy?.steer(to: number) }
    }

    /// New clients can no longer connect. Those that are queued are still accepted.
    func removeFile() { file?.remove() }

    private func closeSockets() {
        // The file is removed first, so that a client finds no file instead of a socket that resets it.
        if !sockets.isEmpty { file?.remove() }
        sockets = []
        replaced = nil
    }
}
