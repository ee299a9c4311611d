import FunctionModel
import HostSystem
import Synchronization
package import Telemetry

/// The host's metric families, declared in one place.
package enum Meters {
    static let invocations = "bulkhead_invocations_total"
    static let seconds = "bulkhead_invocation_seconds"
    static let queueSeconds = "bulkhead_queue_seconds"
    package static let queueDepth = "bulkhead_queue_depth"
    package static let deadLetters = "bulkhead_dead_letters"
    static let launchSeconds = "bulkhead_launch_seconds"
    static let droppedSpans = "bulkhead_spans_dropped_total"
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
    static let processCPU = "process_cpu_seconds_total"
    static let processResident = "process_resident_memory_bytes"
    static let processVirtual = "process_virtual_memory_bytes"
    static let processStart = "process_start_time_seconds"
    static let processOpen = "process_open_fds"
    static let processMax = "process_max_fds"

    /// Functions that have series of their own: a histogram of each is 17 lines of every scrape.
    static let maxFunctions = 2000
    /// Where all others count; no function is called so.
    static let others = "_other"

    static func declare(in registry: MetricRegistry) {
        registry.declare(
            invocations, .counter,
            help: "Invocations that ended, by function, outcome and whether their worker was made for them.",
            labels: ["function", "outcome", "start"])
        registry.declare(
            queueSeconds, .histogram,
            help:
                "Time that invocations waited, for their turn in the queue and for a worker, in seconds.",
            buckets: [0.0001, 0.001, 0.01, 0.1, 1, 10, 60, 600, 3600])
        registry.declare(
            launchSeconds, .histogram,
            help:
                "Time of launches, in seconds, by stage: start (from when a worker was wanted to the event's arrival there) and init (from the launch until it said ready).",
            labels: ["stage"], buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 10])
        registry.declare(
            droppedSpans, .counter,
            help: "Invocations that are missing in traces: nobody took them, or there were too many.")
        registry.declare(queueDepth, .gauge, help: "Asynchronous invocations that wait, for the first time or again.")
        registry.declare(deadLetters, .gauge, help: "Asynchronous invocations that are not tried any more.")
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
        // By the names that all Prometheus clients give them.
        registry.declare(processCPU, .counter, help: "CPU time of the supervisor, in seconds.")
        registry.declare(processResident, .gauge, help: "Resident memory of the supervisor, in bytes.")
        registry.declare(processVirtual, .gauge, help: "Virtual memory of the supervisor, in bytes.")
        registry.declare(processStart, .gauge, help: "When the supervisor started, in seconds since 1970.")
        registry.declare(processOpen, .gauge, help: "Open descriptors of the supervisor.")
        registry.declare(processMax, .gauge, help: "Descriptors that the supervisor may have open.")
    }

    /// The process's own figures, as of now.
    package static func setProcess(in registry: MetricRegistry) {
        guard let figures = ProcessFigures() else { return }
        registry.set(figures.cpuSeconds, for: processCPU)
        registry.set(figures.residentBytes, for: processResident)
        registry.set(figures.virtualBytes, for: processVirtual)
        registry.set(figures.startSeconds, for: processStart)
        registry.set(figures.openDescriptors, for: processOpen)
        registry.set(figures.maxDescriptors, for: processMax)
    }
}

/// One function's series, found once.
final class FunctionMeters: Sendable {
    /// Its value of the label `function`.
    let name: String
    private let registry: MetricRegistry
    private let seconds: MetricSeries
    private let cpuSeconds: MetricSeries
    /// By how the worker came to be; made when the first of them ends well, for most functions know one.
    private let ok = Mutex<[StartKind: MetricSeries]>([:])
    private let queueSeconds: MetricSeries
    private let launch: (start: MetricSeries, initialization: MetricSeries)

    /// - Parameter name: a function's, or `Meters.others`.
    init(_ name: String, in registry: MetricRegistry) {
        self.name = name
        self.registry = registry
        seconds = registry.series(Meters.seconds, [name])
        cpuSeconds = registry.series(Meters.cpuSeconds, [name])
        queueSeconds = registry.series(Meters.queueSeconds)
        launch = (
            registry.series(Meters.launchSeconds, ["start"]), registry.series(Meters.launchSeconds, ["init"])
        )
    }

    /// - Parameters:
    ///   - queued: how long it waited.
    ///   - trace: where more of it can be looked up; nil: nowhere.
    func record(_ completion: Completion, elapsed: Duration, queued: Duration, trace: String?) {
        if completion.outcome == .ok {
            ok.withLock { ok in
                if let known = ok[completion.start] { return known }
                let new = registry.series(
                    Meters.invocations, [name, Outcome.ok.rawValue, completion.start.rawValue])
                ok[completion.start] = new
                return new
            }.add(1)
        } else {
            registry.add(to: Meters.invocations, [name, completion.outcome.rawValue, completion.start.rawValue])
        }
        if let trace {
            seconds.observe(Exemplar(elapsed.inSeconds, trace: trace, milliseconds: wallClockMilliseconds()))
        } else {
            seconds.observe(elapsed.inSeconds)
        }
        cpuSeconds.add(completion.usage.cpu.inSeconds)
        queueSeconds.observe(queued.inSeconds)
        guard completion.start == .cold, !completion.hasNotRun else { return }
        launch.start.observe(completion.startTime.inSeconds)
        if let time = completion.usage.initialization { launch.initialization.observe(time.inSeconds) }
    }
}
