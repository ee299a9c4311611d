import Foundation
package import FunctionModel
import HostSystem
import JWTKit
import Synchronization
import WireText

/// What a JSON Web Token said, once all of it was checked.
package struct Claims: Sendable, Hashable {
    /// As API Gateway hands them to functions: each as text.
    package let all: [String: String]
    package let scopes: [String]
    /// Seconds since 1970.
    fileprivate let expiresAt: Double
    fileprivate let notBefore: Double

    /// Nobody can tell when that is.
    fileprivate func check(now: Double) throws(Failure) {
        guard now < expiresAt else { throw JWTVerifier.refused("it has expired (exp)") }
        guard now >= notBefore else { throw JWTVerifier.refused("it is not valid yet (nbf)") }
    }
}

/// Checks tokens against one rule (RFC 7519; RFC 8725 for what to distrust): the rule says which keys and algorithms there are, and
/// what a token says of its own (`alg`, `jwk`, `jku`, `x5u`) can only fail to fit.
package final class JWTVerifier: Sendable {
    private struct Key: Sendable {
        let id: String?
        let algorithms: [String: any JWTAlgorithm]
    }

    private let rule: JWTRule
    private let keys: [Key]
    private let known: KnownTokens
    private let id = KnownTokens.newID()

    private static let maxBytes = 8 << 10
    /// Keys of one algorithm that are tried for a token that names none.
    private static let maxTried = 4

    /// - Parameter isStrict: whether a key that is none is an error; else it is left out.
    /// - Throws: `Failure` invalid_request for a key that is none.
    init(_ rule: JWTRule, keys: [JSONWebKey], isStrict: Bool = true, known: KnownTokens) async throws {
        self.rule = rule
        self.known = known
        var made: [Key] = []
        for key in keys where key.use == nil || key.use == "sig" {
            do {
                var algorithms: [String: any JWTAlgorithm] = [:]
                for name in try Self.fitting(key) where rule.algorithms.isEmpty || rule.algorithms.contains(name) {
                    algorithms[name] = try await Self.algorithm(name, key)
                }
                made.append(Key(id: key.kid, algorithms: algorithms))
            } catch  where !isStrict {
                continue
            }
        }
        self.keys = made
    }

    /// A shared secret is as long as what is made with it at least (RFC 7518, 3.2).
    private static func fitting(_ key: JSONWebKey) throws -> [String] {
        guard key.kty == "oct" else { return key.algorithms }
        let size = key.k.flatMap { bytes(base64URL: $0.utf8) }?.count ?? 0
        let fitting = key.algorithms.filter { size >= (Int($0.suffix(3)) ?? .max) / 8 }
        guard !fitting.isEmpty else {
            throw Failure(
                .invalidRequest,
                "jwt.jwks: k of a key of type oct is a secret in base64url, of 32 bytes at least for HS256")
        }
        return fitting
    }

    private static func algorithm(_ name: String, _ key: JSONWebKey) async throws -> any JWTAlgorithm {
        let collection = JWTKeyCollection(), id = JWKIdentifier(string: "key")
        do {
            if key.kty == "oct" {
                guard let secret = key.k.flatMap({ bytes(base64URL: $0.utf8) }) else {
                    throw Failure(.invalidRequest, "its k is no base64url")
                }
                let digest: DigestAlgorithm =
                    switch name {
                    case "HS256": .sha256
                    case "HS384": .sha384
                    default: .sha512
                    }
                await collection.add(hmac: HMACKey(from: Data(secret)), digestAlgorithm: digest, kid: id)
            } else {
                var only = key
                only.kid = "key"
                only.alg = name
                let jwk = try JSONDecoder().decode(JWK.self, from: JSONEncoder().encode(only.withoutSecret))
                try await collection.add(jwk: jwk)
            }
            return try await collection.getKey(for: id, alg: name)
        } catch {
            let why = (error as? Failure)?.detail ?? "\(error)"
            throw Failure(
                .invalidRequest,
                "jwt.jwks: the key \(key.kid.map { "\"\(printable($0.prefix(bytes: 80)))\"" } ?? "without kid") cannot be used for \(name): \(printable(why.prefix(bytes: 200)))"
            )
        }
    }

    static func refused(_ why: String) -> Failure { Failure(.unauthorized, "the token is not accepted: \(why)") }

    /// - Parameter token: of the `Authorization` header.
    /// - Throws: `Failure` unauthorized, or forbidden for a missing scope.
    package func claims(of token: String) throws(Failure) -> Claims {
        guard token.utf8.count <= Self.maxBytes, token.isASCII else {
            throw Self.refused("it is longer than \(Self.maxBytes) bytes, or not ASCII")
        }
        let now = Double(wallClockMilliseconds()) / 1000
        if let claims = known.claims(of: token, by: id) {
            try claims.check(now: now)
            return claims
        }
        let claims = try verified(token)
        try claims.check(now: now)
        let missing = rule.scopes.filter { !claims.scopes.contains($0) }
        guard missing.isEmpty else {
            throw Failure(.forbidden, "the token lacks the scope \(missing.joined(separator: ", "))")
        }
        known.add(token, by: id, claims)
        return claims
    }

    /// Whether the token names a key that is not among these: another set may have it.
    func lacksKey(for token: String) -> Bool {
        guard token.utf8.count <= Self.maxBytes, known.claims(of: token, by: id) == nil,
            let first = token.utf8.split(separator: UInt8(ascii: "."), maxSplits: 1).first,
            let kid = Self.header(first)?.kid
        else { return false }
        return !keys.contains { $0.id.map { $0.isSame(as: kid) } ?? true }
    }

    // MARK: - Checking

    /// As short, and as plain, as what is looked for: nobody knows yet whose it is (see `HostileText`).
    private static func header(_ part: some Collection<UInt8>) -> Header? {
        guard let header = bytes(base64URL: part), header.allSatisfy({ $0 < 0x80 }),
            let said = try? JSONDecoder().decode(Header.self, from: Data(header)), said.alg.utf8.count <= 10
        else { return nil }
        return said
    }

    private func verified(_ token: String) throws(Failure) -> Claims {
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let payload = Self.bytes(base64URL: parts[1]),
            let signature = Self.bytes(base64URL: parts[2])
        else { throw Self.refused("it is no signed JSON Web Token") }
        guard let said = Self.header(parts[0]) else { throw Self.refused("its header is none") }
        guard said.crit == nil else { throw Self.refused("it asks for an extension (crit) that is not known") }
        let fitting = keys.filter { $0.algorithms[said.alg] != nil }
        guard !fitting.isEmpty else {
            throw Self.refused("its algorithm \"\(printable(said.alg.prefix(bytes: 20)))\" is not this route's")
        }
        let named = said.kid.map { kid in fitting.filter { $0.id.map { $0.isSame(as: kid) } ?? true } } ?? fitting
        let signed = parts[0].isEmpty ? [] : Array(token.utf8.prefix(parts[0].count + 1 + parts[1].count))
        let isSound = named.prefix(Self.maxTried).contains { key in
            (try? key.algorithms[said.alg]?.verify(signature, signs: signed)) ?? false
        }
        guard isSound else {
            throw Self.refused(named.isEmpty ? "its key (kid) is not known" : "its signature is wrong")
        }
        return try claims(of: payload)
    }

    private func claims(of payload: [UInt8]) throws(Failure) -> Claims {
        guard let said = try? JSONDecoder().decode([String: ClaimValue].self, from: Data(payload)) else {
            throw Self.refused("its payload is no JSON object")
        }
        guard case .text(let issuer)? = said["iss"], issuer.isSame(as: rule.issuer) else {
            throw Self.refused("its issuer (iss) is not this route's")
        }
        let audience = said["aud"]?.texts ?? []
        guard rule.audience.contains(where: { wanted in audience.contains { $0.isSame(as: wanted) } }) else {
            throw Self.refused("it is for somebody else (aud)")
        }
        guard let expiresAt = said["exp"]?.number else { throw Self.refused("it never expires (no exp)") }
        var notBefore = -Double.infinity
        for name in ["nbf", "iat"] {
            guard let claim = said[name] else { continue }
            guard let time = claim.number else { throw Self.refused("its \(name) is no number") }
            notBefore = max(notBefore, name == "nbf" ? time : -.infinity)
        }
        let scopes = (said["scope"] ?? said["scp"])?.words ?? []
        return Claims(
            all: said.mapValues(\.description), scopes: scopes, expiresAt: expiresAt, notBefore: notBefore)
    }

    private struct Header: Decodable {
        var alg: String
        var kid: String?
        var crit: [String]?
    }

    /// Strictly as RFC 7515 has it: no padding, no other letters.
    static func bytes(base64URL text: some Collection<UInt8>) -> [UInt8]? {
        var plain: [UInt8] = []
        plain.reserveCapacity(text.count + 3)
        for byte in text {
            switch byte {
            case UInt8(ascii: "-"): plain.append(UInt8(ascii: "+"))
            case UInt8(ascii: "_"): plain.append(UInt8(ascii: "/"))
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: plain.append(byte)
            default: return nil
            }
        }
        guard plain.count % 4 != 1 else { return nil }
        while plain.count % 4 != 0 { plain.append(UInt8(ascii: "=")) }
        return Data(base64Encoded: Data(plain)).map { Array($0) }
    }
}

/// A claim, of any kind; a token is short, and so is what is in it.
private enum ClaimValue: Decodable, CustomStringConvertible {
    case text(String)
    case number(Double)
    /// Exactly: beyond 2^53 a Double makes two users one.
    case whole(String, Double)
    case flag(Bool)
    case list([ClaimValue])
    case other

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? value.decode(Int64.self) {
            self = .whole("\(number)", Double(number))
        } else if let number = try? value.decode(UInt64.self) {
            self = .whole("\(number)", Double(number))
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if decoder.codingPath.count < 4, let list = try? value.decode([ClaimValue].self) {
            self = .list(list)
        } else {
            self = .other
        }
    }

    var description: String {
        switch self {
        case .text(let text): text
        case .number(let number): "\(number)"
        case .whole(let text, _): text
        case .flag(let flag): flag ? "true" : "false"
        case .list(let list): "[" + list.map(\.description).joined(separator: " ") + "]"
        case .other: ""
        }
    }

    var number: Double? {
        switch self {
        case .number(let number), .whole(_, let number): number
        case .text, .flag, .list, .other: nil
        }
    }

    /// One text, or those of a list.
    var texts: [String] {
        switch self {
        case .text(let text): [text]
        case .list(let list): list.flatMap(\.texts)
        case .number, .whole, .flag, .other: []
        }
    }

    /// Separated by spaces, or a list.
    var words: [String] { texts.flatMap { $0.split(separator: " ").map(String.init) } }
}
