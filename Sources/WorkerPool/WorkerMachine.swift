import FunctionModel
import HostSystem
import NIOCore
import Sandbox
import WorkerProtocol

/// One worker's life as a value: inputs in, actions out, the clock injected. `WorkerRunner` acts.
struct WorkerMachine {
    typealias Instant = ContinuousClock.Instant

    enum Input {
        case assign(Invocation, start: StartKind, requested: Instant)
        case started(CellMeters?)
        case failed(LaunchError)
        /// All that could be read at once.
        case output(ByteBuffer)
        case outputClosed
        case logClosed
        case exited(CellExit)
        case gone
        /// A snapshot's template is alone again, with so many threads; nil when that could not be brought about.
        case cleared(threads: Int?)
        /// The second filter holds.
        case locked
        /// Time has passed. `cpu` reads the cell's CPU time and is called only when it can matter.
        case tick(cpu: () -> Duration?)
        case cancelled
        /// The host cannot hold what the worker writes: its memory for others is used up.
        case crowdedOut
        /// The worker is not needed any more.
        case retire
    }

    enum Action {
        /// The event; its bytes are the worker's from now on.
        case write(ByteBuffer)
        case closeInput
        case kill
        /// It has run for so long that it goes on as one among equals.
        case demote
        /// What is left beside a snapshot's template has to end.
        case clear
        /// It has said ready, and asked to be left with few calls from then on.
        case lock
        case finish(Completion)
        /// A line of the host's for the function's log.
        case note(String)
        /// It could not be started, and no invocation is there to tell.
        case lost(LaunchError)
        /// Its process is there, but is not ready yet.
        case launched
        /// It is ready, so long after its launch.
        case ready(Duration)
        /// It waits for its next, or first, invocation.
        case becameIdle
        /// Nothing is left of the worker.
        case ended
    }

    struct Serving {
        var invocation: Invocation
        var start: StartKind
        var requested: Instant
        /// Whether the event went to the worker.
        var isSent = false
        /// When the worker had it: when it was there, and the event sent.
        var began: Instant?
        var cpuAtBegin = Duration.zero
        var output = ByteBuffer()
        /// What a command's output is, as far as it has come.
        var kind = ResultKind.Reader()
        /// The first cause; nothing later overrides it.
        var cause: Failure?
        var answer: Completion.Output?
    }

    let version: FunctionVersion
    let processors: Int
    private(set) var exchange: ReactorExchange?
    private(set) var serving: Serving?
    private(set) var meters: CellMeters?
    let launched: Instant
    private(set) var startedAt: Instant?
    private var initialization: Duration?
    private(set) var isReady = false
    private var outputClosed = false
    private var logClosed = false
    private(set) var exit: CellExit?
    private(set) var isKilled = false
    private var isGone = false
    private var hasEnded = false
    /// Whether a snapshot's template is being rid of what an invocation left.
    private var isClearing = false
    /// Whether it is not locked yet, as its manifest has it: until then it gets no event.
    private var isLocking = false
    private(set) var served = 0
    /// CPU time up to the end of the last invocation.
    private var cpuAtEnd = Duration.zero
    /// What `WorkerMachine+Limits.swift` keeps in mind.
    var watch = LimitWatch()
    /// When to send a tick; nil: not before something else happens.
    private(set) var nextTick: Instant?

    init(version: FunctionVersion, now: Instant, processors: Int) {
        self.version = version
        self.processors = processors
        launched = now
        exchange = version.speaksJSONRPC ? ReactorExchange(longestResult: version.manifest.limits.output.bytes) : nil
    }

    /// What is told of a failed one's output, in bytes.
    private static let longestEnd = 4 << 10

    var limits: Manifest.Limits { version.manifest.limits }
    private var isSnapshot: Bool { version.manifest.mode == .snapshot }

    /// Whether it can take an invocation: its first, or if it speaks JSON-RPC another one.
    var isIdle: Bool {
        isReady && serving == nil && exit == nil && !isKilled && !isClearing && !isLocking
            && (exchange.map(\.isIdle) ?? (served == 0))
    }

    mutating func handle(_ input: Input, now: Instant) -> [Action] {
        let actions = react(to: input, now)
        nextTick = dueTick(now)
        return actions
    }

    private mutating func react(to input: Input, _ now: Instant) -> [Action] {
        switch input {
        case .assign(let invocation, let start, let requested):
            precondition(serving == nil, "a worker serves one invocation at a time")
            serving = Serving(invocation: invocation, start: start, requested: requested)
            // It may have ended in the moment between being chosen and now.
            return begin(now) + concludeIfOver(now)
        case .started(let meters):
            self.meters = meters
            startedAt = now
            // One that speaks says itself when it is ready, and can be faster than this news of it.
            guard exchange == nil else { return [.launched] + begin(now) + answerIfDone(now) }
            isReady = true
            return [.ready(now - launched)] + (serving == nil ? becomeIdle(now) : begin(now))
        case .failed(let error):
            exit = .lostWithLauncher
            outputClosed = true
            logClosed = true
            return (serving == nil ? [.lost(error)] : []) + blame(Ending.launchFailed(error), kill: false)
                + concludeIfOver(now)
        case .output(let bytes): return take(bytes, now)
        case .outputClosed:
            outputClosed = true
            return concludeIfOver(now)
        case .logClosed:
            logClosed = true
            return concludeIfOver(now)
        case .exited(let exit):
            self.exit = exit
            return concludeIfOver(now)
        case .gone:
            isGone = true
            return concludeIfOver(now)
        case .cleared(let threads): return cleared(threads, now)
        case .locked:
            isLocking = false
            return settled(now)
        case .tick(let cpu): return tick(now, cpu)
        case .cancelled:
            guard serving != nil else { return [] }
            return blame(Failure(.cancelled, "the client left before the function answered"))
        case .crowdedOut:
            guard serving != nil else { return kill() }
            return blame(Ending.crowdedOut)
        case .retire: return kill()
        }
    }

    // MARK: - Serving

    /// Sends the event: to a command even before it runs, so that it need not wait for it; to others once they are ready.
    private mutating func begin(_ now: Instant) -> [Action] {
        guard let current = serving, current.began == nil else { return [] }
        var actions: [Action] = []
        if !current.isSent {
            guard current.cause == nil else { return [] }
            if exchange == nil {
                actions = [.write(current.invocation.event.bytes), .closeInput]
                dropEvent()
            } else {
                guard isReady, !isClearing, !isLocking else { return [] }
                let context = context(current.invocation)
                let asked = exchange?.request(
                    event: current.invocation.event.bytes, context: context, random: BufferedRandom.next())
                guard let line = asked else { return [] }
                actions = [.write(line)]
                dropEvent()
            }
            serving?.isSent = true
        }
        if startedAt != nil {
            serving?.began = now
            // Of a command that was started for this invocation, all is its own.
            if exchange != nil || current.start != .cold {
                // What it used while it waited is looked at elsewhere, and is little: see `tickIdle`.
                serving?.cpuAtBegin = served > 0 ? cpuAtEnd : meters?.cpu ?? .zero
            }
            watch.began(now, allowance: limits.effectiveCPU.duration, processors: processors)
        }
        return actions
    }

    /// It is on its way: held twice, it would count twice.
    private mutating func dropEvent() { serving?.invocation.event.bytes = ByteBuffer() }

    private mutating func becomeIdle(_ now: Instant) -> [Action] {
        watch.becameIdle(now, cpu: exchange == nil ? .zero : served > 0 ? cpuAtEnd : meters?.cpu ?? .zero)
        return [.becameIdle]
    }

    private func context(_ invocation: Invocation) -> String {
        let deadline = wallClockMilliseconds() + limits.wall.milliseconds
        let trace = invocation.traceparent.map { "\"\($0)\"" } ?? "null"
        return
            #"{"invocationId":"\#(invocation.id)","function":"\#(version.name)","version":\#(version.number),"#
            + #""deadlineMs":\#(deadline),"memoryLimitMiB":\#(limits.memory.bytes >> 20),"traceparent":\#(trace)}"#
    }

    private mutating func take(_ bytes: ByteBuffer, _ now: Instant) -> [Action] {
        if exchange == nil {
            guard serving != nil else {
                // What it computed without its event may be stale by the time that one comes.
                return served > 0 || isKilled
                    ? []
                    : [.note("ended: it was started ahead and wrote without waiting for its event")]
                        + kill()
            }
            guard serving?.cause == nil else { return [] }
            if (serving?.output.readableBytes ?? 0) + bytes.readableBytes > limits.output.bytes {
                return blame(Ending.outputExceeded(limits))
            }
            serving?.output.writeImmutableBuffer(bytes)
            serving?.kind.read(bytes)
            return []
        }
        // In place: a copy of the exchange would copy all that it has gathered, at every read.
        let events = exchange?.receive(bytes) ?? []
        var actions: [Action] = []
        for event in events { actions += take(event, now) }
        return actions + answerIfDone(now)
    }

    private mutating func take(_ event: ReactorExchange.Event, _ now: Instant) -> [Action] {
        switch event {
        case .ready:
            isReady = true
            initialization = now - launched
            isLocking = version.manifest.lock
            isClearing = isSnapshot
            let preparing: [Action] = (isLocking ? [.lock] : []) + (isClearing ? [.clear] : [])
            return [.ready(now - launched)] + preparing + settled(now)
        case .result(let body):
            serving?.answer = Completion.Output(body: body, kind: .json)
            return []
        case .error(let error):
            let detail = "the handler raised \(error.type): \(error.message.prefix(bytes: 500))"
            return blame(Failure(.error(error), detail), kill: false)
        case .tooLong: return blame(Ending.outputExceeded(limits))
        case .violation(let what, let wrote):
            serving?.answer = nil
            return [.note("\(what): \(wrote)")]
                + blame(Failure(.protocolError, "\(what); its log shows what it wrote"))
        }
    }

    /// A reactor's invocation is over with its answer; the process lives on unless something else is wrong.
    private mutating func answerIfDone(_ now: Instant) -> [Action] {
        guard let current = serving, !isKilled, exchange?.isIdle == true, current.answer != nil || current.cause != nil,
            current.began != nil
        else { return [] }
        let actions = finish(now)
        switch version.manifest.mode {
        case .command: return actions + kill()
        case .reactor: return actions + becomeIdle(now)
        case .snapshot:
            isClearing = true
            return actions + [.clear]
        }
    }

    /// A template that is alone, and has one thread, can be forked.
    private mutating func cleared(_ threads: Int?, _ now: Instant) -> [Action] {
        guard isClearing, exit == nil, !isKilled else { return [] }
        isClearing = false
        cpuAtEnd = meters?.cpu ?? cpuAtEnd  // what was left behind may have computed until now
        guard let threads else {
            return blame(
                Failure(
                    .launchFailed(stage: "clear", errno: "EBUSY"),
                    "what ran beside the snapshot could not be ended; this takes a cgroup that counts processes"))
        }
        guard threads == 1 else {
            let message =
                "the snapshot has \(threads) threads, and a fork carries only one of them: start threads in the handler, not while the module loads (for numpy: OPENBLAS_NUM_THREADS=1), or use mode: reactor"
            let error = Failure.HandlerError(type: "SnapshotError", message: message, stackTrace: [])
            return (serving == nil ? [.note("\(message)")] : []) + blame(Failure(.error(error), message))
        }
        return settled(now)
    }

    /// It is ready, and nothing is to be done with it any more: it waits, or gets the event that waits for it.
    private mutating func settled(_ now: Instant) -> [Action] {
        guard !isClearing, !isLocking, exit == nil, !isKilled else { return [] }
        return serving == nil ? becomeIdle(now) : begin(now)
    }

    // MARK: - Ending

    mutating func blame(_ failure: Failure, kill: Bool = true) -> [Action] {
        if serving?.cause == nil { serving?.cause = failure }
        return kill ? self.kill() : []
    }

    mutating func kill() -> [Action] {
        guard !isKilled, exit == nil else { return [] }
        isKilled = true
        return [.kill]
    }

    /// When the process is gone and all it wrote is read: the outcome, then the end.
    private mutating func concludeIfOver(_ now: Instant) -> [Action] {
        guard let exit, outputClosed, logClosed else { return [] }
        var actions: [Action] = []
        if let current = serving {
            if current.cause == nil, current.answer == nil {
                let used = exit.cpu - current.cpuAtBegin
                if var failure = Ending.failure(of: exit, limits: limits, cpuUsed: used) {
                    if failure.outcome == .exit || failure.outcome == .signal {
                        let end = current.output.readableBytesView.suffix(Self.longestEnd)
                        failure.ends = Failure.Ends(stdout: String(decoding: end, as: UTF8.self))
                    }
                    serving?.cause = failure
                } else if exchange != nil {
                    serving?.cause = Failure(.protocolError, "the worker exited without answering")
                } else {
                    let kind = serving?.kind.finish() ?? .bytes
                    serving?.answer = Completion.Output(body: current.output, kind: kind)
                }
            }
            actions = finish(now)
        }
        if isGone, !hasEnded {
            hasEnded = true
            actions.append(.ended)
        }
        return actions
    }

    private mutating func finish(_ now: Instant) -> [Action] {
        guard let current = serving else { return [] }
        serving = nil
        served += 1
        var usage = Usage()
        usage.wall = current.began.map { now - $0 } ?? .zero
        cpuAtEnd = exit?.cpu ?? meters?.cpu ?? .zero
        usage.cpu = cpuAtEnd - current.cpuAtBegin
        usage.memoryBytes = exit?.memoryPeak ?? meters?.memoryPeak ?? 0
        // A worker that breaks a limit at once can be gone before its start was reported: then all of it was start-up.
        if current.start == .cold { usage.initialization = initialization ?? (startedAt ?? now) - launched }
        let result: Result<Completion.Output, Failure>
        if let cause = current.cause {
            result = .failure(cause)
        } else {
            result = .success(current.answer ?? Completion.Output(body: ByteBuffer(), kind: .json))
        }
        let startTime = (current.began ?? now) - current.requested
        return [.finish(Completion(result: result, start: current.start, usage: usage, startTime: startTime))]
    }
}
