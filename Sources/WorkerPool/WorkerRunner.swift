package import FunctionModel
import Glibc
import HostSystem
import NIOCore
package import Sandbox
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
        var unsent: [ByteBuffer] = []
        var closesInput = false
        /// Calls refused so far, by name and errno.
        var refused: [[String]: UInt64] = [:]
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
    private let state: Mutex<State>
    private let sinks: WorkerSinks
    private let report: @Sendable (WorkerRunner, Event) -> Void

    init(
        id: PoolMachine.WorkerID, version: FunctionVersion, launcher: Launcher, sinks: WorkerSinks,
        report: @escaping @Sendable (WorkerRunner, Event) -> Void
    ) {
        self.id = id
        self.version = version
        self.launcher = launcher
        self.sinks = sinks
        self.report = report
        let machine = WorkerMachine(version: version, now: .now, processors: Self.processors)
        state = Mutex(State(machine: machine, log: LogLines(limit: version.manifest.limits.log.bytes)))
    }

    // MARK: - Orders

    /// Gives the worker an invocation; `completion` is called exactly once, from any thread.
    /// - Returns: false when it cannot take one (any more), and nothing is done.
    func assign(
        _ assignment: Assignment, start: StartKind, requested: Instant,
        completion: @escaping @Sendable (Completion) -> Void
    ) -> Bool {
        let canTake = state.withLock { state in
            guard start == .cold || state.machine.isIdle else { return false }
            state.completion = completion
            state.invocationID = assignment.invocationID
            return true
        }
        if canTake { handle(.assign(assignment, start: start, requested: requested)) }
        return canTake
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
            let (main, log) = streams.open(
                on: loop, received: { [self] in handle(.output($0)) }, closed: { [self] in handle(.outputClosed) },
                logged: { [self] in took(log: $0) }, logClosed: { [self] in handle(.logClosed) })
            main.whenSuccess { [self] in attach($0) }
            log.whenSuccess { [self] channel in state.withLock { $0.logChannel = channel } }
        } catch let error as LaunchError {
            handle(.failed(error))
            handle(.gone)
        } catch let error as SystemError {
            handle(.failed(LaunchError(stage: "pipes", number: error.number)))
            handle(.gone)
        } catch {
            emit(["[bulkhead: no launch plan can be made: \(error)]"], nil)
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
    }

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
            if added > 0 {
                sinks.refused(version, RefusedCall(name: call.name, errnoText: call.errnoText, count: added))
            }
        case .cleared(let threads): handle(.cleared(threads: threads))
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
        for action in actions { perform(action) }
    }

    private func took(log bytes: ByteBuffer) {
        let (lines, id) = state.withLock { ($0.log.receive(bytes), $0.invocationID) }
        emit(lines, id)
    }

    private func emit(_ lines: [String], _ id: String?) {
        if !lines.isEmpty { sinks.log(version, id, lines) }
    }

    // MARK: - Actions

    private func perform(_ action: WorkerMachine.Action) {
        switch action {
        case .write(let bytes):
            let channel = state.withLock { state in
                if state.channel == nil { state.unsent.append(bytes) }
                return state.channel
            }
            channel?.writeAndFlush(bytes, promise: nil)
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
        case .finish(let completion):
            let (complete, lines, id) = state.withLock { state in
                defer {
                    state.completion = nil
                    state.invocationID = nil
                }
                return (state.completion, state.log.finish(), state.invocationID)
            }
            emit(lines, id)
            complete?(completion)
        case .note(let line): emit([line], state.withLock { $0.invocationID })
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

    /// The stdin channel is there: sends what came before it.
    private func attach(_ channel: any Channel) {
        let (unsent, closes) = state.withLock { state in
            defer { state.unsent = [] }
            state.channel = channel
            return (state.unsent, state.closesInput)
        }
        for bytes in unsent { channel.write(bytes, promise: nil) }
        channel.flush()
        if closes { channel.close(mode: .output, promise: nil) }
    }
}

/// Who is told what workers do.
package struct WorkerSinks: Sendable {
    /// Lines of a function's log; the invocation is nil for what a worker writes between two.
    package var log: @Sendable (_ version: FunctionVersion, _ invocation: String?, _ lines: [String]) -> Void
    /// A kind of system call was refused `count` times more.
    package var refused: @Sendable (_ version: FunctionVersion, _ call: RefusedCall) -> Void

    package init(
        log: @escaping @Sendable (FunctionVersion, String?, [String]) -> Void,
        refused: @escaping @Sendable (FunctionVersion, RefusedCall) -> Void
    ) {
        self.log = log
        self.refused = refused
    }
}
