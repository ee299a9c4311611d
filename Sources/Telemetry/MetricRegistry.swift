import Synchronization

/// Counters, gauges and histograms, and their Prometheus text (exposition format 0.0.4).
///
/// A family is declared once with its help; a series is found by its label values. Label values come from a bounded
/// set (outcomes, function names), never from a request.
package final class MetricRegistry: Sendable {
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    private struct Family {
        let help: String
        let kind: Kind
        let buckets: [Double]
        var series: [[String]: MetricSeries] = [:]
        let labels: [String]
    }

    private let families = Mutex<[String: Family]>([:])

    package init() {}

    /// Declares a family. A second declaration of a name is ignored.
    package func declare(_ name: String, _ kind: Kind, help: String, labels: [String] = [], buckets: [Double] = []) {
        families.withLock {
            guard $0[name] == nil else { return }
            $0[name] = Family(help: help, kind: kind, buckets: buckets, labels: labels)
        }
    }

    package func add(_ amount: Double = 1, to name: String, _ labels: [String] = []) {
        series(name, labels).add(amount)
    }

    package func set(_ value: Double, for name: String, _ labels: [String] = []) { series(name, labels).set(value) }

    /// Adds one observation to a histogram.
    package func observe(_ value: Double, in name: String, _ labels: [String] = []) {
        series(name, labels).observe(value)
    }

    /// The series with these label values, to be kept by whoever counts often. Once forgotten, it counts for nobody.
    package func series(_ name: String, _ labels: [String] = []) -> MetricSeries {
        families.withLock { families in
            guard let family = families[name] else {
                assertionFailure("metric \(name) is not declared")
                return MetricSeries(buckets: [])
            }
            if let series = family.series[labels] { return series }
            let series = MetricSeries(buckets: family.buckets)
            families[name]?.series[labels] = series
            return series
        }
    }

    /// Forgets every series with this value of a label, as when a function is deleted.
    package func forget(label: String, value: String) {
        families.withLock { families in
            families = families.mapValues { family in
                guard let index = family.labels.firstIndex(of: label) else { return family }
                var family = family
                family.series = family.series.filter { $0.key[index] != value }
                return family
            }
        }
    }

    /// The whole registry as Prometheus text.
    package func text() -> String {
        families.withLock { families in
            var lines: [String] = []
            for (name, family) in families.sorted(by: { $0.key < $1.key }) {
                lines.append("# HELP \(name) \(family.help)")
                lines.append("# TYPE \(name) \(family.kind.rawValue)")
                for (values, series) in family.series.sorted(by: { $0.key.joined() < $1.key.joined() }) {
                    lines += Self.lines(name, family, values, series)
                }
            }
            return lines.joined(separator: "\n") + "\n"
        }
    }

    private static func lines(_ name: String, _ family: Family, _ values: [String], _ series: MetricSeries) -> [String]
    {
        let pairs = zip(family.labels, values).map { "\($0)=\"\(escape($1))\"" }
        func labels(_ more: [String] = []) -> String {
            let all = pairs + more
            return all.isEmpty ? "" : "{\(all.joined(separator: ","))}"
        }
        guard family.kind == .histogram else { return ["\(name)\(labels()) \(number(series.value))"] }
        var total: UInt64 = 0
        var lines: [String] = []
        for (bound, count) in zip(family.buckets, series.bucketCounts) {
            total += count
            lines.append("\(name)_bucket\(labels(["le=\"\(number(bound))\""])) \(total)")
        }
        lines.append("\(name)_bucket\(labels(["le=\"+Inf\""])) \(series.count)")
        lines.append("\(name)_sum\(labels()) \(number(series.value))")
        lines.append("\(name)_count\(labels()) \(series.count)")
        return lines
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }

    private static func escape(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
