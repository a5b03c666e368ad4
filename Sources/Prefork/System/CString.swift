// Text as the operating system has it.
import PreforkLibc

/// A C string of any bytes: arguments and environment entries need not be UTF-8.
struct CString: Hashable, Sendable {
    /// Without the NUL at the end.
    let bytes: [UInt8]

    init(bytes: [UInt8]) { self.bytes = bytes }
    init(_ text: String) { bytes = Array(text.utf8) }
    init(copying pointer: UnsafePointer<CChar>) {
        bytes = UnsafeRawBufferPointer(start: pointer, count: strlen(pointer)).map { $0 }
    }

    /// Repaired where the bytes are no UTF-8.
    var text: String { String(decoding: bytes, as: UTF8.self) }
    var hasNUL: Bool { bytes.contains(0) }

    /// The part before the first `=` of an environment entry.
    var variableName: ArraySlice<UInt8> { bytes.prefix { $0 != UInt8(ascii: "=") } }
}
