import Foundation
import FunctionModel
import Synchronization
import Telemetry
import Testing
import Tracing

private let trace = "4bf92f3577b34da6a3ce929d0e0e4736", caller = "00f067aa0ba902b7"

/// Each in one way.
private let malformed: [String] = [
    "", "00", "00-\(trace)-\(caller)", "00-\(trace)-\(caller)-", "00-\(trace)-\(caller)-1",
    "00-\(trace)-\(caller)-01-", "00-\(trace)-\(caller)-01-more", " 00-\(trace)-\(caller)-01",
    "00-\(trace)-\(caller)-01 ", "0-0\(trace)-\(caller)-01", "00_\(trace)_\(caller)_01",
    "00-\(trace)0-\(caller.dropLast())-01", "00-\(trace)-\(caller)-0g", "0x-\(trace)-\(caller)-01",
    "00-\(trace.uppercased())-\(caller)-01", "00-\(trace)-\(caller.dropLast())é-01",
    "00-\(trace)-\(caller.dropLast(2))é-01", "00-\(trace)-+\(caller.dropLast())-01", "00-\(trace)-\(caller)-+1",
    "ff-\(trace)-\(caller)-01", "00-\(String(repeating: "0", count: 32))-\(caller)-01",
    "00-\(trace)-\(String(repeating: "0", count: 16))-01", String(repeating: "-", count: 55),
    String(repeating: "0", count: 55),
]

@Suite struct OTLPTracerTests {
    private let collector = Collector()

    private func at(_ nanoseconds: UInt64) -> DefaultTracerClock.Timestamp {
        DefaultTracerClock.Timestamp(nanosecondsSinceEpoch: nanoseconds)
    }

    private func context(_ traceparent: String) -> ServiceContext {
        var context = ServiceContext.topLevel
        collector.tracer().extract(["traceparent": traceparent], into: &context, using: Fields())
        return context
    }

    // MARK: - W3C Trace Context

    @Test func aCallersTraceGoesOn() throws {
        let tracer = collector.tracer(), outer = context("00-\(trace)-\(caller)-01")
        #expect(outer.traceParent == TraceParent(traceID: trace, spanID: caller, isSampled: true))
        let span = tracer.startSpan("a", context: outer, ofKind: .server, at: at(1))
        let place = try #require(span.place)
        #expect(place.traceID == trace && place.parentID == caller && place.id != caller)
        var fields: [String: String] = [:]
        tracer.inject(span.context, into: &fields, using: Fields())
        #expect(fields == ["traceparent": "00-\(trace)-\(place.id)-01"])
    }

    /// The lowest bit of the flags says it, whatever the others say; and a version that is to come begins as this one does.
    @Test(arguments: [("00", "03", true), ("00", "02", false), ("01", "01", true), ("fe", "ff", true)])
    func whetherItIsRecordedIsOneBit(_ version: String, _ flags: String, _ isSampled: Bool) {
        #expect(context("\(version)-\(trace)-\(caller)-\(flags)").traceParent?.isSampled == isSampled)
    }

    @Test func whatTheCallerDoesNotRecordIsNotRecorded() async throws {
        let tracer = collector.tracer(), text = "00-\(trace)-\(caller)-00"
        let span = tracer.startSpan("a", context: context(text), at: at(1))
        span.operationName = "b"
        span.addEvent("c")
        #expect(span.place == nil && !span.isRecording && tracer.activeSpan(identifiedBy: span.context) == nil)
        let inner = tracer.startSpan("d", context: span.context, at: at(2))
        #expect(!inner.isRecording)
        var fields: [String: String] = [:]
        tracer.inject(inner.context, into: &fields, using: Fields())
        #expect(fields == ["traceparent": text], "whoever is called is told what the caller said")
        inner.end(at: at(3))
        span.end(at: at(4))
        try await tracer.flush()
        #expect(collector.documents.isEmpty)
    }

    @Test(arguments: malformed)
    func whatIsNotSoundIsIgnored(_ text: String) throws {
        #expect(context(text).traceParent == nil)
        let place = try #require(collector.tracer().startSpan("a", context: context(text)).place)
        #expect(place.parentID == nil && place.traceID.utf8.count == 32 && place.traceID != trace)
    }

    @Test func nothingIsInjectedWhereNothingIsKnown() {
        var fields = ["other": "x"], context = ServiceContext.topLevel
        let tracer = collector.tracer()
        tracer.inject(context, into: &fields, using: Fields())
        tracer.extract(fields, into: &context, using: Fields())
        #expect(fields == ["other": "x"] && context.isEmpty)
    }

    // MARK: - A span's life

    @Test func whatIsSaidOfASpanUntilItEndsIsSent() async throws {
        let tracer = collector.tracer(), outer = context("00-\(trace)-\(caller)-01")
        let span = tracer.startSpan("first", context: outer, ofKind: .client, at: at(10))
        #expect(span.isRecording && span.operationName == "first")
        #expect(tracer.activeSpan(identifiedBy: span.context) === span)
        span.operationName = "second"
        span.attributes["kept"] = "yes"
        span.updateAttributes { $0["count"] = 1 }
        span.addEvent(SpanEvent(name: "met", at: at(12), attributes: ["whom": "b"]))
        span.recordError(Refused(), attributes: ["more": true], at: at(13))
        span.addLink(SpanLink(context: context("00-\(trace)-\(caller)-01"), attributes: [:]))
        span.addLink(SpanLink(context: .topLevel, attributes: [:]))
        span.setStatus(SpanStatus(code: .error, message: "m"))
        span.end(at: at(20))
        #expect(!span.isRecording && tracer.activeSpan(identifiedBy: span.context) == nil)
        // It has ended.
        span.operationName = "third"
        span.attributes = [:]
        span.addEvent("late")
        span.addLink(SpanLink(context: outer, attributes: [:]))
        span.setStatus(SpanStatus(code: .ok))
        span.end(at: at(30))
        try await tracer.flush()
        let sent = try collector.spans
        #expect(sent.count == 1)
        let one = try #require(sent.first)
        #expect(one.traceId == trace && one.parentSpanId == caller && one.spanId == span.place?.id)
        #expect(one.name == "second" && one.kind == 3 && one.status == .init(code: 2, message: "m"))
        #expect(one.startTimeUnixNano == "10" && one.endTimeUnixNano == "20")
        #expect(one.attributes.map(\.key) == ["count", "kept"])
        #expect(one.events?.map(\.name) == ["met", "exception"] && one.events?.map(\.timeUnixNano) == ["12", "13"])
        #expect(
            one.events?.last?.attributes.map(\.key) == ["exception.message", "exception.type", "more"])
        #expect(one.links?.map(\.spanId) == [caller])
    }

    @Test func aSpanThatHasNotEndedIsNotSent() async throws {
        let tracer = collector.tracer()
        let span = tracer.startSpan("a", context: .topLevel, at: at(1))
        try await tracer.flush()
        #expect(collector.documents.isEmpty)
        span.end(at: at(2))
        try await tracer.flush()
        #expect(try collector.spans.map(\.name) == ["a"])
    }

    @Test func whatIsWithinASpanGoesWithIt() async throws {
        let tracer = collector.tracer()
        let outer = tracer.startSpan("outer", context: .topLevel, at: at(1))
        let middle = tracer.startSpan("middle", context: outer.context, at: at(2))
        let inner = tracer.startSpan("inner", context: middle.context, at: at(3))
        let late = tracer.startSpan("late", context: outer.context, at: at(3))
        inner.end(at: at(4))
        middle.end(at: at(5))
        try await tracer.flush()
        #expect(collector.documents.isEmpty, "they wait for the outermost")
        outer.end(at: at(6))
        try await tracer.flush()
        #expect(try collector.spans.map(\.name) == ["outer", "middle", "inner"])
        late.end(at: at(7))
        try await tracer.flush()
        let sent = try collector.spans
        #expect(sent.map(\.name) == ["outer", "middle", "inner", "late"], "whatever ends later goes on its own")
        #expect(sent.map(\.parentSpanId) == [nil, outer.place?.id, middle.place?.id, outer.place?.id])
        #expect(Set(sent.map(\.traceId)).count == 1 && Set(sent.map(\.spanId)).count == 4)
    }

    /// What others say of the trace goes before what is known here.
    @Test func anExtractedCallerIsTheParent() async throws {
        let tracer = collector.tracer()
        let outer = tracer.startSpan("outer", context: .topLevel, at: at(1))
        var context = outer.context
        tracer.extract(
            ["traceparent": "00-\(trace)-\(caller)-01"], into: &context, using: Fields())
        let span = tracer.startSpan("a", context: context, at: at(2))
        span.end(at: at(3))
        try await tracer.flush()
        #expect(try collector.spans.map(\.parentSpanId) == [caller])
    }

    @Test func aPlaceThatWasToldOfBeforeIsTaken() async throws {
        let tracer = collector.tracer()
        let place = try #require(
            TraceSpan(
                traceparent: "00-\(trace)-\(caller)-01", invocation: "i", random: 0xabc1))
        tracer.startSpan("a", as: place, ofKind: .consumer, at: at(1)).end(at: at(2))
        try await tracer.flush()
        let one = try #require(try collector.spans.first)
        #expect(one.spanId == "000000000000abc1" && one.parentSpanId == caller && one.kind == 5)
        #expect(one.status == .init(code: 0, message: nil) && one.attributes.isEmpty)
        #expect(one.events == nil && one.links == nil)
    }

    // MARK: - Bounds

    @Test func whatIsBeyondTheBoundIsDroppedAndCounted() async throws {
        let tracer = collector.tracer(capacity: 2)
        for number in 1...5 {
            let span = tracer.startSpan("\(number)", context: .topLevel, at: at(1))
            tracer.startSpan("within", context: span.context, at: at(1)).end(at: at(2))
            span.end(at: at(2))
        }
        #expect(collector.dropped == 3, "with what is within it, each is one")
        try await tracer.flush()
        #expect(try collector.spans.map(\.name) == ["1", "within", "2", "within"])
        tracer.startSpan("6", context: .topLevel, at: at(1)).end(at: at(2))
        try await tracer.flush()
        #expect(try collector.spans.last?.name == "6", "there is room again")
        #expect(collector.dropped == 3)
    }

    @Test func whatNobodyTakesIsDroppedAndCounted() async throws {
        let tracer = collector.tracer()
        for _ in 1...3 { tracer.startSpan("a", context: .topLevel, at: at(1)).end(at: at(2)) }
        collector.refuses(true)
        await #expect(throws: Refused.self) { try await tracer.flush() }
        #expect(collector.dropped == 3)
        collector.refuses(false)
        try await tracer.flush()
        #expect(collector.documents.isEmpty, "nothing is kept of it")
    }

    @Test func manyGoInSeveralDocuments() async throws {
        let tracer = collector.tracer()
        for _ in 1...513 { tracer.startSpan("a", context: .topLevel, at: at(1)).end(at: at(2)) }
        try await tracer.flush()
        #expect(collector.documents.count == 2)
        #expect(try collector.spans.count == 513)
        #expect(collector.dropped == 0)
    }

    @Test func aSpanTakesOnlySoMuch() async throws {
        let tracer = collector.tracer(), many = 0..<200
        let span = tracer.startSpan(String(repeating: "é", count: 4000), context: .topLevel, at: at(1))
        span.attributes = SpanAttributes(
            Dictionary(uniqueKeysWithValues: many.map { ("\($0)", SpanAttribute.string("v")) }))
        for number in many {
            span.addEvent(SpanEvent(name: "\(number)", at: at(1)))
            span.addLink(SpanLink(context: span.context, attributes: [:]))
            tracer.startSpan("within", context: span.context, at: at(1)).end(at: at(2))
        }
        span.end(at: at(2))
        try await tracer.flush()
        let sent = try collector.spans
        #expect(sent.count == 201, "those that it does not take go on their own")
        let one = try #require(sent.first { $0.name != "within" })
        #expect(one.name.utf8.count == 4096)
        #expect(one.attributes.count == 128 && one.events?.count == 128 && one.links?.count == 128)
    }

    // MARK: - The document

    @Test func everyKindOfValueIsWrittenAsOTLPHasIt() async throws {
        let tracer = collector.tracer()
        let span = tracer.startSpan("a", context: .topLevel, at: at(1))
        span.attributes = [
            "a": "text", "b": true, "c": .int64(.max), "d": .int32(-1), "e": 0.5, "f": .double(.nan),
            "g": .double(-.infinity), "h": .stringConvertible(7), "i": .stringArray(["x", "y"]),
            "j": .int64Array([1]), "k": .boolArray([false]), "l": .doubleArray([.infinity]), "m": .int32Array([]),
        ]
        span.end(at: at(2))
        try await tracer.flush()
        let attributes = try #require(try collector.spans.first?.attributes)
        let text = """
            [{"key":"a","value":{"stringValue":"text"}},{"key":"b","value":{"boolValue":true}},\
            {"key":"c","value":{"intValue":"9223372036854775807"}},{"key":"d","value":{"intValue":"-1"}},\
            {"key":"e","value":{"doubleValue":0.5}},{"key":"f","value":{"doubleValue":"NaN"}},\
            {"key":"g","value":{"doubleValue":"-Infinity"}},{"key":"h","value":{"stringValue":"7"}},\
            {"key":"i","value":{"arrayValue":{"values":[{"stringValue":"x"},{"stringValue":"y"}]}}},\
            {"key":"j","value":{"arrayValue":{"values":[{"intValue":"1"}]}}},\
            {"key":"k","value":{"arrayValue":{"values":[{"boolValue":false}]}}},\
            {"key":"l","value":{"arrayValue":{"values":[{"doubleValue":"Infinity"}]}}},\
            {"key":"m","value":{"arrayValue":{"values":[]}}}]
            """
        let expected = try JSONDecoder().decode([Collector.Attribute].self, from: Data(text.utf8))
        #expect(attributes == expected)
    }
}

/// A carrier that is what it carries.
private struct Fields: Extractor, Injector {
    func extract(key: String, from carrier: [String: String]) -> String? { carrier[key] }
    func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) { carrier[key] = value }
}

private struct Refused: Error {}

/// Makes tracers whose ids count up, and keeps what they send.
private final class Collector: Sendable {
    private struct State {
        var documents: [[UInt8]] = []
        var dropped = 0
        var refuses = false
        var random: UInt64 = 0
    }

    struct Document: Decodable {
        struct Resource: Decodable { let scopeSpans: [Scope] }
        struct Scope: Decodable { let spans: [Span] }
        let resourceSpans: [Resource]
    }
    struct Span: Decodable {
        struct Status: Decodable, Equatable {
            let code: Int
            let message: String?
        }
        let traceId: String, spanId: String, parentSpanId: String?
        let name: String, kind: Int
        let startTimeUnixNano: String, endTimeUnixNano: String
        let attributes: [Attribute], events: [Event]?, links: [Link]?
        let status: Status
    }
    struct Event: Decodable { let name: String, timeUnixNano: String, attributes: [Attribute] }
    struct Link: Decodable { let traceId: String, spanId: String }
    struct Attribute: Decodable, Equatable {
        let key: String
        let value: Value
    }
    struct Value: Decodable, Equatable {
        let stringValue: String?, boolValue: Bool?, intValue: String?
        let doubleValue: Number?, arrayValue: List?
    }
    struct List: Decodable, Equatable { let values: [Value] }
    enum Number: Decodable, Equatable {
        case real(Double)
        case text(String)

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let real = try? value.decode(Double.self) {
                self = .real(real)
            } else {
                self = .text(try value.decode(String.self))
            }
        }
    }

    private let state = Mutex(State())

    func tracer(capacity: Int = 4096) -> OTLPTracer {
        OTLPTracer(
            capacity: capacity, random: { [self] in next() },
            dropped: { [self] count in state.withLock { $0.dropped += count } },
            send: { [self] body in
                try state.withLock { state in
                    if state.refuses { throw Refused() }
                    state.documents.append(body)
                }
            })
    }

    private func next() -> UInt64 {
        state.withLock { state in
            state.random += 2
            return state.random
        }
    }

    func refuses(_ refuses: Bool) { state.withLock { $0.refuses = refuses } }

    var dropped: Int { state.withLock { $0.dropped } }
    var documents: [[UInt8]] { state.withLock { $0.documents } }

    var spans: [Span] {
        get throws {
            try documents.flatMap { document in
                try JSONDecoder().decode(Document.self, from: Data(document))
                    .resourceSpans.flatMap(\.scopeSpans).flatMap(\.spans)
            }
        }
    }
}
