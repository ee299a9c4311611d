import Crypto
package import FunctionModel
import HostSystem
package import Store
import Synchronization

/// Where the secrets of signing keys are kept: unlike a token's hash, they must be known to check with.
package struct KeyVault: Sendable {
    package var secret: @Sendable (_ id: String) -> [UInt8]?
    package var keep: @Sendable (_ id: String, _ secret: [UInt8]) async throws -> Void
    package var remove: @Sendable (_ id: String) async throws -> Void

    package init(
        secret: @escaping @Sendable (String) -> [UInt8]?,
        keep: @escaping @Sendable (String, [UInt8]) async throws -> Void,
        remove: @escaping @Sendable (String) async throws -> Void
    ) {
        self.secret = secret
        self.keep = keep
        self.remove = remove
    }

    /// There is no place for any.
    package static let none = KeyVault(
        secret: { _ in nil }, keep: { _, _ in throw Failure(.conflict, "this host keeps no secrets") },
        remove: { _ in })
}

extension Access {
    /// Makes a key that signs requests. Its secret is told here and never again.
    /// - Throws: what the store says.
    package func makeAWSKey(_ draft: KeyDraft) async throws -> (key: AccessKey, secret: String) {
        let capitals = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
        let all = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        let id = AccessKey.idPrefix + random(16, of: capitals), secret = random(40, of: all)
        let key = AccessKey(
            id: id, name: draft.name, role: draft.role, functions: draft.functions, rate: draft.rate,
            quota: draft.quota, createdAt: timestamp(), expiresAt: draft.expiresAt,
            hash: Self.hash(of: "\(id) \(secret)"))
        // First what it is worth nothing without.
        try await vault.keep(id, Array(secret.utf8))
        try await add(key)
        return (key, secret)
    }

    /// What a request says of its signature: of a key that there is.
    /// - Throws: `SignatureRefused`.
    package func claim(of request: SignedRequest) throws(SignatureRefused) -> SignatureClaim {
        let signature = try SignatureV4(of: request)
        guard key(id: signature.scope.keyID) != nil else { throw .unknownKey }
        try signature.check(now: wallClockMilliseconds() / 1000)
        return SignatureClaim(signature: signature)
    }

    /// The key that has signed a request (AWS Signature Version 4).
    /// - Throws: `SignatureRefused`.
    package func key(signing request: SignedRequest, _ claim: SignatureClaim) throws(SignatureRefused) -> SigningKey {
        let signature = claim.signature
        guard let key = key(id: signature.scope.keyID), let secret = vault.secret(key.id) else {
            throw SignatureRefused.unknownKey
        }
        let signing = signingKeys.key(of: signature.scope, secret: secret)
        try signature.check(request, with: signing, now: wallClockMilliseconds() / 1000)
        signingKeys.keep(signing, of: signature.scope)
        return SigningKey(key: key)
    }

    /// Whose it is.
    /// - Throws: `Failure` as the other.
    package func principal(
        _ signing: SigningKey, needing role: Principal.Role, on function: FunctionName? = nil
    ) throws(Failure) -> Principal {
        try principal(signing.key, needing: role, on: function)
    }

}

/// What a request says of its signature, which nobody has checked yet.
package struct SignatureClaim: Sendable {
    fileprivate let signature: SignatureV4

    /// Of its scope.
    package var region: String { signature.scope.region }
}

/// A key that has signed a request: only who has checked that can make one.
package struct SigningKey: Sendable {
    fileprivate let key: AccessKey
}

/// Keys that signatures of one day, region and service are made with: four hashes each, for every request otherwise.
final class SigningKeys: Sendable {
    private let keys = Mutex<[SignatureV4.Scope: SymmetricKey]>([:])
    private static let most = 1000

    func key(of scope: SignatureV4.Scope, secret: [UInt8]) -> SymmetricKey {
        if let known = keys.withLock({ $0[scope] }) { return known }
        var key = SymmetricKey(data: Array("AWS4".utf8) + secret)
        for part in [scope.date, scope.region, scope.service, "aws4_request"] {
            key = SymmetricKey(data: Array(HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key)))
        }
        return key
    }

    /// Of one whose signature was right: strangers must not fill the place.
    func keep(_ key: SymmetricKey, of scope: SignatureV4.Scope) {
        keys.withLock { keys in
            guard keys[scope] == nil else { return }
            if keys.count >= Self.most { keys = [:] }
            keys[scope] = key
        }
    }
}

private func random(_ count: Int, of letters: [UInt8]) -> String {
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<count).map { _ in letters[Int.random(in: 0..<letters.count, using: &generator)] }
    return String(decoding: bytes, as: UTF8.self)
}
