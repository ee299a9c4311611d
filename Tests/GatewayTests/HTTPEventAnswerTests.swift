import FunctionModel
import HTTPTypes
import NIOCore
import Testing
import WorkerProtocol

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
    ])
    func refuses(_ result: String) {
        let failure = #expect(throws: Failure.self) { try answer(result) }
        #expect(failure?.outcome == .protocolError)
    }

    /// A function cannot break the framing or pose as the host.
    @Test func reservedHeadersAreDropped() throws {
        let answer = try answer(
            #"{"statusCode":200,"headers":{"content-length":"5","Transfer-Encoding":"chunked","Bulkhead-Outcome":"ok","Clear-Site-Data":"*","X-Accel-Redirect":"/etc","x":"y"}}"#
        )
        #expect(answer.headers.map(\.0.canonicalName) == ["x", "content-type"])
    }
}
