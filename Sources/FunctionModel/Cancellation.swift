import Synchronization

/// A one-shot "not needed any more" from the caller's side, without a task of its own.
package final class Cancellation: Sendable {
    private struct State {
        var isCancelled = false
        var action: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    package init() {}

    package func cancel() {
        let action = state.withLock { state in
            state.isCancelled = true
            defer { state.action = nil }
            return state.action
        }
        action?()
    }

    /// Sets what cancelling does; at once when it has happened already.
    /// - Parameter ifNothingElse: leaves in place what is set already.
    package func onCancel(ifNothingElse: Bool = false, _ action: @escaping @Sendable () -> Void) {
        let isCancelled = state.withLock { state in
            if !state.isCancelled, !ifNothingElse || state.action == nil { state.action = action }
            return state.isCancelled
        }
        if isCancelled { action() }
    }

    /// There is nothing left to be cancelled.
    package func finish() { state.withLock { $0.action = nil } }
}
