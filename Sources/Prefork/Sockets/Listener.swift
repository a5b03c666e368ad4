// A listening address and the sockets behind it.
import PreforkLibc

/// An address that the master listens on for its whole life. Used by the master's thread only.
final class Listener {
    /// How the listeners of an address are made.
    struct Options {
        var backlog: CInt
        /// The lowest number that a descriptor of the master's may have: out of the way of the children's numbers.
        var lowest: CInt
        /// How many slots have a socket of their own; nil: all share one.
        var shards: Int?
        /// Whether a stop is to keep new connections out, see `Decoy`.
        var closesAdmission = false
        /// Seconds of TCP_DEFER_ACCEPT.
        var deferAccept: CInt?
        /// The queue of TCP_FASTOPEN.
        var fastOpen: CInt?
    }

    /// With the port that the kernel chose where 0 was asked for.
    let address: Prefork.Address
    let mode: Prefork.ListenerMode
    /// In the order in which they listen, which is how the kernel numbers them: one for each slot, or one for all. Empty once
    /// closed.
    private(set) var sockets: [OpenSocket]
    private let file: SocketFile?
    /// What a child may have changed by a listen(2) of its own; nil where it is not known.
    private let backlog: CInt?
    /// nil where a stop cannot keep new connections out; `admissionFault` says why.
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

    /// The number of the first socket, as long as it is open.
    var raw: CInt? { sockets.first?.raw }

    /// The socket that a child in that slot gets, as long as it is open.
    func socket(of slot: Int) -> CInt? {
        guard !sockets.isEmpty else { return nil }
        return sockets[mode == .sharded ? slot : 0].raw
    }

    /// Those of these slots, each once.
    func sockets(of slots: [Int]) -> [CInt] {
        if mode == .sharded { return slots.compactMap { socket(of: $0) } }
        return slots.isEmpty ? [] : sockets.map(\.raw)
    }

    /// The numbers in the group of what these slots accept on.
    private func indices(_ slots: [Int]) -> [Int] { mode == .sharded ? slots : [0] }

    // MARK: While the fleet runs

    /// New connections to these slots only. What is queued elsewhere stays there.
    /// - Parameter rotation: ascending and not empty.
    /// - Returns: what the kernel says, the first time that it refuses: then it spreads connections over all slots.
    func steer(to rotation: [Int]) -> SystemError? {
        guard mode == .sharded, sockets.count > 1, let raw else { return nil }
        do throws(SystemError) {
            try PlatformListener.attach(.spread(over: rotation, of: sockets.count), to: raw)
            isSteeringRefused = false
            return nil
        } catch {
            // An older program would go on steering to yesterday's slots. The shortest one steers to all; where not even that
            // can be had, none is as good (Linux 5.3 can take it away).
            do throws(SystemError) {
                try PlatformListener.attach(.spread(over: Array(sockets.indices), of: sockets.count), to: raw)
            } catch {
                try? PlatformListener.detachProgram(from: raw)
            }
            defer { isSteeringRefused = true }
            return isSteeringRefused ? nil : error
        }
    }

    /// A framework in the child may have listened once more, with a backlog of its own (SwiftNIO: 128). listen(2) on a
    /// listening socket changes nothing else.
    func restoreBacklog(of slot: Int) {
        guard let raw = socket(of: slot), let backlog else { return }
        // An adopted socket's is as it was found, not as we would have it: only what differs is put back.
        if adopted != nil, AdoptedSocket.backlog(of: raw) == Int(backlog) { return }
        _ = try? System.call("listen") { listen(raw, backlog) }
    }

    // MARK: The end

    /// Begins to keep new connections out; `isAdmissionClosed` tells how far it has come.
    /// - Parameter rotation: the slots that go on accepting meanwhile.
    func beginClosingAdmission(_ rotation: [Int], at now: Instant) {
        guard let decoy, let raw else { return }
        do throws(SystemError) {
            try decoy.begin(indices(rotation), beside: raw, at: now)
        } catch {
            giveUpAdmission("\(error)", rotation)
        }
    }

    /// Fewer children accept than when it began.
    func narrowAdmission(to rotation: [Int]) {
        guard let decoy, !decoy.isActive, let raw else { return }
        do throws(SystemError) {
            try decoy.steer(to: indices(rotation), beside: raw)
        } catch {
            giveUpAdmission("\(error)", rotation)
        }
    }

    /// Whether nobody comes in any more, or that cannot be had.
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

    /// New connections go on coming in until the last copy of the listener is closed.
    func giveUpAdmission(_ reason: String, _ rotation: [Int]) {
        guard let decoy, !decoy.isActive else { return }
        if let raw { decoy.giveUp(indices(rotation), beside: raw) }
        self.decoy = nil
        admissionFault = reason
    }

    /// All children have been told to leave: what is not needed to keep new connections out is closed.
    func closeAfterExitRequests() {
        // Our copies of the slots' sockets stay where a decoy works: each that left the group would change the others'
        // numbers. Adopted ones stay non-blocking until nobody polls them any more.
        let needed = adopted != nil || mode == .sharded && decoy?.isActive == true
        if needed { return }
        if decoy?.isActive != true { decoy = nil }
        closeSockets()
    }

    /// Closes our copies and removes the socket's file if it is still ours. Never shutdown(2): that would stop the copies
    /// elsewhere, too. More than once is harmless.
    func close() {
        if let decoy, decoy.isActive, mode == .sharded {
            // From the last on, so that the decoys keep everything out until no slot is left in the group.
            while !sockets.isEmpty {
                decoy.prepareClosing(of: sockets.count - 1)
                sockets.removeLast()
            }
        }
        if let adopted, let raw { adopted.restore(raw, backlog: backlog) }
        closeSockets()
        // Last of all: from now on clients are refused.
        decoy = nil
    }

    private func closeSockets() {
        // The file first: a client that comes now finds no file, rather than a socket that resets it.
        if !sockets.isEmpty { file?.remove() }
        sockets = []
    }

    // MARK: In a child

    /// What is wrong with an inherited descriptor as a listener of that family; nil where it is one.
    static func fault(of descriptor: CInt, unix: Bool) -> String? {
        if let fault = fault(of: descriptor) { return fault }
        let family = (try? SocketAddress(of: descriptor))?.family
        return (family == AF_UNIX) == unix
            ? nil : "descriptor \(descriptor) listens on an address of another family"
    }

    /// What is wrong with a descriptor as a listener; nil where it is one.
    static func fault(of descriptor: CInt) -> String? {
        guard let type = try? SocketOption.get(descriptor, SOL_SOCKET, SO_TYPE, "SO_TYPE") else {
            return "descriptor \(descriptor) is not a socket"
        }
        guard type == SystemConstant.stream else { return "descriptor \(descriptor) is not a stream socket" }
        guard let name = try? SocketAddress(of: descriptor) else { return "descriptor \(descriptor) has no address" }
        guard [AF_INET, AF_INET6, AF_UNIX].contains(name.family) else {
            return "descriptor \(descriptor) has an address of another family than TCP and Unix-domain sockets have"
        }
        let isListening = (try? SocketOption.get(descriptor, SOL_SOCKET, SO_ACCEPTCONN, "SO_ACCEPTCONN")) ?? 0
        return isListening != 0 ? nil : "descriptor \(descriptor) is a socket that does not listen"
    }
}

/// Copies `path`, which fits, behind the family that the caller has set.
func packUnixAddress(
    _ address: inout sockaddr_un,
    _ path: String
) -> (storage: sockaddr_storage, length: socklen_t) {
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    var storage = sockaddr_storage()
    withUnsafeMutableBytes(of: &storage) { target in
        withUnsafeBytes(of: address) { target.copyMemory(from: $0) }
    }
    return (storage, socklen_t(MemoryLayout<sockaddr_un>.size))
}
