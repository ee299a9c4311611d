import Synchronization

/// One budget for all bytes that this process holds for others: events that arrive, wait and run, output that is gathered,
/// answers that a client has not read. Whoever holds bytes has a charge, and the charge goes with them.
///
/// Without it the sum is clients times functions times the largest size: 16 events of 6 MiB held 826 MiB.
package final class MemoryBudget: Sendable {
    /// In bytes.
    package let limit: Int
    private let held = Mutex(0)
    /// Each charge may grow so far whatever others hold: who fills the budget must not keep out everybody else's small ones.
    package static let free = 64 << 10

    package init(limit: Int) { self.limit = limit }

    /// Bytes charged at this moment.
    package var used: Int { held.withLock { $0 } }

    /// Begins an empty charge.
    package func charge() -> Charge { Charge(self) }

    /// What is held for one purpose; given back when the last who refers to it lets go.
    package final class Charge: Sendable {
        private let budget: MemoryBudget
        private let bytes = Mutex(0)

        fileprivate init(_ budget: MemoryBudget) { self.budget = budget }

        deinit { reduce(to: 0) }

        /// Charges more. False, and nothing is charged, when there is no room for it.
        package func add(_ count: Int) -> Bool {
            bytes.withLock { bytes in
                let more = bytes + count
                let fits = budget.held.withLock { held in
                    guard more <= MemoryBudget.free || held + count <= budget.limit else { return false }
                    held += count
                    return true
                }
                if fits { bytes = more }
                return fits
            }
        }

        /// Gives back all but `count`.
        package func reduce(to count: Int) {
            bytes.withLock { bytes in
                guard bytes > count else { return }
                let less = bytes - count
                budget.held.withLock { $0 -= less }
                bytes = count
            }
        }
    }
}
