import Crypto
package import FunctionModel
import HostSystem
package import Store
import Synchronization

/// Who may do what: keys, in the store for good, in memory for looking up; and the principals that they stand for.
package final class Access: Sendable {
    private struct State {
        var keys: [String: AccessKey] {  // by hash
            didSet {
                ordered = nil
                changes += 1
            }
        }
        /// Hashes, by the ids of keys that sign.
        var byID: [String: String] = [:]
        var changes = 0
        /// As they are listed.
        var ordered: [AccessKey]?
        /// Tokens that were presented and known, by themselves: a hash for each request costs more than the rest of its check.
        var presented: [String: AccessKey] = [:]
        /// By the key's id.
        var buckets: [String: TokenBucket] = [:]
        var uses: [String: KeyUse]
        /// By the route's id.
        var routes: [String: OfRoute] = [:]
        /// Whose uses the store does not know yet.
        var unwritten: Set<String> = []
    }

    /// What is kept for a route; another rule than the one it is for makes it another.
    private struct OfRoute {
        var bucket: TokenBucket?
        var rule: JWTRule?
        /// The route's: two rules that differ in their normalization only are the same to `==`.
        var updatedAt = ""
        /// Which one of a URL's, if the rule names one.
        var set: KeySet?
        var verifier: JWTVerifier?
    }

    let knownTokens = KnownTokens()
    let signingKeys = SigningKeys()
    /// The secrets of keys that sign.
    let vault: KeyVault
    let keySets: KeySets
    private let store: any Store
    private let state: Mutex<State>

    private static let maxPresented = 1000

    /// Blocks.
    /// - Throws: what the store says.
    package init(store: any Store, keySets: KeySets, vault: KeyVault = .none) throws {
        self.store = store
        self.keySets = keySets
        self.vault = vault
        let keys = Dictionary(try store.keys().map { ($0.hash, $0) }) { $1 }
        let signing = Dictionary(keys.values.filter(\.signs).map { ($0.id, $0.hash) }) { $1 }
        let uses = Dictionary(try store.keyUses().map { ($0.id, $0) }) { $1 }
        state = Mutex(State(keys: keys, byID: signing, uses: uses))
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
        return try principal(key, needing: role, on: function)
    }

    /// - Parameter key: whoever asks has shown that it is theirs.
    func principal(
        _ key: AccessKey, needing role: Principal.Role, on function: FunctionName?
    ) throws(Failure) -> Principal {
        if let expiresAt = key.expiresAt, wallClockMilliseconds() >= expiresAt {
            throw Failure(.unauthorized, "the token \"\(key.name)\" has expired; ask for a new one")
        }
        guard key.role.includes(role) else {
            throw Failure(
                .forbidden, "the token \"\(key.name)\" is for \(key.role.rawValue) only; this needs \(role.rawValue)")
        }
        if let function, !key.functions.includes(function) {
            throw Failure(
                .forbidden,
                "the token \"\(key.name)\" is for functions named \(key.functions.patterns.joined(separator: ", ")) only, and \(function) is none of them"
            )
        }
        if let rate = key.rate { try take(rate, of: key) }
        if let quota = key.quota { try count(quota, of: key) }
        return .key(Principal.Holder(id: key.id, name: key.name, role: key.role, functions: key.functions))
    }

    private func take(_ rate: Rate, of key: AccessKey) throws(Failure) {
        let now = ContinuousClock.now
        let refused = state.withLock { $0.buckets[key.id, default: TokenBucket(rate, now: now)].take(now) }
        guard let refused else { return }
        throw Failure(
            beyond: refused,
            "the token \"\(key.name)\" may be used \(rate) and has been; the next use is in \(refused.secondsToNext) s")
    }

    private func count(_ quota: Rate, of key: AccessKey) throws(Failure) {
        let now = wallClockMilliseconds() / 1000, length = quota.window.seconds
        let isLeft = state.withLock { state in
            var use = state.uses[key.id] ?? KeyUse(id: key.id, window: 0, count: 0)
            if use.window != now / length { use = KeyUse(id: key.id, window: now / length, count: 0) }
            guard use.count < quota.count else { return false }
            use.count += 1
            state.uses[key.id] = use
            state.unwritten.insert(key.id)
            return true
        }
        guard !isLeft else { return }
        let refused = RateState(rate: quota, secondsToNext: length - now % length)
        throw Failure(
            beyond: refused,
            "the token \"\(key.name)\" has a quota of \(quota), which is used up; the next time begins in \(refused.secondsToNext) s"
        )
    }

    /// Has the store know how often keys with quotas were used.
    /// - Throws: what the store says; it is tried again the next time.
    package func writeUses() async throws {
        let uses = state.withLock { state in
            defer { state.unwritten = [] }
            return state.unwritten.compactMap { state.uses[$0] }
        }
        guard !uses.isEmpty else { return }
        do {
            try await store.set(uses)
        } catch {
            state.withLock { $0.unwritten.formUnion(uses.map(\.id)) }
            throw error
        }
    }

    // MARK: - What is kept for routes

    func take(_ rate: Rate, ofRoute id: String) -> RateState? {
        let now = ContinuousClock.now
        return state.withLock { state in
            if state.routes[id]?.bucket?.rate != rate {
                state.routes[id, default: OfRoute()].bucket = TokenBucket(rate, now: now)
            }
            return state.routes[id]?.bucket?.take(now)
        }
    }

    func verifier(of route: Route, _ rule: JWTRule, _ set: KeySet?) -> JWTVerifier? {
        state.withLock { state in
            guard let known = state.routes[route.id], known.updatedAt == route.updatedAt, known.rule == rule,
                known.set == set
            else {
                return nil
            }
            return known.verifier
        }
    }

    func enter(_ verifier: JWTVerifier, of route: Route, _ rule: JWTRule, _ set: KeySet?) {
        state.withLock { state in
            var known = state.routes[route.id] ?? OfRoute()
            (known.rule, known.updatedAt, known.set, known.verifier) = (rule, route.updatedAt, set, verifier)
            state.routes[route.id] = known
        }
    }

    /// Of one that is no more.
    package func forget(route: String) { state.withLock { $0.routes[route] = nil } }

    // MARK: - Who changed what

    /// - Throws: what the store says.
    package func note(_ action: String, to target: String, by principal: Principal, from address: String) async throws {
        guard case .key(let holder) = principal else { return }
        try await store.append(
            AuditEntry(
                time: timestamp(), key: holder.id, name: holder.name, action: action, target: target, from: address))
    }

    /// The newest first.
    /// - Throws: what the store says.
    package func audit(before: Int64?, limit: Int) async throws -> [AuditEntry] {
        try await store.audit(before: before, limit: limit)
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
    package var keys: [AccessKey] {
        if let ordered = state.withLock({ $0.ordered }) { return ordered }
        // Sorted by whoever asks, while others go on.
        let (all, changes) = state.withLock { ($0.keys, $0.changes) }
        let ordered = all.values.sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
        state.withLock { if $0.changes == changes { $0.ordered = ordered } }
        return ordered
    }

    /// Those behind the one with this date and id.
    package func keys(after createdAt: String, _ id: String, limit: Int) -> (page: ArraySlice<AccessKey>, isLast: Bool)
    {
        let all = keys
        var (low, high) = (0, all.count)
        while low < high {
            let middle = (low + high) / 2
            if (all[middle].createdAt, all[middle].id) <= (createdAt, id) { low = middle + 1 } else { high = middle }
        }
        let page = all[low...].prefix(limit)
        return (page, low + page.count == all.count)
    }

    func key(id: String) -> AccessKey? { state.withLock { state in state.byID[id].flatMap { state.keys[$0] } } }

    /// Whether there is any.
    package var hasKeys: Bool { state.withLock { !$0.keys.isEmpty } }

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
            rate: draft.rate, quota: draft.quota, createdAt: timestamp(), expiresAt: draft.expiresAt, hash: hash)
        try await add(key)
        return key
    }

    func add(_ key: AccessKey) async throws {
        try await store.add(key)
        state.withLock { state in
            state.keys[key.hash] = key
            if key.signs { state.byID[key.id] = key.hash }
        }
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
            state.byID[id] = nil
            if let hash = state.keys.first(where: { $0.value.id == id })?.key { state.keys[hash] = nil }
            state.presented = [:]
            state.buckets[id] = nil
            state.uses[id] = nil
            state.unwritten.remove(id)
        }
        // It opens nothing any more, whether or not that can be thrown away now.
        if AccessKey.signs(id) { try await vault.remove(id) }
        return existed
    }

    /// SHA-256: tokens are 256 random bits, so that no slow hash is needed against guessing.
    static func hash(of token: String) -> String { hex(SHA256.hash(data: Array(token.utf8))) }

    private static func makeToken() -> String {
        var generator = SystemRandomNumberGenerator()
        return "bh_" + hex((0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }
}
