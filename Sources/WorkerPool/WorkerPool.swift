import Dialogues
package import FunctionModel
import Glibc
package import HostSystem
package import NIOCore
import NIOPosix
package import Sandbox
import Synchronization

/// Gives each invocation a worker: one that waits, or a new process. Acts for `PoolMachine`, which decides.
package final class WorkerPool: Sendable {
    package struct Options: Sendable {
        /// Workers at once, of all functions.
        package var maxWorkers = 1000
        /// Bytes that all workers together are expected to use at most.
        package var memory = Int.max
        /// Invocations that may wait for a worker.
        package var maxWaiting = 1000
        /// How long one may wait.
        package var maxWait = Duration.seconds(10)
        /// For what workers are sent and write.
        package var budget: MemoryBudget

        package init(budget: MemoryBudget) { self.budget = budget }
    }

    /// What the pool asks of whoever knows the functions.
    package struct Functions: Sendable {
        /// Whether the version is the one that is served: workers of others end instead of waiting.
        package var isCurrent: @Sendable (FunctionVersion) -> Bool
        /// So many workers of the version are kept started.
        package var kept: @Sendable (FunctionVersion) -> Int = { $0.manifest.concurrency.warm }
        /// The version's launch plan.
        package var plan: @Sendable (FunctionVersion) throws -> SealedFile

        package init(
            isCurrent: @escaping @Sendable (FunctionVersion) -> Bool,
            plan: @escaping @Sendable (FunctionVersion) throws -> SealedFile
        ) {
            self.isCurrent = isCurrent
            self.plan = plan
        }
    }

    /// One that has no worker yet.
    private struct Waiting {
        let invocation: Invocation
        let arrived: ContinuousClock.Instant
        let completion: @Sendable (Completion) -> Void
    }

    private struct State {
        var machine: PoolMachine
        var workers: [PoolMachine.WorkerID: WorkerRunner] = [:]
        var waiting: [PoolMachine.Ticket: Waiting] = [:]
        var nextTicket = 1
        var wheel = DeadlineWheel(origin: .now, grain: LimitWatch.grain)
        /// When the next tick is due, if any is.
        var tickAt: ContinuousClock.Instant?
        var machineTick = ContinuousClock.now
        /// Those that are made ready before anybody is sent to them, and how often at once.
        var warming: [RevisionID: Int] = [:]
        var functions = Functions(isCurrent: { _ in true }, plan: { _ in throw SystemError("make a plan", EINVAL) })

        func isCurrent(_ version: FunctionVersion) -> Bool {
            warming[version.revision] != nil || functions.isCurrent(version)
        }
    }

    /// What the machine decided, with the things themselves.
    private enum Step {
        case assign(Waiting, PoolMachine.Ticket, WorkerRunner, StartKind)
        case launch(WorkerRunner, for: Waiting?, loop: Int)
        case retire(WorkerRunner)
        case refuse(Waiting, PoolMachine.Refusal)
        case note(FunctionVersion, String)
    }

    private let launcher: Launcher
    private let loops: [any EventLoop]
    private let sinks: WorkerSinks
    private let options: Options
    private let state: Mutex<State>
    /// A thread of its own, for as long as the process lives: a loop may be busy with a tenant's bytes, and that tenant's
    /// deadline must not wait for it.
    private static let clock = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    package init(launcher: Launcher, group: any EventLoopGroup, options: Options, sinks: WorkerSinks) {
        self.launcher = launcher
        loops = Array(group.makeIterator())
        self.sinks = sinks
        self.options = options
        var pool = PoolMachine.Options()
        pool.maxWorkers = options.maxWorkers
        pool.memory = options.memory
        pool.maxWaiting = options.maxWaiting
        pool.maxWait = options.maxWait
        pool.loops = loops.count
        pool.maxStarting = max(8, System.coreCount * 4)
        pool.maxLaunching = max(2, System.coreCount)
        state = Mutex(State(machine: PoolMachine(options: pool)))
    }

    /// Workers of which something may be left, idle ones, and invocations under way and waiting.
    package var counts: (workers: Int, idle: Int, running: Int, waiting: Int) {
        state.withLock {
            ($0.machine.workerCount, $0.machine.idleCount, $0.machine.runningCount, $0.machine.waitingCount)
        }
    }

    /// Workers of this version that have, or can take, an invocation.
    package func count(of version: FunctionVersion) -> Int {
        state.withLock { state in
            let key = state.machine.versions.id(of: version)
            return state.machine.workers.values.count { $0.version == key && ($0.state == .idle || $0.state == .busy) }
        }
    }

    package func setFunctions(_ functions: Functions) { state.withLock { $0.functions = functions } }

    // MARK: - Invocations

    /// Runs one invocation; its cancellation ends it. `completion` is called exactly once, from any thread; `throttled` and
    /// `overloaded` are among the ways how it may go.
    package func submit(_ invocation: Invocation, completion: @escaping @Sendable (Completion) -> Void) {
        let now = ContinuousClock.now
        let loop = invocation.replyOn.flatMap { loop in loops.firstIndex { $0 === loop } } ?? 0
        let version = invocation.version
        let waiting = Waiting(invocation: invocation, arrived: now, completion: completion)
        var ticket = 0, waits = false
        act { state in
            ticket = state.nextTicket
            state.nextTicket += 1
            state.waiting[ticket] = waiting
            let actions = state.machine.request(ticket, version, loop: loop, now: now)
            waits = !actions.contains { $0.settles(ticket) }
            return actions
        }
        // Those that did not get a worker at once can be given up while they wait. One that got its worker meanwhile has
        // another thing to be done, and keeps it.
        if waits {
            invocation.cancellation.onCancel(ifNothingElse: true) { [self, ticket] in abandon(ticket, version) }
        }
    }

    private func abandon(_ ticket: PoolMachine.Ticket, _ version: FunctionVersion) {
        let waiting = state.withLock { state in
            state.machine.abandon(ticket, version.name) ? state.waiting.removeValue(forKey: ticket) : nil
        }
        waiting?.completion(.refused(Failure(.cancelled, "the client left before the function was started")))
    }

    private func run(_ waiting: Waiting, on worker: WorkerRunner, start: StartKind) -> Bool {
        let now = ContinuousClock.now
        // Not the invocation as a whole: its event is the worker's to let go of.
        let (arrived, cancellation, id, complete) = (
            waiting.arrived, waiting.invocation.cancellation, waiting.invocation.id, waiting.completion
        )
        let isTaken = worker.assign(waiting.invocation, start: start, requested: now) { [self] completion in
            var completion = completion
            completion.queueTime = now - arrived
            cancellation.finish()
            let waitsAlready = state.withLock {
                $0.machine.finished(
                    worker.id, wall: completion.usage.wall, memory: completion.usage.memoryBytes,
                    isSound: completion.outcome == .ok,
                    survives: completion.outcome == .ok || completion.outcome == .error, now: .now)
            }
            if waitsAlready { took(.idle(memory: nil), from: worker) }
            complete(completion)
        }
        if isTaken { cancellation.onCancel { worker.cancel(id) } }
        return isTaken
    }

    // MARK: - Versions

    /// Bundles that workers use, or invocations that wait will.
    package var bundlesInUse: Set<String> {
        state.withLock { state in
            Set(state.workers.values.map(\.version.bundle)).union(state.waiting.values.map(\.invocation.version.bundle))
        }
    }

    /// The version is served from now on.
    package func serve(_ version: FunctionVersion) {
        act { state in
            // Another upload, or its removal, may have come in between.
            state.functions.isCurrent(version)
                ? state.machine.serves(version, kept: state.functions.kept(version), now: .now) : []
        }
    }

    /// Of this function these versions are kept warm from now on, and no others; the idle workers of versions that are not served
    /// any more end.
    package func serveOnly(_ versions: [FunctionVersion], of name: FunctionName) {
        state.withLock { $0.machine.versions.coolDown(name, except: Set(versions.map(\.revision))) }
        retireOutdated()
        for version in versions { serve(version) }
    }

    /// Starts the workers that the version keeps warm, though nobody is sent to it yet, and waits until one of them is ready; not
    /// longer than `limits.init` allows, nor than `longestWarmUp`.
    package func warm(_ version: FunctionVersion) async {
        act { state in
            state.warming[version.revision, default: 0] += 1
            return state.machine.serves(version, now: .now)
        }
        defer {
            state.withLock { state in
                let left = state.warming[version.revision, default: 1] - 1
                state.warming[version.revision] = left > 0 ? left : nil
            }
        }
        let end = ContinuousClock.now + min(version.manifest.limits.initialization.duration, Self.longestWarmUp)
        while ContinuousClock.now < end, state.withLock({ !$0.machine.hasReady(version) }) {
            guard (try? await Task.sleep(for: .milliseconds(5))) != nil else { return }
        }
    }

    private static let longestWarmUp = Duration.seconds(30)

    /// Ends the idle workers of versions that are not served any more.
    package func retireOutdated() {
        let (isCurrent, warming) = state.withLock { ($0.functions.isCurrent, $0.warming) }
        act {
            $0.machine.end({ warming[$0.revision] == nil && !isCurrent($0) }, isServed: false, now: .now)
        }
    }

    /// Ends the workers of such versions before their next invocation: what they were given has changed.
    package func renew(_ isMeant: @Sendable (FunctionVersion) -> Bool) {
        act { $0.machine.end(isMeant, isServed: true, now: .now) }
    }

    /// From now on nothing is started ahead of need; what comes, waits or runs goes on.
    package func drain() { state.withLock { $0.machine.isDraining = true } }

    /// Ends every worker, busy ones too.
    package func retireAll() {
        for worker in state.withLock({ Array($0.workers.values) }) { worker.retire() }
    }

    // MARK: - Deciding under the lock, acting outside it

    private func act(_ decide: (inout State) -> [PoolMachine.Action]) {
        let (steps, nextTick) = state.withLock { state in
            let actions = decide(&state)
            let steps = actions.compactMap { resolve($0, &state) }
            return (steps, Self.nextTick(&state))
        }
        for step in steps { perform(step) }
        if let nextTick { scheduleTick(nextTick) }
    }

    private func resolve(_ action: PoolMachine.Action, _ state: inout State) -> Step? {
        switch action {
        case .assign(let ticket, let id, let kind):
            guard let waiting = state.waiting.removeValue(forKey: ticket), let worker = state.workers[id] else {
                return nil
            }
            return .assign(waiting, ticket, worker, kind)
        case .launch(let id, let version, let ticket, let loop):
            let worker = WorkerRunner(
                id: id, version: version, launcher: launcher, budget: options.budget, sinks: sinks
            ) { [weak self] in
                self?.took($1, from: $0)
            }
            state.workers[id] = worker
            return .launch(worker, for: ticket.flatMap { state.waiting.removeValue(forKey: $0) }, loop: loop)
        case .retire(let id): return state.workers[id].map { .retire($0) }
        case .refuse(let ticket, let why): return state.waiting.removeValue(forKey: ticket).map { .refuse($0, why) }
        case .note(let version, let line): return .note(version, line)
        }
    }

    private func perform(_ step: Step) {
        switch step {
        case .assign(let waiting, let ticket, let worker, let kind):
            guard !run(waiting, on: worker, start: kind) else { return }
            // It ended in this moment: no tenant sees that, another one is found.
            act { state in
                state.waiting[ticket] = waiting
                return state.machine.lost(worker.id, ticket, waiting.invocation.version, now: .now)
            }
        case .launch(let worker, let waiting, let loop):
            if let waiting { _ = run(waiting, on: worker, start: .cold) }
            launcher.whenSettled { [self] in
                let plan = state.withLock { $0.functions.plan }
                worker.launch(plan: { try plan(worker.version) }, on: loops[loop])
            }
        case .retire(let worker): worker.retire()
        case .refuse(let waiting, let why):
            waiting.completion(.refused(failure(why, waiting.invocation.version)))
        case .note(let version, let line): sinks.log(version, nil, .host, [line])
        }
    }

    private func took(_ event: WorkerRunner.Event, from worker: WorkerRunner) {
        switch event {
        case .launched: act { $0.machine.launched(worker.id, now: .now) }
        case .ready(let time): act { $0.machine.started(worker.id, after: time, now: .now) }
        case .idle(let memory):
            act { state in
                state.machine.becameIdle(
                    worker.id, memory: memory, isCurrent: state.isCurrent(worker.version), now: .now)
            }
        case .ended:
            act { state in
                state.workers[worker.id] = nil
                return state.machine.ended(worker.id, now: .now)
            }
        case .deadline(let instant):
            act { state in
                state.wheel.add(worker.id, at: instant)
                return []
            }
        }
    }

    private func failure(_ refusal: PoolMachine.Refusal, _ version: FunctionVersion) -> Failure {
        switch refusal {
        case .throttled(let seconds):
            Failure(
                .throttled(retryAfter: seconds),
                "\(version.name) already runs concurrency.max (\(version.manifest.concurrency.max)) invocations; retry in \(seconds) s"
            )
        case .queueFull(let seconds):
            Failure(
                .overloaded(retryAfter: seconds),
                "the host is busy and \(options.maxWaiting) invocations wait already (maxWaiting); retry in \(seconds) s"
            )
        case .waitedTooLong(let seconds):
            Failure(
                .overloaded(retryAfter: seconds),
                "the host was busy for \(options.maxWait.inSeconds) s, the longest that an invocation waits (maxWait); retry in \(seconds) s"
            )
        }
    }

    // MARK: - Time

    /// How rarely it ticks while there is something to watch. What an earlier tick has overtaken still comes, within this time,
    /// and finds nothing to do.
    private static let longestPause = Duration.milliseconds(100)

    /// When to tick, where that is earlier than a tick that is due anyway.
    private static func nextTick(_ state: inout State) -> ContinuousClock.Instant? {
        guard let first = state.wheel.next ?? (state.machine.needsTicks ? .now + longestPause : nil) else { return nil }
        if let at = state.tickAt, at <= first { return nil }
        let next = min(first, .now + longestPause)
        state.tickAt = next
        return next
    }

    private func scheduleTick(_ instant: ContinuousClock.Instant) {
        let (seconds, attoseconds) = (instant - .now).components
        let pause = max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        Self.clock.next().scheduleTask(in: .nanoseconds(pause)) { [weak self] in self?.tick() }
    }

    private func tick() {
        let now = ContinuousClock.now
        var due: [WorkerRunner] = []
        act { state in
            if let at = state.tickAt, at <= now { state.tickAt = nil }
            due = state.wheel.advance(to: now).compactMap { state.workers[$0] }
            guard state.machine.needsTicks, now - state.machineTick >= Self.longestPause * 9 / 10 else { return [] }
            state.machineTick = now
            return state.machine.tick(now: now)
        }
        for worker in due { worker.tick() }
    }
}
