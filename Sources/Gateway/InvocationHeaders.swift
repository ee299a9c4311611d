import FunctionModel
import HTTPTypes

extension HTTPField.Name {
    // These are constants that parse.
    static let bulkheadInvocation = HTTPField.Name("Bulkhead-Invocation-Id")!
    static let bulkheadOutcome = HTTPField.Name("Bulkhead-Outcome")!
    static let rateLimit = HTTPField.Name("RateLimit")!
    static let rateLimitPolicy = HTTPField.Name("RateLimit-Policy")!
    static let bulkheadVersion = HTTPField.Name("Bulkhead-Version")!
    static let bulkheadStart = HTTPField.Name("Bulkhead-Start")!
    static let bulkheadUsage = HTTPField.Name("Bulkhead-Usage")!
    static let serverTiming = HTTPField.Name("Server-Timing")!
    static let prefer = HTTPField.Name("Prefer")!
    static let preferenceApplied = HTTPField.Name("Preference-Applied")!
    static let host = HTTPField.Name("Host")!
    static let forwarded = HTTPField.Name("Forwarded")!
    static let xForwardedFor = HTTPField.Name("X-Forwarded-For")!
    static let traceparent = HTTPField.Name("traceparent")!
}

/// The headers that every invocation's response carries.
enum InvocationHeaders {
    /// - Parameter isHolder: whether the caller holds a token: what it cost exactly is not for strangers.
    static func fields(
        of completion: Completion, id: String, version: FunctionVersion, isHolder: Bool = true
    ) -> [HTTPField] {
        var fields: [HTTPField] = []
        fields.reserveCapacity(6)
        fields.append(HTTPField(name: .bulkheadInvocation, value: id))
        fields.append(HTTPField(name: .bulkheadOutcome, value: completion.outcome.rawValue))
        fields.append(HTTPField(name: .bulkheadVersion, value: version.label))
        fields.append(HTTPField(name: .bulkheadStart, value: completion.start.rawValue))
        if isHolder { fields += cost(of: completion) }
        return fields
    }

    /// Of an answer that goes out while it is made: what is known at its beginning.
    static func beginning(start: StartKind, id: String, version: FunctionVersion) -> [HTTPField] {
        [
            HTTPField(name: .bulkheadInvocation, value: id),
            HTTPField(name: .bulkheadVersion, value: version.label),
            HTTPField(name: .bulkheadStart, value: start.rawValue),
        ]
    }

    /// And at its end.
    static func end(of completion: Completion, isHolder: Bool) -> [HTTPField] {
        [HTTPField(name: .bulkheadOutcome, value: completion.outcome.rawValue)] + (isHolder ? cost(of: completion) : [])
    }

    private static func cost(of completion: Completion) -> [HTTPField] {
        var fields: [HTTPField] = []
        let usage = completion.usage, wall = decimal(usage.wall)
        var text = ""
        text.reserveCapacity(80)
        func add(_ name: String, _ value: String) {
            text += name
            text += value
        }
        add("wall-ms=", wall)
        add(", cpu-ms=", decimal(usage.cpu))
        add(", memory-bytes=", String(usage.memoryBytes))
        if let initialization = usage.initialization { add(", init-ms=", decimal(initialization)) }
        fields.append(HTTPField(name: .bulkheadUsage, value: text))
        text.removeAll(keepingCapacity: true)
        add("queue;dur=", decimal(completion.queueTime))
        add(", start;dur=", decimal(completion.startTime))
        add(", run;dur=", wall)
        fields.append(HTTPField(name: .serverTiming, value: text))
        return fields
    }

    /// Milliseconds as an RFC 8941 decimal: three digits behind the point.
    static func decimal(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let microseconds = max(0, seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
        var text = String(microseconds / 1000)
        let fraction = microseconds % 1000
        text += fraction < 10 ? ".00" : fraction < 100 ? ".0" : "."
        text += String(fraction)
        return text
    }
}
