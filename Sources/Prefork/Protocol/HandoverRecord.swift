/// One line of a handover: a word that says what it describes, then its fields, `key=value`.
///
/// A reader ignores fields and kinds of lines that it does not know, and a field may be absent. A later version can
/// therefore add both.
struct HandoverRecord: Equatable {
    /// What is wrong with a handover.
    struct Fault: Error, Equatable, CustomStringConvertible {
        let description: String

        init(_ description: String) { self.description = description }
    }

    private struct Field: Equatable {
        let key: String
        /// Percent-encoded.
        let value: String
    }

    let kind: String
    private var fields: [Field] = []

    init(_ kind: String) { self.kind = kind }

    // MARK: Writing

    mutating func set(_ key: String, _ number: (some BinaryInteger)?) {
        if let number { fields.append(Field(key: key, value: String(number))) }
    }

    mutating func set(_ key: String, _ text: String?) {
        if let text { fields.append(Field(key: key, value: percentEncoded(text.utf8))) }
    }

    mutating func set(_ key: String, _ path: CString?) {
        if let path { fields.append(Field(key: key, value: percentEncoded(path.bytes))) }
    }

    mutating func set(_ key: String, _ isSet: Bool) {
        if isSet { fields.append(Field(key: key, value: "1")) }
    }

    mutating func set(_ key: String, _ instant: Instant?) { set(key, instant?.nanoseconds) }
    mutating func set(_ key: String, _ duration: Duration?) { set(key, duration?.clampedNanoseconds) }

    mutating func set(_ key: String, _ numbers: [some BinaryInteger]) {
        if numbers.isEmpty { return }
        fields.append(Field(key: key, value: numbers.map { String($0) }.concatenated(separator: ",")))
    }

    mutating func set(_ key: String, _ instants: [Instant]) { set(key, instants.map(\.nanoseconds)) }

    /// Bytes that are no text.
    mutating func set(_ key: String, bytes: [UInt8]) {
        if !bytes.isEmpty { fields.append(Field(key: key, value: percentEncoded(bytes))) }
    }

    var line: String {
        fields.reduce(into: kind) { $0 += " " + $1.key + "=" + $1.value }
    }

    // MARK: Reading

    init(line: Substring) throws(Fault) {
        let words = line.split(separator: " ")
        guard let kind = words.first else { throw Fault("a line is empty") }
        self.kind = String(kind)
        for word in words.dropFirst() {
            guard let sign = word.utf8.firstIndex(of: UInt8(ascii: "=")) else {
                throw Fault("\(quoted(word)) in a line of kind \(kind) has no value")
            }
            fields.append(Field(key: String(word[..<sign]), value: String(word[word.utf8.index(after: sign)...])))
        }
    }

    private func value(_ key: String) -> String? { fields.first { $0.key == key }?.value }

    func fault(_ key: String) -> Fault {
        guard let value = value(key) else { return Fault("a line of kind \(kind) has no \(key)") }
        return Fault("\(key) of a line of kind \(kind) is \(quoted(value))")
    }

    /// - Parameter range: the numbers that are allowed.
    func optional<Number: FixedWidthInteger>(
        _ key: String, in range: ClosedRange<Number> = .min ... .max
    ) throws(Fault) -> Number? {
        guard let value = value(key) else { return nil }
        guard let number: Number = wholeNumber(value[...]), range.contains(number) else { throw fault(key) }
        return number
    }

    func number<Number: FixedWidthInteger>(
        _ key: String, in range: ClosedRange<Number> = .min ... .max
    ) throws(Fault) -> Number {
        guard let number = try optional(key, in: range) else { throw fault(key) }
        return number
    }

    func flag(_ key: String) -> Bool { value(key) == "1" }

    func optionalText(_ key: String) throws(Fault) -> String? {
        guard let value = value(key) else { return nil }
        guard let text = percentDecodedText(value[...]) else { throw fault(key) }
        return text
    }

    func text(_ key: String) throws(Fault) -> String {
        guard let text = try optionalText(key) else { throw fault(key) }
        return text
    }

    func bytes(_ key: String) throws(Fault) -> [UInt8] {
        guard let value = value(key) else { return [] }
        guard let bytes = percentDecoded(value[...]) else { throw fault(key) }
        return bytes
    }

    /// A path, whose bytes need not be UTF-8.
    func path(_ key: String) throws(Fault) -> CString? {
        guard value(key) != nil else { return nil }
        let path = CString(bytes: try bytes(key))
        if path.hasNUL || path.bytes.isEmpty { throw fault(key) }
        return path
    }

    func numbers<Number: FixedWidthInteger>(_ key: String) throws(Fault) -> [Number] {
        guard let value = value(key) else { return [] }
        var numbers: [Number] = []
        for part in value.split(separator: ",", omittingEmptySubsequences: false) {
            guard let number: Number = wholeNumber(part) else { throw fault(key) }
            numbers.append(number)
        }
        return numbers
    }

    func optionalInstant(_ key: String) throws(Fault) -> Instant? {
        try optional(key).map { Instant(nanoseconds: $0) }
    }

    func instant(_ key: String) throws(Fault) -> Instant { Instant(nanoseconds: try number(key)) }

    func optionalDuration(_ key: String) throws(Fault) -> Duration? {
        try optional(key).map { .nanoseconds($0 as Int64) }
    }

    func duration(_ key: String) throws(Fault) -> Duration { .nanoseconds(try number(key) as Int64) }

    func instants(_ key: String) throws(Fault) -> [Instant] { try numbers(key).map { Instant(nanoseconds: $0) } }

    /// A number in decimal digits, with a minus sign if it is negative.
    private func wholeNumber<Number: FixedWidthInteger>(_ text: Substring) -> Number? {
        let digits = text.utf8.first == UInt8(ascii: "-") ? Substring(text.utf8.dropFirst()) : text
        return !digits.isEmpty && isAllDigits(digits.utf8) ? Number(text) : nil
    }
}
