import FunctionModel
import Testing
import WireText

@Suite struct JSONTextTests {
    private func problem(_ text: String) -> String? {
        Array(text.utf8).withUnsafeBytes { JSONText.problem(in: $0) }
    }

    @Test(arguments: [
        "null", " true ", "0", "-0.5e+10", "\"\"", #""a\u00e9\n\"""#, "[]", "{}", "[1,[2,{\"a\":[]}],3]",
        #"{"a":{"b":{"c":[1,2,{"d":null}]}},"e":"ü"}"#, "[\n1 ,\t2\r]",
    ])
    func accepts(_ text: String) { #expect(problem(text) == nil) }

    @Test(arguments: [
        "", " ", "nul", "nulls", "01", "1.", ".5", "+1", "1e", "\"", "\"\\x\"", "\"\\u12\"", "\"\n\"", "[", "[1", "[1,",
        "[1,]",
        "[,1]", "{", "{1:2}", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, "[1] 2", "[1}", "'a'", "NaN", "1 2", "\u{0}",
    ])
    func refuses(_ text: String) { #expect(problem(text) != nil) }

    @Test func refusesWhatIsNotUTF8() {
        let bytes: [UInt8] = [0x22, 0xFF, 0x22]
        #expect(bytes.withUnsafeBytes { JSONText.problem(in: $0) } != nil)
    }

    /// A million brackets must not overflow anybody's stack.
    @Test func refusesDeepNesting() {
        let deep = String(repeating: "[", count: 1_000_000) + String(repeating: "]", count: 1_000_000)
        #expect(problem(deep)?.contains("nested") == true)
        let most =
            String(repeating: "[", count: JSONScanner.deepest) + String(repeating: "]", count: JSONScanner.deepest)
        #expect(problem(most) == nil)
    }

    @Test func findsMembers() throws {
        let text = Array(#" {"id": 7 , "result":{"a":[1,{"b":2}],"c":3},"x":"}"} "#.utf8)
        let members = try #require(text.withUnsafeBytes { JSONText.members(of: $0) })
        #expect(
            members.mapValues { String(decoding: text[$0], as: UTF8.self) } == [
                "id": "7", "result": #"{"a":[1,{"b":2}],"c":3}"#, "x": #""}""#,
            ])
    }

    /// However the bytes are cut, what is found is the same.
    @Test func anyCutFindsTheSame() {
        let text = Array(#"{"a\u0041":-1.5e+3,"b":[true,null,{"c":"\""}],"d":"ü"}"#.utf8)
        let whole = text.withUnsafeBytes { JSONText.members(of: $0) }
        #expect(whole?.count == 3)
        for cut in 0...text.count {
            var scanner = JSONScanner(maxMembers: 10)
            text[..<cut].withUnsafeBytes { scanner.read($0) }
            text[cut...].withUnsafeBytes { scanner.read($0) }
            #expect(scanner.finish() == nil)
            #expect(scanner.members == whole)
        }
    }

    @Test func countsMembers() {
        let text = Array(#"{"a":1,"b":2,"c":3}"#.utf8)
        #expect(text.withUnsafeBytes { JSONText.members(of: $0, most: 3) } != nil)
        #expect(text.withUnsafeBytes { JSONText.members(of: $0, most: 2) } == nil)
    }

    @Test(
        arguments: [
            [0xC2, 0x80], [0xE0, 0xA0, 0x80], [0xED, 0x9F, 0xBF], [0xF0, 0x90, 0x80, 0x80], [0xF4, 0x8F, 0xBF, 0xBF],
            [0x41],
        ] as [[UInt8]])
    func isText(_ bytes: [UInt8]) { #expect(bytes.withUnsafeBytes(isUTF8)) }

    @Test(
        arguments: [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xC2], [0xE1, 0x80], [0xC2, 0x41],
        ] as [[UInt8]])
    func isNoText(_ bytes: [UInt8]) { #expect(!bytes.withUnsafeBytes(isUTF8)) }

    @Test(arguments: [#"{"a":1,"a":2}"#, "[]", "7", #"{"a":1} x"#, "{", ""])
    func membersRefuse(_ text: String) {
        #expect(Array(text.utf8).withUnsafeBytes { JSONText.members(of: $0) } == nil)
    }
}
