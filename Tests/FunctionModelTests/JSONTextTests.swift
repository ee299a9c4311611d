import FunctionModel
import Testing

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
        let most = String(repeating: "[", count: JSONText.deepest) + String(repeating: "]", count: JSONText.deepest)
        #expect(problem(most) == nil)
    }

    @Test func findsMembers() throws {
        let text = Array(#" {"id": 7 , "result":{"a":[1,2]},"x":"}"} "#.utf8)
        let members = try #require(text.withUnsafeBytes { JSONText.members(of: $0) })
        #expect(
            members.mapValues { String(decoding: text[$0], as: UTF8.self) } == [
                "id": "7", "result": #"{"a":[1,2]}"#, "x": #""}""#,
            ])
    }

    @Test(arguments: [#"{"a":1,"a":2}"#, "[]", "7", #"{"a":1} x"#, "{", ""])
    func membersRefuse(_ text: String) {
        #expect(Array(text.utf8).withUnsafeBytes { JSONText.members(of: $0) } == nil)
    }
}
