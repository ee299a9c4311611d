import FunctionModel
import Synchronization

/// What was accepted to be done later, as this process does it; what it has not finished stands in the store for the next one.
final class InvocationQueue: Sendable {
    typealias Item = QueueMachine.Item

    private struct State {
        var machine: QueueMachine
        var waiter: CheckedContinuation<Void, Never>?
        /// Counts up with each change.
        var changes = 0
        /// Rings when somebody's time has come.
        var alarm: (at: ContinuousClock.Instant, task: Task<Void, Never>)?
    }

    private let state: Mutex<State>

    init(_ bounds: QueueMachine.Bounds) { state = Mutex(State(machine: QueueMachine(bounds))) }

    /// - Parameter bytes: of the event.
    func hasRoom(for bytes: Int, of name: FunctionName) -> Bool {
        state.withLock { $0.machine.hasRoom(for: bytes, of: name) }
    }

    var count: Int { state.withLock { $0.machine.waiting } }
    var isClosed: Bool { state.withLock { $0.machine.isClosed } }

    /// - Parameter due: nil: at once.
    func add(_ item: Item, due: ContinuousClock.Instant? = nil) { act { $0.add(item, due: due) } }

    /// The next one whose turn it is, once it may run; nil when the queue is closed and nothing is left.
    func next() async -> Item? {
        while true {
            let (item, isOver, seen) = state.withLock { state in
                (state.machine.claim(.now), state.machine.isOver, state.changes)
            }
            if let item { return item }
            if isOver { return nil }
            await withCheckedContinuation { continuation in
                let runsOn = state.withLock { state in
                    // Something may have come in between.
                    guard state.changes == seen else { return true }
                    state.waiter = continuation
                    if let due = state.machine.nextDue(.now) { setAlarm(&state, due) }
                    return false
                }
                if runsOn { continuation.resume() }
            }
        }
    }

    func isWaiting(_ id: String) -> Bool { state.withLock { $0.machine.isWaiting(id) } }

    /// See `QueueMachine`, as the others.
    func ran(_ item: Item) { act { $0.ran(item) } }

    func finished(_ item: Item) { act { $0.finished(item) } }

    func postpone(_ item: Item, by delay: Duration) { act { $0.postpone(item, until: .now + delay) } }

    func retry(_ item: Item, after delay: Duration) { act { $0.retry(item, at: .now + delay) } }

    func remove(_ id: String, of name: FunctionName) -> Bool? { act { $0.remove(id, of: name) } }

    func remove(of name: FunctionName) -> [String] { act { $0.remove(of: name) } }

    func close() {
        act { $0.close() }
        state.withLock { state in
            state.alarm?.task.cancel()
            state.alarm = nil
        }
    }

    /// Bundles of what waits or runs.
    var bundlesInUse: Set<String> { state.withLock { $0.machine.bundlesInUse } }

    /// Changes the state, and lets whoever waits for the next item look again.
    @discardableResult
    private func act<Value>(_ change: (inout QueueMachine) -> Value) -> Value {
        let (result, waiter) = state.withLock { state in
            let result = change(&state.machine)
            state.changes &+= 1
            defer { state.waiter = nil }
            return (result, state.waiter)
        }
        waiter?.resume()
        return result
    }

    private func setAlarm(_ state: inout State, _ due: ContinuousClock.Instant) {
        if let alarm = state.alarm, alarm.at <= due, alarm.at > .now { return }
        state.alarm?.task.cancel()
        let task = Task { [weak self] in
            try? await Task.sleep(until: due, clock: .continuous)
            self?.act { _ in }
        }
        state.alarm = (due, task)
    }
}
