/// How metrics are written.
package enum MetricFormat: Sendable {
    /// Prometheus' exposition format 0.0.4.
    case prometheus
    /// OpenMetrics 1.0: the same, with exemplars.
    case openMetrics

    /// As an `Accept` header asks for it.
    package init(accept: String) {
        self = accept.utf8.count <= 1024 && accept.contains("application/openmetrics-text") ? .openMetrics : .prometheus
    }

    package var contentType: String {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }
}

/// The text of a registry, family by family.
struct MetricText {
    private let format: MetricFormat
    private var lines: [String] = []

    init(_ format: MetricFormat) { self.format = format }

    mutating func begin(_ name: String, _ kind: MetricRegistry.Kind, help: String) {
        // There a family is called without the ending that its samples have.
        let isBare = format == .openMetrics && kind == .counter && name.hasSuffix("_total")
        let family = isBare ? String(name.dropLast("_total".count)) : name
        lines.append("# HELP \(family) \(help)")
        lines.append("# TYPE \(family) \(kind.rawValue)")
    }

    mutating func add(
        _ name: String, _ kind: MetricRegistry.Kind, _ named: Zip2Sequence<[String], [String]>, _ buckets: [Double],
        _ series: MetricSeries
    ) {
        let pairs = named.map { "\($0)=\"\(Self.escape($1))\"" }
        func labels(_ more: [String] = []) -> String {
            let all = pairs + more
            return all.isEmpty ? "" : "{\(all.joined(separator: ","))}"
        }
        guard kind == .histogram else { return lines.append("\(name)\(labels()) \(Self.number(series.value))") }
        let exemplar = format == .openMetrics ? series.exemplar : nil
        var total: UInt64 = 0, below = -Double.infinity
        for (bound, count) in zip(buckets, series.bucketCounts) {
            total += count
            let line = "\(name)_bucket\(labels(["le=\"\(Self.number(bound))\""])) \(total)"
            lines.append(line + Self.text(of: exemplar, above: below, upTo: bound))
            below = bound
        }
        let line = "\(name)_bucket\(labels(["le=\"+Inf\""])) \(series.count)"
        lines.append(line + Self.text(of: exemplar, above: below, upTo: .infinity))
        lines.append("\(name)_sum\(labels()) \(Self.number(series.value))")
        lines.append("\(name)_count\(labels()) \(series.count)")
    }

    mutating func finished() -> String {
        if format == .openMetrics { lines.append("# EOF") }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Behind the bucket that it fell into.
    private static func text(of exemplar: Exemplar?, above: Double, upTo bound: Double) -> String {
        guard let exemplar, exemplar.value > above, exemplar.value <= bound else { return "" }
        let time = Double(exemplar.milliseconds) / 1000
        return " # {trace_id=\"\(escape(exemplar.trace))\"} \(number(exemplar.value)) \(time)"
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }

    private static func escape(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
