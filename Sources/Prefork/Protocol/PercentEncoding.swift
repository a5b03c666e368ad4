// Text and bytes as words without spaces, for the handshake and the handover.

/// Percent-encodes `%` and everything but visible ASCII, because a path may contain the separator.
func percentEncoded(_ bytes: some Sequence<UInt8>) -> String {
    bytes.reduce(into: "") { encoded, byte in
        if byte > 32, byte < 127, byte != UInt8(ascii: "%") {
            encoded.unicodeScalars.append(UnicodeScalar(byte))
        } else {
            encoded += (byte < 16 ? "%0" : "%") + String(byte, radix: 16)
        }
    }
}

/// - Returns: `nil` if a `%` is not followed by two hexadecimal digits.
func percentDecoded(_ text: Substring) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        if byte != UInt8(ascii: "%") {
            bytes.append(byte)
        } else if rest.count >= 2, rest.first != UInt8(ascii: "+"), rest.first != UInt8(ascii: "-"),
            let code = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
        {
            bytes.append(code)
            rest = rest.dropFirst(2)
        } else {
            return nil
        }
    }
    return bytes
}

/// - Returns: `nil` also if the bytes are not UTF-8.
func percentDecodedText(_ text: Substring) -> String? {
    guard let bytes = percentDecoded(text) else { return nil }
    // Decoding repairs invalid UTF-8, so the bytes are compared. `String(validating:as:)` is generic at run time, which
    // costs more.
    let text = String(decoding: bytes, as: UTF8.self)
    return text.utf8.elementsEqual(bytes) ? text : nil
}
