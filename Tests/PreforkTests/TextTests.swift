import Testing

@testable import Prefork

@Suite struct PlainNumberTests {
    @Test(arguments: [("0", 0), ("7", 7), ("0080", 80), ("2147483647", 2_147_483_647)])
    func reads(text: String, expected: Int32) {
        #expect(plainNumber(text) == expected)
        #expect(plainNumber(Substring(text)) == expected)
    }

    /// Signs, spaces, other scripts' digits, other radixes, and numbers that are too large.
    @Test(arguments: ["", "+1", "-1", " 1", "1 ", "1\n", "٣", "1٣", "0x1", "1e3", "1.0", "1\0", "2147483648", "x"])
    func refuses(text: String) {
        #expect(plainNumber(text) as Int32? == nil)
    }

    @Test func limitsOfTheType() {
        #expect(plainNumber("255") == UInt8(255))
        #expect(plainNumber("256") as UInt8? == nil)
        #expect(plainNumber("18446744073709551615") == UInt64.max)
    }
}

@Suite struct ConcatenationTests {
    @Test func joins() {
        for parts in [[], ["a"], ["a", "b"], ["", "", "c"]] as [[String]] {
            #expect(parts.concatenated(separator: ", ") == parts.joined(separator: ", "))
        }
    }
}
