import Crypto
package import FunctionModel
import HostSystem
package import Store
import Synchronization

/// Who may do what: keys, in the store for good, in memory for looking up; and the principals that they stand for.
package final class Access: Sendable {
    private struct State {
        var keys: [String: AccessKey]  // by hash
        /// Tokens that were presented and known, by themselves: a hash for each request costs more than the rest of its check.
        var presented: [String: AccessKey] = [:]
        /// By the key's id.
        var buckets: [String: TokenBucket] = [:]
    }

    private let store: any Store
    private let state: Mutex<State>

    private static let maxPresented = 1000

    /// Blocks.
    /// - Throws: what the store says.
    package init(store: any Store) throws {
        self.store = store
        state = Mutex(State(keys: Dictionary(try store.keys().map { ($0.hash, $0) }) { $1 }))
    }

    // MARK: - Who asks

    /// The principal that an `Authorization` header stands for.
    /// - Parameter bearer: nil where a request has none.
    /// - Parameter function: which one it has to do with; nil: with none, or with more than one.
    /// - Throws: `Failure` unauthorized; forbidden when its role does not include `role`, or its functions not `function`;
    ///   throttled beyond its rate.
    package func principal(
        _ bearer: Bearer?, needing role: Principal.Role, on function: FunctionName? = nil
    ) throws(Failure) -> Principal {
        guard let bearer else {
            throw Failure(
                .unauthorized, "this route needs an Authorization: Bearer token; the first is in the host's admin.token"
            )
        }
        guard let token = bearer.token, let key = key(for: token) else {
            throw Failure(.unauthorized, "the token is not known to this host, or was revoked")
        }
        guard key.role.includes(role) else {
            throw Failure(
                .forbidden, "the token \"\(key.name)\" is for \(key.role.rawValue) only; this needs \(role.rawValue)")
        }
        if let expiresAt = key.expiresAt, wallClockMilliseconds() >= expiresAt {
            throw Failure(.unauthorized, "the token \"\(key.name)\" has expired; ask for a new one")
        }
        if let function, !key.functions.includes(function) {
            throw Failure(
                .forbidden,
                "the token \"\(key.name)\" is for functions named \(key.functions.patterns.joined(separator: ", ")) only, and \(function) is none of them"
            )
        }
        if let rate = key.rate { try take(rate, of: key) }
        return .key(Principal.Holder(id: key.id, name: key.name, role: key.role, functions: key.functions))
    }

    private func take(_ rate: Rate, of key: AccessKey) throws(Failure) {
        let now = ContinuousClock.now
        let refused = state.withLock { $0.buckets[key.id, default: TokenBucket(rate, now: now)].take(now) }
        guard let refused else { return }
        var failure = Failure(
            .throttled(retryAfter: refused.secondsToNext),
            "the token \"\(key.name)\" may be used \(rate) and has been; the next use is in \(refused.secondsToNext) s")
        failure.rate = refused
        throw failure
    }

    /// The key a token stands for. Compared by hash: equal time for right and wrong ones.
    package func key(for token: String) -> AccessKey? {
        if let key = state.withLock({ $0.presented[token] }) { return key }
        let hash = Self.hash(of: token)
        return state.withLock { state in
            guard let key = state.keys[hash] else { return nil }
            if state.presented.count >= Self.maxPresented { state.presented = [:] }
            state.presented[token] = key
            return key
        }
    }

    // MARK: - Keys

    /// The oldest first.
    package var keys: [AccessKey] { state.withLock { $0.keys.values.sorted { $0.createdAt < $1.createdAt } } }

    /// Makes a token. It is told here and never again.
    /// - Throws: what the store says.
    package func makeKey(_ draft: KeyDraft) async throws -> (AccessKey, token: String) {
        let token = Self.makeToken()
        return (try await enter(token, draft), token)
    }

    /// Enters a given token, such as the one in `admin.token`.
    /// - Throws: what the store says.
    package func enter(_ token: String, _ draft: KeyDraft) async throws -> AccessKey {
        let hash = Self.hash(of: token)
        if let known = state.withLock({ $0.keys[hash] }) { return known }
        let key = AccessKey(
            id: String(hash.prefix(12)), name: draft.name, role: draft.role, functions: draft.functions,
            rate: draft.rate, createdAt: timestamp(), expiresAt: draft.expiresAt, hash: hash)
        try await store.add(key)
        state.withLock { $0.keys[hash] = key }
        return key
    }

    /// The key of whoever runs the host.
    /// - Parameter token: one that was made earlier; nil: a new one.
    /// - Throws: what the store says.
    package func enterAdmin(_ token: String? = nil) async throws -> String {
        let token = token ?? Self.makeToken()
        var draft = KeyDraft(name: "admin.token")
        draft.role = .admin
        _ = try await enter(token, draft)
        return token
    }

    /// - Returns: false when there is no such key.
    /// - Throws: what the store says.
    package func removeKey(id: String) async throws -> Bool {
        let existed = try await store.removeKey(id: id)
        state.withLock { state in
            state.keys = state.keys.filter { $0.value.id != id }
            state.presented = [:]
            state.buckets[id] = nil
        }
        return existed
    }

    /// SHA-256: tokens are 256 random bits, so that no slow hash is needed against guessing.
    private static func hash(of token: String) -> String { hex(SHA256.hash(data: Array(token.utf8))) }

    private static func makeToken() -> String {
        var generator = SystemRandomNumberGenerator()
        return "bh_" + hex((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }
}
