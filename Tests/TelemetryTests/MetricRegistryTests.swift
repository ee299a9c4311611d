import CoreMetrics
import Telemetry
import Testing

@Suite struct MetricRegistryTests {
    @Test func writesPrometheusText() {
        let registry = MetricRegistry()
        registry.declare("a_total", .counter, help: "As.", labels: ["kind"])
        registry.add(to: "a_total", ["x\"y\\z\n"])
        registry.add(2, to: "a_total", ["b"])
        registry.declare("t_seconds", .histogram, help: "Times.", buckets: [0.1, 1])
        for value in [0.05, 0.5, 5] { registry.observe(value, in: "t_seconds") }
        #expect(
            registry.text() == """
                # HELP a_total As.
                # TYPE a_total counter
                a_total{kind="b"} 2
                a_total{kind="x\\"y\\\\z\\n"} 1
                # HELP t_seconds Times.
                # TYPE t_seconds histogram
                t_seconds_bucket{le="0.1"} 1
                t_seconds_bucket{le="1"} 2
                t_seconds_bucket{le="+Inf"} 3
                t_seconds_sum 5.55
                t_seconds_count 3

                """)
    }

    /// The same with the trace of the newest, behind the bucket that it fell into, and counters' families without their ending.
    @Test func writesOpenMetrics() {
        let registry = MetricRegistry(), trace = String(repeating: "a", count: 32)
        registry.declare("a_total", .counter, help: "As.")
        registry.add(to: "a_total")
        registry.declare("t_seconds", .histogram, help: "Times.", buckets: [0.1, 1])
        registry.series("t_seconds").observe(0.05)
        registry.series("t_seconds").observe(Exemplar(0.5, trace: trace, milliseconds: 1_500))
        #expect(
            registry.text(.openMetrics) == """
                # HELP a As.
                # TYPE a counter
                a_total 1
                # HELP t_seconds Times.
                # TYPE t_seconds histogram
                t_seconds_bucket{le="0.1"} 1
                t_seconds_bucket{le="1"} 2 # {trace_id="\(trace)"} 0.5 1.5
                t_seconds_bucket{le="+Inf"} 2
                t_seconds_sum 0.55
                t_seconds_count 2
                # EOF

                """)
        #expect(!registry.text().contains(trace))
    }

    @Test func forgetsAFunction() {
        let registry = MetricRegistry()
        registry.declare("a_total", .counter, help: "As.", labels: ["function", "outcome"])
        registry.add(to: "a_total", ["gone", "ok"])
        registry.add(to: "a_total", ["kept", "ok"])
        registry.forget(label: "function", value: "gone")
        #expect(!registry.text().contains("gone") && registry.text().contains("kept"))
    }

    @Test func takesWhatLibrariesReport() {
        let registry = MetricRegistry()
        let factory = RegistryMetrics(registry)
        Counter(label: "http.requests", dimensions: [("route", "/a")], factory: factory).increment(by: 3)
        Timer(label: "work", factory: factory).recordNanoseconds(2_000_000_000)
        #expect(registry.text().contains("http_requests_total{route=\"/a\"} 3"))
        #expect(registry.text().contains("work_seconds_sum 2"))
    }
}
