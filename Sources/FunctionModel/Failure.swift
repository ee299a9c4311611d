/// An invocation, or a request, that did not end well: why, in a sentence and as data.
package struct Failure: Error, Sendable, Hashable {
    /// What a handler raised.
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

    /// One for each outcome but `ok`, with what only that one has to say.
    package enum Cause: Sendable, Hashable {
        /// Nil: it made room for others.
        case error(HandlerError?)
        case exit(Int)
        /// By name.
        case signal(String)
        /// The call, its arguments, in words where there are any, and what would have let it through.
        case denied(syscall: String, arguments: [String], grant: String?)
        /// `wall` or `init`.
        case timeout(limit: String)
        /// These with the limit's value.
        case cpuExceeded(limit: String)
        case memoryExceeded(limit: String)
        case outputExceeded(limit: String)
        case protocolError
        case invalidRequest, unauthorized, forbidden, notFound, conflict, payloadTooLarge
        /// These with the seconds after which a retry makes sense.
        case throttled(retryAfter: Int)
        case overloaded(retryAfter: Int)
        case cancelled
        /// In the launcher's words.
        case launchFailed(stage: String, errno: String)
    }

    /// Of a rate that was used up.
    package var rate: RateState?

    /// The ends of what it wrote, 4 KiB at most each: for `exit` and `signal`.
    package struct Ends: Sendable, Hashable {
        package var stdout = ""
        package var log = ""

        package init(stdout: String) { self.stdout = stdout }
    }

    package var cause: Cause
    /// What happened, to what, why, and what to do next.
    package var detail: String
    package var ends: Ends?
    /// Whether the function had begun when the host had to end it.
    package var hasRun: Bool

    package init(_ cause: Cause, _ detail: String, ends: Ends? = nil, hasRun: Bool = false) {
        self.cause = cause
        self.detail = detail
        self.ends = ends
        self.hasRun = hasRun
    }

    package var outcome: Outcome {
        switch cause {
        case .error: .error
        case .exit: .exit
        case .signal: .signal
        case .denied: .denied
        case .timeout: .timeout
        case .cpuExceeded: .cpuExceeded
        case .memoryExceeded: .memoryExceeded
        case .outputExceeded: .outputExceeded
        case .protocolError: .protocolError
        case .invalidRequest: .invalidRequest
        case .unauthorized: .unauthorized
        case .forbidden: .forbidden
        case .notFound: .notFound
        case .conflict: .conflict
        case .payloadTooLarge: .payloadTooLarge
        case .throttled: .throttled
        case .overloaded: .overloaded
        case .cancelled: .cancelled
        case .launchFailed: .launchFailed
        }
    }

    /// Seconds after which a retry makes sense; nil where nobody can tell.
    package var retryAfter: Int? {
        switch cause {
        case .throttled(let seconds), .overloaded(let seconds): seconds
        default: nil
        }
    }

    /// Bytes of what the function itself has put into it.
    package var wordBytes: Int {
        var bytes = (ends?.stdout.utf8.count ?? 0) + (ends?.log.utf8.count ?? 0)
        if case .error(let error?) = cause {
            bytes += error.type.utf8.count + error.message.utf8.count
            for line in error.stackTrace { bytes += line.utf8.count }
        }
        return bytes
    }

    /// What the function itself has put into it, made into something else.
    package func mapWords(_ change: (String) -> String) -> Failure {
        var failure = self
        failure.ends?.stdout = change(ends?.stdout ?? "")
        failure.ends?.log = change(ends?.log ?? "")
        if case .error(var error?) = cause {
            error.type = change(error.type)
            error.message = change(error.message)
            error.stackTrace = error.stackTrace.map(change)
            failure.cause = .error(error)
        }
        // It may quote a line of the log.
        failure.detail = change(detail)
        return failure
    }

    /// Drops what the function itself has put into it; how it ended stays.
    package mutating func dropWords() {
        ends = nil
        if case .error = cause { cause = .error(nil) }
    }
}
