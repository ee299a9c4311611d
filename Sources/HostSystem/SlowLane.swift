import Dispatch
import Glibc
import Synchronization

/// A few threads for work that grows with strangers' bytes. It waits here for its like, not on an event loop for everybody's,
/// and runs after all that is quick: at a lower priority.
package final class SlowLane: Sendable {
    /// For large events and answers that are taken apart.
    package static let answers = SlowLane(threads: 2)
    /// For uploads, which may take minutes, and for what is done with bundles.
    package static let bundles = SlowLane(threads: 1)

    private struct Queue {
        var jobs: [(@Sendable () -> Void)?] = []
        var next = 0
    }

    private let queue = Mutex(Queue())
    private let jobs = DispatchSemaphore(value: 0)

    private init(threads: Int) {
        for _ in 0..<threads {
            let box = Unmanaged.passRetained(self)
            var thread = pthread_t()
            let error = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<SlowLane>.fromOpaque(argument).takeRetainedValue().work()
                }, box.toOpaque())
            precondition(error == 0, "no thread for slow work: errno \(error)")
            pthread_detach(thread)
        }
    }

    private func work() -> Never {
        // Of this thread alone, on Linux: setpriority(2). Above a tenant's, below the event loops'.
        let process = __priority_which_t(PRIO_PROCESS.rawValue)
        setpriority(process, 0, getpriority(process, 0) + 9)
        while true {
            jobs.wait()
            let job = queue.withLock { queue -> (@Sendable () -> Void)? in
                guard queue.next < queue.jobs.count else { return nil }
                let job = queue.jobs[queue.next]
                queue.jobs[queue.next] = nil  // with all that it holds
                queue.next += 1
                if queue.next == queue.jobs.count || queue.next > 64 {
                    queue.jobs.removeFirst(queue.next)
                    queue.next = 0
                }
                return job
            }
            job?()
        }
    }

    /// Runs `job` after those that wait already.
    package func submit(_ job: @escaping @Sendable () -> Void) {
        queue.withLock { $0.jobs.append(job) }
        jobs.signal()
    }

    /// Runs blocking or long work here and waits for it without holding a thread.
    package func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            submit { continuation.resume(with: Result(catching: work)) }
        }
    }
}
