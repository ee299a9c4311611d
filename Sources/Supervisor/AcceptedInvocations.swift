import Catalogue
import Foundation
import FunctionModel
import HostSystem
import Logging
import NIOCore
import WorkerPool
import WorkerProtocol

/// Invocations that were answered 202: each stands in the catalogue, so that whichever process serves runs it, and then can tell
/// what became of it.
final class AcceptedInvocations: Sendable {
    let queue: AsynchronousQueue
    let log: InvocationLog
    private let catalogue: Catalogue
    private let logger: Logger
    private let most: Int

    /// Takes up what an earlier process accepted and did not finish. Blocks.
    /// - Parameter most: how many may wait.
    init(_ catalogue: Catalogue, most: Int, logger: Logger) throws {
        self.catalogue = catalogue
        self.logger = logger
        self.most = most
        queue = AsynchronousQueue(capacity: most)
        log = InvocationLog(capacity: 10_000 + most)
        for (id, traceparent, version) in try catalogue.unfinished() {
            log.add(InvocationRecord(id: id, function: version.name, version: version.number, status: .queued))
            _ = queue.add(.init(version: version, id: id, event: nil, traceparent: traceparent), isOld: true)
        }
    }

    /// The item's event: an earlier process's is read when its turn has come. Nil when there is no room for it.
    /// - Throws: what the database says.
    func event(of item: AsynchronousQueue.Item, budget: MemoryBudget) async throws -> ArrivedEvent? {
        if let event = item.event { return event }
        let bytes = try await catalogue.event(ofQueued: item.id) ?? Data()
        let charge = budget.charge(of: item.version.name.text)
        guard charge.add(bytes.count) else { return nil }
        return ArrivedEvent(ByteBuffer(bytes: bytes), charge: charge, problem: nil)
    }

    /// Once this returns the invocation survives this process.
    /// - Throws: `Failure` overloaded or invalid_request, or what the database says.
    func add(_ version: FunctionVersion, id: String, event: ArrivedEvent, traceparent: String?) async throws {
        if let problem = event.problem { throw Failure(.invalidRequest, "the event is not JSON: \(problem)") }
        guard queue.hasRoom(for: event.bytes.readableBytes) else { throw full }
        try await catalogue.enqueue(
            QueuedInvocation(
                id: id, version: version, event: Data(event.bytes.readableBytesView), traceparent: traceparent))
        log.add(InvocationRecord(id: id, function: version.name, version: version.number, status: .queued))
        guard queue.add(.init(version: version, id: id, event: event, traceparent: traceparent)) else {
            log.update(id) {
                $0.status = .done
                $0.outcome = .overloaded
            }
            try await catalogue.dequeue(id)
            throw full
        }
    }

    /// What is known of one, whichever process has run it.
    /// - Throws: what the database says.
    func record(_ id: String) async throws -> InvocationRecord? {
        if let record = log.record(id) { return record }
        return try await catalogue.finished(id).flatMap(InvocationRecord.init)
    }

    private var full: Failure {
        var failure = Failure(.overloaded, "\(most) asynchronous invocations wait already; retry shortly")
        failure.retryAfter = 1
        return failure
    }

    /// It has ended: no process need run it any more.
    /// - Parameter completion: how; what its output is charged to is held until that is written.
    func finished(_ item: AsynchronousQueue.Item, _ completion: Completion) async {
        defer { withExtendedLifetime(completion) {} }
        do {
            if let record = log.record(item.id), record.status == .done {
                try await catalogue.finish { try FinishedInvocation(record) }
            } else {
                try await catalogue.dequeue(item.id)
            }
        } catch {
            logger.error(
                "an invocation that has ended may be run once more after a restart",
                metadata: ["invocation.id": "\(item.id)", "reason": "\(error)"])
        }
        queue.finished(item)
    }
}

/// What of a record is kept beside its result.
private struct Summary: Codable {
    let outcome: Outcome?
    let failure: Failure?
    let start: StartKind?
    let usage: Usage?
    let startedAt: Date?
    let resultKind: ResultKind?
}

extension FinishedInvocation {
    /// In bytes: ten thousand of the largest are a bounded part of any disk.
    private static let (longestSummary, longestResult) = (16 << 10, 16 << 20)

    fileprivate init(_ record: InvocationRecord) throws {
        func encoded(_ failure: Failure?) throws -> Data {
            try JSONEncoder().encode(
                Summary(
                    outcome: record.outcome, failure: failure, start: record.start, usage: record.usage,
                    startedAt: record.startedAt, resultKind: record.resultKind))
        }
        var summary = try encoded(record.failure)
        if summary.count > Self.longestSummary, var failure = record.failure {
            // What the function wrote is long; how it ended is not.
            (failure.error, failure.stdout, failure.log) = (nil, nil, nil)
            summary = try encoded(failure)
        }
        let result = record.result.flatMap { $0.readableBytes <= Self.longestResult ? $0 : nil }
        self.init(
            id: record.id, name: record.function, number: record.version, summary: summary,
            result: result.map { Data($0.readableBytesView) })
    }
}

extension InvocationRecord {
    /// Nil for a row of a later host that this one cannot read.
    fileprivate init?(_ finished: FinishedInvocation) {
        guard let name = FunctionName(finished.name),
            let summary = try? JSONDecoder().decode(Summary.self, from: finished.summary)
        else { return nil }
        self.init(
            id: finished.id, function: name, version: finished.number, status: .done, outcome: summary.outcome,
            failure: summary.failure, start: summary.start, usage: summary.usage, startedAt: summary.startedAt,
            result: finished.result.map { ByteBuffer(bytes: $0) }, resultKind: summary.resultKind)
    }
}
