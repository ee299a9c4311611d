package import NIOCore

/// One event for one version, on its way: made by an edge, taken by the one door (`Invoker`), ended in exactly one completion.
package struct Invocation: Sendable {
    /// Where it came from.
    package enum Source: Sendable {
        /// `POST /v1/functions/{name}/invocations`, or a command of this process.
        case direct
        /// `/fn/`: an HTTP request as an event.
        case http
        /// What was accepted earlier, and was answered then.
        case queue
    }

    package let id: String
    package let version: FunctionVersion
    package var principal: Principal
    package let source: Source
    package var event: ArrivedEvent
    /// W3C trace context of the caller, if it sent a sound one.
    package var traceparent: String?
    /// Its own place in a trace that is recorded.
    package var span: TraceSpan?
    /// Ends the invocation when the caller has left.
    package var cancellation: Cancellation
    /// Its time, where that is shorter than what the function's manifest says.
    package var timeout: TimeLimit?
    /// How long it stood in the queue before it had its turn.
    package var waited: Duration?
    /// Where the answer goes while it is made, if it may.
    package var stream: ResponseStream?
    /// Where the answer is needed: a worker whose pipes live there spares it a hop between threads.
    package var replyOn: (any EventLoop)?

    package init(
        id: String, version: FunctionVersion, principal: Principal, source: Source, event: ArrivedEvent,
        traceparent: String? = nil, cancellation: Cancellation = Cancellation(), replyOn: (any EventLoop)? = nil
    ) {
        self.id = id
        self.version = version
        self.principal = principal
        self.source = source
        self.event = event
        self.traceparent = traceparent
        self.cancellation = cancellation
        self.replyOn = replyOn
    }
}

extension Invocation {
    /// For whoever tells of it later: its event, and what that is charged to, are the worker's to let go of.
    package var withoutEvent: Invocation {
        var copy = self
        copy.event = event.withoutBytes
        return copy
    }
}
