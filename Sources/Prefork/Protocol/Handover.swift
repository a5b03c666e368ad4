/// The state that a master passes to the program that takes its place in the same process (execve(2)).
///
/// It is text in a sealed file in memory: a line for the process, then lines for everything else, see
/// `HandoverRecord`. An environment variable says where the file is.
struct Handover: Equatable {
    /// The version that this program writes. It reads all versions from 1 to this one, and newer ones, which only add
    /// to it.
    static let currentVersion = 1
    static let variable = "PREFORK_HANDOVER"

    /// The facts about the process and its run.
    struct Process: Equatable {
        var version = Handover.currentVersion
        var pid: Int32
        /// When the first program called `run`.
        var startedAt: Instant
        /// How earlier runs of the process have ended, see `EarlierRuns`.
        var earlierRuns: String
        /// The number of children that the old program was configured with.
        var children: Int
        /// How children get their listeners (`Prefork.Configuration.takeoverName`). Both programs must agree.
        var takeover: String
        /// How many slots have sockets of their own if children ask for addresses. `nil` if none have.
        var shards: Int?
        /// The path at which a restart finds the program.
        var program: CString?
        /// The old program's arguments and environment, for the way back to it.
        var arguments: [CString] = []
        var environment: [CString] = []
        /// Whether a service manager has been told that the fleet reloads.
        var isReloading = false
        /// The signals that were blocked when the first program started.
        var blocked: [CInt] = []
        /// The descriptors that the new program owns.
        var descriptors: [CInt] = []
        /// Descriptors that the first program inherited from the process that started it.
        var inherited: [CInt] = []
    }

    var process: Process
    /// Everything else.
    var records: [HandoverRecord]

    // MARK: Writing

    /// - Parameter inode: the file behind a descriptor. The reader checks that it is the same one.
    func text(inode: (CInt) -> UInt64?) -> String {
        var head = HandoverRecord("process")
        head.set("version", process.version)
        head.set("pid", process.pid)
        head.set("started", process.startedAt)
        head.set("runs", process.earlierRuns)
        head.set("children", process.children)
        head.set("takeover", process.takeover)
        head.set("shards", process.shards)
        head.set("program", process.program)
        head.set("reloading", process.isReloading)
        head.set("blocked", process.blocked)
        head.set("descriptors", process.descriptors)
        head.set("inodes", process.descriptors.map { inode($0) ?? 0 })
        head.set("inherited", process.inherited)
        head.set("inherited-inodes", process.inherited.map { inode($0) ?? 0 })
        let words = Self.records("argument", process.arguments) + Self.records("variable", process.environment)
        // A file that lost its end would still have the first lines.
        var end = HandoverRecord("end")
        end.set("lines", words.count + records.count)
        return ([head] + words + records + [end]).reduce(into: "") { $0 += $1.line + "\n" }
    }

    // MARK: Reading

    init(process: Process, records: [HandoverRecord]) {
        self.process = process
        self.records = records
    }

    /// - Parameter pid: the process that reads it.
    init(
        _ text: String, pid: Int32, inode: (CInt) -> UInt64?
    ) throws(HandoverRecord.Fault) {
        var records: [HandoverRecord] = []
        for line in text.split(separator: "\n") { records.append(try HandoverRecord(line: line)) }
        guard let head = records.first, head.kind == "process" else {
            throw HandoverRecord.Fault("it does not begin with a line of kind process")
        }
        let version: Int = try head.number("version", in: 1 ... .max)
        guard let end = records.last, end.kind == "end", try end.number("lines") == records.count - 2 else {
            throw HandoverRecord.Fault("its end is missing")
        }
        guard try head.number("pid") == pid else { throw head.fault("pid") }
        let runs = try head.optionalText("runs") ?? ""
        guard EarlierRuns.isValid(runs) else { throw head.fault("runs") }
        process = Process(
            version: version, pid: pid, startedAt: try head.instant("started"), earlierRuns: runs,
            children: try head.number("children", in: 1...Prefork.Configuration.mostChildren),
            takeover: try head.text("takeover"), shards: try head.optional("shards", in: 1 ... .max),
            program: try head.path("program"), isReloading: head.flag("reloading"))
        process.blocked = try head.numbers("blocked")
        process.descriptors = try head.numbers("descriptors")
        guard try head.numbers("inodes") == process.descriptors.map({ inode($0) ?? 0 }) else {
            throw HandoverRecord.Fault("a descriptor is not what it was")
        }
        // One that the old program has closed may be another file by now.
        let inherited: [CInt] = try head.numbers("inherited")
        let inodes: [UInt64] = try head.numbers("inherited-inodes")
        process.inherited = zip(inherited, inodes).filter { inode($0) == $1 }.map(\.0)
        let rest = records.dropFirst().dropLast()
        process.arguments = try Self.words("argument", rest)
        process.environment = try Self.words("variable", rest)
        self.records = rest.filter { !["argument", "variable"].contains($0.kind) }
    }

    private static func records(_ kind: String, _ words: [CString]) -> [HandoverRecord] {
        words.map { word in
            var record = HandoverRecord(kind)
            record.set("text", word)
            return record
        }
    }

    private static func words(
        _ kind: String, _ records: some Sequence<HandoverRecord>
    ) throws(HandoverRecord.Fault) -> [CString] {
        var words: [CString] = []
        for record in records where record.kind == kind {
            let word = CString(bytes: try record.bytes("text"))
            if word.hasNUL { throw record.fault("text") }
            words.append(word)
        }
        return words
    }

    func records(_ kind: String) -> [HandoverRecord] { records.filter { $0.kind == kind } }

    /// A number of a line that must be one of the descriptors.
    func descriptor(_ number: CInt, of record: HandoverRecord, _ key: String) throws(HandoverRecord.Fault) -> CInt {
        guard process.descriptors.contains(number) else { throw record.fault(key) }
        return number
    }

    func descriptors(_ record: HandoverRecord, _ key: String) throws(HandoverRecord.Fault) -> [CInt] {
        let numbers: [CInt] = try record.numbers(key)
        for number in numbers { _ = try descriptor(number, of: record, key) }
        return numbers
    }
}

/// Where a handover is: the value of the environment variable.
struct HandoverNotice: Equatable {
    /// The version that the old program speaks.
    var version = Handover.currentVersion
    /// The process that it is for. A process that this one starts may find the variable, too.
    var pid: Int32
    /// The descriptor of the file.
    var file: CInt
    var identity: FileIdentity
    /// The path to execute if the new program cannot take over. `nil` in the old program, to which it has come back.
    var returnPath: CString?
    /// Why the new program could not take over.
    var fault: String?

    var value: String {
        let back = returnPath.map { percentEncoded($0.bytes) } ?? "-"
        let text = "\(version) \(pid) \(file):\(identity.device):\(identity.inode) \(back)"
        return fault.map { text + " " + percentEncoded($0.utf8) } ?? text
    }

    init(pid: Int32, file: CInt, identity: FileIdentity, returnPath: CString?, fault: String? = nil) {
        (self.pid, self.file, self.identity, self.returnPath, self.fault) = (pid, file, identity, returnPath, fault)
    }

    /// Returns `nil` if no master can have set the value.
    init?(_ value: String) {
        let words = value.split(separator: " ")
        guard words.count >= 4, let version: Int = plainNumber(words[0]), version >= 1,
            let pid: Int32 = plainNumber(words[1])
        else { return nil }
        let parts = words[2].split(separator: ":")
        guard parts.count == 3, let file: CInt = plainNumber(parts[0]), let device: UInt64 = plainNumber(parts[1]),
            let inode: UInt64 = plainNumber(parts[2])
        else { return nil }
        self.version = version
        self.pid = pid
        self.file = file
        identity = FileIdentity(device: device, inode: inode)
        if words[3] != "-" {
            guard let path = percentDecoded(words[3]), !path.isEmpty, !path.contains(0) else { return nil }
            returnPath = CString(bytes: path)
        }
        if words.count > 4 {
            guard let text = percentDecodedText(words[4]) else { return nil }
            fault = text
        }
    }
}
