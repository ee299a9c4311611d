import Dialogues
import FunctionModel
import HTTPTypes
import NIOCore
import Testing

@testable import Gateway

@Suite struct HTTPEventAnswerTests {
    private func answer(_ text: String, _ kind: ResultKind = .json) throws -> HTTPEventAnswer {
        try HTTPEventAnswer(result: ByteBuffer(string: text), kind: kind)
    }

    /// As AWS answers, recorded: a string without its quotes, anything else as it is.
    @Test(arguments: [(#""hello""#, "hello"), (#"["hello",3,true]"#, #"["hello",3,true]"#), (#"{"a":1}"#, #"{"a":1}"#)])
    func withoutStatusCode(_ result: String, _ body: String) throws {
        let answer = try answer(result)
        #expect(answer.status == 200)
        #expect(String(buffer: answer.body) == body)
    }

    @Test func full() throws {
        let answer = try answer(
            #"{"statusCode":"201","headers":{"X-A":1,"content-type":"text/plain"},"cookies":["a=b","c=d"],"body":"aGk=","isBase64Encoded":true}"#
        )
        #expect(answer.status == 201)
        #expect(String(buffer: answer.body) == "hi")
        #expect(answer.headers.filter { $0.0 == .setCookie }.map(\.1) == ["a=b", "c=d"])
        #expect(answer.headers.filter { $0.0 == .contentType }.map(\.1) == ["text/plain"])
    }

    @Test(arguments: [
        #"{"statusCode":99}"#, #"{"statusCode":1000}"#, #"{"statusCode":"x"}"#, #"{"statusCode":null}"#,
        #"{"statusCode":200,"headers":{"a":"b\r\nSet-Cookie: c"}}"#, #"{"statusCode":200,"headers":{"a\nb":"c"}}"#,
        #"{"statusCode":200,"headers":{"":"c"}}"#, #"{"statusCode":200,"headers":{"a":{}}}"#,
        #"{"statusCode":200,"cookies":["a\r\nb: c"]}"#, #"{"statusCode":200,"body":"%%","isBase64Encoded":true}"#,
        #"{"statusCode":200,"body":"====","isBase64Encoded":true}"#,
        #"{"statusCode":200,"body":"a=bc","isBase64Encoded":true}"#,
    ])
    func refuses(_ result: String) {
        let failure = #expect(throws: Failure.self) { try answer(result) }
        #expect(failure?.outcome == .protocolError)
    }

    /// Whatever a library would end the process for, or a client not take, is the function's own fault.
    @Test(arguments: [499, 501, 66_000])
    func countsHeaders(_ count: Int) {
        let headers = (0..<count).map { #""h\#($0)":1"# }.joined(separator: ",")
        let cookies = (0..<count).map { #""c\#($0)=1""# }.joined(separator: ",")
        for text in [#"{"statusCode":200,"headers":{\#(headers)}}"#, #"{"statusCode":200,"cookies":[\#(cookies)]}"#] {
            let answer = try? answer(text)
            #expect((answer != nil) == (count <= HTTPEventAnswer.maxFields))
        }
    }

    @Test(arguments: ["201", "201.0", "2.01e2", #""201""#])
    func statusIsANumber(_ code: String) throws {
        #expect(try answer(#"{"statusCode":\#(code)}"#).status == 201)
    }

    @Test(arguments: ["200.5", "1e308", "-200", "99999999999999999999", "1e999", "[200]", "101", "600"])
    func statusIsNot(_ code: String) {
        #expect(throws: Failure.self) { try answer(#"{"statusCode":\#(code)}"#) }
    }

    @Test func base64MayHaveLines() throws {
        let answer = try answer(#"{"statusCode":200,"body":"aGVs\r\nbG8=\n","isBase64Encoded":true}"#)
        #expect(String(buffer: answer.body) == "hello")
    }

    @Test(arguments: [
        (#""a\n\t\"\\\/\b\f\r""#, "a\n\t\"\\/\u{8}\u{c}\r"), (#""\u00e4\ud83d\ude00""#, "ä😀"),
        (#""\ud83d""#, "\u{FFFD}"),
        (#""""#, ""), (#""ü""#, "ü"),
    ])
    func readsStrings(_ json: String, _ text: String) {
        #expect(JSONMembers.text(ByteBuffer(string: json)).map { String(buffer: $0) } == text)
    }

    /// A function cannot break the framing or pose as the host.
    @Test func reservedHeadersAreDropped() throws {
        let answer = try answer(
            #"{"statusCode":200,"headers":{"content-length":"5","Transfer-Encoding":"chunked","Bulkhead-Outcome":"ok","Clear-Site-Data":"*","X-Accel-Redirect":"/etc","x":"y"}}"#
        )
        #expect(answer.headers.map(\.0.canonicalName) == ["x", "content-type"])
    }
}

@Suite struct HTTPEventBodyTests {
    private func written(_ body: String, _ type: String = "") -> String {
        var event = ByteBuffer()
        HTTPEventBody.write(ByteBuffer(string: body), type: type, to: &event)
        return String(buffer: event)
    }

    @Test func textStandsAsText() {
        #expect(written("a\"\\\n\u{1}ü", "text/plain") == #""body":"a\"\\\n\u0001ü","isBase64Encoded":false"#)
        #expect(written("") == #""isBase64Encoded":false"#)
        #expect(written("hi", "image/png") == #""body":"aGk=","isBase64Encoded":true"#)
    }

    /// Six bytes for one: 16 clients with 6 MiB each made 826 MiB of it.
    @Test func controlCharactersDoNotMultiply() {
        let body = String(repeating: "\u{1}", count: 300_000)
        let event = written(body, "text/plain")
        #expect(event.utf8.count == 400_000 + #""body":"","isBase64Encoded":true"#.utf8.count)
    }
}

@Suite struct HostNamesTests {
    private let names = HostNames(listener: "127.0.0.1", configured: ["api.example.com", "*.apps.example.com"])

    @Test(arguments: [
        nil, "127.0.0.1:8080", "[::1]:8080", "localhost", "LOCALHOST:1", "gateway:8080", "a.localhost",
        "api.example.com",
        "x.apps.example.com:443", "127.0.0.7", "api.example.com.",
    ])
    func accepts(_ authority: String?) { #expect(names.accepts(authority)) }

    @Test(arguments: [
        "evil.com", "api.example.com.evil.com", "apps.example.com", "localhost.evil.com", "1.2.3.4.evil.com", "ä.com",
        "a.b:x", "", "10.0.0.1", "[::2]", "[::1]evil.com", "0x7f000001", "127.1", "a b", "localhost@evil.com",
    ])
    func refuses(_ authority: String) { #expect(!names.accepts(authority)) }
}
