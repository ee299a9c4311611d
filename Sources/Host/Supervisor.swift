package import Access
import Bundles
package import Catalogue
import Courier
package import Deployment
package import Events
package import FunctionModel
package import Gateway
import HostSystem
package import Invoker
package import Journal
import Logging
import NIOCore
import Queues
import Runtimes
package import Sandbox
package import Secrets
import Store
package import Telemetry
package import WorkerPool

/// The supervisor, put together. It holds no rules: each is a service's, and what services need of each other is handed to them
/// here.
///
/// The order of life: foundations (data directory, launcher, no root any more), confinement, the store and the services on it, the
/// listener, readiness; then SIGTERM: nothing new is taken, what runs is finished, workers end, the launcher ends.
///
/// An upload goes to `Deployment`, which checks it, compiles its plan and commits it to the `Catalogue`. An invocation is made by an
/// edge from a version of the catalogue's snapshot and goes to the `Invoker`, the one door: the `WorkerPool` finds it a worker, the
/// `Journal` writes down how it went. What is to be run later is accepted by `Events`, which comes to the same door.
package final class Supervisor: Sendable {
    package let options: Options
    package let catalogue: Catalogue
    package let access: Access
    package let deployment: Deployment
    package let journal: Journal
    package let invoker: Invoker
    package let events: Events
    package let sources: EventSources
    package let secrets: Secrets
    package let launcher: Launcher
    /// For bytes that this process holds for others.
    package let budget: MemoryBudget
    private let pool: WorkerPool

    /// Blocks: call at the start.
    /// - Throws: what keeps the host from serving.
    init(
        stores: Stores, bundles: BundleStore, runtimes: Runtimes, launcher: Launcher, courier: Courier?,
        secretKey: Secrets.KeyPlace, path: String, group: any EventLoopGroup, options: Options, logger: Logger
    ) throws {
        self.options = options
        self.launcher = launcher
        let catalogue = try Catalogue(store: stores.catalogue)
        let secrets = try Secrets(store: stores.secrets, place: secretKey)
        let journal = Journal(
            functions: .init(
                has: { $0.isTrial || catalogue.snapshot.has($0) }, hasName: { catalogue.snapshot.latest($0) != nil }),
            usage: try UsageLedger(store: stores.usage),
            sendTraces: Self.sending(traces: options.traces, by: courier),
            redact: { version, text in secrets.redactor(of: version.manifest.secrets)?.redacted(text) ?? text },
            logger: logger)
        let deployment = try Deployment(
            catalogue: catalogue, bundles: bundles, runtimes: runtimes,
            secrets: Deployment.Secrets(
                missing: { secrets.missing(of: $0) }, environment: { secrets.environment($0) },
                document: { secrets.document($0) }),
            limits: options.deployment, logger: logger)
        let budget = MemoryBudget(limit: options.maxBuffered)
        let pool = WorkerPool(
            launcher: launcher, group: group, options: Self.poolOptions(options, budget), sinks: journal.sinks)
        let (running, left) = try RunningFile.open(path: path + "/running")
        var rules = Invoker.Rules(
            refusal: { journal.usage.refusal(of: $0) },
            redact: { secrets.redactor(of: $0.manifest.secrets)?.redacted($1) ?? $1 })
        rules.reserved = { catalogue.reservedConcurrency(of: $0) }
        if options.traces != nil { rules.span = { journal.traces.span(of: $0) } }
        let invoker = Invoker(workers: pool, recorder: journal, rules: rules)
        try stores.queue.countStarts(of: left)
        let events = try Events(
            store: stores.queue, invoker: invoker, budget: budget,
            bounds: .init(maxQueued: options.maxQueued, retention: options.results),
            around: Events.Surroundings(
                version: { catalogue.snapshot.version($1, of: $0) }, resolve: { try catalogue.snapshot.resolve($0) },
                secret: { secrets.bytes(of: $0) }, courier: courier, running: running,
                rules: { catalogue.asyncRules(of: $0) }),
            logger: logger)
        self.secrets = secrets
        let queues = try Queues(
            store: stores.messages, invoker: invoker, budget: budget, maxMessages: options.maxQueued,
            around: Queues.Surroundings(
                resolve: { reference, key in try catalogue.snapshot.resolve(reference) { _ in key } },
                maxWait: options.maxWait),
            logger: logger)
        sources = EventSources(
            schedules: try Schedules(store: stores.schedules, events: events, logger: logger), queues: queues)
        access = try Access(
            store: stores.catalogue, keySets: KeySets(logger: logger, fetch: KeySets.fetching(by: courier)),
            vault: KeyVault(
                secret: { secrets.bytes(ofOwn: $0) },
                keep: { try await secrets.put(own: $0, $1, now: timestamp()) },
                remove: { try await secrets.remove(own: $0) }))
        (self.catalogue, self.journal, self.deployment, self.budget) = (catalogue, journal, deployment, budget)
        (self.pool, self.invoker, self.events) = (pool, invoker, events)

        var functions = WorkerPool.Functions(
            isCurrent: { catalogue.snapshot.isServed($0) }, plan: { try deployment.plan(for: $0) })
        functions.kept = { catalogue.keptWorkers(of: $0) }
        pool.setFunctions(functions)
        let serve: @Sendable (FunctionName) -> Void = { name in
            pool.serveOnly(catalogue.snapshot.warmVersions(of: name), of: name)
        }
        catalogue.tell(serve)
        deployment.tell(
            Deployment.Others(
                served: serve,
                warm: { await pool.warm($0) },
                removed: { name in
                    pool.retireOutdated()
                    journal.forget(name)
                    events.forget(name)
                    queues.forget(name)
                }, bundlesInUse: { pool.bundlesInUse.union(events.bundlesInUse) }))
        journal.logs.restore(LogArchive(folder: path + "/logs").read { catalogue.snapshot.latest($0) != nil })
        secrets.tell { name in
            deployment.changed(secret: name)
            pool.renew { $0.manifest.secrets.values.contains(name) }
        }
    }

    private static func poolOptions(_ options: Options, _ budget: MemoryBudget) -> WorkerPool.Options {
        var pool = WorkerPool.Options(budget: budget)
        pool.maxWorkers = options.maxWorkers
        pool.memory = options.deployment.memoryBudget
        pool.maxWaiting = options.maxWaiting
        pool.maxWait = options.maxWait
        return pool
    }

    // MARK: - Life

    /// Starts what is to be kept warm. Call once, when the host serves.
    package func warmUp() {
        for version in catalogue.snapshot.warmVersions {
            do {
                _ = try deployment.runtimes.roots.prepared(for: version.manifest)
                pool.serve(version)
            } catch {
                Logger(label: "bulkhead").warning(
                    "cannot be served", metadata: ["fn.name": "\(version.name)", "reason": "\(error)"])
            }
        }
    }

    /// From now on nothing new is taken; what runs goes on.
    package func drain() {
        invoker.drain()
        pool.drain()
        events.drain()
        sources.queues.close()
        journal.logs.close()
    }

    /// Ends all workers and the launcher. Blocks until nothing of them is left.
    package func stop() {
        pool.retireAll()
        launcher.stop()
    }

    // MARK: - State

    /// Why no traffic should come here now; nil when all is well.
    package var unreadyReason: String? {
        if invoker.isDraining { return "the host is shutting down" }
        if launcher.features == nil { return "the launcher is not running" }
        return nil
    }

    /// The metrics' text, with the gauges as of now.
    package func metricsText(_ format: MetricFormat) -> String {
        let counts = pool.counts, metrics = journal.metrics
        metrics.set(Double(catalogue.snapshot.count), for: Meters.functions)
        metrics.set(Double(counts.workers), for: Meters.workers)
        metrics.set(Double(counts.idle), for: Meters.idleWorkers)
        metrics.set(Double(counts.running), for: Meters.running)
        metrics.set(Double(counts.waiting), for: Meters.waiting)
        metrics.set(Double(events.depth), for: Meters.queueDepth)
        metrics.set(Double(events.deadLetterCounts.values.reduce(0, +)), for: Meters.deadLetters)
        metrics.set(Double(launcher.cellCount), for: Meters.cells)
        metrics.set(Double(launcher.restarts), for: Meters.restarts)
        Meters.setProcess(in: metrics)
        return metrics.text(format)
    }
}

extension WorkerPool: Workers {}
extension Journal: InvocationRecorder {}
