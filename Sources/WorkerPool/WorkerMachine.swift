import FunctionModel
import NIOCore
import Sandbox
import WorkerProtocol

/// One worker's life as a value: inputs in, actions out, the clock injected. `WorkerRunner` acts.
struct WorkerMachine {
    typealias Instant = ContinuousClock.Instant

    enum Input {
        case assign(Assignment, start: StartKind, requested: Instant)
        case started(CellMeters?)
        case failed(LaunchError)
        /// All that could be read at once.
        case output(ByteBuffer)
        case outputClosed
        case logClosed
        case exited(CellExit)
        case gone
        /// Time has passed. `cpu` reads the cell's CPU time and is called only when it can matter.
        case tick(cpu: () -> Duration?)
        case cancelled
        /// The worker is not needed any more.
        case retire
    }

    enum Action {
        case write(ByteBuffer)
        case closeInput
        case kill
        /// It has run for so long that it goes on as one among equals.
        case demote
        case finish(Completion)
        /// A line of the host's for the function's log.
        case note(String)
        /// A reactor waits for its next invocation.
        case becameIdle
        /// Nothing is left of the worker.
        case ended
    }

    private struct Serving {
        var assignment: Assignment
        var start: StartKind
        var requested: Instant
        /// When the event went to the worker.
        var began: Instant?
        var cpuAtBegin = Duration.zero
        var output = ByteBuffer()
        /// The first cause; nothing later overrides it.
        var cause: Failure?
        var answer: Completion.Output?
    }

    private let version: FunctionVersion
    private let processors: Int
    private var exchange: ReactorExchange?
    private var serving: Serving?
    private var meters: CellMeters?
    private let launched: Instant
    private var startedAt: Instant?
    private var initialization: Duration?
    private var isReady = false
    private var outputClosed = false
    private var logClosed = false
    private var exit: CellExit?
    private var isKilled = false
    private var isGone = false
    private var hasEnded = false
    /// Whether it still goes before workers that have run for longer.
    private var isPreferred = true
    private(set) var served = 0
    /// Since when an idle reactor is watched, its CPU time then, and when to look again.
    private var idleWatch: (since: Instant, cpu: Duration, next: Instant)?

    init(version: FunctionVersion, now: Instant, processors: Int) {
        self.version = version
        self.processors = processors
        launched = now
        exchange = version.speaksJSONRPC ? ReactorExchange(longestResult: version.manifest.limits.output.bytes) : nil
    }

    private var limits: Manifest.Limits { version.manifest.limits }

    /// Whether it can take another invocation.
    var isIdle: Bool { isReady && serving == nil && exit == nil && !isKilled && exchange?.isIdle == true }

    mutating func handle(_ input: Input, now: Instant) -> [Action] {
        switch input {
        case .assign(let assignment, let start, let requested):
            precondition(serving == nil, "a worker serves one invocation at a time")
            idleWatch = nil
            serving = Serving(assignment: assignment, start: start, requested: requested)
            // It may have ended in the moment between being chosen and now.
            return begin(now) + concludeIfOver(now)
        case .started(let meters):
            self.meters = meters
            startedAt = now
            if exchange == nil { isReady = true }
            return begin(now)
        case .failed(let error):
            exit = .lostWithLauncher
            outputClosed = true
            logClosed = true
            return blame(Ending.launchFailed(error), kill: false) + concludeIfOver(now)
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
        case .tick(let cpu): return tick(now, cpu)
        case .cancelled:
            guard serving != nil else { return [] }
            return blame(Failure(.cancelled, "the client left before the function answered"))
        case .retire: return kill()
        }
    }

    // MARK: - Serving

    /// Sends the event as soon as there is both a worker to take it and an event to send.
    private mutating func begin(_ now: Instant) -> [Action] {
        guard isReady, var current = serving, current.began == nil, current.cause == nil, startedAt != nil else {
            return []
        }
        current.began = now
        current.cpuAtBegin = served == 0 ? .zero : meters?.cpu ?? .zero
        serving = current
        if exchange == nil { return [.write(current.assignment.event), .closeInput] }
        let context = context(current.assignment)
        guard let line = exchange?.request(event: current.assignment.event, context: context) else { return [] }
        return [.write(line)]
    }

    private func context(_ assignment: Assignment) -> String {
        let deadline = wallClockMilliseconds() + limits.wall.milliseconds
        let trace = assignment.traceparent.map { "\"\($0)\"" } ?? "null"
        return
            #"{"invocationId":"\#(assignment.invocationID)","function":"\#(version.name)","version":\#(version.number),"#
            + #""deadlineMs":\#(deadline),"memoryLimitMiB":\#(limits.memory.bytes >> 20),"traceparent":\#(trace)}"#
    }

    private mutating func take(_ bytes: ByteBuffer, _ now: Instant) -> [Action] {
        if exchange == nil {
            guard serving != nil, serving?.cause == nil else { return [] }
            if (serving?.output.readableBytes ?? 0) + bytes.readableBytes > limits.output.bytes {
                return blame(Ending.outputExceeded(limits))
            }
            serving?.output.writeImmutableBuffer(bytes)
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
            return serving == nil ? [.becameIdle] : begin(now)
        case .result(let body):
            serving?.answer = Completion.Output(body: body, kind: .json)
            return []
        case .error(let error):
            var failure = Failure(.error, "the handler raised \(error.type): \(error.message.prefix(500))")
            failure.error = error
            return blame(failure, kill: false)
        case .tooLong: return blame(Ending.outputExceeded(limits))
        case .violation(let what, let wrote):
            serving?.answer = nil
            return [.note("[bulkhead: \(what): \(wrote)]")]
                + blame(Failure(.protocolError, "\(what); its log shows what it wrote"))
        }
    }

    /// A reactor's invocation is over with its answer; the process lives on unless something else is wrong.
    private mutating func answerIfDone(_ now: Instant) -> [Action] {
        guard let current = serving, !isKilled, exchange?.isIdle == true, current.answer != nil || current.cause != nil,
            current.began != nil
        else { return [] }
        let actions = finish(now)
        return actions + (version.manifest.mode == .reactor ? [.becameIdle] : kill())
    }

    // MARK: - Limits

    private mutating func tick(_ now: Instant, _ cpu: () -> Duration?) -> [Action] {
        demoteIfDue(now, cpu) + enforce(now, cpu)
    }

    /// A worker's first moments come before others' long work; most invocations are over by then.
    private mutating func demoteIfDue(_ now: Instant, _ cpu: () -> Duration?) -> [Action] {
        guard isPreferred, let startedAt, exit == nil else { return [] }
        let age = now - startedAt
        // No use asking before the allowance could have been used up, even on all processors.
        let used = age * processors >= Self.headStartCPU && age < Self.headStart ? cpu() : nil
        guard age >= Self.headStart || used ?? .zero > Self.headStartCPU else { return [] }
        isPreferred = false
        return [.demote]
    }

    private static let headStart = Duration.milliseconds(100)
    /// What an interpreter needs to start; who burns more so soon has the longest work of all.
    private static let headStartCPU = Duration.milliseconds(30)

    private mutating func enforce(_ now: Instant, _ cpu: () -> Duration?) -> [Action] {
        guard let current = serving, current.cause == nil, exit == nil else {
            return serving == nil && exit == nil ? tickIdle(now, cpu) : []
        }
        guard let began = current.began else {
            if now - launched > limits.initialization.duration {
                return blame(Ending.timeout("init", limits.initialization))
            }
            // One processor's worth: what is not ready yet must not use all of them.
            let allowance = max(limits.initialization.duration, limits.effectiveCPU.duration)
            if (now - launched) * processors >= allowance, let used = cpu(), used > allowance {
                return blame(Ending.cpuExceeded(limits))
            }
            return []
        }
        let elapsed = now - began
        if elapsed > limits.wall.duration { return blame(Ending.timeout("wall", limits.wall)) }
        // No use asking before the limit could have been reached, even on all processors.
        let allowance = limits.effectiveCPU.duration
        if elapsed * processors >= allowance, let used = cpu(), used - current.cpuAtBegin > allowance {
            return blame(Ending.cpuExceeded(limits))
        }
        return []
    }

    /// Between invocations a reactor has no business of its own: one that computes on, or never gets ready, ends.
    private mutating func tickIdle(_ now: Instant, _ cpu: () -> Duration?) -> [Action] {
        guard isReady else { return now - launched > limits.initialization.duration ? kill() : [] }
        guard let watch = idleWatch else {
            idleWatch = (now, cpu() ?? .zero, now + .seconds(1))
            return []
        }
        guard now >= watch.next else { return [] }
        idleWatch?.next = now + .seconds(1)
        // A garbage collector may tidy up, and a library look around now and then: a hundredth of the time.
        return (cpu() ?? .zero) - watch.cpu > .milliseconds(100) + min((now - watch.since) / 100, .seconds(1))
            ? [.note("[bulkhead: ended: it computed while idle]")] + kill() : []
    }

    // MARK: - Ending

    private mutating func blame(_ failure: Failure, kill: Bool = true) -> [Action] {
        if serving?.cause == nil { serving?.cause = failure }
        return kill ? self.kill() : []
    }

    private mutating func kill() -> [Action] {
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
                if let failure = Ending.failure(of: exit, limits: limits, cpuUsed: used) {
                    serving?.cause = failure
                } else if exchange != nil {
                    serving?.cause = Failure(.protocolError, "the worker exited without answering")
                } else {
                    serving?.answer = Completion.Output(body: current.output, kind: ResultKind(of: current.output))
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
        usage.cpu = (exit?.cpu ?? meters?.cpu ?? .zero) - current.cpuAtBegin
        usage.memoryBytes = exit?.memoryPeak ?? meters?.memoryPeak ?? 0
        // A worker that breaks a limit at once can be gone before its start was reported: then all of it was start-up.
        if served == 1 { usage.initialization = initialization ?? (startedAt ?? now) - launched }
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
