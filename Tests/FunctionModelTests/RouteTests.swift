import Foundation
import FunctionModel
import Testing

@Suite struct RouteTests {
    @Test(arguments: [
        ("GET /", "GET", 1), ("ANY /users/{id}", nil, 2), ("POST /a/{rest+}", "POST", 2),
        ("M-SEARCH /caf%C3%A9/é/", "M-SEARCH", 3),
        ("GET /{a}/{b}/c", "GET", 3),
    ])
    func patterns(_ text: String, _ method: String?, _ segments: Int) throws {
        let pattern = try RoutePattern(text)
        #expect(pattern.method == method && pattern.segments.count == segments && "\(pattern)" == text)
    }

    @Test(arguments: [
        "", "GET", "/users", "GET users", "get /users", "GET  /users", "GET /users ", "GET /a//b", "GET /{a", "GET /{}",
        "GET /{+}",
        "GET /{a}/{a}", "GET /{a+}/b", "GET /a/../b", "GET /a/%2e%2e", "GET /a/x{b}", "GET /a?b", "GET /a%2Fb",
        "GET /v1/x", "GET /fn/x",
        "ANY /healthz", "GET /2015-03-31/functions", "GET /%761/x", "GET /{a b}", "GET /a\u{7}",
        "GET /" + String(repeating: "a/", count: 600), "GET /" + String(repeating: "a/", count: 40) + "b",
    ])
    func wrongPatterns(_ text: String) {
        let failure = #expect(throws: Failure.self) { try RoutePattern(text) }
        #expect(failure?.outcome == .invalidRequest && failure?.detail.hasPrefix("route: ") ?? false)
    }

    @Test func twinsHaveOneShape() throws {
        func shape(_ text: String) throws -> String { try RoutePattern(text).shape }
        #expect(try shape("GET /users/{id}") == shape("GET /users/{name}"))
        #expect(try shape("GET /caf%C3%A9") == shape("GET /café"))
        let all = [
            "GET /users/{id}", "ANY /users/{id}", "GET /users/{id+}", "GET /users/{id}/", "GET /users/id",
            "GET /users/%7B%7D", "GET /%0Ab", "GET /%AB",
        ]
        #expect(try Set(all.map(shape)).count == all.count)
    }

    private func route(_ members: String) throws -> Route {
        try JSONDecoder().decode(
            Route.self,
            from: Data(#"{"route": "GET /a", "function": "f"\#(members.isEmpty ? "" : ", ")\#(members)}"#.utf8))
    }

    @Test func readAndWritten() throws {
        let plain = try route("")
        #expect(plain.alias == "live" && plain.auth == .token && plain.host == nil && plain.cors == nil)
        // As older hosts have written them.
        #expect(plain.payload == .v2)
        for members in [
            "", #""host": "*.Example.com", "alias": "b", "rate": "10/s", "timeout": "1.5s", "auth": "none""#,
            #""payload": "1.0""#, #""payload": "2.0""#,
            #""cors": {"origins": ["https://*.example.com"], "methods": ["GET"], "headers": ["X-A"], "maxAge": "10m", "credentials": true}"#,
            #""auth": {"hmac": {"header": "X-Hub-Signature-256", "secret": "it is one", "prefix": "sha256="}}"#,
            #""auth": {"jwt": {"issuer": "i", "audience": ["a"], "jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC0xMg"}]}, "scopes": ["s"]}}"#,
            #""auth": {"jwt": {"issuer": "i", "audience": ["a"], "jwks": "https://example.com/jwks.json"}}"#,
        ] {
            let route = try route(members)
            let written = try JSONEncoder().encode(route)
            #expect(try JSONDecoder().decode(Route.self, from: written) == route)
            let shown = String(decoding: try JSONEncoder().encode(route.withoutSecrets), as: UTF8.self)
            #expect(!shown.contains("it is one") && !shown.contains("c2VjcmV0"))
        }
        #expect(try route(#""host": "*.Example.com""#).host == "*.example.com")
        #expect(try route(#""payload": "1.0""#).payload == .v1)
    }

    @Test(arguments: [
        #""auth": "open""#, #""auth": {}"#, #""auth": {"jwt": {}}"#,
        #""auth": {"jwt": {"issuer": "i", "audience": [], "jwks": "https://a"}}"#,
        #""auth": {"jwt": {"issuer": "i", "audience": ["a"], "jwks": {"keys": []}}}"#,
        #""auth": {"jwt": {"issuer": "i", "audience": ["a"], "jwks": "file:///etc/passwd"}}"#,
        #""auth": {"jwt": {"issuer": "i", "audience": ["a"], "jwks": "https://a", "algorithms": ["none"]}}"#,
        #""auth": {"jwt": {"issuer": "i", "audience": ["a"], "jwks": {"keys": [{"kty": "RSA", "alg": "HS256"}]}}}"#,
        #""auth": {"hmac": {"header": "a b", "secret": "12345678"}}"#,
        #""auth": {"hmac": {"header": "a", "secret": "short"}}"#,
        #""auth": {"hmac": {"header": "a", "secret": "12345678", "hash": "md5"}}"#, #""auth": {"jwt": {}, "hmac": {}}"#,
        #""cors": {}"#, #""cors": {"origins": ["example.com"]}"#, #""cors": {"origins": ["*"], "credentials": true}"#,
        #""cors": {"origins": ["https://a/b"]}"#, #""cors": {"origins": ["*"], "headers": ["a\r\nb"]}"#,
        #""cors": {"origins": ["*"], "maxAge": -1}"#, #""cors": {"origins": ["*"], "maxAge": 1e300}"#,
        #""host": "a/b""#, #""host": """#, #""host": "a:80""#, #""rate": "10""#, #""timeout": "0s""#,
        #""timeout": "1d""#, #""timeout": "16m""#,
        #""alias": "a b""#, #""unknown": 1"#, #""alias": 5"#,
        #""payload": "3.0""#, #""payload": "1""#, #""payload": 1.0"#, #""payload": """#, #""payload": ["1.0"]"#,
    ])
    func wrongOnes(_ members: String) {
        let failure = #expect(throws: Failure.self) { try route(members) }
        #expect(failure?.outcome == .invalidRequest)
    }

    @Test func origins() {
        let rule = CORSRule(origins: ["https://app.example.com", "https://*.example.org:8443"])
        #expect(rule.takes("https://app.example.com") && rule.takes("https://a.b.example.org:8443"))
        for other in [
            "http://app.example.com", "https://app.example.com.evil.com", "https://example.org:8443",
            "https://a.example.org",
            "https://xexample.org:8443", "null", "", "https://app.example.com/",
        ] { #expect(!rule.takes(other)) }
        #expect(CORSRule(origins: ["*"]).takes("null"))
        #expect(
            rule.takes(method: "GET", own: "GET") && rule.takes(method: "PUT", own: nil)
                && !rule.takes(method: "PUT", own: "GET"))
    }
}
