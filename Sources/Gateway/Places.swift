import FunctionModel
import Synchronization

/// A bounded number of something at once, of which nobody waits for a place.
final class Places: Sendable {
    private let most: Int
    private let taken = Mutex(0)

    init(_ most: Int) { self.most = most }

    /// Runs `work` while holding a place.
    /// - Throws: `Failure` overloaded when all are taken, or what `work` throws.
    func holding<Value: Sendable>(_ what: String, _ work: () async throws -> Value) async throws -> Value {
        let isTaken = taken.withLock { taken in
            guard taken < most else { return false }
            taken += 1
            return true
        }
        guard isTaken else {
            var failure = Failure(.overloaded, "\(most) \(what) are under way already; retry shortly")
            failure.retryAfter = 1
            throw failure
        }
        defer { taken.withLock { $0 -= 1 } }
        return try await work()
    }
}
