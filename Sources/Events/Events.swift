import Foundation
package import FunctionModel
package import Invoker
package import Journal
package import Logging
import NIOCore
package import Store

/// Invocations that were answered 202: each stands in the store, so that whichever process serves runs it, and then can tell what
/// became of it.
package final class Events: Sendable {
    let queue: InvocationQueue
    let log: InvocationLog
    let invoker: Invoker
    private let store: any Store
    private let budget: MemoryBudget
    private let logger: Logger
    private let maxQueued: Int

    /// How many processes may take an invocation up: one that ends whoever runs it must not end every one after.
    private static let maxStarts = 10

    /// Takes up what an earlier process accepted and did not finish. Blocks.
    /// - Parameters:
    ///   - maxQueued: how many may wait.
    ///   - version: what a number stands for now.
    /// - Throws: what the store says.
    package init(
        store: any Store, invoker: Invoker, budget: MemoryBudget, maxQueued: Int,
        version: (FunctionName, Int) -> FunctionVersion?, logger: Logger
    ) throws {
        self.store = store
        self.invoker = invoker
        self.budget = budget
        self.logger = logger
        self.maxQueued = maxQueued
        queue = InvocationQueue(capacity: maxQueued)
        log = InvocationLog(capacity: 10_000 + maxQueued)
        for unfinished in try store.takeUpUnfinished(atMost: Self.maxStarts) {
            guard let version = version(unfinished.function, unfinished.version) else { continue }
            log.add(
                InvocationRecord(id: unfinished.id, function: version.name, version: version.number, status: .queued))
            _ = queue.add(
                .init(version: version, id: unfinished.id, event: nil, traceparent: unfinished.traceparent),
                isOld: true)
        }
    }

    /// Accepts an invocation, to be run later. Once this returns it survives this process.
    /// - Throws: `Failure` overloaded or invalid_request, or what the store says.
    package func accept(_ invocation: Invocation) async throws {
        if invoker.isDraining { throw Failure.draining }
        if let problem = invocation.event.problem { throw Failure.notJSON(problem) }
        guard queue.hasRoom(for: invocation.event.bytes.readableBytes) else { throw full }
        let version = invocation.version
        try await store.enqueue(
            QueuedInvocation(
                id: invocation.id, function: version.name, version: version.number,
                event: Data(invocation.event.bytes.readableBytesView), traceparent: invocation.traceparent))
        log.add(InvocationRecord(invocation, .queued))
        let item = InvocationQueue.Item(
            version: version, id: invocation.id, event: invocation.event, traceparent: invocation.traceparent)
        guard queue.add(item) else {
            log.update(invocation.id) {
                $0.status = .done
                $0.outcome = .overloaded
            }
            try await store.dequeue(invocation.id)
            throw full
        }
    }

    /// What is known of one, whichever process has run it.
    /// - Throws: what the store says.
    package func record(_ id: String) async throws -> InvocationRecord? {
        if let record = log.record(id) { return record }
        return try await store.finished(id).flatMap(InvocationRecord.init)
    }

    /// Bundles of what waits or runs.
    package var bundlesInUse: Set<String> { queue.bundlesInUse }

    /// What waits is the next process's.
    package func drain() { queue.close() }

    private var full: Failure {
        Failure(.overloaded(retryAfter: 1), "\(maxQueued) asynchronous invocations wait already; retry shortly")
    }

    // MARK: - For who runs them

    /// The item's event: an earlier process's is read when its turn has come. Nil when there is no room for it.
    /// - Throws: what the store says.
    func event(of item: InvocationQueue.Item) async throws -> ArrivedEvent? {
        if let event = item.event { return event }
        let bytes = try await store.event(ofQueued: item.id) ?? Data()
        let charge = budget.charge(of: item.version.name.text)
        guard charge.add(bytes.count) else { return nil }
        return ArrivedEvent(ByteBuffer(bytes: bytes), charge: charge, problem: nil)
    }

    /// It has ended: no process need run it any more.
    /// - Parameter completion: how; what its output is charged to is held until that is written.
    func finished(_ item: InvocationQueue.Item, _ completion: Completion) async {
        defer { withExtendedLifetime(completion) {} }
        log.update(item.id) { $0.finish(completion, keepsResult: true) }
        do {
            if let record = log.record(item.id) {
                try await store.finish { try FinishedInvocation(record) }
            } else {
                try await store.dequeue(item.id)
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
            failure.dropWords()
            summary = try encoded(failure)
        }
        let result = record.result.flatMap { $0.readableBytes <= Self.longestResult ? $0 : nil }
        self.init(
            id: record.id, function: record.function, version: record.version, summary: summary,
            result: result.map { Data($0.readableBytesView) })
    }
}

extension InvocationRecord {
    /// Nil for a row of a later host that this one cannot read.
    fileprivate init?(_ finished: FinishedInvocation) {
        guard let summary = try? JSONDecoder().decode(Summary.self, from: finished.summary) else { return nil }
        self.init(
            id: finished.id, function: finished.function, version: finished.version, status: .done,
            outcome: summary.outcome,
            failure: summary.failure, start: summary.start, usage: summary.usage, startedAt: summary.startedAt,
            result: finished.result.map { ByteBuffer(bytes: $0) }, resultKind: summary.resultKind)
    }
}
