import Synchronization

/// Tokens that were good, of all routes: checking a signature takes longer than the rest of a request. Bounded by bytes: whoever signs
/// tokens may make as many as there are users.
final class KnownTokens: Sendable {
    private struct Key: Hashable {
        /// Of who has checked it: another rule finds another token good.
        let verifier: Int
        let token: String
    }
    private struct State {
        var claims: [Key: Claims] = [:]
        var bytes = 0
    }

    private let state = Mutex(State())
    private static let lastID = Atomic(0)
    private static let maxBytes = 16 << 20, longest = 2 << 10

    static func newID() -> Int { lastID.add(1, ordering: .relaxed).newValue }

    func claims(of token: String, by verifier: Int) -> Claims? {
        state.withLock { $0.claims[Key(verifier: verifier, token: token)] }
    }

    /// Longer ones are checked each time.
    func add(_ token: String, by verifier: Int, _ claims: Claims) {
        guard token.utf8.count <= Self.longest else { return }
        // Itself, what it says as text, and what holds both.
        let size = 3 * token.utf8.count + 1000
        state.withLock { state in
            if state.bytes + size > Self.maxBytes { state = State() }
            if state.claims.updateValue(claims, forKey: Key(verifier: verifier, token: token)) == nil {
                state.bytes += size
            }
        }
    }
}
