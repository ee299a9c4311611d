import Foundation
import FunctionModel
import HTTPTypes
import NIOCore
import Testing

@testable import Gateway

/// API Gateway's payload format 1.0, as its documentation shows it.
@Suite struct HTTPEventV1Tests {
    private func source(_ fields: [(String, String)] = []) throws -> HTTPEvent.Source {
        var headers = HTTPFields()
        for (name, value) in fields {
            headers.append(HTTPField(name: try #require(HTTPField.Name(name)), value: value))
        }
        return HTTPEvent.Source(
            method: "POST", path: "/items/7", query: "", parameters: [], authority: "api.example.com",
            headers: headers,
            connection: .init(
                peer: "10.0.0.1", clientAddress: "192.0.2.7", isProxy: false, port: 8080, scheme: "http"),
            invocationID: "i-1", function: try #require(FunctionName("items")),
            now: Date(timeIntervalSince1970: 1_583_348_638.5),
            routed: .init(key: "POST /items/{id}", parameters: [:]))
    }

    private func written(_ source: HTTPEvent.Source, _ body: String = "", _ type: String = "text/plain") -> String {
        String(buffer: RequestEvent(source, as: .v1).encoded(body: ByteBuffer(string: body), type: type))
    }

    private static let identity =
        #""identity":{"accessKey":null,"accountId":null,"caller":null,"cognitoAuthenticationProvider":null,"#
        + #""cognitoAuthenticationType":null,"cognitoIdentityId":null,"cognitoIdentityPoolId":null,"#
        + #""principalOrgId":null,"sourceIp":"192.0.2.7","user":null,"userAgent":"test/1","userArn":null}"#

    @Test func everyMember() throws {
        var source = try source([
            ("User-Agent", "test/1"), ("X-Twice", "one"), ("Cookie", "a=1"), ("x-twice", "two"), ("Cookie", "b=2"),
            ("x-forwarded-for", "203.0.113.9"), ("X-Forwarded-Proto", "https"),
        ])
        source.query = "x=1&y=a&x=2"
        source.parameters = [("x", "1"), ("y", "a"), ("x", "2")]
        source.routed?.parameters = ["id": "7"]
        source.authorizer = .jwt(claims: ["sub": "somebody"], scopes: ["read"])
        let expected = [
            #"{"version":"1.0","resource":"/items/{id}","path":"/items/7","httpMethod":"POST","#,
            #""headers":{"Host":"api.example.com","User-Agent":"test/1","X-Twice":"two","Cookie":"a=1; b=2","#,
            #""X-Forwarded-For":"203.0.113.9, 10.0.0.1","X-Forwarded-Proto":"http","X-Forwarded-Port":"8080"},"#,
            #""multiValueHeaders":{"Host":["api.example.com"],"User-Agent":["test/1"],"X-Twice":["one","two"],"#,
            #""Cookie":["a=1; b=2"],"X-Forwarded-For":["203.0.113.9, 10.0.0.1"],"X-Forwarded-Proto":["http"],"#,
            #""X-Forwarded-Port":["8080"]},"queryStringParameters":{"x":"2","y":"a"},"#,
            #""multiValueQueryStringParameters":{"x":["1","2"],"y":["a"]},"#,
            #""requestContext":{"accountId":"123456789012","apiId":"items","#,
            #""authorizer":{"claims":{"sub":"somebody"},"scopes":["read"]},"#,
            #""domainName":"api.example.com","domainPrefix":"items","extendedRequestId":"i-1","httpMethod":"POST","#,
            Self.identity, #","path":"/items/7","protocol":"HTTP/1.1","requestId":"i-1","#,
            #""requestTime":"04/Mar/2020:19:03:58 +0000","requestTimeEpoch":1583348638500,"#,
            #""resourceId":"POST /items/{id}","resourcePath":"/items/{id}","stage":"$default"},"#,
            #""pathParameters":{"id":"7"},"stageVariables":null,"body":"hi","isBase64Encoded":false}"#,
        ].joined()
        #expect(written(source, "hi") == expected)
    }

    @Test func whatIsNotThereIsNull() throws {
        let event = written(try source())
        let nulls = [
            "queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body",
            "userAgent",
        ]
        for name in nulls { #expect(event.contains("\"\(name)\":null"), "\(name)") }
        #expect(!event.contains("authorizer") && !event.contains("cookies") && !event.contains("Cookie"))
        #expect(event.hasSuffix(#""body":null,"isBase64Encoded":false}"#))
    }

    @Test func bytesAreInBase64() throws {
        #expect(written(try source(), "hi", "image/png").hasSuffix(#""body":"aGk=","isBase64Encoded":true}"#))
        var begun = RequestEvent(try source(), as: .v1).beginning()
        begun.writeString("aGk=")
        begun.writeImmutableBuffer(RequestEvent.end)
        #expect(String(buffer: begun).hasSuffix(#""stageVariables":null,"isBase64Encoded":true,"body":"aGk="}"#))
    }

    /// Two names that look the same are two: told by their bytes, as JSON has it.
    @Test func parametersAreToldByTheirBytes() throws {
        var source = try source()
        source.parameters = [("caf\u{e9}", "1"), ("cafe\u{301}", "2")]
        #expect(written(source).contains("\"queryStringParameters\":{\"caf\u{e9}\":\"1\",\"cafe\u{301}\":\"2\"}"))
    }

    /// Who stands in front is believed, and its words stay.
    @Test func behindAProxy() throws {
        var source = try source([("x-forwarded-proto", "https"), ("x-forwarded-port", "443")])
        source.connection.isProxy = true
        let event = written(source)
        #expect(event.contains(#""X-Forwarded-Proto":"https","X-Forwarded-Port":"443""#))
    }
}

/// What a function answers in format 1.0.
@Suite struct HTTPEventAnswerV1Tests {
    private func answer(_ text: String, _ kind: ResultKind = .json) throws -> HTTPEventAnswer {
        try HTTPEventAnswer(result: ByteBuffer(string: text), kind: kind, as: .v1)
    }

    private func values(_ answer: HTTPEventAnswer, _ name: String) -> [String] {
        answer.headers.filter { $0.0.canonicalName == name }.map(\.1)
    }

    @Test func full() throws {
        let answer = try answer(
            #"{"statusCode":201,"headers":{"X-A":1},"multiValueHeaders":{"Set-Cookie":["a=b","c=d"],"x-n":[1,true,"t"]},"body":"aGk=","isBase64Encoded":true}"#
        )
        #expect(answer.status == 201 && String(buffer: answer.body) == "hi")
        #expect(values(answer, "set-cookie") == ["a=b", "c=d"] && values(answer, "x-n") == ["1", "true", "t"])
        #expect(values(answer, "x-a") == ["1"] && values(answer, "content-type") == ["application/json"])
    }

    /// "API Gateway merges them into a single list"; a pair that stands in both is there once.
    @Test(arguments: [
        (#""headers":{"x":"1"},"multiValueHeaders":{"X":["2","3"]}"#, ["2", "3", "1"]),
        (#""headers":{"X":"3"},"multiValueHeaders":{"x":["2","3"]}"#, ["2", "3"]),
        (#""headers":{"x":"1"},"multiValueHeaders":null"#, ["1"]),
        (#""headers":null,"multiValueHeaders":{"x":[],"y":["1"]}"#, []),
        (#""multiValueHeaders":{"x":null}"#, []),
    ])
    func merged(_ members: String, _ expected: [String]) throws {
        #expect(values(try answer(#"{"statusCode":200,\#(members)}"#), "x") == expected)
    }

    /// Which is what its clients look for: a result that is no answer is the function's error.
    @Test(arguments: [
        "{}", #"{"body":"hi"}"#, #""hello""#, "null", "[200]", "5", #"{"statusCode":"x"}"#, #"{"statusCode":null}"#,
        #"{"statusCode":200,"multiValueHeaders":{"x":"1"}}"#, #"{"statusCode":200,"multiValueHeaders":{"x":[null]}}"#,
        #"{"statusCode":200,"multiValueHeaders":{"x":[["1"]]}}"#, #"{"statusCode":200,"multiValueHeaders":[]}"#,
        #"{"statusCode":200,"multiValueHeaders":{"x":["a\r\nb: c"]}}"#,
        #"{"statusCode":200,"multiValueHeaders":{"":["a"]}}"#,
    ])
    func refuses(_ result: String) {
        let failure = #expect(throws: Failure.self) { try answer(result) }
        #expect(failure?.outcome == .protocolError)
    }

    @Test(arguments: [ResultKind.text, .bytes])
    func refusesWhatIsNoJSON(_ kind: ResultKind) {
        #expect(throws: Failure.self) { try answer("plain", kind) }
    }

    @Test(arguments: [499, 501, 66_000])
    func countsHeaders(_ count: Int) {
        let values = (0..<count).map { "\($0)" }.joined(separator: ",")
        let answer = try? answer(#"{"statusCode":200,"multiValueHeaders":{"x":[\#(values)]}}"#)
        #expect((answer != nil) == (count <= HTTPEventAnswer.maxFields))
    }

    @Test func cookiesAreFormat2s() throws {
        #expect(values(try answer(#"{"statusCode":200,"cookies":["a=b"]}"#), "set-cookie") == [])
        let head = ByteBuffer(string: #"{"statusCode":202,"multiValueHeaders":{"Set-Cookie":["a=b","c=d"]}}"#)
        let begun = try HTTPEventAnswer(head: head, as: .v1)
        #expect(begun.status == 202 && values(begun, "set-cookie") == ["a=b", "c=d"])
    }
}

/// A request that somebody's key has signed.
@Suite struct SignedEventTests {
    @Test func tellsWhoHasSigned() throws {
        var source = HTTPEvent.Source(
            method: "GET", path: "/", query: "", parameters: [], authority: "localhost", headers: HTTPFields(),
            connection: .init(peer: "::1", clientAddress: "::1", isProxy: false, port: 80, scheme: "http"),
            invocationID: "i", function: try #require(FunctionName("f")), now: Date(timeIntervalSince1970: 0))
        func event() -> String { String(buffer: RequestEvent(source, as: .v2).encoded(body: ByteBuffer(), type: "")) }
        #expect(event().contains(#""accountId":"anonymous""#) && !event().contains("authorizer"))
        source.authorizer = .iam(Principal.Holder(id: "AKIA1", name: "laptop", role: .invoke))
        #expect(
            event().contains(
                #""authorizer":{"iam":{"accessKey":"AKIA1","accountId":"123456789012","callerId":"AKIA1","cognitoIdentity":null,"principalOrgId":null,"userArn":"arn:aws:iam::123456789012:user/laptop","userId":"AKIA1"}}"#
            ))
        #expect(event().contains(#""requestContext":{"accountId":"123456789012""#))
    }
}
