package import CoreMetrics

/// Lets libraries that report through swift-metrics report into this registry, and so onto `/metrics`.
///
/// The host's own hot path uses the registry directly: making a swift-metrics handle for each request would cost more
/// than the request's own accounting.
package struct RegistryMetrics: MetricsFactory {
    private let registry: MetricRegistry

    package init(_ registry: MetricRegistry) { self.registry = registry }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        Handler(registry, .counter, label, dimensions, suffix: "_total")
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        Handler(registry, .counter, label, dimensions, suffix: "_total")
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        Handler(registry, .gauge, label, dimensions)
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        Handler(registry, aggregate ? .histogram : .gauge, label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        Handler(registry, .histogram, label, dimensions, suffix: "_seconds")
    }

    // Series live as long as the registry: what a library counted stays true after its handle has gone.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}
}

private final class Handler: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler, TimerHandler {
    private let registry: MetricRegistry
    private let kind: MetricRegistry.Kind
    private let name: String
    private let labels: [String]

    init(
        _ registry: MetricRegistry, _ kind: MetricRegistry.Kind, _ label: String, _ dimensions: [(String, String)],
        suffix: String = ""
    ) {
        self.registry = registry
        self.kind = kind
        let plain = label.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
        let name = String(plain)
        self.name = name.hasSuffix(suffix) ? name : name + suffix
        let sorted = dimensions.sorted { $0.0 < $1.0 }
        labels = sorted.map(\.1)
        registry.declare(
            self.name, kind, help: "\(label), as a library reports it.", labels: sorted.map(\.0),
            buckets: kind == .histogram ? [0.001, 0.01, 0.1, 1, 10, 100, 1000] : [])
    }

    func increment(by amount: Int64) { registry.add(Double(amount), to: name, labels) }
    func increment(by amount: Double) { registry.add(amount, to: name, labels) }
    func decrement(by amount: Double) { registry.add(-amount, to: name, labels) }
    func set(_ value: Int64) { registry.set(Double(value), for: name, labels) }
    func set(_ value: Double) { registry.set(value, for: name, labels) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        if kind == .histogram {
            registry.observe(value, in: name, labels)
        } else {
            registry.set(value, for: name, labels)
        }
    }

    func recordNanoseconds(_ duration: Int64) { registry.observe(Double(duration) * 1e-9, in: name, labels) }
    func reset() { registry.set(0, for: name, labels) }
}
