import Dialogues
import FunctionModel
import NIOCore
import Sandbox

/// What `WorkerMachine` is told.
enum WorkerMachineInput {
    case assign(Invocation, start: StartKind, requested: ContinuousClock.Instant)
    /// Its process is there.
    case started
    case failed(LaunchError)
    /// All that could be read at once.
    case output(ByteBuffer)
    case outputClosed
    /// What a client of the Runtime API did.
    case called(RuntimeCall)
    case logClosed
    case exited(CellExit)
    case gone
    /// A snapshot's template is alone again, with so many threads; nil when that could not be brought about.
    case cleared(threads: Int?)
    /// The second filter holds.
    case locked
    /// Time has passed.
    case tick
    case cancelled
    /// The host cannot hold what the worker writes: its memory for others is used up.
    case crowdedOut
    /// The worker is not needed any more.
    case retire
}

/// What is known of the world when an input comes.
struct WorkerMachineMoment {
    let now: ContinuousClock.Instant
    /// In milliseconds since 1970.
    let wallClock: Int
    /// Asked only where it matters; nil before there is a cell.
    let meters: (any CellMeter)?
}

/// What `WorkerMachine` wants done.
enum WorkerMachineAction {
    /// The event; its bytes are the worker's from now on.
    case write(ByteBuffer)
    case closeInput
    /// To its client, on this connection.
    case reply(RuntimeReply, to: Int)
    case kill
    /// It has run for so long that it goes on as one among equals.
    case demote
    /// What is left beside a snapshot's template has to end.
    case clear
    /// It has said ready, and asked to be left with few calls from then on.
    case lock
    case finish(Completion)
    /// Of the answer, for whoever takes it while it is made.
    case part(ResponsePart)
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

/// Where its process is in its life. An invocation may be assigned in any of them: see `serving`.
enum WorkerMachineState {
    /// On its way, or not ready yet.
    case starting
    /// Ready, but before it gets an event this is to be done with it.
    case preparing(WorkerPreparation)
    /// It can take an event, or has one.
    case ready
    /// It was asked to end.
    case ending
    case exited(CellExit)
}

/// When what happened.
struct WorkerTimes {
    let launched: ContinuousClock.Instant
    var started: ContinuousClock.Instant?
    /// From its launch until it was ready.
    var initialization: Duration?
}

/// The invocation that a worker has.
struct ServedInvocation {
    var invocation: Invocation
    var start: StartKind
    var requested: ContinuousClock.Instant
    /// Whether the event went to the worker.
    var isSent = false
    /// When the worker had it: when it was there, and the event sent.
    var began: ContinuousClock.Instant?
    var cpuAtBegin = Duration.zero
    /// What its worker has used since its last answer, before that: of no limit of this one's, but of the function's bill.
    var cpuBefore = Duration.zero
    /// The first cause; nothing later overrides it.
    var cause: Failure?
    var answer: Completion.Output?
    /// What has come in parts, where nobody takes it so.
    var parts: (bytes: ByteBuffer, kind: ResultKind.Reader)?

    func wall(_ limits: Manifest.Limits) -> TimeLimit { min(limits.wall, invocation.timeout ?? limits.wall) }

    /// When that is over; nil: it has not begun.
    func end(_ limits: Manifest.Limits) -> ContinuousClock.Instant? { began.map { $0 + wall(limits).duration } }

    /// Status and headers are of no use to whoever wants a result.
    mutating func gather(_ part: ResponsePart) {
        guard case .body(let bytes) = part else { return }
        if parts == nil { parts = (ByteBuffer(), ResultKind.Reader()) }
        parts?.bytes.writeImmutableBuffer(bytes)
        parts?.kind.read(bytes)
    }

    /// All of that, at its end.
    mutating func takeGathered() -> Completion.Output? {
        guard var gathered = parts else { return nil }
        parts = nil
        return Completion.Output(body: gathered.bytes, kind: gathered.kind.finish())
    }

    /// Bytes of its answer that are here, beside what the dialogue has.
    var held: Int { (parts?.bytes.readableBytes ?? 0) + (answer?.body.readableBytes ?? 0) }

    func completion(_ usage: Usage, _ now: ContinuousClock.Instant) -> Completion {
        let output = answer ?? Completion.Output(body: ByteBuffer(), kind: .json)
        return Completion(
            result: cause.map(Result.failure) ?? .success(output), start: start, usage: usage,
            startTime: (began ?? now) - requested)
    }
}

/// What is to be done with a worker before it gets an event.
struct WorkerPreparation: OptionSet {
    let rawValue: Int
    /// A snapshot's template is being rid of what ran beside it.
    static let clear = WorkerPreparation(rawValue: 1)
    /// The second filter of `lock: true`.
    static let lock = WorkerPreparation(rawValue: 2)
    /// It has answered, and has still to ask for the next.
    static let asking = WorkerPreparation(rawValue: 4)
}

/// What may still come of a worker.
struct OpenParts: OptionSet {
    let rawValue: Int
    static let output = OpenParts(rawValue: 1)
    static let log = OpenParts(rawValue: 2)
    static let cell = OpenParts(rawValue: 4)
    /// Its end was told.
    static let end = OpenParts(rawValue: 8)
    static let streams: OpenParts = [.output, .log]
}

extension DialogueRequest {
    /// - Parameter deadline: in milliseconds since 1970.
    init(_ invocation: Invocation, until deadline: Int) {
        let version = invocation.version, lambda = invocation.event.lambda
        self.init(
            event: invocation.event.bytes, invocationID: invocation.id, function: version.name.text,
            version: version.shownNumber, deadline: deadline, memoryLimit: version.manifest.limits.memory.bytes >> 20,
            traceparent: invocation.traceparent, lambda: lambda,
            arn: lambda?.arn ?? LambdaLabel.arn(version.name.text, LambdaLabel.region(of: version.manifest)),
            streams: invocation.stream != nil)
    }
}
