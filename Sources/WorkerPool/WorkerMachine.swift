import Dialogues
import FunctionModel
import NIOCore
import Sandbox

/// One worker's life as a value: inputs in, actions out; the clock and the meters come with each input. `WorkerRunner` acts.
struct WorkerMachine {
    typealias Instant = ContinuousClock.Instant
    typealias Input = WorkerMachineInput
    typealias Moment = WorkerMachineMoment
    typealias Action = WorkerMachineAction
    typealias State = WorkerMachineState
    typealias Times = WorkerTimes

    let version: FunctionVersion
    let processors: Int
    private(set) var dialogue: Dialogue
    private(set) var state = State.starting
    private(set) var serving: ServedInvocation?
    private(set) var times: Times
    private var open: OpenParts = [.streams, .cell, .end]
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
        times = Times(launched: now)
        dialogue = Dialogue(
            version.speech, longestResult: version.manifest.effectiveOutput.bytes)
    }

    var limits: Manifest.Limits { version.manifest.limits }

    /// Whether it can take an invocation.
    var isIdle: Bool {
        guard case .ready = state, serving == nil else { return false }
        return dialogue.isIdle
    }

    /// Whether it was not asked to end, and has not.
    var isAlive: Bool {
        switch state {
        case .starting, .preparing, .ready: true
        case .ending, .exited: false
        }
    }

    /// Bytes of the answer under way that are here and not with who has asked; nil: none is under way.
    var held: Int? { serving.map { dialogue.held + $0.held } }

    /// Whether nothing is left of it.
    var isOver: Bool { open == [] }

    mutating func handle(_ input: Input, at moment: Moment) -> [Action] {
        let actions = react(to: input, moment)
        nextTick = dueTick(moment.now)
        return actions
    }

    private mutating func react(to input: Input, _ moment: Moment) -> [Action] {
        switch input {
        case .assign(let invocation, let start, let requested):
            precondition(serving == nil, "a worker serves one invocation at a time")
            serving = ServedInvocation(invocation: invocation, start: start, requested: requested)
            // It may have ended in the moment between being chosen and now.
            return begin(moment) + concludeIfOver(moment)
        case .started: return started(moment)
        case .failed(let error):
            open.subtract(.streams)
            state = .exited(.lostWithLauncher)
            return (serving == nil ? [.lost(error)] : []) + blame(Ending.launchFailed(error), kill: false)
                + concludeIfOver(moment)
        case .output(let bytes): return take(bytes, moment)
        case .outputClosed: return closed(.output, moment)
        case .called(let call):
            // Of one that ends nothing is asked any more.
            guard isAlive else { return [] }
            return take(dialogue.receive(call), moment)
        case .logClosed: return closed(.log, moment)
        case .gone: return closed(.cell, moment)
        case .exited(let exit):
            state = .exited(exit)
            return concludeIfOver(moment)
        case .cleared(let threads): return cleared(threads, moment)
        case .locked: return prepared(.lock, moment)
        case .tick: return tick(moment)
        case .cancelled:
            guard serving != nil else { return [] }
            return blame(Failure(.cancelled, "the client left before the function answered"))
        case .crowdedOut:
            guard serving != nil else { return kill() }
            return blame(Ending.crowdedOut)
        case .retire: return kill()
        }
    }

    // MARK: - Starting

    private mutating func started(_ moment: Moment) -> [Action] {
        times.started = moment.now
        // One that speaks says itself when it is ready, and can be faster than this news of it.
        guard !dialogue.saysReady else { return [.launched] + begin(moment) + answerIfDone(moment) }
        // It may be gone by now, or on its way.
        if case .starting = state { state = .ready }
        return [.ready(moment.now - times.launched)] + (serving == nil ? becomeIdle(moment) : begin(moment))
    }

    /// It says that it is ready: what is to be done with it first?
    private mutating func becameReady(_ moment: Moment) -> [Action] {
        let time = moment.now - times.launched
        times.initialization = time
        // It may be gone by now, or on its way.
        guard case .starting = state else { return [.ready(time)] }
        var preparation: WorkerPreparation = []
        if version.manifest.lock { preparation.insert(.lock) }
        if version.manifest.mode == .snapshot { preparation.insert(.clear) }
        state = .preparing(preparation)
        let preparing =
            (preparation.contains(.lock) ? [Action.lock] : []) + (preparation.contains(.clear) ? [.clear] : [])
        return [.ready(time)] + preparing + prepared([], moment)
    }

    /// That much of what is to be done is done. Once nothing is left it waits, or gets the event that waits for it.
    private mutating func prepared(_ done: WorkerPreparation, _ moment: Moment) -> [Action] {
        guard case .preparing(let wanted) = state else { return [] }
        let left = wanted.subtracting(done)
        state = left.isEmpty ? .ready : .preparing(left)
        guard left.isEmpty else { return [] }
        return serving == nil ? becomeIdle(moment) : begin(moment)
    }

    /// A template that is alone, and has one thread, can be forked.
    private mutating func cleared(_ threads: Int?, _ moment: Moment) -> [Action] {
        guard case .preparing(let wanted) = state, wanted.contains(.clear) else { return [] }
        cpuAtEnd = moment.meters?.cpu ?? cpuAtEnd  // what was left behind may have computed until now
        guard let threads else { return blame(Ending.notCleared) }
        guard threads == 1 else {
            let failure = Ending.threadedSnapshot(threads)
            return (serving == nil ? [.note(failure.detail)] : []) + blame(failure)
        }
        return prepared(.clear, moment)
    }

    private mutating func becomeIdle(_ moment: Moment) -> [Action] {
        let used = served > 0 ? watch.cpuAtReturn ?? cpuAtEnd : dialogue.saysReady ? moment.meters?.cpu : nil
        watch.becameIdle(moment.now, cpu: used ?? .zero)
        return [.becameIdle]
    }

    // MARK: - Serving

    /// Sends the event: to a command even before it runs, so that it need not wait for it; to others once they are ready.
    private mutating func begin(_ moment: Moment) -> [Action] {
        guard let current = serving, current.began == nil else { return [] }
        var actions: [Action] = []
        if !current.isSent {
            if dialogue.saysReady { guard case .ready = state else { return [] } }
            guard
                let opening = dialogue.begin(
                    DialogueRequest(current.invocation, until: moment.wallClock + wall.milliseconds))
            else { return [] }
            switch opening {
            case .input(let bytes, let isLast): actions = isLast ? [.write(bytes), .closeInput] : [.write(bytes)]
            case .reply(let reply, let connection): actions = [.reply(reply, to: connection)]
            }
            // It is on its way: held twice, it would count twice.
            serving?.invocation.event.bytes = ByteBuffer()
            serving?.isSent = true
        }
        if times.started != nil {
            serving?.began = moment.now
            // Of a command that was started for this invocation, all is its own.
            if dialogue.saysReady || current.start != .cold {
                // What it used while it waited is looked at elsewhere, and is little: see `tickIdle`.
                serving?.cpuAtBegin = served > 0 ? watch.cpuAtReturn ?? cpuAtEnd : moment.meters?.cpu ?? .zero
                serving?.cpuBefore = served > 0 ? (watch.cpuAtReturn ?? cpuAtEnd) - cpuAtEnd : .zero
            }
            watch.began(moment.now, allowance: limits.effectiveCPU.duration, processors: processors)
        }
        return actions
    }

    private mutating func take(_ bytes: ByteBuffer, _ moment: Moment) -> [Action] {
        // Of one that ends, nothing is read any more once the outcome is known.
        if case .ending = state, serving == nil || serving?.cause != nil { return [] }
        return take(dialogue.receive(bytes), moment)
    }

    private mutating func take(_ events: [DialogueEvent], _ moment: Moment) -> [Action] {
        var actions: [Action] = []
        for event in events { actions += take(event, moment) }
        return actions + answerIfDone(moment)
    }

    private mutating func take(_ event: DialogueEvent, _ moment: Moment) -> [Action] {
        switch event {
        case .ready: return becameReady(moment)
        case .asksAgain:
            watch.cpuAtReturn = moment.meters?.cpu
            return prepared(.asking, moment)
        case .reply(let reply, let connection): return [.reply(reply, to: connection)]
        case .failedStart(let error):
            let failure = Ending.raised(error, by: "the runtime could not start:")
            return (serving == nil ? [.note(failure.detail)] : []) + blame(failure)
        case .part(let part):
            guard serving != nil, serving?.cause == nil else { return [] }
            if serving?.invocation.stream != nil { return [.part(part)] }
            serving?.gather(part)
            return []
        case .result(let body, let kind):
            let gathered = serving?.takeGathered()
            serving?.answer = gathered ?? Completion.Output(body: body, kind: kind)
            return []
        case .error(let error):
            return blame(Ending.raised(error, by: "the handler raised"), kill: false)
        case .tooLong:
            let isStreamed = serving?.invocation.stream != nil
            return blame(Ending.outputExceeded(version.manifest, streamed: isStreamed))
        case .violation(let what, let wrote):
            serving?.answer = nil
            return [.note(wrote.isEmpty ? what : "\(what): \(wrote)")]
                + blame(Failure(.protocolError, "\(what); its log shows what it wrote"))
        }
    }

    /// An invocation of one that speaks is over with its answer; the process lives on unless something else is wrong.
    private mutating func answerIfDone(_ moment: Moment) -> [Action] {
        guard case .ready = state, dialogue.saysReady, !dialogue.isBusy, serving?.began != nil,
            serving?.answer != nil || serving?.cause != nil
        else { return [] }
        let (end, cpuAtBegin) = (serving?.end(limits) ?? moment.now, serving?.cpuAtBegin ?? .zero)
        let actions = finish(moment)
        switch version.manifest.mode {
        case .command: return actions + kill()
        case .reactor:
            guard !dialogue.isIdle else { return actions + becomeIdle(moment) }
            state = .preparing(.asking)
            watch.asks(until: end, cpuAtBegin: cpuAtBegin)
            return actions
        case .snapshot:
            state = .preparing(.clear)
            return actions + [.clear]
        }
    }

    // MARK: - Ending

    mutating func blame(_ failure: Failure, kill: Bool = true) -> [Action] {
        if serving?.cause == nil { serving?.cause = failure }
        return kill ? self.kill() : []
    }

    mutating func kill() -> [Action] {
        guard isAlive else { return [] }
        state = .ending
        return [.kill]
    }

    private mutating func closed(_ part: OpenParts, _ moment: Moment) -> [Action] {
        open.subtract(part)
        return concludeIfOver(moment)
    }

    /// When the process is gone and all it wrote is read: the outcome, then the end.
    private mutating func concludeIfOver(_ moment: Moment) -> [Action] {
        guard case .exited(let exit) = state, open.isDisjoint(with: .streams) else { return [] }
        var actions: [Action] = []
        if let current = serving {
            if current.cause == nil, current.answer == nil {
                switch Ending.judge(exit, limits: limits, cpuUsed: exit.cpu - current.cpuAtBegin, &dialogue) {
                case .success(let answer): serving?.answer = answer
                case .failure(let failure): serving?.cause = failure
                }
            }
            actions = finish(moment)
        }
        if open == .end {
            open = []
            actions.append(.ended)
        }
        return actions
    }

    private mutating func finish(_ moment: Moment) -> [Action] {
        guard let current = serving else { return [] }
        serving = nil
        served += 1
        var exit: CellExit?
        if case .exited(let told) = state { exit = told }
        var usage = Usage()
        usage.wall = current.began.map { moment.now - $0 } ?? .zero
        cpuAtEnd = exit?.cpu ?? moment.meters?.cpu ?? .zero
        usage.cpu = cpuAtEnd - current.cpuAtBegin + current.cpuBefore
        usage.memoryBytes = exit?.memoryPeak ?? moment.meters?.memoryPeak ?? 0
        // A worker that breaks a limit at once can be gone before its start was reported: then all of it was start-up.
        if current.start == .cold {
            usage.initialization = times.initialization ?? (times.started ?? moment.now) - times.launched
        }
        return [.finish(current.completion(usage, moment.now))]
    }
}
