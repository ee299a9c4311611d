package import FunctionModel
import HostSystem
package import Logging
import Sandbox
import Synchronization
package import Telemetry
package import WorkerPool

/// What happened: invocations, what functions wrote, what was refused to them, and what it all adds up to. In memory, each part
/// bounded in total.
package final class Journal: Sendable {
    /// What of functions it must know: a worker may outlive its function by a moment, and what it does then is not to be told
    /// of another one by that name, nor may the series of one that is gone come back.
    package struct Functions: Sendable {
        package var has: @Sendable (FunctionVersion) -> Bool
        package var hasName: @Sendable (FunctionName) -> Bool

        package init(
            has: @escaping @Sendable (FunctionVersion) -> Bool, hasName: @escaping @Sendable (FunctionName) -> Bool
        ) {
            self.has = has
            self.hasName = hasName
        }
    }

    package let logs = LogStore()
    package let refusals = RefusalLedger()
    package let metrics = MetricRegistry()
    package let usage: UsageLedger
    package let traces: Traces
    private let redact: @Sendable (FunctionVersion, String) -> String
    /// The newest synchronous ones.
    private let invocations: InvocationLog
    private let functions: Functions
    private let meters = Mutex<[FunctionName: FunctionMeters]>([:])
    /// Of all functions beyond those.
    private let otherMeters: FunctionMeters
    private let logger: Logger

    /// - Parameters:
    ///   - sendTraces: to whoever collects them.
    ///   - redact: hides from a line what the version is given in secret.
    ///   - capacity: synchronous invocations that are remembered.
    package init(
        functions: Functions, usage: UsageLedger, sendTraces: @escaping Traces.Send = { _ in },
        redact: @escaping @Sendable (FunctionVersion, String) -> String = { $1 }, capacity: Int = 10_000,
        logger: Logger
    ) {
        self.usage = usage
        traces = Traces(registry: metrics, send: sendTraces)
        self.redact = redact
        self.functions = functions
        self.logger = logger
        invocations = InvocationLog(capacity: capacity)
        Meters.declare(in: metrics)
        otherMeters = FunctionMeters(Meters.others, in: metrics)
    }

    // MARK: - Requests

    /// A request was refused: nobody was asked to run anything.
    /// - Parameter route: the one that it had come to.
    package func refused(_ outcome: Outcome, at route: String? = nil) {
        metrics.add(to: Meters.refusedRequests, [outcome.rawValue, route ?? ""])
    }

    // MARK: - Invocations

    /// One begins. What was accepted earlier has its record elsewhere.
    package func began(_ invocation: Invocation) {
        if invocation.source != .queue { invocations.add(InvocationRecord(invocation, .running)) }
        if invocation.version.manifest.report {
            tell(ReportLines.start(invocation.id, version: invocation.version.label), of: invocation)
        }
    }

    /// It has ended, so long after it began.
    package func ended(_ invocation: Invocation, _ completion: Completion, elapsed: Duration) {
        meters(of: invocation.version.name)?.record(
            completion, elapsed: elapsed, queued: (invocation.waited ?? .zero) + completion.queueTime,
            trace: invocation.span.map(\.traceID))
        if invocation.version.manifest.report {
            tell(ReportLines.end(invocation.id), of: invocation)
            let memory = invocation.version.manifest.limits.memory
            tell(ReportLines.report(invocation.id, completion, memory: memory), of: invocation)
        }
        if invocation.span != nil { traces.ended(invocation, completion, elapsed: elapsed) }
        if !invocation.version.isTrial, !completion.hasNotRun { usage.add(invocation, completion) }
        if invocation.source != .queue {
            invocations.update(invocation.id) { $0.finish(completion, keepsResult: false) }
        }
        guard case .failure(let failure) = completion.result, case .launchFailed(let stage, let errno) = failure.cause
        else { return }
        logger.error(
            "launch failed",
            metadata: [
                "fn.name": "\(invocation.version.name)", "invocation.id": "\(invocation.id)",
                "stage": "\(stage)", "errno": "\(errno)",
            ])
    }

    /// What is known of a synchronous one.
    package func record(_ id: String) -> InvocationRecord? { invocations.record(id) }

    private func meters(of name: FunctionName) -> FunctionMeters? {
        meters.withLock { meters in
            if let known = meters[name] { return known }
            guard functions.hasName(name) else { return nil }
            guard meters.count < Meters.maxFunctions else { return otherMeters }
            let new = FunctionMeters(name.text, in: metrics)
            meters[name] = new
            return new
        }
    }

    // MARK: - Functions

    /// The function is gone, and so is what it wrote.
    package func forget(_ name: FunctionName) {
        meters.withLock { $0[name] = nil }
        logs.remove(name)
        refusals.remove(name)
        metrics.forget(label: "function", value: name.text)
    }

    /// Where workers tell what they do.
    package var sinks: WorkerSinks {
        WorkerSinks(
            log: { [self] in log($0, $1, $2, $3) }, refused: { [self] in refused($0, $1) },
            lost: { [logger] version, error in
                logger.error(
                    "a worker that was to be kept warm could not be started",
                    metadata: [
                        "fn.name": "\(version.name)", "fn.version": "\(version.label)", "stage": "\(error.stage)",
                        "errno": "\(error.errnoText)",
                    ])
            })
    }

    private func log(_ version: FunctionVersion, _ invocation: String?, _ source: LogSource, _ lines: [String]) {
        guard functions.has(version) else { return }
        let time = timestamp()
        let lines = version.manifest.secrets.isEmpty ? lines : lines.map { redact(version, $0) }
        logs.append(
            lines.map {
                LogLine(
                    time: time, invocationId: invocation, version: version.shownNumber, source: source,
                    text: source == .host ? "[bulkhead: \($0)]" : $0)
            },
            of: version.name)
    }

    /// In its log, as the host's own word.
    private func tell(_ text: String, of invocation: Invocation) {
        let version = invocation.version
        guard functions.has(version) else { return }
        let line = LogLine(
            time: timestamp(), invocationId: invocation.id, version: version.shownNumber, source: .host, text: text)
        logs.append([line], of: version.name)
    }

    private func refused(_ version: FunctionVersion, _ call: RefusedCall) {
        guard functions.has(version) else { return }
        let refusal = refusals.add(call, of: version)
        let label = meters(of: version.name)?.name ?? Meters.others
        metrics.add(Double(call.count), to: Meters.refusedCalls, [label, refusal.syscall, refusal.errno])
    }
}
