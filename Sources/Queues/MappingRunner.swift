import FunctionModel
import HostSystem
import Invoker
import Logging
import NIOCore
import ServiceLifecycle
import Store

/// Hands what waits in queues to functions. Ends when the queues are closed and what ran has ended.
package struct MappingRunner: Service {
    private let queues: Queues

    package init(_ queues: Queues) { self.queues = queues }

    package func run() async throws {
        await work()
        // A service that ends before its turn counts as failed.
        try? await gracefulShutdown()
    }

    package func work() async {
        await withDiscardingTaskGroup { group in
            var expiresAt = ContinuousClock.now
            while !queues.isClosed {
                let now = ContinuousClock.now
                if now >= expiresAt {
                    expiresAt = now + Self.expiry
                    group.addTask { await expire() }
                }
                let due = queues.due(now)
                for mapping in due {
                    group.addTask {
                        if let batch = await fetch(mapping) { await deliver(batch) }
                    }
                }
                if due.isEmpty { await queues.bell.wait(until: min(queues.next(now) ?? expiresAt, expiresAt)) }
            }
        }
    }

    private func expire() async {
        do {
            try await queues.expire()
        } catch {
            queues.logger.warning("messages that are too old cannot be deleted", metadata: ["reason": "\(error)"])
        }
    }

    private static let expiry = Duration.seconds(60)
    /// Of the bodies and what is around them: written as JSON each byte may become six, and an event is 6 MiB at most.
    private static let maxBatchBytes = 1_000_000
    /// Nothing is told of what another process may do to the store.
    private static let longestSleep = Duration.seconds(20)

    // MARK: - Fetching

    /// What a function gets at once.
    private struct Batch {
        /// The invocation's.
        let id: String
        let mapping: EventSourceMapping
        let queue: MessageQueue
        let version: FunctionVersion
        var messages: [QueueMessage]
        /// Of the bodies, and of what is made of them.
        let charge: MemoryBudget.Charge
        /// In milliseconds since 1970.
        let claimedAt: Int
    }

    private func fetch(_ mapping: EventSourceMapping) async -> Batch? {
        let version: FunctionVersion, queue: MessageQueue, id = RandomUUID().text
        do {
            version = try queues.around.resolve(mapping.reference, id)
            queue = try queues.queue(mapping.queue)
        } catch {
            queues.pause(mapping.id, because: (error as? Failure)?.detail ?? "\(error)")
            return nil
        }
        do {
            let now = wallClockMilliseconds()
            if let wait = try await wait(for: mapping, now) {
                queues.fetched(mapping.id, emptyUntil: .now + wait)
                return nil
            }
            let charge = queues.budget.charge(of: mapping.function.text)
            guard charge.add(batchBytes) else {
                queues.pause(mapping.id, because: Failure.crowded.detail)
                return nil
            }
            let (messages, buries) = try await queues.store.claim(
                MessageClaim(
                    queue: queue, count: mapping.batchSize, bytes: batchBytes, now: now,
                    until: now + max(queue.visibility.milliseconds, longest(version)),
                    bounds: queues.bounds(of: queue, now)))
            if buries, let other = queue.deadLetters { queues.filled(other) }
            guard !messages.isEmpty else {
                // All that waited was overdue, or somebody else's in this moment.
                queues.fetched(mapping.id, emptyUntil: .now)
                return nil
            }
            charge.reduce(to: messages.reduce(0) { $0 + $1.body.utf8.count + MessageQueue.messageOverhead })
            queues.fetched(mapping.id, emptyUntil: nil)
            return Batch(
                id: id, mapping: mapping, queue: queue, version: version, messages: messages, charge: charge,
                claimedAt: now)
        } catch {
            queues.logger.error(
                "messages cannot be fetched; it is tried again",
                metadata: ["queue": "\(queue.name)", "reason": "\(error)"])
            queues.pause(mapping.id, because: "the queue cannot be read")
            return nil
        }
    }

    /// What fits into the host's memory for others, six times and more, as an event.
    private var batchBytes: Int { min(Self.maxBatchBytes, queues.budget.limit / 32) }

    /// How long to wait until something is there, or, with a window, the batch is full or its first message has waited for long
    /// enough; nil: not at all.
    private func wait(for mapping: EventSourceMapping, _ now: Int) async throws -> Duration? {
        let window = mapping.window.milliseconds
        let outlook = try await queues.store.outlook(
            of: mapping.queue, now: now, count: window > 0 ? mapping.batchSize : 1, bytes: batchBytes)
        guard let since = outlook.waitingSince else { return sleep(until: outlook.nextAt, now) }
        let end = since + window
        guard !outlook.isFull, now < end else { return nil }
        return sleep(until: min(end, outlook.nextAt ?? end), now)
    }

    private func sleep(until instant: Int?, _ now: Int) -> Duration {
        instant.map { min(.milliseconds(max($0 - now, 1)), Self.longestSleep) } ?? Self.longestSleep
    }

    /// In milliseconds: so long a batch is nobody else's, though its queue would have it back sooner.
    private func longest(_ version: FunctionVersion) -> Int {
        let limits = version.manifest.limits
        return limits.wall.milliseconds + limits.initialization.milliseconds
            + Int(queues.around.maxWait / .milliseconds(1)) + 5000
    }

    // MARK: - Handing out

    private func deliver(_ batch: Batch) async {
        var batch = batch
        guard let invocation = invocation(of: batch) else { return await putOff(batch, .crowded) }
        // Their bodies are the worker's from now on.
        batch.messages = batch.messages.map {
            QueueMessage(
                position: $0.position, id: $0.id, body: "", sentAt: $0.sentAt, visibleAt: $0.visibleAt,
                receives: $0.receives)
        }
        batch.charge.reduce(to: batch.messages.count * MessageQueue.messageOverhead)
        let completion = await queues.invoker.invoke(invocation)
        switch completion.result {
        // The host's affair, or its end: it was not tried.
        case .failure(let failure) where completion.hasNotRun || queues.isClosed: await putOff(batch, failure)
        case .failure(let failure) where failure.outcome == .launchFailed && queues.failedStart(batch.mapping.id):
            await putOff(batch, failure)
        case .failure(let failure):
            await settle(batch, failed: Set(batch.messages.map(\.id)), "PROBLEM: \(failure.outcome.rawValue)")
        case .success(let output) where batch.mapping.reportsFailures:
            guard let failed = MessageBatch.failures(in: output.body, of: batch.messages) else {
                let all = Set(batch.messages.map(\.id))
                return await settle(batch, failed: all, "PROBLEM: its batchItemFailures name no messages of the batch")
            }
            await settle(batch, failed: failed, failed.isEmpty ? "OK" : "OK, but for \(failed.count) messages")
        case .success: await settle(batch, failed: [], "OK")
        }
    }

    /// Nil where there is no room for it.
    private func invocation(of batch: Batch) -> Invocation? {
        // Before it is made: as large as it may become.
        let charge = queues.budget.charge(of: batch.version.name.text)
        let bodies = batch.messages.reduce(0) { $0 + $1.body.utf8.count }
        guard charge.add(6 * bodies + 2 * batch.messages.count * MessageQueue.messageOverhead) else { return nil }
        let region = LambdaLabel.soundRegion(of: batch.version.manifest)
        let bytes = MessageBatch.event(batch.messages, of: batch.queue.name, region: region)
        charge.reduce(to: bytes.readableBytes)
        return Invocation(
            id: batch.id, version: batch.version, principal: .host, source: .direct,
            event: ArrivedEvent(bytes, charge: charge, problem: nil))
    }

    /// What was done is deleted; the rest comes again when its time is over.
    private func settle(_ batch: Batch, failed: Set<String>, _ result: String) async {
        let (again, done) = (
            batch.messages.filter { failed.contains($0.id) }, batch.messages.filter { !failed.contains($0.id) }
        )
        await change(batch) {
            if !done.isEmpty { try await queues.store.remove(handles(done, batch)) }
            if !again.isEmpty {
                try await queues.store.release(
                    handles(again, batch), at: batch.claimedAt + batch.queue.visibility.milliseconds)
            }
        }
        // Whoever waits for the lease's end must look again: it is over.
        if !again.isEmpty { queues.filled(batch.queue.name) }
        queues.ended(batch.mapping.id, result)
    }

    /// The function had no room for it: it was not tried.
    private func putOff(_ batch: Batch, _ failure: Failure) async {
        await change(batch) { try await queues.store.release(handles(batch.messages, batch), at: nil) }
        queues.putOff(batch.mapping.id, because: failure.detail)
        queues.filled(batch.queue.name)
    }

    private func handles(_ messages: [QueueMessage], _ batch: Batch) -> [MessageHandle] {
        messages.map {
            MessageHandle(
                position: $0.position, queue: batch.queue.name, receives: $0.receives, waitedSince: $0.visibleAt)
        }
    }

    private func change(_ batch: Batch, _ work: () async throws -> Void) async {
        do {
            try await work()
        } catch {
            queues.logger.error(
                "what became of messages cannot be written; they come again",
                metadata: ["queue": "\(batch.queue.name)", "reason": "\(error)"])
        }
    }
}
