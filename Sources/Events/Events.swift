package import Courier
import Foundation
package import FunctionModel
import HostSystem
package import Invoker
package import Journal
package import Logging
import NIOCore
package import Store
import Synchronization

/// Invocations that were answered 202: each stands in the store, so that whichever process serves runs it, tries it again when it
/// fails, and can tell what became of it.
package final class Events: Sendable {
    /// What of functions, secrets and the world it must know.
    package struct Surroundings: Sendable {
        /// What a number stands for now.
        package var version: @Sendable (FunctionName, Int) -> FunctionVersion?
        /// What is meant by a reference.
        package var resolve: @Sendable (FunctionReference) throws -> FunctionVersion
        /// A stored secret's bytes.
        package var secret: @Sendable (String) -> [UInt8]?
        /// Nil: nothing can go out.
        package var courier: Courier?
        /// What is in hand; nil: nobody need know.
        package var running: RunningFile?
        /// What becomes of a version's invocations now.
        package var rules: @Sendable (FunctionVersion) -> AsyncRules

        package init(
            version: @escaping @Sendable (FunctionName, Int) -> FunctionVersion?,
            resolve: @escaping @Sendable (FunctionReference) throws -> FunctionVersion,
            secret: @escaping @Sendable (String) -> [UInt8]? = { _ in nil }, courier: Courier? = nil,
            running: RunningFile? = nil,
            rules: @escaping @Sendable (FunctionVersion) -> AsyncRules = { $0.manifest.async }
        ) {
            self.running = running
            self.rules = rules
            self.version = version
            self.resolve = resolve
            self.secret = secret
            self.courier = courier
        }
    }

    /// What was answered to requests that may come again.
    package let idempotency: IdempotencyKeys
    let queue: InvocationQueue
    let log: InvocationLog
    let invoker: Invoker
    let store: any QueueStore
    let around: Surroundings
    let logger: Logger
    private let budget: MemoryBudget
    private let bounds: Bounds
    private let dead: Mutex<[FunctionName: Int]>
    /// Of earlier processes, which nobody can run.
    private let orphans: Mutex<[(WaitingInvocation, RetryRules.Reason?)]>

    /// How many processes may end while they run one: what ends whoever runs it must not end every one after.
    private static let maxStarts = 10

    package struct Bounds: Sendable {
        /// How many may wait.
        package var maxQueued: Int
        package var retention: ResultRetention

        package init(maxQueued: Int, retention: ResultRetention = ResultRetention()) {
            (self.maxQueued, self.retention) = (maxQueued, retention)
        }
    }

    /// Takes up what an earlier process accepted and did not finish. Blocks.
    /// - Throws: what the store says.
    package init(
        store: any QueueStore, invoker: Invoker, budget: MemoryBudget, bounds: Bounds, around: Surroundings,
        logger: Logger
    ) throws {
        self.store = store
        self.invoker = invoker
        self.budget = budget
        self.logger = logger
        self.bounds = bounds
        self.around = around
        idempotency = IdempotencyKeys(store: store)
        queue = InvocationQueue(QueueMachine.Bounds(count: bounds.maxQueued))
        log = InvocationLog(capacity: min(bounds.retention.count, 100_000) + min(bounds.maxQueued, 1_000_000))
        dead = Mutex(try store.deadLetterCounts())
        orphans = Mutex([])
        for waiting in try store.waiting() {
            if let version = around.version(waiting.function, waiting.version), waiting.tries.starts < Self.maxStarts {
                enter(waiting, version)
            } else {
                let reason = waiting.tries.starts < Self.maxStarts ? nil : RetryRules.Reason.endsHost
                orphans.withLock { $0.append((waiting, reason)) }
            }
        }
    }

    // MARK: - Accepting

    /// Accepts an invocation, to be run later. Once this returns it survives this process.
    /// - Parameter answer: under which key it may be asked for again.
    /// - Throws: `Failure` overloaded or invalid_request, or what the store says.
    package func accept(_ invocation: Invocation, answer: KeptAnswer? = nil) async throws {
        if invoker.isDraining { throw Failure.draining }
        if let problem = invocation.event.problem { throw Failure.notJSON(problem) }
        let event = invocation.event
        let version = invocation.version
        guard queue.hasRoom(for: event.bytes.readableBytes, of: version.name) else { throw full }
        var queued = QueuedInvocation(
            id: invocation.id, function: version.name, version: version.number,
            event: Data(event.bytes.readableBytesView), traceparent: invocation.traceparent)
        queued.isRaw = event.isRaw
        queued.key = invocation.principal.keyID
        queued.acceptedAt = wallClockMilliseconds()
        try await store.enqueue(queued, answer: answer)
        log.add(InvocationRecord(invocation, .queued))
        var item = InvocationQueue.Item(
            version: version, id: invocation.id, event: event, traceparent: invocation.traceparent)
        item.isRaw = event.isRaw
        item.key = queued.key
        item.size = event.bytes.readableBytes
        item.acceptedAt = queued.acceptedAt
        queue.add(item)
    }

    private var full: Failure {
        Failure(
            .overloaded(retryAfter: 1),
            "\(bounds.maxQueued) asynchronous invocations, or 1GiB of their events, wait already, or this function has as much of that as is left to all others; retry shortly"
        )
    }

    private static func item(_ waiting: WaitingInvocation, _ version: FunctionVersion) -> InvocationQueue.Item {
        var item = InvocationQueue.Item(
            version: version, id: waiting.id, event: nil, traceparent: waiting.traceparent)
        item.webhook = waiting.webhook.flatMap(OutgoingURL.init)
        item.isRaw = waiting.isRaw
        item.key = waiting.key
        item.size = waiting.size
        item.depth = waiting.depth
        item.acceptedAt = waiting.acceptedAt
        item.attempts = waiting.tries.attempts
        return item
    }

    /// What stands in the store has its place in this process's queue.
    func enter(_ waiting: WaitingInvocation, _ version: FunctionVersion) {
        let item = Self.item(waiting, version)
        if item.webhook == nil {
            var record = InvocationRecord(
                id: waiting.id, function: version.name, version: version.shownNumber, status: .queued)
            record.attempts = waiting.tries.attempts
            if waiting.tries.notBefore > wallClockMilliseconds() {
                record.nextAttemptAt = Date(milliseconds: waiting.tries.notBefore)
            }
            log.add(record)
        }
        let wait = waiting.tries.notBefore - wallClockMilliseconds()
        queue.add(item, due: wait > 0 ? .now + .milliseconds(min(wait, 86_400_000)) : nil)
    }

    /// What earlier processes left, and nobody can run.
    func settleOrphans() async {
        for (waiting, reason) in orphans.withLock({ list in list.exchange([]) }) {
            var record = InvocationRecord(
                id: waiting.id, function: waiting.function, version: waiting.version, status: .done)
            record.attempts = waiting.tries.attempts
            // A function that is gone has no dead letters; of one that is there, nothing is lost.
            let isThere = (try? around.resolve(FunctionReference(waiting.function))) != nil
            let failure =
                reason == nil
                ? Failure(.cancelled, "version \(waiting.version) of \(waiting.function) is gone")
                : Failure(.cancelled, "\(Self.maxStarts) processes ended while they ran it; it is not tried any more")
            record.failure = failure
            record.outcome = failure.outcome
            var next: [QueuedInvocation] = []
            if let reason, let version = around.version(waiting.function, waiting.version) {
                next = await Destinations(self).followUps(Self.item(waiting, version), record, reason)
            }
            await settle(record, deadAfter: isThere ? waiting.tries.attempts : nil, followUps: next)
        }
    }

    // MARK: - What became of it

    /// What is known of one, whichever process has run it.
    /// - Throws: what the store says.
    package func record(_ id: String) async throws -> InvocationRecord? {
        if let record = log.record(id) {
            guard let endedAt = record.tries?.endedAt else { return record }
            return Date().timeIntervalSince(endedAt) * 1000 < Double(bounds.retention.age.milliseconds) ? record : nil
        }
        return try await store.finished(id).flatMap(InvocationRecord.init)
    }

    /// Takes one out that waits.
    /// - Throws: `Failure` conflict or not_found, or what the store says.
    package func cancel(_ id: String) async throws {
        guard var record = log.record(id) else { throw Self.waitsNot }
        switch queue.remove(id, of: record.function) {
        case true?:
            record.cancel("it was taken out of the queue")
            log.update(id) { [record] in $0 = record }
            await settle(record, deadAfter: nil, followUps: [])
        case false?: throw Failure(.conflict, "it runs already; only what waits can be taken out")
        case nil: throw Self.waitsNot
        }
    }

    private static var waitsNot: Failure {
        Failure(.conflict, "it does not wait: it has ended, or was never asynchronous")
    }

    /// Bundles of what waits or runs.
    package var bundlesInUse: Set<String> { queue.bundlesInUse }
    /// That wait, for the first time or again.
    package var depth: Int { queue.count }
    package var deadLetterCounts: [FunctionName: Int] { dead.withLock { $0 } }

    /// What waits is the next process's.
    package func drain() { queue.close() }

    // MARK: - For who runs them

    /// It went with its function.
    struct Gone: Error {}

    /// The item's event: what is not held is read when its turn has come. Nil when there is no room for it.
    /// - Throws: `Gone`, or what the store says.
    func event(of item: InvocationQueue.Item) async throws -> ArrivedEvent? {
        if let event = item.event { return event }
        guard let bytes = try await store.event(ofQueued: item.id) else { throw Gone() }
        let charge = budget.charge(of: item.version.name.text)
        guard charge.add(bytes.count) else { return nil }
        return ArrivedEvent(ByteBuffer(bytes: bytes), charge: charge, problem: nil, isRaw: item.isRaw)
    }

    /// It has ended: no process need run it any more.
    /// - Parameter deadAfter: so many attempts; nil: it ended well, or nobody will want it again.
    func settle(_ record: InvocationRecord, deadAfter: Int?, followUps: [QueuedInvocation]) async {
        for attempt in 0... {
            do {
                return try await settleOnce(record, deadAfter: deadAfter, followUps: followUps)
            } catch {
                // The disk may get over it: until then it holds its function's slot.
                guard attempt < Self.maxSettling, !queue.isClosed else {
                    logger.error(
                        "an invocation that has ended may be run once more after a restart",
                        metadata: ["invocation.id": "\(record.id)", "reason": "\(error)"])
                    return
                }
                try? await Task.sleep(for: .milliseconds(100) * (1 << attempt))
            }
        }
    }

    /// A minute, all in all.
    private static let maxSettling = 9

    private func settleOnce(_ record: InvocationRecord, deadAfter: Int?, followUps: [QueuedInvocation]) async throws {
        let next = try await store.settle {
            Settlement(finished: try FinishedInvocation(record), deadAfter: deadAfter, followUps: followUps)
        }
        if deadAfter != nil, (try? around.resolve(FunctionReference(record.function))) != nil {
            dead.withLock { $0[record.function, default: 0] += 1 }
        }
        enter(next)
    }

    /// As many of these as there are versions for.
    func enter(_ all: [WaitingInvocation]) {
        for waiting in all {
            guard let version = around.version(waiting.function, waiting.version) else { continue }
            enter(waiting, version)
        }
    }

    /// The function is gone: what waits for it is not run, and of its dead letters there are none, either.
    package func forget(_ name: FunctionName) {
        dead.withLock { $0[name] = nil }
        for id in queue.remove(of: name) { log.update(id) { $0.cancel("it went with its function") } }
    }

    /// What the host may hold for a function's sake, for as long as somebody holds that.
    /// - Returns: nil where there is no room.
    func charge(_ bytes: Int, of name: FunctionName) -> MemoryBudget.Charge? {
        let charge = budget.charge(of: name.text)
        return charge.add(bytes) ? charge : nil
    }

    /// They are fewer now.
    func exhumed(_ count: Int, of name: FunctionName) {
        dead.withLock { dead in
            let left = (dead[name] ?? 0) - count
            dead[name] = left > 0 ? left : nil
        }
    }
}

extension InvocationRecord {
    /// It is not run any more, for somebody's sake.
    fileprivate mutating func cancel(_ why: String) {
        status = .done
        outcome = .cancelled
        nextAttemptAt = nil
        failure = Failure(.cancelled, why)
    }
}

extension Date {
    init(milliseconds: Int) { self.init(timeIntervalSince1970: Double(milliseconds) / 1000) }
}

extension Array {
    /// What there was, with something else in its place.
    fileprivate mutating func exchange(_ other: [Element]) -> [Element] {
        defer { self = other }
        return self
    }
}
