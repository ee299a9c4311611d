package import FunctionModel
package import HostSystem
package import NIOCore
import Synchronization
package import WorkerProtocol

/// One invocation as a worker gets it.
package struct Assignment: Sendable {
    package var invocationID: String
    /// Checked to be JSON.
    package var event: ByteBuffer
    /// W3C trace context of the caller, if it sent a sound one.
    package var traceparent: String?

    /// Ends the invocation when the caller has left.
    package var cancellation: Cancellation
    /// What its event is charged to: let go of once the worker has it.
    package var charge: MemoryBudget.Charge?
    /// Where the answer is needed: a worker whose pipes live there spares it a hop between threads.
    package var eventLoop: (any EventLoop)?

    package init(
        invocationID: String, event: ByteBuffer, traceparent: String?, cancellation: Cancellation,
        charge: MemoryBudget.Charge? = nil, eventLoop: (any EventLoop)? = nil
    ) {
        self.invocationID = invocationID
        self.event = event
        self.traceparent = traceparent
        self.cancellation = cancellation
        self.charge = charge
        self.eventLoop = eventLoop
    }
}

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
    func onCancel(ifNothingElse: Bool = false, _ action: @escaping @Sendable () -> Void) {
        let isCancelled = state.withLock { state in
            if !state.isCancelled, !ifNothingElse || state.action == nil { state.action = action }
            return state.isCancelled
        }
        if isCancelled { action() }
    }

    func finish() { state.withLock { $0.action = nil } }
}

/// How an invocation went.
package struct Completion: Sendable {
    package var result: Result<Output, Failure>
    package var start: StartKind
    package var usage: Usage
    /// From when a worker was found or started for it, to the event's arrival there.
    package var startTime: Duration
    /// How long it waited for that.
    package var queueTime = Duration.zero

    package struct Output: Sendable {
        package var body: ByteBuffer
        package var kind: ResultKind
        /// What its bytes are charged to, for as long as somebody holds them.
        package var charge: MemoryBudget.Charge?

        package init(body: ByteBuffer, kind: ResultKind) {
            self.body = body
            self.kind = kind
        }
    }

    package init(result: Result<Output, Failure>, start: StartKind, usage: Usage, startTime: Duration) {
        self.result = result
        self.start = start
        self.usage = usage
        self.startTime = startTime
    }

    package var outcome: Outcome {
        switch result {
        case .success: .ok
        case .failure(let failure): failure.outcome
        }
    }
}
