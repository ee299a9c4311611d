import WireText

/// From which other origins a browser's pages may use a route (https://fetch.spec.whatwg.org/#http-cors-protocol).
package struct CORSRule: Sendable, Hashable {
    /// `https://app.example.com`, `https://*.example.com`, or `*`.
    package var origins: [String]
    /// Empty: the route's own.
    package var methods: [String] = []
    /// In lower case; `*` too.
    package var headers = ["content-type", "authorization"]
    /// Of the answer, for the page to read.
    package var exposeHeaders: [String] = []
    package var credentials = false
    /// In seconds.
    package var maxAge = 300

    package init(origins: [String]) { self.origins = origins }

    /// Whether pages of this origin may.
    package func takes(_ origin: String) -> Bool {
        origins.contains { pattern in
            if pattern == "*" || pattern.isSame(as: origin) { return true }
            guard let star = pattern.firstRange(of: "://*.") else { return false }
            let scheme = pattern[..<star.lowerBound] + "://", domain = "." + pattern[star.upperBound...]
            guard origin.utf8.starts(with: scheme.utf8), origin.utf8.count > scheme.utf8.count + domain.utf8.count
            else { return false }
            return origin.utf8.suffix(domain.utf8.count).elementsEqual(domain.utf8)
        }
    }

    /// - Parameter own: the route's; nil: any.
    package func takes(method: String, own: String?) -> Bool {
        methods.isEmpty ? own == nil || own == method : methods.contains("*") || methods.contains(method)
    }
}

extension CORSRule: Codable {
    private enum Keys: String, CodingKey, CaseIterable {
        case origins, methods, headers, exposeHeaders, credentials, maxAge
    }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.members(
            Keys.self, taken: "cors has origins, methods, headers, exposeHeaders, credentials and maxAge")
        let origins = try members.texts(.origins) ?? []
        guard !origins.isEmpty, origins.allSatisfy(Self.isOrigin) else {
            throw Failure(
                .invalidRequest,
                "cors.origins: a list of \"https://app.example.com\", \"https://*.example.com\" or \"*\", without a path"
            )
        }
        self.init(origins: origins)
        methods = try members.texts(.methods) ?? methods
        headers = try members.texts(.headers)?.map { $0.lowercased() } ?? headers
        exposeHeaders = try members.texts(.exposeHeaders) ?? exposeHeaders
        guard (methods + headers + exposeHeaders).allSatisfy(Self.isToken) else {
            throw Failure(.invalidRequest, "cors: methods and headers are single words, or \"*\"")
        }
        if members.has(.credentials) {
            guard let flag = try? members.decode(Bool.self, forKey: .credentials) else {
                throw Failure(.invalidRequest, "cors.credentials: true or false")
            }
            credentials = flag
        }
        guard !credentials || !origins.contains(where: { ["*", "null"].contains($0) }) else {
            throw Failure(
                .invalidRequest,
                "cors.credentials: with the origin \"*\" or \"null\" every page could act as its visitor; name origins")
        }
        if members.has(.maxAge) { maxAge = try Self.seconds(members) }
    }

    private static func seconds(_ members: KeyedDecodingContainer<Keys>) throws -> Int {
        let number = try? members.decode(Int.self, forKey: .maxAge)
        let text = try? members.decode(String.self, forKey: .maxAge)
        guard let seconds = number ?? text.flatMap({ TimeLimit($0) }).map({ $0.milliseconds / 1000 }),
            (0...86_400).contains(seconds)
        else { throw Failure(.invalidRequest, "cors.maxAge: seconds, from 0 to 86400") }
        return seconds
    }

    private static func isToken(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"\"(),/:;<=>?@[\\]{}".utf8.contains($0) }
    }

    private static func isOrigin(_ text: String) -> Bool {
        if text == "*" || text == "null" { return true }
        guard let colon = text.firstRange(of: "://"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return false
        }
        let host = text[colon.upperBound...]
        let name = host.dropFirst(host.hasPrefix("*.") ? 2 : 0)
        return !name.isEmpty && !name.hasPrefix(".") && !name.contains { $0 == "/" || $0 == "*" }
    }
}

/// How a body is signed with a shared secret, as webhooks are.
package struct HMACRule: Sendable, Hashable {
    package enum Scheme: String, Sendable, Hashable, Codable, CaseIterable {
        /// The header is the prefix and the signature of the body: GitHub, Shopify and most others.
        case body
        /// `t=1700000000,v1=…`, of the time, a dot and the body: Stripe.
        case timestamped
    }
    package enum Encoding: String, Sendable, Hashable, Codable, CaseIterable { case hex, base64 }
    package enum Hash: String, Sendable, Hashable, Codable, CaseIterable { case sha1, sha256, sha512 }

    /// In lower case.
    package var header: String
    package var secret: String
    package var prefix = ""
    package var scheme = Scheme.body
    package var encoding = Encoding.hex
    package var hash = Hash.sha256
    /// In seconds: how old a signed time may be.
    package var tolerance = 300

    package init(header: String, secret: String) {
        self.header = header
        self.secret = secret
    }
}

extension HMACRule: Codable {
    private enum Keys: String, CodingKey, CaseIterable {
        case header, secret, prefix, scheme, encoding, hash, tolerance
    }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.members(
            Keys.self, taken: "hmac has header, secret, prefix, scheme, encoding, hash and tolerance")
        guard let header = try members.text(.header)?.lowercased(), (1...100).contains(header.utf8.count),
            header.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ":") })
        else { throw Failure(.invalidRequest, "hmac.header: the signature's, such as x-hub-signature-256") }
        guard let secret = try members.text(.secret), (8...1000).contains(secret.utf8.count) else {
            throw Failure(.invalidRequest, "hmac.secret: what both sides share, 8 to 1000 bytes")
        }
        self.init(header: header, secret: secret)
        prefix = try members.text(.prefix) ?? prefix
        scheme = try members.word(.scheme) ?? scheme
        encoding = try members.word(.encoding) ?? encoding
        hash = try members.word(.hash) ?? hash
        if members.has(.tolerance) {
            guard let seconds = try? members.decode(Int.self, forKey: .tolerance), (1...86_400).contains(seconds) else {
                throw Failure(.invalidRequest, "hmac.tolerance: seconds, from 1 to 86400")
            }
            tolerance = seconds
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Keys.self)
        try members.encode(header, forKey: .header)
        // A masked one is not shown at all.
        if !secret.isEmpty { try members.encode(secret, forKey: .secret) }
        try members.encode(prefix, forKey: .prefix)
        try members.encode(scheme, forKey: .scheme)
        try members.encode(encoding, forKey: .encoding)
        try members.encode(hash, forKey: .hash)
        try members.encode(tolerance, forKey: .tolerance)
    }
}

extension KeyedDecodingContainer {
    /// One of a few words.
    fileprivate func word<Word: RawRepresentable & CaseIterable>(_ key: Key) throws -> Word?
    where Word.RawValue == String {
        guard let text = try text(key) else { return nil }
        guard let word = Word(rawValue: text) else {
            throw Failure(
                .invalidRequest, "\(key.stringValue): \(Word.allCases.map(\.rawValue).joined(separator: " or "))")
        }
        return word
    }
}
