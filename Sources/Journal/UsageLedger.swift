import Foundation
package import FunctionModel
import NIOCore
package import Store
import Synchronization
import WireText

/// What invocations have used, by function, key and day: gathered in memory, and added to the store each second in one go. A host
/// that is killed loses that second, and no more.
package final class UsageLedger: Sendable {
    fileprivate struct State {
        var pending: [UsageKey: UsageSum] = [:]
        /// GB-seconds a month, of functions that have a budget.
        var budgets: [FunctionName: Double] = [:]
        /// By months, and functions that have a budget. A clock may be set back.
        var spent: [UsageDay: [FunctionName: Double]] = [:]
        var isFlushing = false
    }

    private let store: any UsageStore
    private let state: Mutex<State>
    private let today: @Sendable () -> UsageDay

    /// Blocks.
    /// - Throws: what the store says.
    package init(store: any UsageStore, today: @escaping @Sendable () -> UsageDay = { .today }) throws {
        self.store = store
        self.today = today
        let day = today()
        var state = State()
        state.budgets = try store.budgets()
        let spent = try store.spent(from: day.month.number)
        for name in state.budgets.keys { state.spent[day.month, default: [:]][name] = spent[name] ?? 0 }
        self.state = Mutex(state)
    }

    // MARK: - Adding

    /// An invocation has ended.
    func add(_ invocation: Invocation, _ completion: Completion) {
        var sum = UsageSum()
        sum.invocations = 1
        sum.errors = completion.outcome == .ok ? 0 : 1
        sum.wall = completion.usage.wall.wholeNanoseconds
        sum.cpu = completion.usage.cpu.wholeNanoseconds
        let memory = Double(invocation.version.manifest.limits.memory.bytes) / Double(1 << 30)
        sum.gbSeconds = memory * completion.usage.wall.inSeconds
        sum.bytesIn = invocation.event.size
        if case .success(let output) = completion.result { sum.bytesOut = output.body.readableBytes }
        let day = today(), name = invocation.version.name
        let key = UsageKey(function: name, key: invocation.principal.keyID ?? "", day: day.number)
        state.withLock { state in
            state.pending[key, default: UsageSum()] += sum
            guard state.budgets[name] != nil else { return }
            state.spent[day.month, default: [:]][name, default: 0] += sum.gbSeconds
        }
    }

    /// Why the function may not run any more this month; nil: it may.
    package func refusal(of name: FunctionName) -> Failure? {
        // Most functions have none.
        guard let budget = state.withLock({ $0.budgets[name] }) else { return nil }
        let day = today()
        let spent = state.withLock { $0.spent[day.month]?[name] ?? 0 }
        guard spent >= budget else { return nil }
        let next = day.nextMonth
        return Failure(
            .throttled(retryAfter: day.secondsUntil(next)),
            "\(name) has used its budget of \(budget) GB-seconds for this month; the next begins on \(next.text) (UTC)")
    }

    // MARK: - Writing

    /// Adds what has gathered to the store.
    /// - Throws: what the store says; then it is gathered on.
    package func flush() async throws {
        // Two at once would have to know of each other's failures.
        while state.withLock({ state in
            defer { state.isFlushing = true }
            return state.isFlushing
        }) { try await Task.sleep(for: .milliseconds(5)) }
        defer { state.withLock { $0.isFlushing = false } }
        let pending = state.withLock { state in
            defer { state.pending = [:] }
            return state.pending
        }
        guard !pending.isEmpty else { return }
        do {
            try await store.addUsage(pending)
        } catch {
            state.withLock { state in state.pending.merge(pending) { left, right in left.adding(right) } }
            throw error
        }
    }

    /// What was used, up to now.
    /// - Throws: what the store says.
    package func usage(from: UsageDay, to: UsageDay) async throws -> [UsageKey: UsageSum] {
        // What cannot be written yet was used all the same.
        try? await flush()
        let (stored, pending) = (try await store.usage(from: from.number, to: to.number), state.withLock { $0.pending })
        let recent = pending.filter { (from.number...max(from.number, to.number)).contains($0.key.day) }
        return stored.merging(recent) { $0.adding($1) }
    }

    // MARK: - Budgets

    package func budget(of name: FunctionName) -> (budget: Double, spent: Double)? {
        let day = today()
        return state.withLock { state in
            state.budgets[name].map { ($0, state.spent[day.month]?[name] ?? 0) }
        }
    }

    /// - Parameter budget: GB-seconds a month; nil: none any more.
    /// - Throws: what the store says.
    package func set(budget: Double?, of name: FunctionName) async throws {
        try await store.set(budget: budget, of: name)
        let day = today()
        let spent = try await usage(from: day.month, to: day).filter { $0.key.function == name }
            .reduce(0) { $0 + $1.value.gbSeconds }
        state.withLock { state in
            state.budgets[name] = budget
            state.spent[day.month, default: [:]][name] = budget == nil ? nil : spent
        }
    }
}

extension Duration {
    /// Those of three centuries fit.
    var wholeNanoseconds: Int {
        let (seconds, attoseconds) = components
        return Int(min(max(seconds, 0), 9_000_000_000)) * 1_000_000_000 + Int(max(attoseconds, 0) / 1_000_000_000)
    }
}

extension UsageSum {
    fileprivate func adding(_ other: UsageSum) -> UsageSum {
        var sum = self
        sum += other
        return sum
    }
}

/// A day of UTC.
package struct UsageDay: Sendable, Hashable {
    /// From 1970-01-01.
    package let number: Int

    package init(number: Int) { self.number = number }

    package static var today: UsageDay { UsageDay(number: Int((Date().timeIntervalSince1970 / 86_400).rounded(.down))) }

    /// `2026-11-28`, or a time of that day; nil for anything else.
    package init?(_ text: String) {
        guard text.utf8.count >= 10, text.isASCII, text.utf8.count == 10 || text.dropFirst(10).hasPrefix("T") else {
            return nil
        }
        let parts = text.prefix(10).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.count) == [4, 2, 2], parts.allSatisfy({ $0.allSatisfy(\.isWholeNumber) }),
            let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]), (1970...9999).contains(year),
            (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        // What is no day (February 30) is written otherwise.
        let number = CivilDay.number(year, month, day)
        guard Self(number: number).text == text.prefix(10) else { return nil }
        self.number = number
    }

    private var civil: CivilDay { CivilDay(number: number) }

    package var text: String {
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(padded(civil.year, 4))-\(padded(civil.month, 2))-\(padded(civil.day, 2))"
    }

    /// Its first day.
    package var month: UsageDay { UsageDay(number: number - civil.day + 1) }
    package var nextMonth: UsageDay { UsageDay(number: month.number + civil.daysInMonth) }

    fileprivate func secondsUntil(_ other: UsageDay) -> Int {
        max(1, other.number * 86_400 - Int(Date().timeIntervalSince1970))
    }
}
