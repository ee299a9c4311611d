import Foundation
package import FunctionModel
import Synchronization
package import Tracing

/// The tracer of this host, by swift-distributed-tracing. Spans that have ended are gathered for whoever collects them, over OTLP
/// in JSON: a bounded number; what is beyond that is dropped, and counted. Its place in a trace comes and goes by W3C Trace Context.
///
/// A span and those within it are one: they are sent together, or dropped together and counted as one.
package final class OTLPTracer: Tracer {
    package typealias Span = OTLPSpan
    /// Delivers one document, or says why not.
    package typealias Send = @Sendable ([UInt8]) async throws -> Void

    private let pending = Mutex<[[EndedSpan]]>([])
    private let capacity: Int
    private let random: @Sendable () -> UInt64
    private let dropped: @Sendable (Int) -> Void
    private let send: Send

    /// Of those that count as one.
    private static let maxBatch = 512

    /// - Parameters:
    ///   - capacity: how many wait to be sent at most, each with those within it.
    ///   - random: 64 bits with each call, for ids.
    ///   - dropped: is told of each that will be missing.
    package init(
        capacity: Int = 4096, random: @escaping @Sendable () -> UInt64 = { .random(in: .min ... .max) },
        dropped: @escaping @Sendable (Int) -> Void, send: @escaping Send
    ) {
        self.capacity = capacity
        self.random = random
        self.dropped = dropped
        self.send = send
    }

    // MARK: - Spans

    /// Begins one within the context's span or in its caller's trace; without either, in a trace of its own. Where the caller does
    /// not record, neither does the span.
    package func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> ServiceContext, ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant, function: String, file fileID: String, line: UInt
    ) -> OTLPSpan {
        let around = context(), parent = around.traceParent
        let place = parent?.isSampled == false ? nil : TraceSpan(within: parent, random: random)
        return OTLPSpan(
            operationName, at: place, in: around, kind, begin: instant().nanosecondsSinceEpoch, of: self)
    }

    /// Begins one whose place was settled before: somebody was told of it.
    package func startSpan<Instant: TracerInstant>(
        _ operationName: String, as place: TraceSpan, ofKind kind: SpanKind, at instant: @autoclosure () -> Instant
    ) -> OTLPSpan {
        OTLPSpan(operationName, at: place, in: .topLevel, kind, begin: instant().nanosecondsSinceEpoch, of: self)
    }

    package func activeSpan(identifiedBy context: ServiceContext) -> OTLPSpan? {
        guard let span = context.ownSpan, span.isRecording else { return nil }
        return span
    }

    /// Who waits for them to be sent calls `flush()`.
    package func forceFlush() {}

    func keep(_ spans: [EndedSpan]) {
        let isKept = pending.withLock { pending in
            guard pending.count < capacity else { return false }
            pending.append(spans)
            return true
        }
        if !isKept { dropped(1) }
    }

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
                try await send(Array(try JSONEncoder().encode(OTLP(batch.flatMap { $0 }))))
            } catch {
                dropped(batch.count)
                throw error
            }
        }
    }
}

// MARK: - W3C Trace Context

extension OTLPTracer {
    private static let field = "traceparent"

    /// What is not sound is as if nobody had sent it.
    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout ServiceContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let text = extractor.extract(key: Self.field, from: carrier), let caller = TraceParent(text) else {
            return
        }
        context.traceParent = caller
    }

    package func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let parent = context.traceParent else { return }
        injector.inject(parent.text, forKey: Self.field, into: &carrier)
    }
}

/// Where in a trace a context is.
struct TracePlace: Sendable {
    let parent: TraceParent
    /// That of this process which it is in.
    let span: OTLPSpan?

    enum Key: ServiceContextKey { typealias Value = TracePlace }
}

extension ServiceContext {
    /// Whose span begins in this context: that of its trace, its span, and whether they are recorded. nil: none is known.
    package var traceParent: TraceParent? {
        get { self[TracePlace.Key.self]?.parent }
        set { self[TracePlace.Key.self] = newValue.map { TracePlace(parent: $0, span: nil) } }
    }

    /// The one of this process.
    var ownSpan: OTLPSpan? { self[TracePlace.Key.self]?.span }

    mutating func enter(_ span: OTLPSpan, at place: TraceSpan) {
        self[TracePlace.Key.self] = TracePlace(parent: place.asParent, span: span)
    }
}
