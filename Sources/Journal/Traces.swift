package import FunctionModel
import HostSystem
package import Telemetry
import Tracing
import WireText

/// Invocations as spans: each with what it waited for, its worker's launch, and its run within it.
package struct Traces: Sendable {
    /// Delivers one document, or says why not.
    package typealias Send = OTLPTracer.Send

    package let tracer: OTLPTracer
    private let random: @Sendable () -> UInt64
    private let now: @Sendable () -> Int

    /// - Parameters:
    ///   - registry: counts what is dropped.
    ///   - random: 64 bits with each call.
    ///   - now: nanoseconds since 1970.
    package init(
        registry: MetricRegistry, send: @escaping Send,
        random: @escaping @Sendable () -> UInt64 = { BufferedRandom.next() },
        now: @escaping @Sendable () -> Int = { Int(clamping: DefaultTracerClock.now.nanosecondsSinceEpoch) }
    ) {
        tracer = OTLPTracer(
            random: random, dropped: { registry.add(Double($0), to: Meters.droppedSpans) }, send: send)
        self.random = random
        self.now = now
    }

    /// An invocation begins.
    package func span(of invocation: Invocation) -> TraceSpan? {
        TraceSpan(traceparent: invocation.traceparent, invocation: invocation.id, random: random())
    }

    /// It ends now, so long after it began. Only now its span is made: what it took is known, and one that met a full house has not
    /// ended.
    package func ended(_ invocation: Invocation, _ completion: Completion, elapsed: Duration) {
        guard let place = invocation.span else { return }
        let end = now(), begin = end - elapsed.wholeNanoseconds
        let span = tracer.startSpan(
            "invoke \(invocation.version.name.text)", as: place,
            ofKind: invocation.source == .queue ? .consumer : .server, at: Self.instant(begin))
        span.attributes = Self.attributes(of: invocation, completion)
        span.setStatus(Self.status(of: completion))
        let within = span.context
        for step in Self.steps(of: invocation, completion, from: begin, to: end) {
            tracer.startSpan(step.name, context: within, at: Self.instant(step.begin)).end(at: Self.instant(step.end))
        }
        span.end(at: Self.instant(end))
    }

    /// Sends what has gathered.
    /// - Throws: why it could not be; what was to be sent is dropped.
    package func flush() async throws { try await tracer.flush() }

    // MARK: - What is said of one

    private static func attributes(of invocation: Invocation, _ completion: Completion) -> SpanAttributes {
        [
            "faas.name": .string(invocation.version.name.text),
            "faas.version": .string(invocation.version.label),
            "faas.invocation_id": .string(invocation.id),
            "faas.coldstart": .bool(completion.start == .cold),
            "faas.trigger": .string(invocation.source == .queue ? "pubsub" : "http"),
            "bulkhead.outcome": .string(completion.outcome.rawValue),
            "bulkhead.start": .string(completion.start.rawValue),
            "bulkhead.memory": .int64(Int64(completion.usage.memoryBytes)),
        ]
    }

    private static func status(of completion: Completion) -> SpanStatus {
        switch completion.result {
        case .success: SpanStatus(code: .ok)
        case .failure(let failure): SpanStatus(code: .error, message: failure.detail.prefix(bytes: 1000))
        }
    }

    private struct Step {
        let name: String
        let begin: Int, end: Int
    }

    /// Backwards from its end: what a step took is known better than when it began.
    private static func steps(
        of invocation: Invocation, _ completion: Completion, from begin: Int, to end: Int
    ) -> [Step] {
        let runs = max(begin, end - completion.usage.wall.wholeNanoseconds)
        let launches = max(begin, runs - completion.startTime.wholeNanoseconds)
        let waits = max(begin, launches - completion.queueTime.wholeNanoseconds)
        var steps: [Step] = []
        func add(_ name: String, _ begin: Int, _ end: Int, isAlwaysThere: Bool = false) {
            if end > begin || isAlwaysThere { steps.append(Step(name: name, begin: begin, end: end)) }
        }
        // It is counted in whole milliseconds, and may be none.
        if let waited = invocation.waited { add("queue", begin - waited.wholeNanoseconds, begin, isAlwaysThere: true) }
        add("wait", waits, launches)
        add("launch", launches, runs)
        if let time = completion.usage.initialization {
            add("init", max(launches, runs - time.wholeNanoseconds), runs)
        }
        add("run", runs, end)
        return steps
    }

    private static func instant(_ nanoseconds: Int) -> DefaultTracerClock.Timestamp {
        DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: UInt64(max(0, nanoseconds)))
    }
}
