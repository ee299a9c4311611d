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

    /// The HTTP status of its response. `cancelled` is only ever seen in logs: the client has left.
    package var httpStatus: Int {
        switch self {
        case .ok: 200
        case .error, .exit, .signal, .denied, .memoryExceeded, .outputExceeded, .protocolError: 502
        case .timeout, .cpuExceeded: 504
        case .invalidRequest: 400
        case .unauthorized: 401
        case .forbidden: 403
        case .notFound: 404
        case .conflict: 409
        case .payloadTooLarge: 413
        case .throttled: 429
        case .cancelled: 499
        case .overloaded: 503
        case .launchFailed: 500
        }
    }

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

/// An outcome that is not `ok`, with all there is to say about it.
package struct Failure: Error, Sendable, Hashable, Codable {
    package struct HandlerError: Sendable, Hashable, Codable {
        package var type: String
        package var message: String
        package var stackTrace: [String]

        package init(type: String, message: String, stackTrace: [String]) {
            self.type = type
            self.message = message
            self.stackTrace = stackTrace
        }
    }

    package var outcome: Outcome
    /// What happened, to what, why, and what to do next.
    package var detail: String
    package var error: HandlerError?
    package var exitCode: Int?
    package var signal: String?
    package var syscall: String?
    /// The denied call's arguments, in words where there are any.
    package var arguments: [String]?
    package var grant: String?
    /// Which limit: `wall`, `init`, or the limit's value.
    package var limit: String?
    /// Where a launch failed, in the launcher's words.
    package var stage: String?
    package var errno: String?
    /// The ends of what it wrote, 4 KiB at most: for `exit` and `signal`.
    package var stdout: String?
    package var log: String?
    /// Whether the function had begun when the host had to end it.
    package var hasRun = false
    /// Seconds after which a retry makes sense.
    package var retryAfter: Int?

    package init(_ outcome: Outcome, _ detail: String) {
        self.outcome = outcome
        self.detail = detail
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
