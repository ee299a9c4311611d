import Catalogue
import FunctionModel
import Logging
import Sandbox
import Telemetry
import WorkerPool
import WorkerProtocol

/// Where what workers do is told: the functions' logs, the ledger of refusals, metrics, the host's own log.
func workerSinks(
    _ catalogue: Catalogue, logs: LogStore, refusals: RefusalLedger, metrics: MetricRegistry, logger: Logger
) -> WorkerSinks {
    // A worker may outlive its function by a moment; what it does then is not to be told of another one by that name.
    @Sendable func isKnown(_ version: FunctionVersion) -> Bool {
        catalogue.snapshot.versions(of: version.name).contains {
            $0.bundle == version.bundle && $0.createdAt == version.createdAt
        }
    }
    @Sendable func log(
        _ version: FunctionVersion, _ invocation: String?, _ source: LogSource, _ lines: [String]
    ) {
        guard isKnown(version) else { return }
        let time = timestamp()
        logs.append(
            lines.map {
                LogLine(
                    time: time, invocationId: invocation, version: version.number, source: source,
                    text: source == .host ? "[bulkhead: \($0)]" : $0)
            },
            of: version.name)
    }
    @Sendable func refused(_ version: FunctionVersion, _ call: RefusedCall) {
        guard isKnown(version) else { return }
        let refusal = refusals.add(call, of: version.name)
        metrics.add(
            Double(call.count), to: Meters.refusedCalls, [version.name.text, refusal.syscall, refusal.errno])
    }
    return WorkerSinks(log: log, refused: refused) { version, error in
        logger.error(
            "a worker that was to be kept warm could not be started",
            metadata: [
                "fn.name": "\(version.name)", "fn.version": "\(version.number)", "stage": "\(error.stage)",
                "errno": "\(error.errnoText)",
            ])
    }
}
