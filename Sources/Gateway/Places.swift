import FunctionModel
import Synchronization

/// A bounded number of something at once, of which nobody waits for a place.
final class Places: Sendable {
    private let most: Int
    private let taken = Mutex(0)

    init(_ most: Int) { self.most = most }

    /// A place; free again when the last who refers to it lets go.
    final class Place: Sendable {
        private let places: Places

        fileprivate init(_ places: Places) { self.places = places }

        deinit { places.taken.withLock { $0 -= 1 } }
    }

    /// - Throws: `Failure` overloaded when all are taken.
    func take(_ what: String) throws(Failure) -> Place {
        let isTaken = taken.withLock { taken in
            guard taken < most else { return false }
            taken += 1
            return true
        }
        guard isTaken else {
            throw Failure(.overloaded(retryAfter: 1), "\(most) \(what) are under way already; retry shortly")
        }
        return Place(self)
    }

    /// Runs `work` while holding a place.
    /// - Throws: as `take`, or what `work` throws.
    func holding<Value: Sendable>(_ what: String, _ work: () async throws -> Value) async throws -> Value {
        let place = try take(what)
        defer { withExtendedLifetime(place) {} }
        return try await work()
    }
}
