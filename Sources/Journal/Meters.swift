import FunctionModel
import Telemetry

/// The host's metric families, declared in one place.
package enum Meters {
    static let invocations = "bulkhead_invocations_total"
    static let seconds = "bulkhead_invocation_seconds"
    static let cpuSeconds = "bulkhead_invocation_cpu_seconds_total"
    static let refusedCalls = "bulkhead_refused_calls_total"
    static let refusedRequests = "bulkhead_requests_refused_total"
    package static let functions = "bulkhead_functions"
    package static let workers = "bulkhead_workers"
    package static let idleWorkers = "bulkhead_idle_workers"
    package static let waiting = "bulkhead_invocations_waiting"
    package static let running = "bulkhead_invocations_running"
    package static let cells = "bulkhead_cells"
    package static let restarts = "bulkhead_launcher_restarts_total"

    static func declare(in registry: MetricRegistry) {
        registry.declare(
            invocations, .counter, help: "Invocations that ended, by function and outcome.",
            labels: ["function", "outcome"])
        registry.declare(
            seconds, .histogram, help: "Time of invocations from request to result, in seconds.", labels: ["function"],
            buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60])
        registry.declare(cpuSeconds, .counter, help: "CPU time of invocations, in seconds.", labels: ["function"])
        registry.declare(
            refusedCalls, .counter, help: "System calls that were answered with an errno, by function and call.",
            labels: ["function", "syscall", "errno"])
        registry.declare(
            refusedRequests, .counter,
            help:
                "Requests that were refused before there was an invocation, by what they were told and the route they came to.",
            labels: ["outcome", "route"])
        registry.declare(functions, .gauge, help: "Functions in the catalogue.")
        registry.declare(workers, .gauge, help: "Workers of which something may be left.")
        registry.declare(idleWorkers, .gauge, help: "Workers that wait for an invocation.")
        registry.declare(running, .gauge, help: "Invocations under way.")
        registry.declare(waiting, .gauge, help: "Invocations that wait for a worker.")
        registry.declare(cells, .gauge, help: "Cells of which something may be left.")
        registry.declare(restarts, .counter, help: "How often the launcher had to be started anew.")
    }

}

/// One function's series, found once.
struct FunctionMeters: Sendable {
    private let name: FunctionName
    private let registry: MetricRegistry
    private let seconds: MetricSeries
    private let cpuSeconds: MetricSeries
    private let ok: MetricSeries

    init(_ name: FunctionName, in registry: MetricRegistry) {
        self.name = name
        self.registry = registry
        seconds = registry.series(Meters.seconds, [name.text])
        cpuSeconds = registry.series(Meters.cpuSeconds, [name.text])
        ok = registry.series(Meters.invocations, [name.text, Outcome.ok.rawValue])
    }

    func record(_ completion: Completion, elapsed: Duration) {
        if completion.outcome == .ok {
            ok.add(1)
        } else {
            registry.add(to: Meters.invocations, [name.text, completion.outcome.rawValue])
        }
        seconds.observe(elapsed.inSeconds)
        cpuSeconds.add(completion.usage.cpu.inSeconds)
    }
}
