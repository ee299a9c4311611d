package import FunctionModel
import NIOCore
import Synchronization

/// Whoever gives invocations their workers: the pool, or in tests what plays it.
package protocol Workers: Sendable {
    /// `completion` is called exactly once, from any thread.
    func submit(_ invocation: Invocation, completion: @escaping @Sendable (Completion) -> Void)
    /// Workers of this version that have, or can take, an invocation.
    func count(of version: FunctionVersion) -> Int
}

/// Who is told of each invocation's begin and end.
package protocol InvocationRecorder: Sendable {
    func began(_ invocation: Invocation)
    func ended(_ invocation: Invocation, _ completion: Completion, elapsed: Duration)
}

/// The one door: whoever wants a function to run comes here, and all come the same way. Its stages in order: draining, the event,
/// the budget, the record, the run, the meters.
package final class Invoker: Sendable {
    private let workers: any Workers
    private let recorder: any InvocationRecorder
    private let now: @Sendable () -> ContinuousClock.Instant
    private let rules: Rules
    private let draining = Atomic(false)
    /// Of functions with a reservation.
    private let running = Mutex<[FunctionName: Int]>([:])

    /// What of others it goes by.
    package struct Rules: Sendable {
        /// Why a function may not run now, whatever workers there are.
        package var refusal: @Sendable (FunctionName) -> Failure?
        /// How many of a function's may run at once, where somebody has reserved so many for it; nil: as many as the pool gives.
        package var reserved: @Sendable (FunctionName) -> Int? = { _ in nil }
        /// Hides from a failure what the version is given in secret.
        package var redact: @Sendable (FunctionVersion, Failure) -> Failure
        /// Its place in a trace that is recorded; nil: none is.
        package var span: (@Sendable (Invocation) -> TraceSpan?)?

        package init(
            refusal: @escaping @Sendable (FunctionName) -> Failure? = { _ in nil },
            redact: @escaping @Sendable (FunctionVersion, Failure) -> Failure = { $1 },
            span: (@Sendable (Invocation) -> TraceSpan?)? = nil
        ) {
            self.refusal = refusal
            self.redact = redact
            self.span = span
        }
    }

    /// - Parameter now: the clock.
    package init(
        workers: any Workers, recorder: any InvocationRecorder, rules: Rules = Rules(),
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.workers = workers
        self.recorder = recorder
        self.rules = rules
        self.now = now
    }

    // MARK: - The door

    /// Runs one invocation. `completion` is called exactly once, from any thread.
    package func submit(_ invocation: Invocation, completion: @escaping @Sendable (Completion) -> Void) {
        let invocation = traced(invocation)
        let began = now(), told = invocation.withoutEvent
        recorder.began(told)
        run(invocation) { [self] result in
            ended(told, result, since: began)
            completion(result)
        }
    }

    /// As `submit`.
    package func invoke(_ invocation: consuming Invocation) async -> Completion {
        await Self.completion(of: consume invocation) { submit($0, completion: $1) }
    }

    /// As `invoke`; `reading` makes something of the result, and its failure is the invocation's.
    package func invoke<Answer: Sendable>(
        _ invocation: consuming Invocation, reading: @Sendable (Completion) async -> Result<Answer, Failure>
    ) async -> (Completion, Result<Answer, Failure>) {
        let invocation = traced(consume invocation)
        let began = now(), told = invocation.withoutEvent
        recorder.began(told)
        var completion = await Self.completion(of: consume invocation) { run($0, completion: $1) }
        let answer = await reading(completion)
        let safe = answer.mapError { failure in
            told.version.manifest.secrets.isEmpty ? failure : rules.redact(told.version, failure)
        }
        if case .failure(let failure) = safe { completion.result = .failure(failure) }
        ended(told, completion, since: began)
        return (completion, safe)
    }

    /// Waits without holding the event: once the worker has it, nobody else needs it.
    private static func completion(
        of invocation: consuming Invocation, _ begin: (Invocation, @escaping @Sendable (Completion) -> Void) -> Void
    ) async -> Completion {
        var pending: Invocation? = consume invocation
        return await withCheckedContinuation { continuation in
            guard let invocation = pending.take() else { return }
            begin(invocation) { continuation.resume(returning: $0) }
        }
    }

    /// Whoever it calls is told of its own place in the trace. Called by who tells others of it, too.
    package func traced(_ invocation: consuming Invocation) -> Invocation {
        guard invocation.span == nil, let span = rules.span?(invocation) else { return invocation }
        invocation.span = span
        invocation.traceparent = span.traceparent
        return invocation
    }

    /// Workers of this version that have, or can take, an invocation.
    package func workers(of version: FunctionVersion) -> Int { workers.count(of: version) }

    // MARK: - Stages

    private func run(_ invocation: Invocation, completion: @escaping @Sendable (Completion) -> Void) {
        // What was accepted before is finished.
        if isDraining, invocation.source != .queue { return completion(.refused(.draining)) }
        if let problem = invocation.event.problem { return completion(.refused(.notJSON(problem))) }
        if let refusal = rules.refusal(invocation.version.name) { return completion(.refused(refusal)) }
        var invocation = invocation
        if invocation.event.bytes.readableBytes == 0, !invocation.event.isRaw {
            invocation.event.bytes = ByteBuffer(string: "null")
        }
        // Written into the protocol's line, it is held twice until the worker has it.
        if invocation.version.speech == .jsonRPC, let charge = invocation.event.charge,
            !charge.add(invocation.event.bytes.readableBytes)
        {
            return completion(.refused(.crowded))
        }
        guard let limit = rules.reserved(invocation.version.name) else {
            return give(invocation, completion: completion)
        }
        let name = invocation.version.name
        guard enter(name, limit) else { return completion(.refused(.reserved(limit, name))) }
        give(invocation) { [self] result in
            leave(name)
            completion(result)
        }
    }

    private func enter(_ name: FunctionName, _ limit: Int) -> Bool {
        running.withLock { running in
            guard running[name, default: 0] < limit else { return false }
            running[name, default: 0] += 1
            return true
        }
    }

    private func leave(_ name: FunctionName) {
        running.withLock { running in
            let left = running[name, default: 1] - 1
            running[name] = left > 0 ? left : nil
        }
    }

    private func give(_ invocation: Invocation, completion: @escaping @Sendable (Completion) -> Void) {
        guard !invocation.version.manifest.secrets.isEmpty else {
            return workers.submit(invocation, completion: completion)
        }
        let version = invocation.version
        workers.submit(invocation) { [rules] result in
            var result = result
            result.result = result.result.mapError { rules.redact(version, $0) }
            completion(result)
        }
    }

    private func ended(_ invocation: Invocation, _ completion: Completion, since began: ContinuousClock.Instant) {
        // Accepted ones that met a full house have not ended: they have their turn again.
        if invocation.source == .queue, completion.hasNotRun { return }
        recorder.ended(invocation, completion, elapsed: now() - began)
    }

    // MARK: - Draining

    package var isDraining: Bool { draining.load(ordering: .acquiring) }

    /// From now on nothing new is taken; what runs goes on.
    package func drain() { draining.store(true, ordering: .releasing) }
}

extension Failure {
    /// The host's memory for others is used up.
    package static var crowded: Failure {
        Failure(
            .overloaded(retryAfter: 1),
            "the host holds too many large events and answers at this moment (maxBuffered); retry shortly")
    }

    static func reserved(_ limit: Int, _ name: FunctionName) -> Failure {
        Failure(
            .throttled(retryAfter: 1),
            "\(name) has \(limit) invocations at once reserved, and so many run: retry shortly, or raise the reservation"
        )
    }

    package static var draining: Failure {
        Failure(
            .overloaded(retryAfter: 5), "the host is shutting down and takes nothing new; retry elsewhere or shortly")
    }

    /// - Parameter problem: what is wrong with the event.
    package static func notJSON(_ problem: String) -> Failure {
        Failure(.invalidRequest, "the event is not JSON: \(problem)")
    }
}
