import FunctionModel
import Invoker
import Journal
import ServiceLifecycle

/// Runs what is queued. Ends when the queue is closed and empty.
package struct EventRunner: Service {
    private let events: Events

    package init(_ events: Events) { self.events = events }

    package func run() async throws {
        await work()
        // A service that ends before its turn counts as failed.
        try? await gracefulShutdown()
    }

    package func work() async {
        await withDiscardingTaskGroup { group in
            while let item = await events.queue.next() {
                group.addTask { await execute(item) }
            }
        }
    }

    private func execute(_ item: InvocationQueue.Item) async {
        events.log.update(item.id) { $0.status = .running }
        func again(_ item: InvocationQueue.Item, in delay: Duration) {
            events.log.update(item.id) { $0.status = .queued }
            events.queue.postpone(item, by: delay)
        }
        let event: ArrivedEvent
        do {
            guard let found = try await events.event(of: item) else {
                return again(item, in: .seconds(1))
            }
            event = found
        } catch {
            return again(item, in: .seconds(1))  // the disk may get over it
        }
        let completion = await events.invoker.invoke(
            Invocation(
                id: item.id, version: item.version, principal: .host, source: .queue, event: event,
                traceparent: item.traceparent))
        if completion.hasNotRun { return again(item, in: .milliseconds(100)) }
        // A launcher that died, or a machine that is out of something: it may be over in a second.
        if completion.outcome == .launchFailed, item.failedStarts < 3 {
            var item = item
            item.failedStarts += 1
            return again(item, in: .seconds(1))
        }
        await events.finished(item, completion)
    }
}
