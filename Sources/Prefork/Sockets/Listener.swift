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
    }

    /// With the port that the kernel has chosen for port 0.
    let address: Prefork.Address
    let mode: Prefork.ListenerMode
    /// One for each slot, or one for all, in the order of listen(2), by which the kernel numbers them. Empty after
    /// `close`.
    private(set) var sockets: [OpenSocket]
    private let file: SocketFile?
    /// A child may have changed it by a listen(2) of its own. `nil` if it is not known.
    private let backlog: CInt?
    /// `nil` if a stop cannot keep new connections out. `admissionFault` says why.
    private(set) var decoy: Decoy?
    private(set) var admissionFault: String?
    private let adopted: AdoptedSocket?
    /// The kernel has refused our program.
    private var isSteeringRefused = false

    init(
        address: Prefork.Address,
        mode: Prefork.ListenerMode,
        sockets: [OpenSocket],
        backlog: CInt?,
        file: SocketFile? = nil,
        decoy: Decoy? = nil,
        admissionFault: String? = nil,
        adopted: AdoptedSocket? = nil
    ) {
        self.address = address
        self.mode = mode
        self.sockets = sockets
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

    /// The socket for a child in this slot. `nil` after `close`.
    func socket(of slot: Int) -> CInt? {
        guard !sockets.isEmpty else { return nil }
        return sockets[mode == .sharded ? slot : 0].raw
    }

    /// The sockets of these slots, each once.
    func sockets(of slots: [Int]) -> [CInt] {
        if mode == .sharded { return slots.compactMap { socket(of: $0) } }
        return slots.isEmpty ? [] : sockets.map(\.raw)
    }

    /// The numbers of these slots' sockets in the group.
    private func indices(_ slots: [Int]) -> [Int] { mode == .sharded ? slots : [0] }

    // MARK: While the fleet runs

    /// Steers new connections to these slots only. Connections that are queued elsewhere stay there.
    /// - Parameter rotation: ascending, not empty.
    /// - Returns: the kernel's first refusal. It then spreads connections over all slots.
    func steer(to rotation: [Int]) -> SystemError? {
        guard mode == .sharded, sockets.count > 1, let raw else { return nil }
        do throws(SystemError) {
            try ReuseportSteering.spread(over: rotation, of: sockets.count).attach(to: raw)
            isSteeringRefused = false
            return nil
        } catch {
            // The old program would go on steering to slots that have left the rotation. The shortest program steers to
            // all slots. If the kernel refuses even that one, no program is just as good (Linux 5.3 can remove it).
            do throws(SystemError) {
                try ReuseportSteering.spread(over: Array(sockets.indices), of: sockets.count).attach(to: raw)
            } catch {
                try? PlatformListener.detachProgram(from: raw)
            }
            defer { isSteeringRefused = true }
            return isSteeringRefused ? nil : error
        }
    }

    /// A framework in the child may have called listen(2) again with its own backlog (SwiftNIO: 128). On a listening
    /// socket that changes only the backlog.
    func restoreBacklog(of slot: Int) {
        guard let raw = socket(of: slot), let backlog else { return }
        // An adopted socket keeps the backlog that it was found with. listen(2) is called only if it differs.
        if adopted != nil, AdoptedSocket.backlog(of: raw) == Int(backlog) { return }
        try? System.listen(raw, backlog: backlog)
    }

    // MARK: The end

    /// Begins to keep new connections out. `isAdmissionClosed` reports the progress.
    /// - Parameter rotation: the slots that still accept meanwhile.
    func beginClosingAdmission(_ rotation: [Int], at now: Instant) {
        guard let decoy, let raw else { return }
        do throws(SystemError) {
            try decoy.begin(indices(rotation), beside: raw, at: now)
        } catch {
            giveUpAdmission("\(error)", rotation)
        }
    }

    /// Fewer children accept than at the beginning.
    func narrowAdmission(to rotation: [Int]) {
        guard let decoy, !decoy.isActive, let raw else { return }
        do throws(SystemError) {
            try decoy.steer(to: indices(rotation), beside: raw)
        } catch {
            giveUpAdmission("\(error)", rotation)
        }
    }

    /// Whether new connections are kept out, or cannot be.
    func isAdmissionClosed(_ rotation: [Int], at now: Instant) -> Bool {
        guard let decoy, !decoy.isActive, let raw else { return true }
        do throws(SystemError) {
            guard decoy.isFull else {
                try decoy.proceed(indices(rotation), beside: raw, at: now)
                return false
            }
            try decoy.close()
        } catch {
            giveUpAdmission("\(error)", rotation)
        }
        return true
    }

    /// New connections are queued until the last copy of the listener is closed.
    func giveUpAdmission(_ reason: String, _ rotation: [Int]) {
        guard let decoy, !decoy.isActive else { return }
        if let raw { decoy.giveUp(indices(rotation), beside: raw) }
        self.decoy = nil
        admissionFault = reason
    }

    /// After all children were asked to exit: closes what is not needed to keep new connections out.
    func closeAfterExitRequests() {
        // Beside a decoy our copies of the slots' sockets stay open: each that left the group would change the numbers
        // of the others. An adopted socket stays non-blocking as long as children poll it.
        let needed = adopted != nil || mode == .sharded && decoy?.isActive == true
        if needed { return }
        if decoy?.isActive != true { decoy = nil }
        closeSockets()
    }

    /// Closes our copies, and removes the socket's file if it is still ours. Never shutdown(2), which would also end
    /// other processes' copies. Further calls do nothing.
    func close() {
        if let decoy, decoy.isActive, mode == .sharded {
            // The last socket first, so that the decoys keep connections out until no slot's socket is left in the
            // group.
            while !sockets.isEmpty {
                decoy.prepareClosing(of: sockets.count - 1)
                sockets.removeLast()
            }
        }
        if let adopted, let raw { adopted.restore(raw, backlog: backlog) }
        closeSockets()
        // Last: from now on the kernel refuses connections.
        decoy = nil
    }

    private func closeSockets() {
        // The file first: a client finds no file instead of a socket that resets it.
        if !sockets.isEmpty { file?.remove() }
        sockets = []
    }
}
