package import Foundation
package import FunctionModel
package import NIOCore
import Synchronization
package import WorkerProtocol

/// What is known of one invocation, under way or done.
package struct InvocationRecord: Sendable {
    package enum Status: String, Sendable { case queued, running, done }

    package let id: String
    package let function: FunctionName
    package let version: Int
    package var status: Status
    package var outcome: Outcome?
    package var failure: Failure?
    package var start: StartKind?
    package var usage: Usage?
    package var startedAt: Date?
    /// Of an asynchronous one.
    package var result: ByteBuffer?
    package var resultKind: ResultKind?
}

/// The newest invocations, in memory.
package final class InvocationLog: Sendable {
    private struct State {
        var records: [String: InvocationRecord] = [:]
        /// Ids in order of arrival, as a ring.
        var order: [String?]
        var next = 0
        var resultBytes = 0
    }

    private let state: Mutex<State>
    /// Kept of all asynchronous results together.
    private static let mostResultBytes = 256 << 20

    /// - Parameter capacity: invocations kept.
    package init(capacity: Int = 10_000) { state = Mutex(State(order: Array(repeating: nil, count: capacity))) }

    package func add(_ record: InvocationRecord) {
        state.withLock { state in
            if let old = state.order[state.next], let dropped = state.records.removeValue(forKey: old) {
                state.resultBytes -= dropped.result?.readableBytes ?? 0
            }
            state.order[state.next] = record.id
            state.next = (state.next + 1) % state.order.count
            state.records[record.id] = record
        }
    }

    package func update(_ id: String, _ change: (inout InvocationRecord) -> Void) {
        state.withLock { state in
            guard var record = state.records.removeValue(forKey: id) else { return }
            let before = record.result?.readableBytes ?? 0
            change(&record)
            let after = record.result?.readableBytes ?? 0
            if state.resultBytes - before + after > Self.mostResultBytes { record.result = nil }
            state.resultBytes += (record.result?.readableBytes ?? 0) - before
            state.records[id] = record
        }
    }

    package func record(_ id: String) -> InvocationRecord? { state.withLock { $0.records[id] } }
}
