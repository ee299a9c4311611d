import WireText

/// As the API takes and shows it, and the store keeps it: one form for all of them, with every default written out.
extension Route: Codable {
    private enum Keys: String, CodingKey, CaseIterable {
        case route, host, function, alias, auth, cors, rate, timeout, payload, id, updatedAt
    }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.members(
            Keys.self, taken: "a route has route, host, function, alias, auth, cors, rate, timeout and payload")
        guard let text = try members.text(.route) else {
            throw Failure(.invalidRequest, "route: \(RoutePattern.rule); it is missing")
        }
        guard let name = try members.text(.function).flatMap({ FunctionName($0) }) else {
            throw Failure(.invalidRequest, "function: the name of the function that answers, \(FunctionName.rule)")
        }
        self.init(id: try members.text(.id) ?? "", pattern: try RoutePattern(text), function: name)
        updatedAt = try members.text(.updatedAt) ?? ""
        host = try members.text(.host).map(Self.host)
        alias = try members.text(.alias) ?? Alias.live
        guard alias == Alias.latest || Alias.isName(alias) else {
            throw Failure(.invalidRequest, "alias: \(Alias.nameRule)")
        }
        if members.has(.auth) { auth = try members.decode(RouteAuth.self, forKey: .auth) }
        if members.has(.cors) { cors = try members.decode(CORSRule.self, forKey: .cors) }
        rate = try members.text(.rate).map { text in
            guard let rate = Rate(text) else { throw Failure(.invalidRequest, "rate: \(Rate.rule)") }
            return rate
        }
        timeout = try members.text(.timeout).map { text in
            guard let timeout = TimeLimit(text), (1...900_000).contains(timeout.milliseconds) else {
                throw Failure(.invalidRequest, "timeout: \(TimeLimit.rule), at most 15m")
            }
            return timeout
        }
        // Older hosts have not written one.
        if members.has(.payload) {
            let format = (try? members.decode(String.self, forKey: .payload)).flatMap(PayloadFormat.init(rawValue:))
            guard let format else {
                let known = PayloadFormat.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
                throw Failure(.invalidRequest, "payload: API Gateway's format of events and answers, \(known)")
            }
            payload = format
        }
    }

    private static func host(_ text: String) throws -> String {
        let name = text.hasPrefix("*.") ? text.dropFirst(2) : text[...]
        let isSound = (1...253).contains(name.utf8.count) && name.isMade(of: "-._")
        guard isSound, !name.hasPrefix("."), !name.hasSuffix(".") else {
            throw Failure(
                .invalidRequest, "host: a name without port, such as api.example.com or *.example.com; or null")
        }
        return text.lowercased()
    }

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Keys.self)
        try members.encode(id, forKey: .id)
        try members.encode("\(pattern)", forKey: .route)
        try members.encode(host, forKey: .host)
        try members.encode(function.text, forKey: .function)
        try members.encode(alias, forKey: .alias)
        try members.encode(auth, forKey: .auth)
        try members.encode(cors, forKey: .cors)
        try members.encode(rate.map { "\($0)" }, forKey: .rate)
        try members.encode(timeout.map { "\($0)" }, forKey: .timeout)
        try members.encode(payload.rawValue, forKey: .payload)
        try members.encode(updatedAt, forKey: .updatedAt)
    }

    /// What may be told of it.
    package var withoutSecrets: Route {
        var route = self
        switch auth {
        case .hmac(var rule):
            rule.secret = ""
            route.auth = .hmac(rule)
        case .jwt(var rule):
            if case .given(let keys) = rule.keys { rule.keys = .given(keys.map(\.withoutSecret)) }
            route.auth = .jwt(rule)
        case .token, .none: break
        }
        return route
    }
}

extension RouteAuth: Codable {
    private enum Keys: String, CodingKey, CaseIterable { case jwt, hmac }
    private static let rule = #"auth: "token", "none", {"jwt": {…}} or {"hmac": {…}}"#

    package init(from decoder: any Decoder) throws {
        if let word = try? decoder.singleValueContainer().decode(String.self) {
            switch word {
            case "token": self = .token
            case "none": self = .none
            default: throw Failure(.invalidRequest, Self.rule)
            }
            return
        }
        guard let members = try? decoder.container(keyedBy: Keys.self), members.allKeys.count == 1 else {
            throw Failure(.invalidRequest, Self.rule)
        }
        self =
            members.contains(.jwt)
            ? .jwt(try members.decode(JWTRule.self, forKey: .jwt))
            : .hmac(try members.decode(HMACRule.self, forKey: .hmac))
    }

    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .token, .none:
            var word = encoder.singleValueContainer()
            try word.encode(self == .token ? "token" : "none")
        case .jwt(let rule):
            var members = encoder.container(keyedBy: Keys.self)
            try members.encode(rule, forKey: .jwt)
        case .hmac(let rule):
            var members = encoder.container(keyedBy: Keys.self)
            try members.encode(rule, forKey: .hmac)
        }
    }
}

extension JWTRule: Codable {
    private enum Members: String, CodingKey, CaseIterable { case issuer, audience, jwks, scopes, algorithms }
    private struct KeySet: Codable { var keys: [JSONWebKey] }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.members(
            Members.self, taken: "jwt has issuer, audience, jwks, scopes and algorithms")
        guard let issuer = try members.text(.issuer), (1...2000).contains(issuer.utf8.count) else {
            throw Failure(.invalidRequest, "jwt.issuer: what the tokens say as iss")
        }
        let audience = try members.texts(.audience) ?? []
        guard !audience.isEmpty else {
            throw Failure(.invalidRequest, "jwt.audience: a list of which a token's aud must have one")
        }
        let algorithms = try members.texts(.algorithms) ?? []
        if let unknown = algorithms.first(where: { !Self.knownAlgorithms.contains($0) }) {
            throw Failure(
                .invalidRequest,
                "jwt.algorithms: \"\(printable(unknown.prefix(bytes: 40)))\" is none of \(Self.knownAlgorithms.joined(separator: ", "))"
            )
        }
        self.init(
            issuer: issuer, audience: audience, keys: try Self.keys(members, algorithms: algorithms),
            scopes: try members.texts(.scopes) ?? [], algorithms: algorithms)
    }

    private static func keys(_ members: KeyedDecodingContainer<Members>, algorithms: [String]) throws -> Keys {
        if let url = try? members.decode(String.self, forKey: .jwks) {
            guard OutgoingURL(url) != nil else {
                throw Failure(.invalidRequest, "jwt.jwks: \(OutgoingURL.rule), or {\"keys\": […]}")
            }
            return .url(url)
        }
        guard let set = try? members.decode(KeySet.self, forKey: .jwks), (1...maxKeys).contains(set.keys.count) else {
            throw Failure(
                .invalidRequest, "jwt.jwks: an https URL, or a JWK set {\"keys\": […]} of up to \(maxKeys) keys")
        }
        for key in set.keys {
            let fitting = key.algorithms.filter { algorithms.isEmpty || algorithms.contains($0) }
            guard !fitting.isEmpty else {
                let name = key.kid.map { "the key \"\(printable($0.prefix(bytes: 80)))\"" } ?? "a key"
                throw Failure(
                    .invalidRequest,
                    "jwt.jwks: \(name) fits none of the algorithms; known are RSA, EC (P-256, P-384, P-521), OKP (Ed25519) and oct"
                )
            }
        }
        return .given(set.keys)
    }

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Members.self)
        try members.encode(issuer, forKey: .issuer)
        try members.encode(audience, forKey: .audience)
        try members.encode(scopes, forKey: .scopes)
        try members.encode(algorithms, forKey: .algorithms)
        switch keys {
        case .given(let keys): try members.encode(KeySet(keys: keys), forKey: .jwks)
        case .url(let url): try members.encode(url, forKey: .jwks)
        }
    }
}

extension KeyedDecodingContainer {
    /// Whether it is there, and not null.
    package func has(_ key: Key) -> Bool { contains(key) && (try? decodeNil(forKey: key)) == false }

    /// Nil where it is not there, or null.
    /// - Throws: `Failure` invalid_request.
    package func text(_ key: Key) throws -> String? {
        guard has(key) else { return nil }
        guard let text = try? decode(String.self, forKey: key) else {
            throw Failure(.invalidRequest, "\(key.stringValue): a string is wanted")
        }
        return text
    }

    /// Up to a hundred, none of them long.
    /// - Throws: `Failure` invalid_request.
    package func texts(_ key: Key) throws -> [String]? {
        guard has(key) else { return nil }
        guard let list = try? decode([String].self, forKey: key), list.count <= 100,
            list.allSatisfy({ (1...1000).contains($0.utf8.count) })
        else { throw Failure(.invalidRequest, "\(key.stringValue): a list of up to 100 strings is wanted") }
        return list
    }
}
