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
import WorkerProtocol

/// The supervisor: what is uploaded comes in here, and every invocation goes through here.
package final class FunctionHost: Sendable {
    package let options: Options
    package let catalogue: Catalogue
    package let logs = LogStore()
    package let budget: MemoryBudget
    /// The newest synchronous invocations; and, apart, so that no crowd of those pushes them out, the accepted ones.
    let invocations = InvocationLog()
    let accepted: AcceptedInvocations
    package let metrics = MetricRegistry()
    package let refusals = RefusalLedger()
    package let launcher: Launcher
    private let pool: WorkerPool
    private let runtimeBundle: String
    private let logger: Logger
    private let state = Mutex(State())

    private static let mostPlans = 1000

    private struct State {
        var plans: [String: SealedFile] = [:]
        var isDraining = false
        var wantsCollection = false
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
        budget = MemoryBudget(limit: options.mostBuffered)
        accepted = try AcceptedInvocations(catalogue, most: options.mostQueued, logger: logger)
        runtimeBundle = try catalogue.bundles.storeOwn(PythonRuntime.fileName, bytes: PythonRuntime.source)
        let needed = catalogue.snapshot.bundleDigests.union(options.roots.bundles).union([runtimeBundle])
        try catalogue.bundles.collectGarbage { needed.contains($0) }
        let sinks = workerSinks(catalogue, logs: logs, refusals: refusals, metrics: metrics, logger: logger)
        var poolOptions = WorkerPool.Options(budget: budget)
        poolOptions.mostWorkers = options.mostWorkers
        poolOptions.memory = options.memoryBudget
        poolOptions.mostWaiting = options.mostWaiting
        poolOptions.longestWait = options.longestWait
        pool = WorkerPool(launcher: launcher, group: group, options: poolOptions, sinks: sinks)
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
        for version in catalogue.snapshot.latestVersions {
            do {
                _ = try options.roots.prepared(for: version.manifest)
                pool.serve(version)
            } catch {
                logger.warning("cannot be served", metadata: ["fn.name": "\(version.name)", "reason": "\(error)"])
            }
        }
    }

    // MARK: - Functions

    /// Takes a whole upload in. Nothing is answered before it would survive a crash.
    /// - Parameter key: id of the key that uploads, for its quota.
    /// - Throws: `UploadRefused`, or what the disk or database says.
    package func deploy(
        _ arrival: BundleStore.Arrival, format: BundleStore.Format, manifest: Manifest, name: FunctionName,
        key: String? = nil
    ) async throws -> (FunctionVersion, isNew: Bool) {
        let bundles = catalogue.bundles
        let size = arrival.size
        do {
            try options.quota.check(catalogue.snapshot, adding: size, key: key)
        } catch {
            bundles.discard(arrival)
            throw error
        }
        // What is unpacked is a stranger's: it waits for its like, behind all that is quick.
        let (stored, sha256) = try await SlowLane.bundles.run { [options] in
            try bundles.store(arrival, format: format, manifest: manifest, name: name) { path, manifest in
                do {
                    return try options.roots.show(executable: path, to: manifest)
                } catch let error as Roots.Unknown {
                    throw UploadRefused("\(error)")
                }
            }
        }
        defer {
            bundles.unpin(stored)
            wantsCollection = true
        }
        try options.quota.check(catalogue.snapshot, adding: stored.bytes, key: key)
        try check(stored, sha256: sha256, size: size, name: name)
        let result = try await catalogue.add(stored, sha256: sha256, size: size, name: name, key: key)
        if result.isNew {
            pool.retireOutdated()
            pool.serve(result.0)
            logger.info("deployed", metadata: ["fn.name": "\(name)", "fn.version": "\(result.0.number)"])
        }
        return result
    }

    /// What only the final manifest can tell, before anything is committed.
    private func check(_ stored: BundleStore.Stored, sha256: String, size: Int, name: FunctionName) throws {
        do {
            try options.roots.check(stored.manifest)
        } catch {
            throw UploadRefused("\(error)")
        }
        let memory = stored.manifest.limits.memory, scratch = stored.manifest.limits.effectiveScratch
        // What nobody has asked for is bounded by the cell's memory like all that it holds.
        let wanted = scratch > Manifest.Limits.usualScratch ? max(memory, scratch) : memory
        guard wanted.bytes <= options.memoryBudget else {
            throw UploadRefused(
                "limits.memory (\(memory)) or limits.scratch (\(scratch)) is more than all workers of this host may use together (memoryBudget, \(ByteSize(bytes: options.memoryBudget)))"
            )
        }
        // Compiled as its longest number would have it: a policy or argument list that cannot work is told to whoever
        // uploads it, and never served.
        let version = FunctionVersion(
            name: name, number: .max, sha256: sha256, size: size, bundle: stored.digest, createdAt: "",
            manifest: stored.manifest, executable: stored.executable)
        do {
            _ = try LaunchPlan(
                version: version, runtimeBundle: runtimeBundle, roots: options.roots, observing: observes
            ).seal()
        } catch let error as LaunchPlan.TooLarge {
            throw UploadRefused("the function cannot be started: \(error)")
        }
    }

    /// Whether bundles may have become garbage since the last collection.
    private(set) var wantsCollection: Bool {
        get { state.withLock { $0.wantsCollection } }
        set { state.withLock { $0.wantsCollection = newValue } }
    }

    /// Removes bundles that nothing names or uses any more.
    func collect() async throws {
        wantsCollection = false
        let named = catalogue.snapshot.bundleDigests.union(ownBundles)
        let isUsed = try await SlowLane.bundles.run { [self] in
            var isUsed = false
            try catalogue.bundles.collectGarbage { name in
                // The few that are not named are looked at once more, as of now.
                if named.contains(name) || catalogue.snapshot.bundleDigests.contains(name) { return true }
                guard bundlesInUse.contains(name) else { return false }
                isUsed = true
                return true
            }
            return isUsed
        }
        // It is looked for again.
        if isUsed { wantsCollection = true }
    }

    /// Those that no version names: the host's own.
    private var ownBundles: Set<String> { options.roots.bundles.union([runtimeBundle]) }

    private var bundlesInUse: Set<String> { pool.bundlesInUse.union(accepted.queue.bundlesInUse) }

    /// - Returns: false when there was no such function.
    package func remove(_ name: FunctionName) async throws -> Bool {
        let existed = try await catalogue.remove(name)
        state.withLock { state in
            state.wantsCollection = true
            state.plans = state.plans.filter { !$0.key.hasPrefix(name.text + " ") }
            state.meters[name] = nil
        }
        pool.retireOutdated()
        logs.remove(name)
        refusals.remove(name)
        metrics.forget(label: "function", value: name.text)
        return existed
    }

    package static func unknown(_ name: FunctionName) -> Failure {
        Failure(.notFound, "there is no function named \(name); GET /v1/functions lists what there is")
    }

    /// Picks a version.
    /// - Throws: `Failure` not_found.
    package func version(of name: FunctionName, number: Int?, alias: String?) throws(Failure) -> FunctionVersion {
        let snapshot = catalogue.snapshot
        guard let latest = snapshot.latest(name) else { throw Self.unknown(name) }
        if let alias, alias != "latest" {
            throw Failure(.notFound, "\(name) has no alias \"\(alias)\"; \"latest\" always names the newest version")
        }
        guard let number else { return latest }
        guard let version = snapshot.version(number, of: name) else {
            throw Failure(.notFound, "\(name) has no version \(number); the newest is \(latest.number)")
        }
        return version
    }

    /// Of a version that was picked when its event began to arrive: it may have gone since, its files too.
    /// - Throws: `Failure` not_found.
    package func requireServed(_ version: FunctionVersion) throws(Failure) {
        guard catalogue.snapshot.has(version) else {
            throw Failure(.notFound, "\(version.name) version \(version.number) was deleted meanwhile")
        }
    }

    /// The version's launch plan, made once.
    package func plan(for version: FunctionVersion) throws -> SealedFile {
        let observes = observes
        let key =
            "\(version.name) \(version.number) \(version.bundle) \(version.createdAt)\(observes ? " observed" : "")"
        if let plan = state.withLock({ $0.plans[key] }) { return plan }
        let plan = try LaunchPlan(
            version: version, runtimeBundle: runtimeBundle, roots: options.roots, observing: observes
        ).seal()
        state.withLock { state in
            // Each holds a descriptor. Old versions make theirs anew when somebody asks for one.
            if state.plans.count >= Self.mostPlans { state.plans = [:] }
            state.plans[key] = plan
        }
        return plan
    }

    // MARK: - Invocations

    /// Runs one invocation and waits for its end.
    package func invoke(
        _ version: FunctionVersion, id: String, event: ArrivedEvent, traceparent: String?, cancellation: Cancellation,
        isAsynchronous: Bool = false
    ) async -> Completion {
        await withCheckedContinuation { continuation in
            submit(
                version, id: id, event: event, traceparent: traceparent, cancellation: cancellation,
                isAsynchronous: isAsynchronous
            ) { continuation.resume(returning: $0) }
        }
    }

    /// As `invoke`; `reading` makes something of the result, and its failure is the invocation's.
    package func invoke<Answer: Sendable>(
        _ version: FunctionVersion, id: String, event: ArrivedEvent, traceparent: String?, cancellation: Cancellation,
        reading: @Sendable (Completion) async -> Result<Answer, Failure>
    ) async -> (Completion, Result<Answer, Failure>) {
        let began = ContinuousClock.now
        noteBegin(version, id)
        var completion = await withCheckedContinuation { continuation in
            run(
                version, id: id, event: event, traceparent: traceparent, cancellation: cancellation,
                isAsynchronous: false, nil
            ) { continuation.resume(returning: $0) }
        }
        let answer = await reading(completion)
        if case .failure(let failure) = answer { completion.result = .failure(failure) }
        ended(version, id: id, completion, elapsed: .now - began, keepsResult: false)
        return (completion, answer)
    }

    private func noteBegin(_ version: FunctionVersion, _ id: String) {
        invocations.add(
            InvocationRecord(
                id: id, function: version.name, version: version.number, status: .running, startedAt: Date()))
    }

    /// As `invoke`, without a task: `completion` is called exactly once, from any thread.
    package func submit(
        _ version: FunctionVersion, id: String, event: ArrivedEvent, traceparent: String?, cancellation: Cancellation,
        isAsynchronous: Bool = false, on eventLoop: (any EventLoop)? = nil,
        completion: @escaping @Sendable (Completion) -> Void
    ) {
        let began = ContinuousClock.now
        if !isAsynchronous { noteBegin(version, id) }
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
        // Accepted ones that met a full house have not ended: they have their turn again.
        if keepsResult, completion.hasNotRun { return }
        meters(of: version.name)?.record(completion, elapsed: elapsed)
        (keepsResult ? accepted.log : invocations).update(id) { record in
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

    /// Nil for a function that is gone: its series must not come back.
    private func meters(of name: FunctionName) -> FunctionMeters? {
        state.withLock { state in
            if let meters = state.meters[name] { return meters }
            guard catalogue.snapshot.latest(name) != nil else { return nil }
            let meters = FunctionMeters(name, in: metrics)
            state.meters[name] = meters
            return meters
        }
    }

    private func run(
        _ version: FunctionVersion, id: String, event: ArrivedEvent, traceparent: String?, cancellation: Cancellation,
        isAsynchronous: Bool, _ eventLoop: (any EventLoop)?, completion: @escaping @Sendable (Completion) -> Void
    ) {
        func refuse(_ failure: Failure) {
            completion(Completion(result: .failure(failure), start: .cold, usage: Usage(), startTime: .zero))
        }
        // What was accepted before is finished.
        if isDraining, !isAsynchronous { return refuse(Self.draining) }
        if let problem = event.problem {
            return refuse(Failure(.invalidRequest, "the event is not JSON: \(problem)"))
        }
        let bytes = event.bytes.readableBytes == 0 && !event.isRaw ? ByteBuffer(string: "null") : event.bytes
        // Written into the protocol's line, it is held twice until the worker has it.
        if version.speaksJSONRPC, let charge = event.charge, !charge.add(bytes.readableBytes) {
            return refuse(Self.crowded)
        }
        pool.submit(
            version,
            assignment: Assignment(
                invocationID: id, event: bytes, traceparent: traceparent, cancellation: cancellation,
                charge: event.charge, eventLoop: eventLoop),
            completion: completion)
    }

    /// The host's memory for others is used up.
    package static var crowded: Failure {
        var failure = Failure(
            .overloaded, "the host holds too many large events and answers at this moment (maxBuffered); retry shortly")
        failure.retryAfter = 1
        return failure
    }

    private static var draining: Failure {
        var failure = Failure(
            .overloaded, "the host is shutting down and takes nothing new; retry elsewhere or shortly")
        failure.retryAfter = 5
        return failure
    }

    // MARK: - Asynchronous invocations

    /// Accepts an invocation to be run later.
    /// - Throws: as `AcceptedInvocations.add`; `Failure` overloaded when the host drains.
    package func enqueue(_ version: FunctionVersion, id: String, event: ArrivedEvent, traceparent: String?)
        async throws
    {
        if isDraining { throw Self.draining }
        try await accepted.add(version, id: id, event: event, traceparent: traceparent)
    }

    /// What is known of an invocation.
    /// - Throws: what the database says.
    package func record(_ id: String) async throws -> InvocationRecord? {
        if let record = invocations.record(id) { return record }
        return try await accepted.record(id)
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
        accepted.queue.close()
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
