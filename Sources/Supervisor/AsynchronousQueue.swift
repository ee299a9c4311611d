import FunctionModel
import NIOCore
import ServiceLifecycle
import Synchronization
import WorkerPool

/// Invocations that were accepted to be run later, a bounded number, in memory: a restart loses them, and says so in
/// the documentation.
final class AsynchronousQueue: Sendable {
    struct Item: Sendable {
        let version: FunctionVersion
        let id: String
        let event: ByteBuffer
        let traceparent: String?
    }

    /// Of all waiting events together.
    private static let mostBytes = 256 << 20

    private let waitingBytes = Mutex(0)
    private let stream: AsyncStream<Item>
    private let continuation: AsyncStream<Item>.Continuation

    init(capacity: Int) {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(capacity))
    }

    /// False when the queue is full or closed.
    func add(_ item: Item) -> Bool {
        let size = item.event.readableBytes
        let fits = waitingBytes.withLock { bytes in
            guard bytes + size <= Self.mostBytes else { return false }
            bytes += size
            return true
        }
        guard fits else { return false }
        if case .enqueued = continuation.yield(item) { return true }
        taken(item)
        return false
    }

    /// The item waits no longer.
    func taken(_ item: Item) { waitingBytes.withLock { $0 -= item.event.readableBytes } }

    func close() { continuation.finish() }

    var items: AsyncStream<Item> { stream }
}

/// Runs what is queued, a few at a time. Ends when the queue is closed and empty.
package struct AsynchronousRunner: Service {
    private let host: FunctionHost
    private static let atOnce = 16

    package init(host: FunctionHost) { self.host = host }

    package func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await item in host.asynchronous.items {
                if running == Self.atOnce {
                    await group.next()
                    running -= 1
                }
                host.asynchronous.taken(item)
                group.addTask { await execute(item) }
                running += 1
            }
        }
        // A service that ends before its turn counts as failed.
        try? await gracefulShutdown()
    }

    private func execute(_ item: AsynchronousQueue.Item) async {
        host.invocations.update(item.id) { $0.status = .running }
        // Accepted is accepted: one that meets a full house waits for its turn.
        for attempt in 0... {
            let completion = await host.invoke(
                item.version, id: item.id, event: item.event, traceparent: item.traceparent,
                cancellation: Cancellation(), isAsynchronous: true)
            guard completion.outcome == .throttled, attempt < 600, !host.isDraining else { return }
            host.invocations.update(item.id) { $0.status = .queued }
            do {
                try await Task.sleep(for: .milliseconds(100))
            } catch {
                return
            }
        }
    }
}
