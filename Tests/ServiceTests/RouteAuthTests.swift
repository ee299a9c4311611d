import Access
import Foundation
import FunctionModel
import Testing

/// Tokens themselves are made by another library, and tried from outside: see Tests/Acceptance/test_routes.py.
@Suite struct RouteAuthTests {
    private func access() throws -> Access { try Access(store: MemoryStore()) }

    /// From https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    @Test func aBodySignedAsGitHubDoes() throws {
        var rule = HMACRule(header: "x-hub-signature-256", secret: "It's a Secret to Everybody")
        rule.prefix = "sha256="
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            body = Array("Hello, World!".utf8)
        try rule.check(good, body: body)
        try rule.check("sha256=" + good.dropFirst(7).uppercased(), body: body)
        for wrong in [
            nil, "", "sha256=", good + "00", String(good.dropLast()), String(good.dropFirst(7)),
            "sha1=" + good.dropFirst(7),
            "sha256=" + String(repeating: "0", count: 64), "sha256=zz", "sha256=+7",
            String(repeating: "a", count: 100_000),
        ] {
            let failure = #expect(throws: Failure.self) { try rule.check(wrong, body: body) }
            #expect(failure?.outcome == .unauthorized)
        }
        #expect(throws: Failure.self) { try rule.check(good, body: Array("Hello, World?".utf8)) }
        rule.secret = "It's a Secret to Somebody"
        #expect(throws: Failure.self) { try rule.check(good, body: body) }
    }

    /// The signature was made with openssl: `printf '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test_secret`.
    @Test func aBodySignedAsStripeDoes() throws {
        var rule = HMACRule(header: "stripe-signature", secret: "whsec_test_secret")
        rule.scheme = .timestamped
        let good = "ceb8863f7208fa249a6cd8f951e993c7563412aca65866f6272283debe143ab3"
        func check(_ header: String, now: Int = 1_700_000_100) throws {
            try rule.check(header, body: Array("{}".utf8), now: now)
        }
        try check("t=1700000000,v1=\(good)")
        try check("t=1700000000, v0=aa, v1=00, v1=\(good)")
        for wrong in [
            "t=1700000000", "v1=\(good)", "t=1700000001,v1=\(good)", "t=,v1=\(good)",
            "t=99999999999999999999,v1=\(good)",
            "t=-9223372036854775808,v1=\(good)", "t=1700000000,v0=\(good)",
        ] { #expect(throws: Failure.self) { try check(wrong) } }
        for now in [1_700_000_301, 1_699_999_699] {
            #expect(throws: Failure.self) { try check("t=1700000000,v1=\(good)", now: now) }
        }
    }

    @Test func aRateIsTheRoutes() throws {
        let access = try access()
        var route = Route(id: "r", pattern: try RoutePattern("GET /a"), function: try functionName("a"))
        for _ in 0..<5 { try access.take(of: route) }
        route.rate = Rate("2/d")
        for _ in 0..<2 { try access.take(of: route) }
        let failure = #expect(throws: Failure.self) { try access.take(of: route) }
        #expect(failure?.outcome == .throttled && failure?.rate?.rate == Rate("2/d"))
        route.rate = Rate("3/d")
        try access.take(of: route)
    }

    /// From RFC 7515, appendix A.1: its key, its token.
    @Test func aTokenOfTheRFC() async throws {
        let key = JSONWebKey(
            kty: "oct", k: "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        let token =
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        let rule = JWTRule(issuer: "joe", audience: ["a"], keys: .given([key]))
        let access = try access()
        let route = Route(id: "r", pattern: try RoutePattern("GET /a"), function: try functionName("a"))
        func why(_ token: String, _ rule: JWTRule) async -> String {
            do {
                _ = try await access.claims(of: Bearer("Bearer \(token)", longest: 9000), by: rule, for: route)
                return "taken"
            } catch {
                return (error as? Failure)?.detail ?? "\(error)"
            }
        }
        // It is signed rightly, but for nobody.
        #expect(await why(token, rule).contains("(aud)"))
        #expect(await why(token.replacing("dBjf", with: "eBjf"), rule).contains("signature"))
        #expect(await why("eyJhbGciOiJub25lIn0." + token.split(separator: ".")[1] + ".", rule).contains("algorithm"))
        var other = rule
        other.algorithms = ["HS512"]
        #expect(await why(token, other).contains("algorithm"))
        #expect(await why("a.b", rule).contains("no signed"))
        #expect(await why("", rule).contains("needs"))
    }

    @Test(arguments: [
        JSONWebKey(kty: "RSA", n: "AQAB", e: "AQAB"), JSONWebKey(kty: "RSA"),
        JSONWebKey(kty: "EC", crv: "P-256", x: "AA", y: "AA"),
        JSONWebKey(kty: "OKP", crv: "Ed25519", x: "AA"), JSONWebKey(kty: "oct", k: "c2hvcnQ"),
        JSONWebKey(kty: "oct", k: "?"),
    ])
    func keysThatAreNone(_ key: JSONWebKey) async throws {
        let rule = JWTRule(issuer: "i", audience: ["a"], keys: .given([key]))
        let access = try access()
        let failure = await #expect(throws: Failure.self) { try await access.check(rule) }
        #expect(failure?.outcome == .invalidRequest)
    }
}
