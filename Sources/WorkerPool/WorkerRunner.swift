import Dialogues
import FunctionModel
import Glibc
import HostSystem
import NIOCore
import Sandbox
import Synchronization

/// Acts for one worker's machine: decides under a lock, acts outside it. Safe from any thread.
final class WorkerRunner: Sendable {
    typealias Instant = ContinuousClock.Instant

    private struct State {
        var machine: WorkerMachine
        var cell: CellID?
        var killWanted = false
        var meters: CellMeters?
        var log: WorkerLog
        var logChannel: (any Channel)?
        var input = WorkerInput()
        var invocationID: String?
        var reply = Reply()
        var refused = RefusedCalls()
        /// Where its runtime asks, if it speaks so.
        var runtime: RuntimeListener?
        /// When the pool will call `tick`; nil: not.
        var tickAt: Instant?
    }

    /// Where the answer goes.
    private struct Reply {
        var completion: (@Sendable (Completion) -> Void)?
        /// To whom while it is made.
        var stream: ResponseStream?
        /// Of the event, while it is answered.
        var rest: EventStream?
        /// Whether nothing is read of the worker's stdout, for nobody has room for it.
        var isHeldUp = false
        /// What it is charged to, from its first byte.
        var charge: MemoryBudget.Charge?
    }

    /// Asked for once: it reads files.
    private static let processors = System.coreCount

    let id: PoolMachine.WorkerID
    let version: FunctionVersion
    private let launcher: Launcher
    private let budget: MemoryBudget
    private let state: Mutex<State>
    private let sinks: WorkerSinks
    private let report: @Sendable (WorkerRunner, Event) -> Void

    init(
        id: PoolMachine.WorkerID, version: FunctionVersion, launcher: Launcher, budget: MemoryBudget,
        sinks: WorkerSinks,
        report: @escaping @Sendable (WorkerRunner, Event) -> Void
    ) {
        self.id = id
        self.version = version
        self.launcher = launcher
        self.budget = budget
        self.sinks = sinks
        self.report = report
        let machine = WorkerMachine(version: version, now: .now, processors: Self.processors)
        // From its first byte: what a worker writes before it is ready is held, too.
        state = Mutex(
            State(
                machine: machine, log: WorkerLog(limit: version.manifest.limits.log.bytes),
                reply: Reply(charge: budget.charge(of: version.name.text))))
    }

    // MARK: - Orders

    /// Gives the worker an invocation; `completion` is called exactly once, from any thread.
    /// - Returns: false when it cannot take one (any more), and nothing is done.
    func assign(
        _ invocation: Invocation, start: StartKind, requested: Instant,
        completion: @escaping @Sendable (Completion) -> Void
    ) -> Bool {
        let (canTake, before) = state.withLock { state -> (Bool, [String]) in
            guard start == .cold || state.machine.isIdle else { return (false, []) }
            state.reply.completion = completion
            state.input.charge = invocation.event.charge
            state.input.rest = invocation.event.rest
            state.reply.rest = invocation.event.rest
            state.reply.charge = budget.charge(of: version.name.text)
            state.invocationID = invocation.id
            state.reply.stream = invocation.stream
            // What was written between two invocations is nobody's, half a line of it too.
            return (true, start == .cold ? [] : state.log.beginsInvocation())
        }
        guard canTake else { return false }
        emit(before, nil)
        let id = invocation.id
        invocation.stream?.begin(
            start, more: { [weak self] in self?.holdUp(false) }, onEnd: { [weak self] in self?.cancel(id) })
        var invocation = invocation
        invocation.event.charge = nil
        invocation.event.rest = nil
        handle(.assign(invocation, start: start, requested: requested))
        return true
    }

    /// Starts the worker's process. What fails comes out as the invocation's outcome.
    func launch(plan: () throws -> SealedFile, on loop: any EventLoop) {
        do {
            let plan = try plan()
            let streams = try WorkerStreams(isStreamed: version.manifest.stream && version.speech == .command)
            let handler: @Sendable (CellEvent) -> Void = { [self] event in took(event, on: loop) }
            // A custom runtime answers by another way: what it writes is its log, all of it.
            let cell =
                version.speech == .runtimeAPI
                ? try launcher.launch(
                    plan: plan, stdin: streams.childInput, stdout: streams.childLog, stderr: streams.childLog,
                    handler: handler)
                : try launcher.launch(
                    plan: plan, stdin: streams.childInput, stdout: streams.childOutput, stderr: streams.childLog,
                    handler: handler)
            let kill = state.withLock {
                $0.cell = cell
                return $0.killWanted
            }
            if kill { launcher.kill(cell) }
            let logFile = streams.logFile
            state.withLock { $0.log.opened(logFile) }
            streams.open(
                on: loop, received: { [self] in took(output: $0) }, closed: { [self] in handle(.outputClosed) },
                logged: { [self] in took(log: $0) }, logClosed: { [self] in logClosed() },
                opened: { [self] in attach($0, $1) },
                logOpened: { [self] channel in state.withLock { $0.logChannel = channel } })
        } catch let error as LaunchError {
            failed(error)
        } catch let error as SystemError {
            failed(LaunchError(stage: "pipes", number: error.number))
        } catch {
            tell("no launch plan can be made: \(error)", nil)
            failed(LaunchError(stage: "plan", number: EINVAL))
        }
    }

    private func failed(_ error: LaunchError) {
        handle(.failed(error))
        handle(.gone)
    }

    /// Ends the worker, if this invocation is still its own.
    func cancel(_ invocationID: String) {
        if state.withLock({ $0.invocationID == invocationID }) { handle(.cancelled) }
    }

    func retire() { handle(.retire) }

    /// Time has passed.
    func tick() {
        state.withLock { $0.tickAt = nil }
        handle(.tick)
        let (actions, isHeld) = state.withLock { $0.log.release() }
        for action in actions { perform(action) }
        if isHeld { report(self, .deadline(.now + Self.longestHeld)) }
    }

    private static let longestHeld = Duration.milliseconds(100)

    // MARK: - Events

    private func took(_ event: CellEvent, on loop: any EventLoop) {
        switch event {
        case .started(_, let meters, let listener):
            state.withLock { $0.meters = meters }
            handle(.started)
            if let listener { listen(listener, on: loop) }
        case .failed(let error): handle(.failed(error))
        case .refused(let call):
            // The launcher tells totals of this cell; further on they are added up.
            guard let news = state.withLock({ $0.refused.take(call) }) else { return }
            sinks.refused(version, news)
        case .cleared(let threads): handle(.cleared(threads: threads))
        case .locked: handle(.locked)
        case .connected: break  // nobody asks for it yet
        case .exited(let exit): handle(.exited(exit))
        case .gone: handle(.gone)
        }
    }

    private func listen(_ socket: CellSocket, on loop: any EventLoop) {
        let runtime = RuntimeListener(
            charge: budget.charge(of: version.name.text), isHeldUp: { [self] in state.withLock { $0.reply.isHeldUp } }
        ) { [self] call in
            guard case .body(let bytes) = call.act else { return handle(.called(call)) }
            took(bytes.readableBytes, as: .called(call))
        }
        state.withLock {
            $0.runtime = runtime
            // It reads nothing.
            return $0.input.close()
        }?.begin()
        runtime.open(socket, on: loop) { [self] error in
            tell("its runtime cannot be listened to: \(error)", nil)
            handle(.retire)
        }
        if state.withLock({ $0.machine.isOver }) { runtime.end() }
    }

    private func handle(_ input: WorkerMachine.Input) {
        let (actions, deadline) = state.withLock { state -> ([WorkerMachine.Action], Instant?) in
            let moment = WorkerMachine.Moment(now: .now, wallClock: wallClockMilliseconds(), meters: state.meters)
            let actions = state.machine.handle(input, at: moment)
            // One that was entered for an earlier invocation and comes before this one's does as well.
            guard let next = state.machine.nextTick else { return (actions, nil) }
            if let at = state.tickAt, at <= next { return (actions, nil) }
            state.tickAt = next
            return (actions, next)
        }
        if let deadline { report(self, .deadline(deadline)) }
        let (due, beginsToHold) = state.withLock { state in
            state.log.hold(back: actions, awaitsAnswer: version.speech != .command && state.reply.completion != nil)
        }
        for action in due { perform(action) }
        if beginsToHold { report(self, .deadline(.now + Self.longestHeld)) }
    }

    private func took(output bytes: ByteBuffer) { took(bytes.readableBytes, as: .output(bytes)) }

    /// What so many bytes bring with them.
    private func took(_ count: Int, as input: WorkerMachine.Input) {
        let fits = state.withLock { state in
            // What nobody asked for is bounded by the protocol, and ends it.
            state.reply.charge.map { $0.add(count) } ?? true
        }
        handle(fits ? input : .crowdedOut)
        // What has gone on is charged there, and not all that comes is kept. An answer that is whole keeps its charge.
        state.withLock { state in
            let held = state.machine.held ?? (state.reply.completion == nil ? state.machine.dialogue.held : nil)
            if let held { state.reply.charge?.reduce(to: held) }
        }
    }

    /// Holds up a worker whose answer nobody has room for, or goes on with it.
    private func holdUp(_ isHeldUp: Bool) {
        let (channel, runtime) = state.withLock { state -> ((any Channel)?, RuntimeListener?) in
            guard state.reply.isHeldUp != isHeldUp else { return (nil, nil) }
            state.reply.isHeldUp = isHeldUp
            return (state.input.channel, state.runtime)
        }
        if let runtime { return runtime.holdUp() }
        _ = channel?.setOption(.autoRead, value: !isHeldUp)
    }

    private func send(_ part: ResponsePart) {
        guard let stream = state.withLock({ $0.reply.stream }) else { return }
        switch stream.write(part) {
        case .more: break
        case .wait:
            holdUp(true)
            // It may have caught up before that was done.
            if !stream.isFull { holdUp(false) }
        case .none: handle(.crowdedOut)
        }
    }

    // MARK: - The log

    private func took(log bytes: ByteBuffer) {
        var rest = bytes
        let (taken, id) = state.withLock { state in (state.log.take(&rest), state.invocationID) }
        emit(taken.lines, taken.isOfInvocation ? id : nil)
        for action in taken.actions { perform(action) }
        // What came behind the boundary is the next one's, or nobody's.
        if rest.readableBytes > 0 { took(log: rest) }
    }

    private func logClosed() {
        for action in state.withLock({ $0.log.closed() }) { perform(action) }
        handle(.logClosed)
    }

    private func emit(_ lines: [String], _ id: String?) {
        if !lines.isEmpty { sinks.log(version, id, .function, lines) }
    }

    /// Puts a sentence of the host's own into the function's log.
    private func tell(_ sentence: String, _ id: String?) { sinks.log(version, id, .host, [sentence]) }

    // MARK: - Actions

    private func perform(_ action: WorkerMachine.Action) {
        switch action {
        case .write(let bytes):
            state.withLock { $0.input.send(bytes) }.map { write(bytes, to: $0) }
        case .closeInput: state.withLock { $0.input.close() }?.begin()
        case .reply(let reply, let connection):
            // The event's goes with the event.
            let (runtime, charge) = state.withLock {
                ($0.runtime, reply.status == 200 ? $0.input.takeCharge() : nil)
            }
            runtime?.reply(reply, to: connection, charge)
        case .kill:
            let cell = state.withLock { state in
                state.killWanted = true
                return state.cell
            }
            if let cell { launcher.kill(cell) }
            holdUp(false)  // its end is behind what it has written
        case .demote:
            if let cell = state.withLock({ $0.cell }) { launcher.demote(cell) }
        case .clear:
            if let cell = state.withLock({ $0.cell }) { launcher.clear(cell) }
        case .lock: if let cell = state.withLock({ $0.cell }) { launcher.lock(cell) }
        case .part(let part): send(part)
        case .finish(let completion): finish(completion)
        case .note(let line): tell(line, state.withLock { $0.invocationID })
        case .lost(let error):
            tell("a worker could not be started: stage \(error)", nil)
            sinks.lost(version, error)
        case .launched: report(self, .launched)
        case .ready(let time): report(self, .ready(time))
        case .becameIdle:
            let meters = state.withLock { state in
                // Its memory is asked for at first, and then ever more rarely: it costs a system call.
                state.machine.served & (state.machine.served - 1) == 0 ? state.meters : nil
            }
            report(self, .idle(memory: meters?.memoryPeak))
        case .ended:
            let (channels, runtime) = state.withLock { state in
                defer { state.runtime = nil }
                return ([state.input.channel, state.logChannel], state.runtime)
            }
            for channel in channels { channel?.close(promise: nil) }
            runtime?.end()
            report(self, .ended)
        }
    }

    private func finish(_ completion: Completion) {
        var completion = completion
        let (stream, rest) = state.withLock { ($0.reply.stream, $0.reply.rest) }
        rest?.end()
        if stream?.isBroken == true, case .success = completion.result {
            completion.result = .failure(Ending.crowdedOut)
        }
        let (complete, lines, dropped, id, refused) = state.withLock { state in
            let refused = state.refused.takeUntold()
            defer {
                state.reply.completion = nil
                state.invocationID = nil
                state.input.charge = nil
                state.reply.charge = nil
                state.reply.stream = nil
                state.reply.rest = nil
            }
            switch completion.result {
            case .success(var output):
                output.charge = state.reply.charge
                completion.result = .success(output)
            case .failure(var failure) where failure.outcome == .exit || failure.outcome == .signal:
                let log = state.log.lines.tail
                failure.ends?.log = log
                failure.detail += Explanation.text(
                    of: failure.cause, log: log, refused: refused, under: version.manifest)
                completion.result = .failure(failure)
            case .failure: break
            }
            let (lines, dropped) = state.log.finishInvocation()
            return (state.reply.completion, lines, dropped, state.invocationID, refused)
        }
        emit(lines, id)
        if case .failure(let failure) = completion.result, failure.outcome.blame == .guest {
            for call in refused { tell(Explanation.sentence(for: call, under: version.manifest), id) }
        }
        if let dropped { tell(dropped, id) }
        if let stream {
            holdUp(false)
            stream.finish()
        }
        complete?(completion)
    }

    /// What the event is charged to is held until the pipe has taken it; a small one finds room in the pipe.
    private func write(_ bytes: ByteBuffer, to channel: any Channel) {
        let charge = state.withLock { $0.input.takeCharge() }
        guard let charge, bytes.readableBytes > 32 << 10 else { return channel.writeAndFlush(bytes, promise: nil) }
        channel.writeAndFlush(bytes).whenComplete { _ in withExtendedLifetime(charge) {} }
    }

    /// The stdin channel is there: sends what came before it.
    private func attach(_ channel: any Channel, _ later: LaterInput?) {
        let (unsent, closing) = state.withLock { $0.input.opened(channel, later) }
        for bytes in unsent { write(bytes, to: channel) }
        closing?.begin()
    }
}
