package import Foundation
package import FunctionModel
package import NIOCore
import Synchronization

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
    /// Of an asynchronous one.
    package var tries: Tries?

    package struct Tries: Sendable, Hashable {
        /// How often it was tried, the present time too.
        package var count = 0
        /// When it is tried again.
        package var nextAt: Date?
        /// When it was done.
        package var endedAt: Date?

        package init() {}
    }

    /// See `Tries`.
    package var attempts: Int? {
        get { tries?.count }
        set {
            guard let newValue else { return }
            var tries = tries ?? Tries()
            tries.count = newValue
            self.tries = tries
        }
    }
    package var nextAttemptAt: Date? {
        get { tries?.nextAt }
        set { tries?.nextAt = newValue }
    }

    package init(
        id: String, function: FunctionName, version: Int, status: Status, outcome: Outcome? = nil,
        failure: Failure? = nil, start: StartKind? = nil, usage: Usage? = nil, startedAt: Date? = nil,
        result: ByteBuffer? = nil, resultKind: ResultKind? = nil
    ) {
        self.id = id
        self.function = function
        self.version = version
        self.status = status
        self.outcome = outcome
        self.failure = failure
        self.start = start
        self.usage = usage
        self.startedAt = startedAt
        self.result = result
        self.resultKind = resultKind
    }
}

extension InvocationRecord {
    /// - Parameter status: a queued one has not started.
    package init(_ invocation: Invocation, _ status: Status) {
        self.init(
            id: invocation.id, function: invocation.version.name, version: invocation.version.shownNumber,
            status: status,
            startedAt: status == .queued ? nil : Date())
    }

    /// It has ended.
    /// - Parameter keepsResult: whether somebody may ask for the result later.
    package mutating func finish(_ completion: Completion, keepsResult: Bool) {
        status = .done
        outcome = completion.outcome
        start = completion.start
        usage = completion.usage
        tries?.endedAt = Date()
        // An attempt before this one may have left some.
        (failure, result, resultKind) = (nil, nil, nil)
        switch completion.result {
        case .failure(let failure): self.failure = failure
        case .success(let output) where keepsResult:
            result = output.body
            resultKind = output.kind
        case .success: break
        }
    }
}

/// The newest invocations, in memory.
package final class InvocationLog: Sendable {
    private struct State {
        var records: [String: InvocationRecord] = [:]
        /// Ids in order of arrival, as a ring.
        var order: [String?]
        var next = 0
        var resultBytes = 0, failureBytes = 0

        /// From here on, in the order of arrival, results may still be there.
        var oldestResult = 0

        mutating func take(_ id: String) -> InvocationRecord? {
            guard let record = records.removeValue(forKey: id) else { return nil }
            discount(record)
            return record
        }

        mutating func put(_ record: InvocationRecord) {
            records[record.id] = record
            if let index = records.index(forKey: record.id) { count(index) }
        }

        mutating func discount(_ record: InvocationRecord) {
            resultBytes -= record.resultBytes
            failureBytes -= record.failureBytes
        }

        /// Older results make room for a new one; what handlers raised is left out where there is none. What remains tells how
        /// it ended.
        mutating func count(_ index: Dictionary<String, InvocationRecord>.Index) {
            makeRoom(for: records.values[index].resultBytes, of: records.keys[index])
            if failureBytes + records.values[index].failureBytes > InvocationLog.maxFailureBytes {
                records.values[index].failure?.dropWords()
            }
            resultBytes += records.values[index].resultBytes
            failureBytes += records.values[index].failureBytes
        }

        private mutating func makeRoom(for bytes: Int, of own: String) {
            guard bytes > 0 else { return }
            for _ in 0..<order.count where resultBytes + bytes > InvocationLog.maxResultBytes {
                if let id = order[oldestResult], id != own, let old = records[id] {
                    resultBytes -= old.resultBytes
                    records[id]?.result = nil
                }
                oldestResult = (oldestResult + 1) % order.count
            }
        }
    }

    private let state: Mutex<State>
    /// Kept of all asynchronous results together.
    private static let maxResultBytes = 64 << 20
    /// Kept of what handlers raised, apart from results: whoever raises much must not cost others theirs.
    private static let maxFailureBytes = 16 << 20

    /// - Parameter capacity: invocations kept.
    package init(capacity: Int = 10_000) { state = Mutex(State(order: Array(repeating: nil, count: capacity))) }

    package func add(_ record: InvocationRecord) {
        state.withLock { state in
            // One that comes again has its place.
            guard state.records[record.id] == nil else {
                _ = state.take(record.id)
                return state.put(record)
            }
            // One that waits still is rather kept than one that has ended.
            for _ in 0..<256 {
                guard let old = state.order[state.next], let status = state.records[old]?.status, status != .done else {
                    break
                }
                state.next = (state.next + 1) % state.order.count
            }
            if let old = state.order[state.next] { _ = state.take(old) }
            state.order[state.next] = record.id
            state.next = (state.next + 1) % state.order.count
            state.put(record)
        }
    }

    package func update(_ id: String, _ change: (inout InvocationRecord) -> Void) {
        state.withLock { state in
            // In its place: to take it out and put it in again would look for it four times.
            guard let index = state.records.index(forKey: id) else { return }
            state.discount(state.records.values[index])
            change(&state.records.values[index])
            state.count(index)
        }
    }

    package func record(_ id: String) -> InvocationRecord? { state.withLock { $0.records[id] } }
}

extension InvocationRecord {
    fileprivate var resultBytes: Int { result?.readableBytes ?? 0 }

    fileprivate var failureBytes: Int { failure?.wordBytes ?? 0 }
}
