import Foundation
import FunctionModel
import Journal
import Synchronization
import Telemetry
import Testing

@Suite struct TracesTests {
    private let sent = Documents()
    private let registry = MetricRegistry()

    /// Where its clock stands.
    private static let now = 1_700_000_000_000_000_000
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736", caller = "00f067aa0ba902b7"
    private static let id = "0af76519-16cd-43dd-8448-eb211c80319c"

    /// Its ids count up.
    private func traces() -> Traces {
        let random = Mutex<UInt64>(0)
        return Traces(
            registry: registry, send: { [sent] in sent.add($0) },
            random: {
                random.withLock { random in
                    random += 2
                    return random
                }
            }, now: { Self.now })
    }

    private func completion(_ result: Result<String, Failure>) -> Completion {
        var completion = FakeWorkers.completion(result)
        completion.startTime = .milliseconds(20)
        completion.queueTime = .milliseconds(10)
        completion.usage.wall = .milliseconds(100)
        completion.usage.memoryBytes = 4096
        completion.usage.initialization = .milliseconds(5)
        return completion
    }

    @Test func aFinishedInvocationIsThisDocument() async throws {
        let traces = traces()
        var one = invocation(try version(), id: Self.id, source: .queue)
        one.traceparent = "00-\(Self.trace)-\(Self.caller)-01"
        one.waited = .milliseconds(500)
        one.span = traces.span(of: one)
        #expect(one.span?.traceparent == "00-\(Self.trace)-0000000000000003-01")
        traces.ended(one, completion(.success("1")), elapsed: .milliseconds(200))
        try await traces.flush()
        func step(_ name: String, _ id: Int, _ begin: String, _ end: String) -> String {
            """
            {"traceId":"\(Self.trace)","spanId":"000000000000000\(id)","parentSpanId":"0000000000000003","name":"\(name)",\
            "kind":1,"startTimeUnixNano":"\(begin)","endTimeUnixNano":"\(end)","attributes":[],"status":{"code":0}}
            """
        }
        let steps = [
            step("queue", 5, "1699999999300000000", "1699999999800000000"),
            step("wait", 7, "1699999999870000000", "1699999999880000000"),
            step("launch", 9, "1699999999880000000", "1699999999900000000"),
        ]
        let expected = """
            {"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"bulkhead"}}]},\
            "scopeSpans":[{"scope":{"name":"bulkhead"},"spans":[\
            {"traceId":"\(Self.trace)","spanId":"0000000000000003","parentSpanId":"\(Self.caller)","name":"invoke f",\
            "kind":5,"startTimeUnixNano":"1699999999800000000","endTimeUnixNano":"1700000000000000000","attributes":[\
            {"key":"bulkhead.memory","value":{"intValue":"4096"}},\
            {"key":"bulkhead.outcome","value":{"stringValue":"ok"}},\
            {"key":"bulkhead.start","value":{"stringValue":"cold"}},\
            {"key":"faas.coldstart","value":{"boolValue":true}},\
            {"key":"faas.invocation_id","value":{"stringValue":"\(Self.id)"}},\
            {"key":"faas.name","value":{"stringValue":"f"}},\
            {"key":"faas.trigger","value":{"stringValue":"pubsub"}},\
            {"key":"faas.version","value":{"stringValue":"1"}}],"status":{"code":1}},\
            \(steps.joined(separator: ",")),\
            {"traceId":"\(Self.trace)","spanId":"000000000000000b","parentSpanId":"0000000000000003","name":"init",\
            "kind":1,"startTimeUnixNano":"1699999999895000000","endTimeUnixNano":"1699999999900000000",\
            "attributes":[],"status":{"code":0}},\
            {"traceId":"\(Self.trace)","spanId":"000000000000000d","parentSpanId":"0000000000000003","name":"run",\
            "kind":1,"startTimeUnixNano":"1699999999900000000","endTimeUnixNano":"1700000000000000000",\
            "attributes":[],"status":{"code":0}}\
            ]}]}]}
            """
        #expect(sent.all.count == 1)
        #expect(try sent.all.map(canonical) == [canonical(Array(expected.utf8))])
    }

    /// Nobody called, nothing waited, and it took no longer than its run.
    @Test func oneThatFailedAtOnceSaysWhyInATraceOfItsOwn() async throws {
        let traces = traces()
        var one = invocation(try version(), id: Self.id)
        one.span = traces.span(of: one)
        let why = String(repeating: "w", count: 2000)
        traces.ended(
            one, completion(.failure(Failure(.timeout(limit: "wall"), why))), elapsed: .milliseconds(100))
        try await traces.flush()
        let document = try canonical(try #require(sent.all.first))
        #expect(document.contains(#""traceId":"0af7651916cd43dd8448eb211c80319c""#))
        #expect(document.contains(#""status":{"code":2,"message":"\#(why.prefix(1000))"}"#))
        #expect(document.contains(#""kind":2,"name":"invoke f","spanId":"0000000000000003""#), "nobody is its parent")
        #expect(document.contains(#""name":"run""#))
        for name in ["queue", "wait", "launch", "init"] { #expect(!document.contains(#""name":"\#(name)""#)) }
    }

    /// Whatever a worker or a clock says.
    @Test func timesBeyondAllMeasureDoNoHarm() async throws {
        let traces = traces()
        var one = invocation(try version(), id: Self.id)
        one.span = traces.span(of: one)
        one.waited = .seconds(Int64.max)
        var odd = completion(.success("1"))
        odd.usage.wall = .seconds(Int64.max)
        odd.startTime = .seconds(Int64.min)
        odd.usage.initialization = .seconds(Int64.max)
        traces.ended(one, odd, elapsed: .seconds(1))
        try await traces.flush()
        let document = try canonical(try #require(sent.all.first))
        #expect(document.contains(#""spanId":"0000000000000005","startTimeUnixNano":"0""#))
    }

    @Test func whatHasNoPlaceInATraceIsNotSent() async throws {
        let traces = traces()
        var one = invocation(try version(), id: Self.id)
        traces.ended(one, completion(.success("1")), elapsed: .seconds(1))
        one.traceparent = "00-\(Self.trace)-\(Self.caller)-00"
        #expect(traces.span(of: one) == nil, "its caller does not record")
        one.traceparent = "00-\(Self.trace)-\(String(repeating: "0", count: 16))-01"
        #expect(traces.span(of: one)?.parentID == nil, "what is not sound is ignored")
        #expect(traces.span(of: one)?.traceID == Self.id.filter { $0 != "-" })
        try await traces.flush()
        #expect(sent.all.isEmpty)
    }

    private func canonical(_ json: [UInt8]) throws -> String {
        let value = try JSONSerialization.jsonObject(with: Data(json))
        return String(decoding: try JSONSerialization.data(withJSONObject: value, options: .sortedKeys), as: UTF8.self)
    }
}

/// What was sent.
private final class Documents: Sendable {
    private let documents = Mutex<[[UInt8]]>([])

    func add(_ document: [UInt8]) { documents.withLock { $0.append(document) } }
    var all: [[UInt8]] { documents.withLock { $0 } }
}
