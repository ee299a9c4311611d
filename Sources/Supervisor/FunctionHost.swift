package import Catalogue
import Foundation
package import FunctionModel
package import HostSystem
package import Logging
package import NIOCore
import PythonRuntime
package import Sandbox
import Synchronization
package import Telemetry
package import WorkerPool

/// The supervisor: what is uploaded comes in here, and every invocation goes through here.
package final class FunctionHost: Sendable {
    package struct Options: Sendable {
        /// Workers at once, of all functions.
        package var mostWorkers = 1000
        /// Bytes of memory that all workers together are expected to use at most. Default: three quarters of the machine's.
        package var memoryBudget = Int(sysconf(Int32(_SC_PHYS_PAGES)) / 4 * 3 * sysconf(Int32(_SC_PAGESIZE)))
        /// Synchronous invocations that may wait for a worker, and for how long.
        package var mostWaiting = 1000
        package var longestWait = Duration.seconds(10)
        /// Asynchronous invocations that may wait.
        package var mostQueued = 1000
        /// Bytes of an upload.
        package var largestUpload = 64 << 20
        /// Bytes of an event.
        package var largestEvent = 6 << 20

        package init() {}
    }

    package let options: Options
    package let catalogue: Catalogue
    package let logs = LogStore()
    package let invocations = InvocationLog()
    package let metrics = MetricRegistry()
    package let refusals = RefusalLedger()
    package let launcher: Launcher
    private let pool: WorkerPool
    private let runtimeBundle: String
    private let logger: Logger
    private let state = Mutex(State())
    let asynchronous: AsynchronousQueue

    private static let mostPlans = 1000

    private struct State {
        var plans: [String: SealedFile] = [:]
        var isDraining = false
        var observes = false
        var meters: [FunctionName: FunctionMeters] = [:]
    }

    /// Blocks: call at the start.
    /// - Throws: what keeps the host from serving.
    package init(
        catalogue: Catalogue, launcher: Launcher, group: any EventLoopGroup, options: Options, logger: Logger
    ) throws {
        self.catalogue = catalogue
        self.launcher = launcher
        self.options = options
        self.logger = logger
        runtimeBundle = try catalogue.bundles.storeOwn(PythonRuntime.fileName, bytes: PythonRuntime.source)
        try catalogue.bundles.collectGarbage(keeping: catalogue.bundleDigests.union([runtimeBundle]))
        let (logs, refusals, metrics) = (logs, refusals, metrics)
        // A worker may outlive its function by a moment; what it does then is not to be told of another one by that name.
        @Sendable func isKnown(_ version: FunctionVersion) -> Bool {
            catalogue.snapshot.versions(of: version.name).contains {
                $0.bundle == version.bundle && $0.createdAt == version.createdAt
            }
        }
        @Sendable func log(_ version: FunctionVersion, _ invocation: String?, _ lines: [String]) {
            guard isKnown(version) else { return }
            let time = timestamp()
            logs.append(
                lines.map { LogLine(time: time, invocationId: invocation, version: version.number, text: $0) },
                of: version.name)
        }
        let sinks = WorkerSinks(log: log) { version, call in
            guard isKnown(version) else { return }
            let (refusal, isNew) = refusals.add(call, of: version.name)
            metrics.add(
                Double(call.count), to: Meters.refusedCalls, [version.name.text, refusal.syscall, refusal.errno])
            // Once: a function that tries at each invocation would fill its log with it.
            guard isNew else { return }
            let advice = refusal.grant.map { "; \($0) would allow it" } ?? "; no grant allows it"
            log(version, nil, ["[bulkhead: system call \(refusal.syscall) was refused: \(refusal.errno)\(advice)]"])
        }
        var poolOptions = WorkerPool.Options()
        poolOptions.mostWorkers = options.mostWorkers
        poolOptions.memory = options.memoryBudget
        poolOptions.mostWaiting = options.mostWaiting
        poolOptions.longestWait = options.longestWait
        pool = WorkerPool(launcher: launcher, group: group, options: poolOptions, sinks: sinks)
        asynchronous = AsynchronousQueue(capacity: options.mostQueued)
        Meters.declare(in: metrics)
        pool.setFunctions(
            WorkerPool.Functions(
                isCurrent: { catalogue.snapshot.latest($0.name)?.isSameVersion(as: $0) == true },
                plan: { [weak self] version in
                    guard let self else { throw CancellationError() }
                    return try plan(for: version)
                }))
    }

    /// Starts what is to be kept warm. Call once, when the host serves.
    package func warmUp() {
        for version in catalogue.snapshot.latestVersions { pool.serve(version) }
    }

    // MARK: - Functions

    /// Takes a whole upload in. Nothing is answered before it would survive a crash.
    /// - Throws: `UploadRefused`, or what the disk or database says.
    package func deploy(
        _ arrival: BundleStore.Arrival, format: BundleStore.Format, manifest: Manifest, name: FunctionName
    ) async throws -> (FunctionVersion, isNew: Bool) {
        guard manifest.limits.memory.bytes <= options.memoryBudget else {
            throw UploadRefused(
                "limits.memory (\(manifest.limits.memory)) is more than all workers of this host may use together (memoryBudget, \(ByteSize(bytes: options.memoryBudget)))"
            )
        }
        let bundles = catalogue.bundles
        let size = arrival.size
        let (stored, sha256) = try await offload {
            let views = try (RootView(named: "script"), RootView(named: "dynamic"))
            return try bundles.store(arrival, format: format, manifest: manifest, name: name) { path in
                // The place must be one that cells show; what it is there the launch will say.
                (views.0.shows(path) || views.1.shows(path)) && FileManager.default.isExecutableFile(atPath: path)
            }
        }
        let result = try await catalogue.add(stored, sha256: sha256, size: size, name: name)
        if result.isNew {
            // Compiled now, so that a policy or argument list that cannot work is told to whoever uploads it.
            _ = try plan(for: result.0)
            pool.retireOutdated()
            pool.serve(result.0)
            logger.info("deployed", metadata: ["fn.name": "\(name)", "fn.version": "\(result.0.number)"])
        }
        return result
    }

    /// - Returns: false when there was no such function.
    package func remove(_ name: FunctionName) async throws -> Bool {
        let existed = try await catalogue.remove(name)
        state.withLock { state in
            state.plans = state.plans.filter { !$0.key.hasPrefix(name.text + " ") }
            state.meters[name] = nil
        }
        pool.retireOutdated()
        logs.remove(name)
        refusals.remove(name)
        metrics.forget(label: "function", value: name.text)
        return existed
    }

    /// Picks a version.
    /// - Throws: `Failure` not_found.
    package func version(of name: FunctionName, number: Int?, alias: String?) throws(Failure) -> FunctionVersion {
        let snapshot = catalogue.snapshot
        guard let latest = snapshot.latest(name) else {
            throw Failure(.notFound, "there is no function named \(name); GET /v1/functions lists what there is")
        }
        if let alias, alias != "latest" {
            throw Failure(.notFound, "\(name) has no alias \"\(alias)\"; \"latest\" always names the newest version")
        }
        guard let number else { return latest }
        guard let version = snapshot.version(number, of: name) else {
            throw Failure(.notFound, "\(name) has no version \(number); the newest is \(latest.number)")
        }
        return version
    }

    /// The version's launch plan, made once.
    package func plan(for version: FunctionVersion) throws -> SealedFile {
        // The digest too: a function deleted and made anew counts its versions from 1 again.
        let observes = observes
        let key =
            "\(version.name) \(version.number) \(version.bundle) \(version.createdAt)\(observes ? " observed" : "")"
        if let plan = state.withLock({ $0.plans[key] }) { return plan }
        let plan = try LaunchPlan(version: version, runtimeBundle: runtimeBundle, observing: observes).seal()
        state.withLock { state in
            // Each holds a descriptor. Old versions make theirs anew when somebody asks for one.
            if state.plans.count >= Self.mostPlans { state.plans = [:] }
            state.plans[key] = plan
        }
        return plan
    }

    // MARK: - Invocations

    /// Runs one invocation and waits for its end.
    /// - Parameter event: empty stands for `null`.
    package func invoke(
        _ version: FunctionVersion, id: String, event: ByteBuffer, traceparent: String?, cancellation: Cancellation,
        isAsynchronous: Bool = false
    ) async -> Completion {
        await withCheckedContinuation { continuation in
            submit(
                version, id: id, event: event, traceparent: traceparent, cancellation: cancellation,
                isAsynchronous: isAsynchronous
            ) { continuation.resume(returning: $0) }
        }
    }

    /// As `invoke`, without a task: `completion` is called exactly once, from any thread.
    package func submit(
        _ version: FunctionVersion, id: String, event: ByteBuffer, traceparent: String?, cancellation: Cancellation,
        isAsynchronous: Bool = false, on eventLoop: (any EventLoop)? = nil,
        completion: @escaping @Sendable (Completion) -> Void
    ) {
        let began = ContinuousClock.now
        if !isAsynchronous {
            invocations.add(
                InvocationRecord(
                    id: id, function: version.name, version: version.number, status: .running, startedAt: Date()))
        }
        run(
            version, id: id, event: event, traceparent: traceparent, cancellation: cancellation,
            isAsynchronous: isAsynchronous, eventLoop
        ) { [self] result in
            ended(version, id: id, result, elapsed: .now - began, keepsResult: isAsynchronous)
            completion(result)
        }
    }

    private func ended(
        _ version: FunctionVersion, id: String, _ completion: Completion, elapsed: Duration, keepsResult: Bool
    ) {
        meters(of: version.name).record(completion, elapsed: elapsed)
        invocations.update(id) { record in
            record.status = .done
            record.outcome = completion.outcome
            record.start = completion.start
            record.usage = completion.usage
            switch completion.result {
            case .failure(let failure): record.failure = failure
            case .success(let output) where keepsResult:
                record.result = output.body
                record.resultKind = output.kind
            case .success: break
            }
        }
        if completion.outcome == .launchFailed, case .failure(let failure) = completion.result {
            logger.error(
                "launch failed",
                metadata: [
                    "fn.name": "\(version.name)", "invocation.id": "\(id)", "stage": "\(failure.stage ?? "")",
                    "errno": "\(failure.errno ?? "")",
                ])
        }
    }

    private func meters(of name: FunctionName) -> FunctionMeters {
        state.withLock { state in
            if let meters = state.meters[name] { return meters }
            let meters = FunctionMeters(name, in: metrics)
            state.meters[name] = meters
            return meters
        }
    }

    private func run(
        _ version: FunctionVersion, id: String, event: ByteBuffer, traceparent: String?, cancellation: Cancellation,
        isAsynchronous: Bool, _ eventLoop: (any EventLoop)?, completion: @escaping @Sendable (Completion) -> Void
    ) {
        func refuse(_ failure: Failure) {
            completion(Completion(result: .failure(failure), start: .cold, usage: Usage(), startTime: .zero))
        }
        // What was accepted before is finished.
        if isDraining, !isAsynchronous { return refuse(Self.draining) }
        let event = event.readableBytes == 0 ? ByteBuffer(string: "null") : event
        if let problem = event.withUnsafeReadableBytes({ JSONText.problem(in: $0) }) {
            return refuse(Failure(.invalidRequest, "the event is not JSON: \(problem)"))
        }
        pool.submit(
            version,
            assignment: Assignment(
                invocationID: id, event: event, traceparent: traceparent, cancellation: cancellation,
                eventLoop: eventLoop),
            completion: completion)
    }

    private static var draining: Failure {
        var failure = Failure(
            .overloaded, "the host is shutting down and takes nothing new; retry elsewhere or shortly")
        failure.retryAfter = 5
        return failure
    }

    // MARK: - Asynchronous invocations

    /// Accepts an invocation to be run later. Its result is kept in memory.
    /// - Throws: `Failure` overloaded or invalid_request.
    package func enqueue(_ version: FunctionVersion, id: String, event: ByteBuffer, traceparent: String?)
        throws(Failure)
    {
        if isDraining { throw Self.draining }
        if event.readableBytes > 0, let problem = event.withUnsafeReadableBytes({ JSONText.problem(in: $0) }) {
            throw Failure(.invalidRequest, "the event is not JSON: \(problem)")
        }
        invocations.add(
            InvocationRecord(id: id, function: version.name, version: version.number, status: .queued))
        guard asynchronous.add(.init(version: version, id: id, event: event, traceparent: traceparent)) else {
            var failure = Failure(
                .overloaded, "\(options.mostQueued) asynchronous invocations wait already; retry shortly")
            failure.retryAfter = 1
            invocations.update(id) {
                $0.status = .done
                $0.outcome = .overloaded
            }
            throw failure
        }
    }

    // MARK: - State

    /// Whether new plans are made for `policy learn`: see `SeccompFilter`.
    package var observes: Bool {
        get { state.withLock { $0.observes } }
        set { state.withLock { $0.observes = newValue } }
    }

    package var isDraining: Bool { state.withLock { $0.isDraining } }

    /// From now on nothing new is taken; what runs goes on.
    package func drain() {
        state.withLock { $0.isDraining = true }
        pool.drain()
        asynchronous.close()
        logs.close()
    }

    /// Ends all workers and the launcher. Blocks until nothing of them is left.
    package func stop() {
        pool.retireAll()
        launcher.stop()
    }

    /// Why no traffic should come here now; nil when all is well.
    package var unreadyReason: String? {
        if isDraining { return "the host is shutting down" }
        if launcher.features == nil { return "the launcher is not running" }
        return nil
    }

    /// The metrics' text, with the gauges as of now.
    package func metricsText() -> String {
        let counts = pool.counts
        metrics.set(Double(catalogue.snapshot.count), for: Meters.functions)
        metrics.set(Double(counts.workers), for: Meters.workers)
        metrics.set(Double(counts.idle), for: Meters.idleWorkers)
        metrics.set(Double(counts.running), for: Meters.running)
        metrics.set(Double(counts.waiting), for: Meters.waiting)
        metrics.set(Double(launcher.cellCount), for: Meters.cells)
        metrics.set(Double(launcher.restarts), for: Meters.restarts)
        return metrics.text()
    }
}
