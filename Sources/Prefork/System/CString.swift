// Text as the operating system stores it.
import PreforkLibc

/// A C string of any bytes, because arguments and environment entries need not be UTF-8.
struct CString: Hashable, Sendable {
    /// The bytes, without the NUL at the end.
    let bytes: [UInt8]

    init(bytes: [UInt8]) { self.bytes = bytes }
    init(_ text: String) { bytes = Array(text.utf8) }
    init(copying pointer: UnsafePointer<CChar>) {
        bytes = UnsafeRawBufferPointer(start: pointer, count: strlen(pointer)).map { $0 }
    }

    /// The text. Bytes that are not UTF-8 are repaired.
    var text: String { String(decoding: bytes, as: UTF8.self) }
    var hasNUL: Bool { bytes.contains(0) }

    /// The part of an environment entry before its first `=`.
    var variableName: ArraySlice<UInt8> { bytes.prefix { $0 != UInt8(ascii: "=") } }
}

/// Calls `body` with a NULL-terminated array of C strings.
func withCStrings<Result>(
    _ strings: [CString],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    let size = strings.reduce(0) { $0 + $1.bytes.count + 1 }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { text in
        withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<CChar>?.self, capacity: strings.count + 1) { array in
            var position = 0
            for (index, string) in strings.enumerated() {
                array.initializeElement(at: index, to: text.baseAddress.map { $0 + position })
                for byte in string.bytes + [0] {
                    text.initializeElement(at: position, to: CChar(bitPattern: byte))
                    position += 1
                }
            }
            array.initializeElement(at: strings.count, to: nil)
            guard let base = array.baseAddress else { preconditionFailure("an allocation of at least one element") }
            return body(base)
        }
    }
}
