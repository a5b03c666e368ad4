// Small parts of the standard library in a form that costs a starting process nothing.

/// A whole number, written in decimal digits alone. `Int(_:)` would accept a sign, too.
func plainNumber<Number: FixedWidthInteger>(_ text: some StringProtocol) -> Number? {
    isAllDigits(text.utf8) ? Number(text) : nil
}

/// Whether all of these bytes are ASCII digits. Characters would need tables that a start does not map.
func isAllDigits(_ bytes: some Sequence<UInt8>) -> Bool {
    bytes.allSatisfy { UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9") }
}

extension [String] {
    /// Like `joined(separator:)`, for code that every master runs. The standard library's makes the runtime search the
    /// conformances of all libraries, and their pages stay resident.
    func concatenated(separator: String) -> String {
        var text = first ?? ""
        for part in dropFirst() { text += separator + part }
        return text
    }
}
