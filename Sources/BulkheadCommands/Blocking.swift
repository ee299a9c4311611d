import Dispatch
import Synchronization

/// Runs async work from the main thread and waits for it. The main thread is not one of the cooperative pool's.
func blocking<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) throws -> Value {
    let done = DispatchSemaphore(value: 0)
    let box = Mutex<Result<Value, any Error>?>(nil)
    let shared = ResultBox(box)
    Task {
        let result: Result<Value, any Error>
        do {
            result = .success(try await work())
        } catch {
            result = .failure(error)
        }
        shared.set(result)
        done.signal()
    }
    done.wait()
    return try shared.get()
}

private final class ResultBox<Value: Sendable>: Sendable {
    private let value: Mutex<Result<Value, any Error>?>

    init(_ value: consuming Mutex<Result<Value, any Error>?>) { self.value = value }

    func set(_ result: Result<Value, any Error>) { value.withLock { $0 = result } }

    func get() throws -> Value {
        guard let result = value.withLock({ $0 }) else { preconditionFailure("the work has signalled its end") }
        return try result.get()
    }
}
