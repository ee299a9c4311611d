import Synchronization

/// One budget for all bytes that this process holds for others: events that arrive, wait and run, output that is gathered,
/// answers that a client has not read. Whoever holds bytes has a charge, and the charge goes with them.
///
/// Without it the sum is clients times functions times the largest size: 16 events of 6 MiB held 826 MiB.
package final class MemoryBudget: Sendable {
    /// In bytes.
    package let limit: Int

    private let held = Atomic(0)
    /// Beyond what is free for each charge, by who is charged. Small ones never come here: there may be many a second.
    private let shares = Mutex<[String: Int]>([:])
    /// Each charge may grow so far whoever else fills the budget: nobody must keep out everybody's small ones. All of these
    /// together may go beyond the limit by `maxFree`.
    package static let free = 64 << 10
    private static let maxFree = 64 << 20

    package init(limit: Int) { self.limit = limit }

    /// Bytes charged at this moment.
    package var used: Int { held.load(ordering: .relaxed) }

    /// Begins an empty charge.
    /// - Parameter owner: a function's name, of which all charges together may take half of the budget; nil: nobody's.
    package func charge(of owner: String? = nil) -> Charge { Charge(self, owner) }

    private func take(_ count: Int, having bytes: Int, _ owner: String?) -> Bool {
        let more = bytes + count
        guard more > Self.free else { return hold(count, limit + Self.maxFree) }
        guard let owner else { return hold(count, limit) }
        let beyond = more - max(bytes, Self.free)
        return shares.withLock { shares in
            guard shares[owner, default: 0] + beyond <= limit / 2, hold(count, limit) else { return false }
            shares[owner, default: 0] += beyond
            return true
        }
    }

    private func hold(_ count: Int, _ most: Int) -> Bool {
        let now = held.add(count, ordering: .relaxed).newValue
        if now <= most { return true }
        held.subtract(count, ordering: .relaxed)
        return false
    }

    private func give(_ count: Int, having bytes: Int, _ owner: String?) {
        held.subtract(count, ordering: .relaxed)
        let beyond = max(0, bytes - Self.free) - max(0, bytes - count - Self.free)
        guard let owner, beyond > 0 else { return }
        shares.withLock { shares in
            let left = shares[owner, default: 0] - beyond
            shares[owner] = left > 0 ? left : nil
        }
    }

    /// What is beyond is another's from now on, if that one has room for it.
    private func move(_ bytes: Int, from old: String?, to owner: String) -> Bool {
        let beyond = max(0, bytes - Self.free)
        guard beyond > 0, old != owner else { return true }
        return shares.withLock { shares in
            guard shares[owner, default: 0] + beyond <= limit / 2 else { return false }
            shares[owner, default: 0] += beyond
            guard let old else { return true }
            let left = shares[old, default: 0] - beyond
            shares[old] = left > 0 ? left : nil
            return true
        }
    }

    /// What is held for one purpose; given back when the last who refers to it lets go.
    package final class Charge: Sendable {
        private struct State {
            var bytes = 0
            var owner: String?
        }

        private let budget: MemoryBudget
        private let state: Mutex<State>

        fileprivate init(_ budget: MemoryBudget, _ owner: String?) {
            self.budget = budget
            state = Mutex(State(owner: owner))
        }

        deinit { reduce(to: 0) }

        /// Charges more. False, and nothing is charged, when there is no room for it.
        package func add(_ count: Int) -> Bool {
            state.withLock { state in
                guard budget.take(count, having: state.bytes, state.owner) else { return false }
                state.bytes += count
                return true
            }
        }

        /// It is known by now whose it is. False, and nothing has changed, when that one holds too much already.
        package func move(to owner: String) -> Bool {
            state.withLock { state in
                guard budget.move(state.bytes, from: state.owner, to: owner) else { return false }
                state.owner = owner
                return true
            }
        }

        /// Gives back so many of those that it has.
        package func give(_ count: Int) {
            state.withLock { state in
                budget.give(count, having: state.bytes, state.owner)
                state.bytes -= count
            }
        }

        /// Gives back all but `count`.
        package func reduce(to count: Int) {
            state.withLock { state in
                guard state.bytes > count else { return }
                budget.give(state.bytes - count, having: state.bytes, state.owner)
                state.bytes = count
            }
        }
    }
}
