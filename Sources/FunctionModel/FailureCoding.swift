extension Failure {
    /// What a cause has to say, flat: as the API shows it and the store keeps it.
    package struct Members: Sendable, Hashable, Codable {
        var error: HandlerError?
        var exitCode: Int?
        var signal: String?
        var syscall: String?
        var arguments: [String]?
        var grant: String?
        var limit: String?
        var stage: String?
        var errno: String?
        var stdout: String?
        var log: String?
    }

    package var members: Members {
        var members = Members()
        switch cause {
        case .error(let error): members.error = error
        case .exit(let code): members.exitCode = code
        case .signal(let name): members.signal = name
        case .denied(let syscall, let arguments, let grant):
            (members.syscall, members.arguments, members.grant) = (syscall, arguments, grant)
        case .timeout(let limit), .cpuExceeded(let limit), .memoryExceeded(let limit), .outputExceeded(let limit):
            members.limit = limit
        case .launchFailed(let stage, let errno): (members.stage, members.errno) = (stage, errno)
        case .protocolError, .invalidRequest, .unauthorized, .forbidden, .notFound, .conflict, .payloadTooLarge,
            .throttled, .overloaded, .cancelled:
            break
        }
        members.stdout = ends?.stdout
        members.log = ends?.log
        return members
    }
}

extension Failure: Codable {
    private enum Keys: CodingKey { case outcome, detail, hasRun, retryAfter }

    package func encode(to encoder: any Encoder) throws {
        var own = encoder.container(keyedBy: Keys.self)
        try own.encode(outcome, forKey: .outcome)
        try own.encode(detail, forKey: .detail)
        try own.encode(hasRun, forKey: .hasRun)
        try own.encodeIfPresent(retryAfter, forKey: .retryAfter)
        try members.encode(to: encoder)
    }

    package init(from decoder: any Decoder) throws {
        let own = try decoder.container(keyedBy: Keys.self)
        let members = try Members(from: decoder)
        let retryAfter = try own.decodeIfPresent(Int.self, forKey: .retryAfter) ?? 1
        let outcome = try own.decode(Outcome.self, forKey: .outcome)
        guard let cause = Cause(outcome, members, retryAfter: retryAfter) else {
            throw DecodingError.dataCorruptedError(
                forKey: .outcome, in: own, debugDescription: "ok is no failure")
        }
        self.init(
            cause, try own.decode(String.self, forKey: .detail),
            hasRun: try own.decodeIfPresent(Bool.self, forKey: .hasRun) ?? false)
        if let stdout = members.stdout {
            var ends = Ends(stdout: stdout)
            ends.log = members.log ?? ""
            self.ends = ends
        }
    }
}

extension Failure.Cause {
    /// Nil for `ok`.
    fileprivate init?(_ outcome: Outcome, _ members: Failure.Members, retryAfter: Int) {
        let limit = members.limit ?? ""
        switch outcome {
        case .ok: return nil
        case .error: self = .error(members.error)
        case .exit: self = .exit(members.exitCode ?? 0)
        case .signal: self = .signal(members.signal ?? "")
        case .denied:
            self = .denied(
                syscall: members.syscall ?? "", arguments: members.arguments ?? [], grant: members.grant)
        case .timeout: self = .timeout(limit: limit)
        case .cpuExceeded: self = .cpuExceeded(limit: limit)
        case .memoryExceeded: self = .memoryExceeded(limit: limit)
        case .outputExceeded: self = .outputExceeded(limit: limit)
        case .protocolError: self = .protocolError
        case .invalidRequest: self = .invalidRequest
        case .unauthorized: self = .unauthorized
        case .forbidden: self = .forbidden
        case .notFound: self = .notFound
        case .conflict: self = .conflict
        case .payloadTooLarge: self = .payloadTooLarge
        case .throttled: self = .throttled(retryAfter: retryAfter)
        case .overloaded: self = .overloaded(retryAfter: retryAfter)
        case .cancelled: self = .cancelled
        case .launchFailed: self = .launchFailed(stage: members.stage ?? "", errno: members.errno ?? "")
        }
    }
}
