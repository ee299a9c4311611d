package import FunctionModel
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
    }

    let version: FunctionVersion
    private let launcher: Launcher
    private let state: Mutex<State>
    private let sinks: WorkerSinks
    private let onIdle: @Sendable (WorkerRunner) -> Void
    private let onEnd: @Sendable (WorkerRunner) -> Void

    init(
        version: FunctionVersion, launcher: Launcher, sinks: WorkerSinks,
        idle: @escaping @Sendable (WorkerRunner) -> Void, end: @escaping @Sendable (WorkerRunner) -> Void
    ) {
        self.version = version
        self.launcher = launcher
        self.sinks = sinks
        onIdle = idle
        onEnd = end
        let machine = WorkerMachine(version: version, now: .now, processors: System.coreCount)
        state = Mutex(State(machine: machine, log: LogLines(limit: version.manifest.limits.log.bytes)))
    }

    var isIdle: Bool { state.withLock { $0.machine.isIdle } }
    var served: Int { state.withLock { $0.machine.served } }

    // MARK: - Orders

    /// Gives the worker an invocation; `completion` is called exactly once, from any thread.
    func assign(
        _ assignment: Assignment, start: StartKind, requested: Instant,
        completion: @escaping @Sendable (Completion) -> Void
    ) {
        state.withLock {
            $0.completion = completion
            $0.invocationID = assignment.invocationID
        }
        handle(.assign(assignment, start: start, requested: requested))
    }

    /// Starts the worker's process. What fails comes out as the invocation's outcome.
    func launch(plan: SealedFile, on loop: any EventLoop) {
        do {
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
        } catch {
            handle(.failed(LaunchError(stage: "pipes", number: (error as? SystemError)?.number ?? 0)))
            handle(.gone)
        }
    }

    func cancel() { handle(.cancelled) }
    func retire() { handle(.retire) }

    /// Time has passed.
    func tick() {
        let meters = state.withLock { $0.meters }
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
        case .exited(let exit): handle(.exited(exit))
        case .gone: handle(.gone)
        }
    }

    private func handle(_ input: WorkerMachine.Input) {
        let actions = state.withLock { $0.machine.handle(input, now: .now) }
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
        case .finish(let completion):
            let (report, lines, id) = state.withLock { state in
                defer {
                    state.completion = nil
                    state.invocationID = nil
                }
                return (state.completion, state.log.finish(), state.invocationID)
            }
            emit(lines, id)
            report?(completion)
        case .note(let line): emit([line], state.withLock { $0.invocationID })
        case .becameIdle: onIdle(self)
        case .ended:
            let channels = state.withLock { [$0.channel, $0.logChannel] }
            for channel in channels { channel?.close(promise: nil) }
            onEnd(self)
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
