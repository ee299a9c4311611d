import Foundation
package import FunctionModel
import Synchronization
package import Telemetry

/// Invocations as spans, gathered for whoever collects traces: a bounded number; what is beyond that is dropped, and counted.
package final class Traces: Sendable {
    /// Delivers one document, or says why not.
    package typealias Send = @Sendable ([UInt8]) async throws -> Void

    private struct Ended: Sendable {
        let span: TraceSpan
        let invocation: Invocation
        let outcome: Outcome
        let detail: String?
        let start: StartKind
        let usage: Usage
        let launch: Duration, queue: Duration, elapsed: Duration
        /// Nanoseconds since 1970.
        let end: Int
    }

    private let pending = Mutex<[Ended]>([])
    private let registry: MetricRegistry
    private let send: Send

    private static let (maxPending, maxBatch) = (4096, 512)

    package init(registry: MetricRegistry, send: @escaping Send) {
        self.registry = registry
        self.send = send
    }

    /// An invocation begins.
    package func span(of invocation: Invocation) -> TraceSpan? {
        TraceSpan(
            traceparent: invocation.traceparent, invocation: invocation.id, random: .random(in: 1 ... .max))
    }

    func ended(_ invocation: Invocation, _ completion: Completion, elapsed: Duration) {
        guard let span = invocation.span else { return }
        var detail: String?
        if case .failure(let failure) = completion.result { detail = failure.detail.prefix(bytes: 1000) }
        let ended = Ended(
            span: span, invocation: invocation, outcome: completion.outcome, detail: detail, start: completion.start,
            usage: completion.usage, launch: completion.startTime, queue: completion.queueTime, elapsed: elapsed,
            end: Int(Date().timeIntervalSince1970 * 1e9))
        let isKept = pending.withLock { pending in
            guard pending.count < Self.maxPending else { return false }
            pending.append(ended)
            return true
        }
        if !isKept { dropped(1) }
    }

    private func dropped(_ count: Int) { registry.add(Double(count), to: Meters.droppedSpans) }

    // MARK: - Sending

    /// Sends what has gathered.
    /// - Throws: why it could not be; what was to be sent is dropped.
    package func flush() async throws {
        while true {
            let batch = pending.withLock { pending in
                let batch = Array(pending.prefix(Self.maxBatch))
                pending.removeFirst(batch.count)
                return batch
            }
            guard !batch.isEmpty else { return }
            do {
                try await send(Array(try JSONEncoder().encode(Self.document(batch))))
            } catch {
                dropped(batch.count)
                throw error
            }
        }
    }

    /// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    private static func document(_ batch: [Ended]) -> OTLP {
        let scope = OTLP.ScopeSpans(scope: .init(name: "bulkhead"), spans: batch.flatMap(spans))
        return OTLP(
            resourceSpans: [
                .init(resource: .init(attributes: [.init("service.name", .text("bulkhead"))]), scopeSpans: [scope])
            ])
    }

    /// The invocation itself, and within it what it waited for, its worker's launch, and its run.
    private static func spans(_ ended: Ended) -> [OTLP.Span] {
        let invocation = ended.invocation, name = invocation.version.name.text
        let begin = ended.end - ended.elapsed.wholeNanoseconds
        let isServer = invocation.source != .queue
        var attributes: [OTLP.Attribute] = [
            .init("faas.name", .text(name)), .init("faas.version", .text(invocation.version.label)),
            .init("faas.invocation_id", .text(invocation.id)), .init("faas.coldstart", .flag(ended.start == .cold)),
            .init("faas.trigger", .text(invocation.source == .queue ? "pubsub" : "http")),
            .init("bulkhead.outcome", .text(ended.outcome.rawValue)),
            .init("bulkhead.start", .text(ended.start.rawValue)),
        ]
        attributes.append(.init("bulkhead.memory", .number(String(ended.usage.memoryBytes))))
        var all = [
            OTLP.Span(
                traceId: ended.span.traceID, spanId: ended.span.id, parentSpanId: ended.span.parentID,
                name: "invoke \(name)", kind: isServer ? 2 : 5, startTimeUnixNano: String(begin),
                endTimeUnixNano: String(ended.end), attributes: attributes,
                status: .init(code: ended.outcome == .ok ? 1 : 2, message: ended.detail))
        ]
        // Backwards from its end: what a step took is known better than when it began.
        let runs = max(begin, ended.end - ended.usage.wall.wholeNanoseconds)
        let launches = max(begin, runs - ended.launch.wholeNanoseconds)
        let waits = max(begin, launches - ended.queue.wholeNanoseconds)
        func add(_ name: String, _ from: Int, _ to: Int, isAlwaysThere: Bool = false) {
            guard to > from || isAlwaysThere else { return }
            all.append(
                OTLP.Span(
                    traceId: ended.span.traceID, spanId: TraceSpan.id(.random(in: 1 ... .max)),
                    parentSpanId: ended.span.id, name: name, kind: 1,
                    startTimeUnixNano: String(from), endTimeUnixNano: String(to), attributes: [],
                    status: .init(code: 0, message: nil)))
        }
        // It is counted in whole milliseconds, and may be none.
        if let waited = invocation.waited { add("queue", begin - waited.wholeNanoseconds, begin, isAlwaysThere: true) }
        add("wait", waits, launches)
        add("launch", launches, runs)
        if let time = ended.usage.initialization { add("init", max(launches, runs - time.wholeNanoseconds), runs) }
        add("run", runs, ended.end)
        return all
    }

}

/// OTLP's traces, in JSON.
private struct OTLP: Encodable {
    struct ResourceSpans: Encodable {
        let resource: Resource
        let scopeSpans: [ScopeSpans]
    }
    struct Resource: Encodable { let attributes: [Attribute] }
    struct ScopeSpans: Encodable {
        let scope: Scope
        let spans: [Span]
    }
    struct Scope: Encodable { let name: String }
    struct Span: Encodable {
        let traceId: String
        let spanId: String
        let parentSpanId: String?
        let name: String
        let kind: Int
        let startTimeUnixNano: String
        let endTimeUnixNano: String
        let attributes: [Attribute]
        let status: Status
    }
    struct Status: Encodable {
        let code: Int
        let message: String?
    }
    struct Attribute: Encodable {
        enum Value: Encodable {
            case text(String)
            case flag(Bool)
            /// 64 bits are a string there.
            case number(String)

            private enum Keys: CodingKey { case stringValue, boolValue, intValue }

            func encode(to encoder: any Encoder) throws {
                var members = encoder.container(keyedBy: Keys.self)
                switch self {
                case .text(let text): try members.encode(text, forKey: .stringValue)
                case .flag(let flag): try members.encode(flag, forKey: .boolValue)
                case .number(let number): try members.encode(number, forKey: .intValue)
                }
            }
        }

        let key: String
        let value: Value

        init(_ key: String, _ value: Value) { (self.key, self.value) = (key, value) }
    }

    let resourceSpans: [ResourceSpans]
}
