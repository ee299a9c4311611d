import Foundation
import FunctionModel
import HostSystem
import Invoker
import Journal
import Logging
import ServiceLifecycle
import Store

/// Does what is queued. Ends when the queue is closed and what ran has ended.
package struct EventRunner: Service {
    private let events: Events

    package init(_ events: Events) { self.events = events }

    package func run() async throws {
        await work()
        // A service that ends before its turn counts as failed.
        try? await gracefulShutdown()
    }

    package func work() async {
        await events.settleOrphans()
        await withDiscardingTaskGroup { group in
            while let item = await events.queue.next() {
                group.addTask { await execute(item) }
            }
        }
    }

    private func execute(_ item: InvocationQueue.Item) async {
        let event: ArrivedEvent
        do {
            guard let found = try await events.event(of: item) else { return notNow(item) }
            event = found
        } catch is Events.Gone {
            events.queue.ran(item)
            return await bury(item, nil, Failure(.cancelled, "it went with its function"))
        } catch {
            return notNow(item)  // the disk may get over it
        }
        // Before it runs: should it end this process, the next one knows.
        let slot = events.around.running?.enter(item.id)
        defer { events.around.running?.leave(slot) }
        if let webhook = item.webhook {
            await tell(webhook, of: item, event)
        } else {
            await invoke(item, event)
        }
    }

    /// It has its turn again in a moment.
    private func notNow(_ item: InvocationQueue.Item) {
        events.queue.ran(item)
        postpone(item, by: .seconds(1))
    }

    // MARK: - Invocations

    private func invoke(_ item: InvocationQueue.Item, _ event: ArrivedEvent) async {
        var item = item
        let age = Self.age(item)
        if age > events.around.rules(item.version).maxAge.duration {
            events.queue.ran(item)
            return await bury(
                item, .tooOld, Failure(.overloaded(retryAfter: 1), "it had waited for longer than async.maxAge"))
        }
        events.log.update(item.id) {
            $0.status = .running
            $0.startedAt = Date()
            $0.attempts = item.attempts + 1
            $0.nextAttemptAt = nil
        }
        var invocation = Invocation(
            id: item.id, version: item.version, principal: Self.principal(item), source: .queue, event: event,
            traceparent: item.traceparent)
        invocation.waited = age
        invocation = events.invoker.traced(invocation)
        let span = invocation.span?.traceparent
        let completion = await events.invoker.invoke(invocation)
        defer { withExtendedLifetime(completion) {} }
        events.queue.ran(item)
        let isOK = completion.outcome == .ok
        // Whoever ends the workers at the host's end has ended this one: it is the next process's.
        if events.queue.isClosed, !isOK { return leave(item) }
        // A launcher that died, or a machine that is out of something: it may be over in a second.
        if completion.outcome == .launchFailed, item.setbacks.failedStarts < 3 {
            item.setbacks.failedStarts += 1
            return postpone(item, by: .seconds(1))
        }
        if !completion.hasNotRun { item.attempts += 1 }
        let rules = RetryRules(rules: events.around.rules(item.version), chance: .random(in: 0...1))
        let verdict = rules.verdict(
            isOK: isOK, hasNotRun: completion.hasNotRun, isRetryable: completion.outcome.blame != .caller,
            attempts: item.attempts, postponements: item.setbacks.fullHouses, age: Self.age(item))
        var ended = item
        ended.traceparent = span ?? item.traceparent
        switch verdict {
        case .postpone(let delay):
            item.setbacks.fullHouses += 1
            postpone(item, by: delay)
        case .retry(let delay): await retry(item, after: delay, completion)
        case .done: await end(ended, completion, nil)
        case .dead(let reason): await end(ended, completion, reason)
        }
    }

    /// Whoever asked for it pays for it; what it may was looked at then.
    private static func principal(_ item: InvocationQueue.Item) -> Principal {
        item.key.map { .key(Principal.Holder(id: $0, name: "", role: .invoke)) } ?? .host
    }

    private static func age(_ item: InvocationQueue.Item) -> Duration {
        .milliseconds(max(0, wallClockMilliseconds() - item.acceptedAt))
    }

    private func end(
        _ item: InvocationQueue.Item, _ completion: Completion, _ reason: RetryRules.Reason?
    ) async {
        var record = record(of: item)
        record.finish(completion, keepsResult: true)
        record.attempts = item.attempts
        await settle(item, record, reason)
    }

    private func record(of item: InvocationQueue.Item) -> InvocationRecord {
        events.log.record(item.id)
            ?? InvocationRecord(
                id: item.id, function: item.version.name, version: item.version.shownNumber, status: .done)
    }

    /// It is not tried at all any more.
    private func bury(_ item: InvocationQueue.Item, _ reason: RetryRules.Reason?, _ failure: Failure) async {
        var record = record(of: item)
        record.status = .done
        // What it ended in when it was tried is worth more than that it is too old.
        if record.failure == nil { (record.failure, record.outcome) = (failure, failure.outcome) }
        await settle(item, record, reason)
    }

    private func settle(
        _ item: InvocationQueue.Item, _ record: InvocationRecord, _ reason: RetryRules.Reason?
    ) async {
        let next = await Destinations(events).followUps(item, record, reason)
        await events.settle(record, deadAfter: reason == nil ? nil : item.attempts, followUps: next)
        // Whoever sees it done finds its dead letter; and may have brought that back already.
        if !events.queue.isWaiting(item.id) {
            events.log.update(item.id) {
                $0 = record
                $0.nextAttemptAt = nil
            }
        }
        events.queue.finished(item)
    }

    // MARK: - Again

    private func retry(_ item: InvocationQueue.Item, after delay: Duration, _ completion: Completion?) async {
        let due = wallClockMilliseconds() + Int(delay / .milliseconds(1))
        var item = item
        item.event = nil
        item.setbacks.fullHouses = 0
        item.setbacks.failedStarts = 0
        do {
            try await events.store.postpone(item.id, attempts: item.attempts, notBefore: due)
        } catch {
            events.logger.warning(
                "an attempt may not be counted after a restart",
                metadata: ["invocation.id": "\(item.id)", "reason": "\(error)"])
        }
        events.log.update(item.id) { record in
            if let completion { record.finish(completion, keepsResult: false) }
            record.status = .queued
            record.nextAttemptAt = Date(milliseconds: due)
        }
        events.queue.retry(item, after: delay)
    }

    private func postpone(_ item: InvocationQueue.Item, by delay: Duration) {
        var item = item
        // Its function may have gone meanwhile: then the store has it no more.
        if events.around.version(item.version.name, item.version.number) == nil { item.event = nil }
        events.log.update(item.id) {
            $0.status = .queued
            $0.attempts = item.attempts
        }
        events.queue.postpone(item, by: delay)
    }

    /// It stands in the store for the next process.
    private func leave(_ item: InvocationQueue.Item) {
        events.log.update(item.id) { $0.status = .queued }
        events.queue.finished(item)
    }

    // MARK: - Webhooks

    private func tell(_ url: OutgoingURL, of item: InvocationQueue.Item, _ body: ArrivedEvent) async {
        var item = item
        let failure = await Webhook(url: url, item: item).send(body, by: events.around)
        events.queue.ran(item)
        if events.queue.isClosed, failure != nil { return leave(item) }
        item.attempts += 1
        var rules = events.around.rules(item.version)
        rules.retries = max(rules.retries, Webhook.leastRetries)
        let verdict = RetryRules(rules: rules, chance: .random(in: 0...1)).verdict(
            isOK: failure == nil, hasNotRun: false, attempts: item.attempts, postponements: 0, age: Self.age(item))
        if case .retry(let delay) = verdict { return await retry(item, after: delay, nil) }
        var record = InvocationRecord(
            id: item.id, function: item.version.name, version: item.version.shownNumber, status: .done)
        record.attempts = item.attempts
        record.outcome = failure == nil ? .ok : .error
        if let failure {
            record.failure = Failure(.error(nil), "\(url.host) was not told: \(failure)")
            events.logger.warning(
                "a webhook was not told",
                metadata: ["fn.name": "\(item.version.name)", "url": "\(url.text)", "reason": "\(failure)"])
        }
        await events.settle(record, deadAfter: failure == nil ? nil : item.attempts, followUps: [])
        events.queue.finished(item)
    }
}
