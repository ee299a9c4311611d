package import FunctionModel
package import NIOCore
package import WorkerProtocol

/// One invocation as a worker gets it.
package struct Assignment: Sendable {
    package var invocationID: String
    /// Checked to be JSON.
    package var event: ByteBuffer
    /// W3C trace context of the caller, if it sent a sound one.
    package var traceparent: String?

    package init(invocationID: String, event: ByteBuffer, traceparent: String?) {
        self.invocationID = invocationID
        self.event = event
        self.traceparent = traceparent
    }
}

/// How an invocation went.
package struct Completion: Sendable {
    package var result: Result<Output, Failure>
    package var start: StartKind
    package var usage: Usage
    /// From the request for a worker to the event's arrival there.
    package var startTime: Duration

    package struct Output: Sendable {
        package var body: ByteBuffer
        /// Nil when the protocol says JSON.
        package var kind: ResultKind
    }

    package var outcome: Outcome {
        switch result {
        case .success: .ok
        case .failure(let failure): failure.outcome
        }
    }
}
