import FunctionModel
import NIOCore
import Synchronization

/// Bounds what events that are still arriving hold of the host's memory, and for how long: clients may be as hostile as
/// functions, and for a function that is open to all they need no token.
final class BodyBudget: Sendable {
    /// Of all connections together, beyond the first bytes of each.
    private let mostBytes: Int
    /// These are always taken: who fills the budget must not keep out everybody else's small events.
    private static let free = 64 << 10
    /// A client that sends the largest event must reach 100 KiB/s.
    private let longest: Duration

    private let held = Mutex(0)

    /// - Parameter largestEvent: in bytes.
    init(largestEvent: Int) {
        mostBytes = max(256 << 20, 8 * largestEvent)
        longest = .seconds(max(60, largestEvent / (100 << 10)))
    }

    /// One event's bytes, counted until it is complete or given up.
    struct Reading: ~Copyable {
        fileprivate let budget: BodyBudget
        private let began = ContinuousClock.now
        private var arrived = 0
        private var counted = 0

        fileprivate init(_ budget: BodyBudget) { self.budget = budget }

        deinit { budget.held.withLock { $0 -= counted } }

        /// - Throws: `Failure` overloaded when all arriving events together are too large, invalid_request when this one
        ///   takes too long.
        mutating func add(_ count: Int) throws(Failure) {
            guard .now - began <= budget.longest else {
                throw Failure(
                    .invalidRequest, "the event took more than \(budget.longest.components.seconds) s to arrive")
            }
            arrived += count
            let more = max(0, arrived - BodyBudget.free) - counted
            let fits = budget.held.withLock { held in
                guard held + more <= budget.mostBytes else { return false }
                held += more
                return true
            }
            guard fits else {
                var failure = Failure(.overloaded, "too many large events are arriving at once; retry shortly")
                failure.retryAfter = 1
                throw failure
            }
            counted += more
        }
    }

    func begin() -> Reading { Reading(self) }
}
