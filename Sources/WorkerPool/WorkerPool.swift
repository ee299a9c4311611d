package import FunctionModel
package import HostSystem
package import NIOCore
package import Sandbox
import Synchronization

/// Gives each invocation a worker: an idle reactor of its version, or a new process.
package final class WorkerPool: Sendable {
    private struct State {
        var machine: PoolMachine<ObjectIdentifier>
        var workers: [ObjectIdentifier: WorkerRunner] = [:]
        var ticking = false
        var isCurrent: @Sendable (FunctionName, Int) -> Bool = { _, _ in true }
    }

    private let launcher: Launcher
    private let group: any EventLoopGroup
    private let sinks: WorkerSinks
    private let state: Mutex<State>
    /// Limits are watched at this grain: an invocation may run so much longer than its limit.
    private static let grain = TimeAmount.milliseconds(10)

    /// - Parameter bound: workers at once, of all functions.
    package init(launcher: Launcher, group: any EventLoopGroup, bound: Int, sinks: WorkerSinks) {
        self.launcher = launcher
        self.group = group
        self.sinks = sinks
        state = Mutex(State(machine: PoolMachine(bound: bound)))
    }

    /// Workers of which something may be left, idle ones, and invocations under way.
    package var counts: (workers: Int, idle: Int, running: Int) {
        state.withLock { ($0.machine.workerCount, $0.machine.idleCount, $0.machine.runningCount) }
    }

    /// Sets who says which versions are still served: reactors of others end instead of waiting.
    package func setCurrent(_ isCurrent: @escaping @Sendable (FunctionName, Int) -> Bool) {
        state.withLock { $0.isCurrent = isCurrent }
    }

    /// Runs one invocation. Cancelling its assignment ends its worker.
    /// - Returns: how it went; `throttled` and `overloaded` are among the ways.
    package func invoke(_ version: FunctionVersion, plan: SealedFile, assignment: Assignment) async -> Completion {
        let requested = ContinuousClock.now
        let grant = state.withLock { $0.machine.acquire(version) }
        switch grant {
        case .throttled:
            var failure = Failure(
                .throttled,
                "\(version.name) already runs concurrency.max (\(version.manifest.concurrency.max)) invocations; retry shortly"
            )
            failure.retryAfter = 1
            return Self.refused(failure)
        case .full:
            var failure = Failure(.overloaded, "the host already runs as many workers as it may; retry shortly")
            failure.retryAfter = 1
            return Self.refused(failure)
        case .reuse(let id):
            guard let worker = state.withLock({ $0.workers[id] }), worker.isIdle else {
                // It ended between the grant and now: no tenant sees that, a new one is made.
                state.withLock { $0.machine.finished(version.name) }
                return await invoke(version, plan: plan, assignment: assignment)
            }
            return await run(assignment, on: worker, start: .reused, requested: requested, launch: nil)
        case .launch(let evict):
            retire(evict)
            await launcher.waitUntilConnected()
            let worker = makeWorker(version)
            return await run(assignment, on: worker, start: .cold, requested: requested, launch: plan)
        }
    }

    private static func refused(_ failure: Failure) -> Completion {
        Completion(result: .failure(failure), start: .cold, usage: Usage(), startTime: .zero)
    }

    private func run(
        _ assignment: Assignment, on worker: WorkerRunner, start: StartKind, requested: ContinuousClock.Instant,
        launch plan: SealedFile?
    ) async -> Completion {
        let completion = await withCheckedContinuation { continuation in
            worker.assign(assignment, start: start, requested: requested) { continuation.resume(returning: $0) }
            if let plan { worker.launch(plan: plan, on: group.next()) }
            assignment.cancellation.onCancel { worker.cancel() }
            startTicking()
        }
        assignment.cancellation.finish()
        state.withLock { $0.machine.finished(worker.version.name) }
        return completion
    }

    private func makeWorker(_ version: FunctionVersion) -> WorkerRunner {
        let worker = WorkerRunner(
            version: version, launcher: launcher, sinks: sinks, idle: { [weak self] in self?.becameIdle($0) },
            end: { [weak self] in self?.ended($0) })
        state.withLock {
            $0.machine.entered(ObjectIdentifier(worker), of: version)
            $0.workers[ObjectIdentifier(worker)] = worker
        }
        return worker
    }

    private func becameIdle(_ worker: WorkerRunner) {
        let served = worker.served
        let keep = state.withLock { state in
            state.machine.becameIdle(
                ObjectIdentifier(worker), of: worker.version, served: served,
                isCurrent: state.isCurrent(worker.version.name, worker.version.number), now: .now)
        }
        if !keep { worker.retire() }
    }

    private func ended(_ worker: WorkerRunner) {
        state.withLock {
            $0.machine.ended(ObjectIdentifier(worker))
            $0.workers[ObjectIdentifier(worker)] = nil
        }
    }

    private func retire(_ ids: [ObjectIdentifier]) {
        for worker in state.withLock({ state in ids.compactMap { state.workers[$0] } }) { worker.retire() }
    }

    /// Ends the idle reactors of versions that are not served any more.
    package func retireOutdated() {
        let ids = state.withLock { state in
            let isCurrent = state.isCurrent
            return state.machine.outdated(isCurrent)
        }
        retire(ids)
    }

    /// Ends every worker, busy ones too.
    package func retireAll() {
        for worker in state.withLock({ Array($0.workers.values) }) { worker.retire() }
    }

    // MARK: - Time

    /// One timer for all invocations, and none while there is no worker.
    private func startTicking() {
        let start = state.withLock { state in
            defer { state.ticking = true }
            return !state.ticking
        }
        guard start else { return }
        group.next().scheduleRepeatedTask(initialDelay: Self.grain, delay: Self.grain) { [weak self] task in
            if self?.tick() != true { task.cancel() }
        }
    }

    /// False when no worker is left to watch.
    private func tick() -> Bool {
        let (workers, expired) = state.withLock { state in
            (Array(state.workers.values), state.machine.expired(now: .now))
        }
        for worker in workers { worker.tick() }
        retire(expired)
        return state.withLock { state in
            state.ticking = !state.workers.isEmpty
            return state.ticking
        }
    }
}
