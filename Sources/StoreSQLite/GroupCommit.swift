import GRDB
import Store
import Synchronization

extension DatabaseError: NoRoom {
    package var isNoRoom: Bool {
        // A log that cannot grow is told as a write that failed.
        resultCode == .SQLITE_FULL || extendedResultCode == .SQLITE_IOERR_WRITE
            || extendedResultCode == .SQLITE_IOERR_FSYNC || extendedResultCode == .SQLITE_IOERR_SHMSIZE
    }
}

/// Changes of many callers in one transaction: one flush of the disk serves all that came while the one before was under way. Each
/// is whole or not at all by itself.
final class GroupCommit: Sendable {
    /// Carries one out, unless there is no database for it, and returns who is to be told of the commit.
    private typealias Change = @Sendable (Database?) -> @Sendable ((any Error)?) -> Void

    private struct State {
        var pending: [Change] = []
        var isRunning = false
    }

    private let database: DatabasePool
    private let state = Mutex(State())
    private static let most = 512

    init(_ database: DatabasePool) { self.database = database }

    /// - Returns: what `work` returned, once it survives a power cut.
    /// - Throws: what `work` throws, or the commit.
    func write<Value: Sendable>(_ work: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let change: Change = { database in
                let result = Result {
                    var value: Value?
                    try database?.inSavepoint {
                        if let database { value = try work(database) }
                        return .commit
                    }
                    return value
                }
                return { failure in
                    switch (result, failure) {
                    case (.success(let value?), nil): continuation.resume(returning: value)
                    case (.failure(let error), _): continuation.resume(throwing: error)
                    case (_, let error?): continuation.resume(throwing: error)
                    case (.success(nil), nil):
                        continuation.resume(throwing: DatabaseError(resultCode: .SQLITE_INTERNAL))
                    }
                }
            }
            let begins = state.withLock { state in
                state.pending.append(change)
                defer { state.isRunning = true }
                return !state.isRunning
            }
            if begins { Task { await run() } }
        }
    }

    private func run() async {
        while true {
            let batch = state.withLock { state in
                let batch = Array(state.pending.prefix(Self.most))
                state.pending.removeFirst(batch.count)
                if batch.isEmpty { state.isRunning = false }
                return batch
            }
            if batch.isEmpty { return }
            await commit(batch)
        }
    }

    private func commit(_ batch: [Change]) async {
        let told = Told()
        do {
            try await database.write { database in told.all.withLock { $0 = batch.map { $0(database) } } }
            told.tell(nil)
        } catch {
            // Nothing of it was begun, or nothing is kept.
            told.all.withLock { all in if all.isEmpty { all = batch.map { $0(nil) } } }
            told.tell(error)
        }
    }

    private final class Told: Sendable {
        let all = Mutex<[@Sendable ((any Error)?) -> Void]>([])

        func tell(_ failure: (any Error)?) { for tell in all.withLock({ $0 }) { tell(failure) } }
    }
}
