import Synchronization

/// Counters, gauges and histograms, and their text.
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

    /// All of it, as `format` has it.
    package func text(_ format: MetricFormat = .prometheus) -> String {
        families.withLock { families in
            var text = MetricText(format)
            for (name, family) in families.sorted(by: { $0.key < $1.key }) {
                text.begin(name, family.kind, help: family.help)
                for (values, series) in family.series.sorted(by: { $0.key.joined() < $1.key.joined() }) {
                    text.add(name, family.kind, zip(family.labels, values), family.buckets, series)
                }
            }
            return text.finished()
        }
    }
}
