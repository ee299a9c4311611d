package import FunctionModel
import Synchronization
package import Tracing

/// A span of an `OTLPTracer`. What is said of it counts until it ends; then it goes, with those within it, to its parent in this
/// process, or where that has ended or there is none, to be sent.
package final class OTLPSpan: Tracing.Span {
    private struct State {
        var name: String
        var attributes: SpanAttributes = [:]
        var events: [SpanEvent] = []
        var links: [EndedSpan.Link] = []
        var status: SpanStatus?
        var hasEnded = false
        /// Those within it that have ended.
        var inner: [EndedSpan] = []
    }

    /// In its trace; nil: it is not recorded.
    package let place: TraceSpan?
    private let around: ServiceContext
    private let kind: SpanKind
    /// Nanoseconds since 1970.
    private let begin: UInt64
    private let tracer: OTLPTracer
    private let state: Mutex<State>

    // As OpenTelemetry's SDKs have them by default: https://opentelemetry.io/docs/specs/otel/trace/sdk/#span-limits
    private static let (maxAttributes, maxEvents, maxLinks) = (128, 128, 128)
    /// A span that stays open for long hands on so many with it; those beyond go on their own.
    private static let maxInner = 128

    init(
        _ name: String, at place: TraceSpan?, in around: ServiceContext, _ kind: SpanKind, begin: UInt64,
        of tracer: OTLPTracer
    ) {
        self.place = place
        self.around = around
        self.kind = kind
        self.begin = begin
        self.tracer = tracer
        state = Mutex(State(name: name))
    }

    /// What is within it, or is called from there, begins in this one.
    package var context: ServiceContext {
        var context = around
        if let place { context.enter(self, at: place) }
        return context
    }

    package var isRecording: Bool { place != nil && state.withLock { !$0.hasEnded } }

    package var operationName: String {
        get { state.withLock { $0.name } }
        set { record { $0.name = newValue } }
    }

    package var attributes: SpanAttributes {
        get { state.withLock { $0.attributes } }
        set {
            let kept = Self.bounded(newValue)
            record { $0.attributes = kept }
        }
    }

    package func setStatus(_ status: SpanStatus) { record { $0.status = status } }

    package func addEvent(_ event: SpanEvent) {
        record { state in
            guard state.events.count < Self.maxEvents else { return }
            var event = event
            event.attributes = Self.bounded(event.attributes)
            state.events.append(event)
        }
    }

    /// https://opentelemetry.io/docs/specs/otel/trace/exceptions/
    package func recordError<Instant: TracerInstant>(
        _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
    ) {
        guard place != nil else { return }
        var all: SpanAttributes = [
            "exception.type": .string(String(describing: type(of: error))), "exception.message": .string("\(error)"),
        ]
        all.merge(attributes)
        addEvent(SpanEvent(name: "exception", at: instant(), attributes: all))
    }

    package func addLink(_ link: SpanLink) {
        // Its ids alone: the context may hold a span that holds this one.
        guard let target = link.context.traceParent else { return }
        let attributes = Self.bounded(link.attributes)
        record { state in
            guard state.links.count < Self.maxLinks else { return }
            state.links.append(EndedSpan.Link(target: target, attributes: attributes))
        }
    }

    /// A second end changes nothing.
    package func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        guard let place else { return }
        let end = instant().nanosecondsSinceEpoch
        let ended = state.withLock { state -> [EndedSpan] in
            guard !state.hasEnded else { return [] }
            state.hasEnded = true
            var all = [
                EndedSpan(
                    place: place, name: state.name, kind: kind, begin: begin, end: end, attributes: state.attributes,
                    events: state.events, links: state.links, status: state.status)
            ]
            all += state.inner
            state.inner = []
            return all
        }
        guard !ended.isEmpty, around.ownSpan?.take(ended) != true else { return }
        tracer.keep(ended)
    }

    /// One within it has ended.
    /// - Returns: false where it does not go with this one.
    private func take(_ ended: [EndedSpan]) -> Bool {
        state.withLock { state in
            guard !state.hasEnded, state.inner.count + ended.count <= Self.maxInner else { return false }
            state.inner += ended
            return true
        }
    }

    private func record(_ change: (inout State) -> Void) {
        guard place != nil else { return }
        state.withLock { state in
            if !state.hasEnded { change(&state) }
        }
    }

    private static func bounded(_ attributes: SpanAttributes) -> SpanAttributes {
        guard attributes.count > maxAttributes else { return attributes }
        var kept: SpanAttributes = [:]
        attributes.forEach { if kept.count < maxAttributes { kept.set($0, value: $1) } }
        return kept
    }
}

/// What is known of a span that has ended.
struct EndedSpan: Sendable {
    struct Link: Sendable {
        let target: TraceParent
        let attributes: SpanAttributes
    }

    let place: TraceSpan
    let name: String
    let kind: SpanKind
    /// Nanoseconds since 1970, as its end.
    let begin: UInt64
    let end: UInt64
    let attributes: SpanAttributes
    let events: [SpanEvent]
    let links: [Link]
    let status: SpanStatus?
}
