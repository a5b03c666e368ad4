import Foundation
import Testing

@testable import Prefork
@testable import preforkctl

@Suite struct JSONTests {
    private static let texts = [
        "", "plain", "\"quoted\\\"", "line\nbreak\r\ttab", "\u{0}\u{1}\u{1F}\u{7F}\u{80}", "ü€😀\u{2028}", "/</script>",
        "a\u{FEFF}", "e\u{301}",
    ]

    /// What Foundation reads.
    private static func read(_ value: JSON) throws -> Any {
        try JSONSerialization.jsonObject(with: Data(value.bytes), options: .fragmentsAllowed)
    }

    @Test(arguments: texts) func aStringIsReadBack(text: String) throws {
        // Compares scalars, because a string equals its other forms of normalization.
        #expect(Array(try #require(Self.read(.string(text)) as? String).unicodeScalars) == Array(text.unicodeScalars))
        #expect(JSONValue(JSON.string(text).bytes) == .string(text))
        #expect(!JSON.string(text).bytes.contains { $0 < 32 }, "an answer is one line")
    }

    @Test func numbersAreNumbers() throws {
        for number in [0, 1, -1, 4_194_304, Int(Int32.max), -9_007_199_254_740_991] {
            #expect(try Self.read(.integer(number)) as? Int == number)
            #expect(JSONValue(JSON.integer(number).bytes)?.integer == number)
        }
        let times: [(Duration, String)] = [
            (.zero, "0.000"), (.milliseconds(7), "0.007"), (.milliseconds(-1250), "-1.250"),
            (.seconds(86_400), "86400.000"),
            (.nanoseconds(999_999), "0.000"), (.seconds(Int64.max), "9223372036.854"),
            (.seconds(Int64.min), "-9223372036.854"),
        ]
        for (time, text) in times {
            #expect(String(decoding: JSON.seconds(time).bytes, as: UTF8.self) == text)
            #expect(try Self.read(.seconds(time)) as? Double == Double(text))
        }
    }

    @Test func arraysAndObjectsKeepTheirOrder() throws {
        let value = JSON.object([
            .init("b", .array([.null, .bool(true), .bool(false), .optional(Int32?.none), .optional(Int32(7))])),
            .init("a\"", .object([])), .init("c", .array([])),
        ])
        #expect(
            String(decoding: value.bytes, as: UTF8.self) == #"{"b":[null,true,false,null,7],"a\"":{},"c":[]}"#)
        let read = try #require(Self.read(value) as? [String: Any])
        #expect(read.keys.sorted() == ["a\"", "b", "c"])
        #expect((read["b"] as? [Any])?.count == 5)
    }

    // MARK: preforkctl's reader

    @Test(arguments: [
        "", " ", "nul", "truee", "[1,]", "[", "{\"a\"}", "{\"a\":1,}", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
        "1 2",
        "\"\n\"", "--1", "{1:2}", "\"\\u+123\"",
    ])
    func whatIsNoJSONIsRefused(text: String) { #expect(JSONValue(text.utf8) == nil) }

    @Test func readsWhatOthersWrite() throws {
        let text = " [ 1.5e3 , \"\\u00fc\\ud83d\\ude00\\/\" ] "
        #expect(JSONValue(text.utf8) == .array([.number(1500), .string("ü😀/")]))
        let nested = { String(repeating: "[", count: $0) + String(repeating: "]", count: $0) }
        #expect(JSONValue(nested(64).utf8) != nil)
        #expect(JSONValue(nested(65).utf8) == nil)
        #expect(JSONValue(nested(1_000_000).utf8) == nil)
        #expect(JSONValue.string("a\u{1B}[31m\u{9B}b\n").text == "a?[31m?b?")
    }
}
