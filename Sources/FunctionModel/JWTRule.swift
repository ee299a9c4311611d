/// What a JSON Web Token must be (RFC 7519, RFC 8725): what is not named here is not taken, whatever the token says of itself.
package struct JWTRule: Sendable, Hashable {
    /// Where the keys come from.
    package enum Keys: Sendable, Hashable {
        case given([JSONWebKey])
        /// A JWK set's.
        case url(String)
    }

    /// `iss`.
    package var issuer: String
    /// One of these must be in `aud`.
    package var audience: [String]
    package var keys: Keys
    /// Each must be in `scope` or `scp`.
    package var scopes: [String]
    /// `alg`; empty: what each key's own `alg` says, or its type.
    package var algorithms: [String]

    package init(
        issuer: String, audience: [String], keys: Keys, scopes: [String] = [], algorithms: [String] = []
    ) {
        self.issuer = issuer
        self.audience = audience
        self.keys = keys
        self.scopes = scopes
        self.algorithms = algorithms
    }

    package static let maxKeys = 100
    /// Those that are known, RFC 7518 and RFC 8037. `none` is not among them.
    package static let knownAlgorithms = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
        "EdDSA",
    ]
}

/// A key as RFC 7517 and RFC 7518 have it: public, or a shared secret.
package struct JSONWebKey: Sendable, Hashable, Codable {
    package var kty: String
    package var kid: String?
    package var alg: String?
    package var use: String?
    package var crv: String?
    package var n: String?
    package var e: String?
    package var x: String?
    package var y: String?
    /// The secret of a shared one.
    package var k: String?

    package init(
        kty: String, kid: String? = nil, alg: String? = nil, use: String? = nil, crv: String? = nil, n: String? = nil,
        e: String? = nil, x: String? = nil, y: String? = nil, k: String? = nil
    ) {
        (self.kty, self.kid, self.alg, self.use, self.crv) = (kty, kid, alg, use, crv)
        (self.n, self.e, self.x, self.y, self.k) = (n, e, x, y, k)
    }

    /// What may be told of it.
    package var withoutSecret: JSONWebKey {
        var key = self
        key.k = nil
        return key
    }

    /// Which algorithms it may be used with: what it says itself, or what its type is for, so that no token can have a public key
    /// taken for a shared secret.
    package var algorithms: [String] {
        let fitting: [String] =
            switch (kty, crv) {
            case ("RSA", _): ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
            case ("EC", "P-256"): ["ES256"]
            case ("EC", "P-384"): ["ES384"]
            case ("EC", "P-521"): ["ES512"]
            case ("OKP", "Ed25519"): ["EdDSA"]
            case ("oct", _): ["HS256", "HS384", "HS512"]
            default: []
            }
        return alg.map { fitting.contains($0) ? [$0] : [] } ?? fitting
    }
}
