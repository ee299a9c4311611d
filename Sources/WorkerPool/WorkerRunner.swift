import FunctionModel
import Glibc
import HostSystem
import NIOCore
import Sandbox
import Synchronization
import WorkerProtocol

/// Acts for one worker's machine: decides under a lock, acts outside it. Safe from any thread.
final class WorkerRunner: Sendable {
    typealias Instant = ContinuousClock.Instant

    private struct State {
        var machine: WorkerMachine
        var cell: CellID?
        var killWanted = false
        var meters: CellMeters?
        var log: LogLines
        var invocationID: String?
        var completion: (@Sendable (Completion) -> Void)?
        var channel: (any Channel)?
        var logChannel: (any Channel)?
        /// The log's pipe, to ask how much is on it; nil before and after.
        var logFile: Int32?
        var unsent: [ByteBuffer] = []
        var closesInput = false
        /// What the event under way is charged to, until the worker has it, and what its answer is, from its first byte.
        var eventCharge: MemoryBudget.Charge?
        var outputCharge: MemoryBudget.Charge?
        /// Bytes on the log's pipe that an answer must wait for, or that still belong to what came before an invocation.
        var logBefore = 0
        /// What is to be done once they are read.
        var held: [WorkerMachine.Action] = []
        /// Calls refused so far, by name and errno.
        var refused: [[String]: UInt64] = [:]
        /// Those that came since the last invocation ended: what the log tells if this one fails.
        var untold: [RefusedCall] = []
        /// When the pool will call `tick`; nil: not.
        var tickAt: Instant?
    }

    /// What the pool is told.
    enum Event {
        /// Its process is there, but is not ready yet.
        case launched
        /// It is ready, so long after its launch.
        case ready(Duration)
        /// It waits for an invocation. Its memory is told now and then.
        case idle(memory: Int?)
        case ended
        /// It wants a tick by then.
        case deadline(Instant)
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
                machine: machine, log: LogLines(limit: version.manifest.limits.log.bytes),
                outputCharge: budget.charge(of: version.name.text)))
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
            state.completion = completion
            state.eventCharge = invocation.event.charge
            state.outputCharge = budget.charge(of: version.name.text)
            state.invocationID = invocation.id
            // What was written between two invocations is nobody's, half a line of it too.
            guard start != .cold else { return (true, []) }
            state.logBefore = state.logFile.map(readableBytes) ?? 0
            return (true, state.log.breakLine())
        }
        guard canTake else { return false }
        emit(before, nil)
        var invocation = invocation
        invocation.event.charge = nil
        handle(.assign(invocation, start: start, requested: requested))
        return true
    }

    /// Starts the worker's process. What fails comes out as the invocation's outcome.
    func launch(plan: () throws -> SealedFile, on loop: any EventLoop) {
        do {
            let plan = try plan()
            let streams = try WorkerStreams()
            let cell = try launcher.launch(
                plan: plan, stdin: streams.childInput, stdout: streams.childOutput, stderr: streams.childLog
            ) { [self] event in
                took(event)
            }
            let kill = state.withLock {
                $0.cell = cell
                return $0.killWanted
            }
            if kill { launcher.kill(cell) }
            let logFile = streams.logFile
            state.withLock { $0.logFile = logFile }
            streams.open(
                on: loop, received: { [self] in took(output: $0) }, closed: { [self] in handle(.outputClosed) },
                logged: { [self] in took(log: $0) }, logClosed: { [self] in logClosed() },
                opened: { [self] in attach($0) },
                logOpened: { [self] channel in state.withLock { $0.logChannel = channel } })
        } catch let error as LaunchError {
            handle(.failed(error))
            handle(.gone)
        } catch let error as SystemError {
            handle(.failed(LaunchError(stage: "pipes", number: error.number)))
            handle(.gone)
        } catch {
            tell("no launch plan can be made: \(error)", nil)
            handle(.failed(LaunchError(stage: "plan", number: EINVAL)))
            handle(.gone)
        }
    }

    /// Ends the worker, if this invocation is still its own.
    func cancel(_ invocationID: String) {
        if state.withLock({ $0.invocationID == invocationID }) { handle(.cancelled) }
    }

    func retire() { handle(.retire) }

    /// Time has passed.
    func tick() {
        let meters = state.withLock { state in
            state.tickAt = nil
            return state.meters
        }
        handle(.tick(cpu: { meters?.cpu }))
        releaseHeld()
    }

    /// What waits for the log goes on when there is nothing on its pipe any more, whoever has read it.
    private func releaseHeld() {
        let (actions, isHeld) = state.withLock { state -> ([WorkerMachine.Action], Bool) in
            guard !state.held.isEmpty else { return ([], false) }
            guard state.logFile.map(readableBytes) ?? 0 == 0 else { return ([], true) }
            state.logBefore = 0
            defer { state.held = [] }
            return (state.held, false)
        }
        for action in actions { perform(action) }
        if isHeld { report(self, .deadline(.now + Self.longestHeld)) }
    }

    private static let longestHeld = Duration.milliseconds(100)

    // MARK: - Events

    private func took(_ event: CellEvent) {
        switch event {
        case .started(_, let meters):
            state.withLock { $0.meters = meters }
            handle(.started(meters))
        case .failed(let error): handle(.failed(error))
        case .refused(let call):
            // The launcher tells totals of this cell; further on they are added up.
            let added = state.withLock { state -> UInt64 in
                // Those beyond the kinds that are told apart come as one total, with the errno of the last of them.
                let kind = call.name == "other" ? [call.name] : [call.name, call.errnoText]
                let known = state.refused.updateValue(call.count, forKey: kind) ?? 0
                return call.count - min(known, call.count)
            }
            guard added > 0 else { return }
            let news = RefusedCall(name: call.name, errnoText: call.errnoText, count: added)
            state.withLock { $0.untold = Explanation.keeping($0.untold, news) }
            sinks.refused(version, news)
        case .cleared(let threads): handle(.cleared(threads: threads))
        case .locked: handle(.locked)
        case .exited(let exit): handle(.exited(exit))
        case .gone: handle(.gone)
        }
    }

    private func handle(_ input: WorkerMachine.Input) {
        let (actions, deadline) = state.withLock { state -> ([WorkerMachine.Action], Instant?) in
            let actions = state.machine.handle(input, now: .now)
            // One that was entered for an earlier invocation and comes before this one's does as well.
            guard let next = state.machine.nextTick else { return (actions, nil) }
            if let at = state.tickAt, at <= next { return (actions, nil) }
            state.tickAt = next
            return (actions, next)
        }
        if let deadline { report(self, .deadline(deadline)) }
        let (due, beginsToHold) = held(back: actions)
        for action in due { perform(action) }
        if beginsToHold { report(self, .deadline(.now + Self.longestHeld)) }
    }

    private func took(output bytes: ByteBuffer) {
        let fits = state.withLock { state in
            // What nobody asked for is bounded by the protocol, and ends it.
            state.outputCharge.map { $0.add(bytes.readableBytes) } ?? true
        }
        handle(fits ? .output(bytes) : .crowdedOut)
    }

    // MARK: - The log

    /// A worker that lives on may have written to its log before its answer, on another pipe: that is read first, so that each
    /// line is told of the invocation that wrote it.
    /// - Returns: what is to be done now, and whether the rest begins to wait.
    private func held(back actions: [WorkerMachine.Action]) -> ([WorkerMachine.Action], Bool) {
        state.withLock { state in
            if state.held.isEmpty {
                guard state.completion != nil, version.speaksJSONRPC,
                    let at = actions.firstIndex(where: { if case .finish = $0 { true } else { false } }),
                    let file = state.logFile, case let count = readableBytes(of: file), count > 0
                else { return (actions, false) }
                state.logBefore = count
                state.held = Array(actions[at...])
                return (Array(actions[..<at]), true)
            }
            // A kill is not to be waited with.
            var now: [WorkerMachine.Action] = []
            for action in actions {
                if case .kill = action { now.append(action) } else { state.held.append(action) }
            }
            return (now, false)
        }
    }

    private func took(log bytes: ByteBuffer) {
        var rest = bytes
        let (lines, id, actions) = state.withLock { state -> ([String], String?, [WorkerMachine.Action]) in
            let isWaitedFor = !state.held.isEmpty
            guard state.logBefore > 0,
                let part = rest.readSlice(length: min(state.logBefore, rest.readableBytes))
            else {
                rest.moveReaderIndex(to: rest.writerIndex)
                return (state.log.receive(bytes), state.invocationID, [])
            }
            state.logBefore -= part.readableBytes
            var lines = state.log.receive(part)
            guard isWaitedFor else {
                if state.logBefore == 0 { lines += state.log.breakLine() }
                return (lines, nil, [])
            }
            guard state.logBefore == 0 else { return (lines, state.invocationID, []) }
            defer { state.held = [] }
            return (lines, state.invocationID, state.held)
        }
        emit(lines, id)
        for action in actions { perform(action) }
        // What came behind the boundary is the next one's, or nobody's.
        if rest.readableBytes > 0 { took(log: rest) }
    }

    private func logClosed() {
        let actions = state.withLock { state in
            state.logFile = nil
            state.logBefore = 0
            defer { state.held = [] }
            return state.held
        }
        for action in actions { perform(action) }
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
            let channel = state.withLock { state in
                if state.channel == nil { state.unsent.append(bytes) }
                return state.channel
            }
            channel.map { write(bytes, to: $0) }
        case .closeInput:
            let channel = state.withLock { state in
                state.closesInput = true
                return state.channel
            }
            channel?.close(mode: .output, promise: nil)
        case .kill:
            let cell = state.withLock { state in
                state.killWanted = true
                return state.cell
            }
            if let cell { launcher.kill(cell) }
        case .demote:
            if let cell = state.withLock({ $0.cell }) { launcher.demote(cell) }
        case .clear:
            if let cell = state.withLock({ $0.cell }) { launcher.clear(cell) }
        case .lock: if let cell = state.withLock({ $0.cell }) { launcher.lock(cell) }
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
            let channels = state.withLock { [$0.channel, $0.logChannel] }
            for channel in channels { channel?.close(promise: nil) }
            report(self, .ended)
        }
    }

    private func finish(_ completion: Completion) {
        var completion = completion
        let (complete, lines, dropped, id, refused) = state.withLock { state in
            let refused = state.untold
            defer {
                state.untold = []
                state.completion = nil
                state.invocationID = nil
                state.eventCharge = nil
                state.outputCharge = nil
            }
            switch completion.result {
            case .success(var output):
                output.charge = state.outputCharge
                completion.result = .success(output)
            case .failure(var failure) where failure.outcome == .exit || failure.outcome == .signal:
                let log = state.log.tail
                failure.ends?.log = log
                failure.detail += Explanation.text(of: failure.cause, log: log, refused: refused)
                completion.result = .failure(failure)
            case .failure: break
            }
            let (lines, dropped) = state.log.finish()
            return (state.completion, lines, dropped, state.invocationID, refused)
        }
        emit(lines, id)
        if case .failure(let failure) = completion.result, failure.outcome.blame == .guest {
            for call in refused { tell(Explanation.sentence(for: call), id) }
        }
        if let dropped { tell(dropped, id) }
        complete?(completion)
    }

    /// What the event is charged to is held until the pipe has taken it; a small one finds room in the pipe.
    private func write(_ bytes: ByteBuffer, to channel: any Channel) {
        let charge = state.withLock { state in
            defer { state.eventCharge = nil }
            return state.eventCharge
        }
        guard let charge, bytes.readableBytes > 32 << 10 else { return channel.writeAndFlush(bytes, promise: nil) }
        channel.writeAndFlush(bytes).whenComplete { _ in withExtendedLifetime(charge) {} }
    }

    /// The stdin channel is there: sends what came before it.
    private func attach(_ channel: any Channel) {
        let (unsent, closes) = state.withLock { state in
            defer { state.unsent = [] }
            state.channel = channel
            return (state.unsent, state.closesInput)
        }
        for bytes in unsent { write(bytes, to: channel) }
        if closes { channel.close(mode: .output, promise: nil) }
    }
}
