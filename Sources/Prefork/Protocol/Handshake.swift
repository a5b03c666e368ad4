/// The data that a master passes to a child when it starts it: environment variables and descriptor numbers. It is
/// written and read here.
struct Handshake: Equatable, Sendable {
    /// The version of this protocol that the master speaks. A child understands newer ones, which only add to it.
    var version = Self.currentVersion
    let slot: Int
    /// The number of children that the slot had before.
    let launch: Int
    /// The build of the program that the child belongs to. It starts at 1, and each restart adds 1.
    var generation = 1
    /// How the runs before this one ended in the master, see `EarlierRuns`.
    var earlierRuns = ""
    let masterPID: Int32
    /// The addresses of the listeners, in the order of their descriptors from 3 on.
    let addresses: [Prefork.Address]
    /// The file behind the channel's descriptor. The number alone would accept any file that is open there.
    let channel: FileIdentity

    /// The numbers of a child's descriptors: the listeners from 3 on, then the channel.
    static func descriptors(listenerCount: Int) -> Range<CInt> { SpawnPlan.numbers(listenerCount + 1) }

    var listeners: Range<CInt> { Self.descriptors(listenerCount: addresses.count).dropLast() }
    var channelDescriptor: CInt { listeners.upperBound }

    static let currentVersion = 1

    private static let versionName = "PREFORK_VERSION"
    private static let slotName = "PREFORK_SLOT"
    private static let generationName = "PREFORK_GENERATION"
    private static let launchName = "PREFORK_LAUNCH"
    private static let runsName = "PREFORK_RUNS"
    private static let masterName = "PREFORK_MASTER_PID"
    private static let listenersName = "PREFORK_LISTENERS"
    private static let addressesName = "PREFORK_ADDRESSES"
    private static let namesName = "PREFORK_NAMES"
    private static let channelName = "PREFORK_CHANNEL"

    /// The variables of this protocol. Other names with the same prefix belong to the user.
    static let names = [
        versionName, slotName, launchName, generationName, runsName, masterName, listenersName, addressesName,
        namesName, channelName,
    ]
    /// Variables that systemd means for the master alone (sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)).
    private static let foreignNames = [
        "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "NOTIFY_SOCKET", "WATCHDOG_PID",
        "WATCHDOG_USEC",
    ]

    // MARK: Encoding in the master

    struct Variable {
        let name: String
        let value: String

        init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The variables of this handshake.
    var variables: [Variable] {
        [
            Variable(Self.versionName, "\(version)"),
            Variable(Self.slotName, "\(slot)"),
            Variable(Self.launchName, "\(launch)"),
            Variable(Self.generationName, "\(generation)"),
            Variable(Self.runsName, earlierRuns),
            Variable(Self.masterName, "\(masterPID)"),
            Variable(Self.listenersName, "\(addresses.count)"),
            Variable(
                Self.addressesName, addresses.map { percentEncoded($0.description.utf8) }.concatenated(separator: " ")),
            Variable(
                Self.namesName,
                addresses.map { Self.nameMark + percentEncoded(($0.name ?? "").utf8) }.concatenated(separator: " ")),
            Variable(Self.channelName, "\(channelDescriptor):\(channel.device):\(channel.inode)"),
        ]
    }

    /// The environment of a child. It has variables of `inherited`, then those of `extra`, then this handshake. It
    /// leaves out the handshake of an outer fleet, the variables that are meant for the master alone, and those that
    /// `extra` replaces.
    func environment(inherited: [CString], extra: [String: String]) -> [CString] {
        let replaced = Self.names + Self.foreignNames + extra.keys
        let kept = inherited.filter { entry in
            !replaced.contains { $0.utf8.elementsEqual(entry.variableName) }
        }
        let added = extra.keys.sorted().map { CString("\($0)=\(extra[$0] ?? "")") }
        return kept + added + variables.map { CString("\($0.name)=\($0.value)") }
    }

    /// Precedes each name, so that an empty name is a word, too. No address has an empty name.
    private static let nameMark = "="

    // MARK: Decoding in the child

    enum Decoded: Equatable {
        /// No variable of the handshake is set.
        case absent
        case complete(Handshake)
        case broken(String)
    }

    /// - Parameter value: returns the value of a variable, or `nil` if it is not set.
    static func decode(_ value: (String) -> String?) -> Decoded {
        if names.allSatisfy({ value($0) == nil }) { return .absent }
        if let missing = names.first(where: { value($0) == nil }) {
            let there = names.filter { value($0) != nil }.joined(separator: ", ")
            return .broken("\(missing) is missing beside \(there)")
        }
        func number<Number: FixedWidthInteger>(_ name: String, _ range: ClosedRange<Number>) -> Number? {
            value(name).flatMap { plainNumber($0) }.flatMap { range.contains($0) ? $0 : nil }
        }
        guard let version: Int = number(versionName, 1...Int.max) else {
            return .broken("\(versionName) is not a version")
        }
        guard let slot: Int = number(slotName, 0...(Prefork.Configuration.mostChildren - 1)) else {
            return .broken("\(slotName) is no slot")
        }
        guard let launch: Int = number(launchName, 0...Int.max) else {
            return .broken("\(launchName) is no number")
        }
        guard let generation: Int = number(generationName, 1...Int.max) else {
            return .broken("\(generationName) is not a generation")
        }
        guard let runs = value(runsName), EarlierRuns.isValid(runs) else {
            return .broken("\(runsName) is no list of runs")
        }
        guard let master: Int32 = number(masterName, 1...Int32.max) else {
            return .broken("\(masterName) is no process id")
        }
        let words = (value(addressesName) ?? "").split(separator: " ")
        let unnamed = words.compactMap { word in
            percentDecodedText(word).flatMap { text in try? Prefork.Address(text) }
        }
        guard let count: Int = number(listenersName, 0...Int(Int16.max)), count == words.count, count == unnamed.count
        else { return .broken("\(listenersName) and \(addressesName) do not fit") }
        let addressNames = (value(namesName) ?? "").split(separator: " ").compactMap { word in
            word.utf8.starts(with: nameMark.utf8) ? percentDecodedText(word.dropFirst(nameMark.count)) : nil
        }
        guard addressNames.count == count else { return .broken("\(namesName) and \(addressesName) do not fit") }
        let addresses = zip(unnamed, addressNames).map { $1.isEmpty ? $0 : $0.named($1) }
        let channel = (value(channelName) ?? "").split(separator: ":", omittingEmptySubsequences: false)
        guard channel.count == 3, let number: CInt = plainNumber(channel[0]),
            let device: UInt64 = plainNumber(channel[1]),
            let inode: UInt64 = plainNumber(channel[2])
        else { return .broken("\(channelName) is no descriptor") }
        let handshake = Handshake(
            version: version,
            slot: slot,
            launch: launch,
            generation: generation,
            earlierRuns: runs,
            masterPID: master,
            addresses: addresses,
            channel: FileIdentity(device: device, inode: inode)
        )
        guard number == handshake.channelDescriptor else {
            return .broken("\(channelName) is not behind the listeners")
        }
        return .complete(handshake)
    }
}
