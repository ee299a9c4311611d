/// How an invocation ended. Each ends in exactly one; the first cause wins.
package enum Outcome: String, Sendable, CaseIterable, Codable {
    case ok
    case error
    case exit
    case signal
    case denied
    case timeout
    case cpuExceeded = "cpu_exceeded"
    case memoryExceeded = "memory_exceeded"
    case outputExceeded = "output_exceeded"
    case protocolError = "protocol_error"
    case invalidRequest = "invalid_request"
    case unauthorized
    case forbidden
    case notFound = "not_found"
    case conflict
    case payloadTooLarge = "payload_too_large"
    case throttled
    case cancelled
    case overloaded
    case launchFailed = "launch_failed"

    /// Who has to change something.
    package enum Blame: String, Sendable, Codable { case guest, caller, host }

    package var blame: Blame {
        switch self {
        case .ok, .error, .exit, .signal, .denied, .timeout, .cpuExceeded, .memoryExceeded, .outputExceeded,
            .protocolError:
            .guest
        case .invalidRequest, .unauthorized, .forbidden, .notFound, .conflict, .payloadTooLarge, .throttled,
            .cancelled:
            .caller
        case .overloaded, .launchFailed: .host
        }
    }

    /// Whether the same request may well succeed later, with nothing changed.
    package var isRetryable: Bool {
        switch self {
        case .throttled, .overloaded, .launchFailed, .timeout: true
        default: false
        }
    }

    /// A few words for people (RFC 9457 `title`).
    package var title: String {
        switch self {
        case .ok: "Done"
        case .error: "The handler raised an error"
        case .exit: "The function exited with a non-zero status"
        case .signal: "The function was ended by a signal"
        case .denied: "The function did something its manifest does not allow"
        case .timeout: "The function took too long"
        case .cpuExceeded: "The function used too much CPU time"
        case .memoryExceeded: "The function used too much memory"
        case .outputExceeded: "The function wrote too much output"
        case .protocolError: "The function broke the worker protocol"
        case .invalidRequest: "The request is not valid"
        case .unauthorized: "A token is needed"
        case .forbidden: "The token does not allow this"
        case .notFound: "There is no such thing"
        case .conflict: "The request conflicts with the present state"
        case .payloadTooLarge: "The request is too large"
        case .throttled: "Too many invocations at once"
        case .cancelled: "The client left"
        case .overloaded: "The host is busy"
        case .launchFailed: "The host could not start a worker"
        }
    }
}

/// Whether an invocation's worker was made for it.
package enum StartKind: String, Sendable, Codable { case cold, prewarmed, reused, forked }

/// What an invocation used.
package struct Usage: Sendable, Hashable, Codable {
    /// From the event's arrival at the worker to its answer.
    package var wall = Duration.zero
    /// CPU time of the cell during the invocation.
    package var cpu = Duration.zero
    /// Peak of everything charged to the cell; for a reactor over its life so far.
    package var memoryBytes = 0
    /// From the launch to the worker's readiness; nil when the worker was there already.
    package var initialization: Duration?

    package init() {}
}
