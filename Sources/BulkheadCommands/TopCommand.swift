import ArgumentParser
import Foundation
import Host
import NIOHTTP1

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Shows which functions are busy: rate, errors, times; again and again.")

    @Option(help: "Seconds between two looks.")
    var interval = 2.0
    @Flag(help: "Look twice, print, and end.")
    var once = false
    @OptionGroup var host: HostOptions

    func validate() throws {
        guard (0.1...3600).contains(interval) else { throw ValidationError("--interval: 0.1 to 3600 seconds") }
    }

    func run() throws {
        let client = try host.client()
        var before = try Figures(client.get(.GET, "/metrics").body)
        while true {
            Thread.sleep(forTimeInterval: interval)
            let now = try Figures(client.get(.GET, "/metrics").body)
            let table = now.rows(since: before, seconds: interval)
            if host.json {
                try printDocument(["functions": table.map(\.document)])
            } else {
                // The terminal's top, and nothing of before.
                if !once { print("\u{1B}[H\u{1B}[2J", terminator: "") }
                print(
                    "running \(now.gauge("bulkhead_invocations_running")), waiting \(now.gauge("bulkhead_invocations_waiting")), queued \(now.gauge("bulkhead_queue_depth")), dead \(now.gauge("bulkhead_dead_letters")), workers \(now.gauge("bulkhead_workers")) (idle \(now.gauge("bulkhead_idle_workers")))"
                )
                printTable([["FUNCTION", "PER SECOND", "ERRORS", "P50", "P99", "CPU"]] + table.map(\.columns))
                fflush(nil)
            }
            if once { return }
            before = now
        }
    }
}

/// What /metrics says, as far as it is of use here.
private struct Figures {
    struct Row {
        let name: String
        let rate: Double, errors: Double, cpu: Double
        /// In seconds; nil: beyond what is measured, or none.
        let p50: Double?, p99: Double?

        var columns: [String] {
            [
                name, Self.short(rate), Self.short(errors), Self.time(p50), Self.time(p99),
                "\(Int((cpu * 100).rounded())) %",
            ]
        }
        var document: [String: Any] {
            [
                "name": name, "perSecond": rate, "errorsPerSecond": errors,
                "p50Ms": p50.map { $0 * 1000 } as Any? ?? NSNull(),
                "p99Ms": p99.map { $0 * 1000 } as Any? ?? NSNull(), "cpu": cpu,
            ]
        }

        private static func short(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
        private static func time(_ value: Double?) -> String {
            value.map { "≤ \($0 < 1 ? "\(($0 * 10_000).rounded() / 10) ms" : "\($0) s")" } ?? "-"
        }
    }

    private var values: [String: Double] = [:]
    private var ended: [String: (all: Double, errors: Double)] = [:]
    private var cpu: [String: Double] = [:]
    private var buckets: [String: [Double: Double]] = [:]

    init(_ text: Data) {
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") where !line.hasPrefix("#") {
            guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
                continue
            }
            let series = line[..<space]
            guard let brace = series.firstIndex(of: "{") else {
                values[String(series)] = value
                continue
            }
            let labels = Self.labels(series[series.index(after: brace)...])
            guard let name = labels["function"] else { continue }
            switch series[..<brace] {
            case "bulkhead_invocations_total":
                ended[name, default: (0, 0)].all += value
                if labels["outcome"] != "ok" { ended[name, default: (0, 0)].errors += value }
            case "bulkhead_invocation_cpu_seconds_total": cpu[name, default: 0] += value
            case "bulkhead_invocation_seconds_bucket":
                if let edge = labels["le"].flatMap(Double.init) { buckets[name, default: [:]][edge] = value }
            default: break
            }
        }
    }

    /// Names and outcomes have no letter that would be escaped.
    private static func labels(_ text: Substring) -> [String: String] {
        var labels: [String: String] = [:]
        for pair in text.split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { labels[String(parts[0])] = String(parts[1].filter { $0 != "\"" && $0 != "}" }) }
        }
        return labels
    }

    func gauge(_ name: String) -> Int { Int(values[name] ?? 0) }

    func rows(since before: Figures, seconds: Double) -> [Row] {
        ended.keys.map { name in
            let old = before.ended[name] ?? (0, 0), new = ended[name] ?? (0, 0)
            let count = new.all - old.all
            func edge(_ share: Double) -> Double? {
                guard count > 0 else { return nil }
                return (buckets[name] ?? [:]).sorted { $0.key < $1.key }.first { edge, value in
                    edge.isFinite && value - (before.buckets[name]?[edge] ?? 0) >= count * share
                }?.key
            }
            return Row(
                name: name, rate: count / seconds, errors: (new.errors - old.errors) / seconds,
                cpu: ((cpu[name] ?? 0) - (before.cpu[name] ?? 0)) / seconds, p50: edge(0.5), p99: edge(0.99))
        }.sorted { ($1.rate, $0.name) < ($0.rate, $1.name) }
    }
}
