import Foundation
package import FunctionModel
import GRDB
package import Store

/// See `MessageStore`.
package final class SQLiteMessages: MessageStore {
    private let database: DatabasePool
    private let group: GroupCommit

    /// Rows that are changed in one go: who has more to do comes again, so that others can write in between.
    private static let most = 500

    init(_ database: DatabasePool, _ group: GroupCommit) { (self.database, self.group) = (database, group) }

    // MARK: - Messages

    package func send(_ message: QueueMessage, to queue: String, _ bounds: MessageBounds) async throws {
        let refusal = try await group.write { database -> Failure? in
            // It stays done, also where there is no room all the same.
            try Self.delete(
                "INDEXED BY messageSent WHERE queue = ? AND sentAt < ?", [queue, bounds.oldest], limit: 10, in: database
            )
            let size = message.body.utf8.count
            if let refusal = try Self.refusal(of: size, in: queue, bounds, database) { return refusal }
            let insert = try database.cachedStatement(
                sql:
                    "INSERT INTO message (id, queue, sentAt, visibleAt, receives, size, body) VALUES (?, ?, ?, ?, 0, ?, ?)"
            )
            try insert.execute(arguments: [
                message.id, queue, message.sentAt, message.visibleAt, size, Data(message.body.utf8),
            ])
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Why there is no room for one more.
    private static func refusal(
        of size: Int, in queue: String, _ bounds: MessageBounds, _ database: Database
    ) throws -> Failure? {
        guard let room = try room(in: queue, bounds, database) else {
            return Failure(.notFound, "the queue \"\(queue)\" is gone")
        }
        guard room.count > 0, room.bytes >= size else {
            return Failure(
                .overloaded(retryAfter: 5),
                "the queue \"\(queue)\" is full: it may hold \(bounds.count) messages with \(ByteSize(bytes: bounds.bytes))"
            )
        }
        let all = try database.cachedStatement(sql: "SELECT sum(bytes + count * ?) FROM messageSum")
        let total = try Int.fetchOne(all, arguments: [MessageQueue.messageOverhead]) ?? 0
        // One queue's are as many at most as are left to all others.
        guard room.held + size <= bounds.total - total else {
            return Failure(
                .overloaded(retryAfter: 5),
                "all queues together hold \(ByteSize(bytes: total)), and may hold \(ByteSize(bytes: bounds.total)), this one no more than is left to the others"
            )
        }
        return nil
    }

    /// What the queue's own bounds leave, and what it holds with what is around it, in bytes; nil: it is gone.
    private static func room(
        in queue: String, _ bounds: MessageBounds, _ database: Database
    ) throws -> (count: Int, bytes: Int, held: Int)? {
        let sums = try database.cachedStatement(
            sql:
                "SELECT coalesce(count, 0), coalesce(bytes, 0) FROM queue LEFT JOIN messageSum USING (name) WHERE name = ?"
        )
        guard let row = try Row.fetchOne(sums, arguments: [queue]) else { return nil }
        let count: Int = row[0], bytes: Int = row[1]
        return (bounds.count - count, bounds.bytes - bytes, bytes + count * MessageQueue.messageOverhead)
    }

    /// - Parameter which: what stands behind the table's name.
    /// - Returns: how many.
    @discardableResult
    private static func delete(
        _ which: String, _ arguments: StatementArguments, limit: Int, in database: Database
    ) throws -> Int {
        let statement = try database.cachedStatement(
            sql: "DELETE FROM message WHERE position IN (SELECT position FROM message \(which) LIMIT \(limit))")
        try statement.execute(arguments: arguments)
        return database.changesCount
    }

    package func claim(_ claim: MessageClaim) async throws -> (messages: [QueueMessage], buries: Bool) {
        try await group.write { database in
            var found: [(position: Int64, visibleAt: Int)] = []
            var overdue: [(position: Int64, size: Int, isOld: Bool)] = [], bytes = 0
            let waiting = try database.cachedStatement(
                sql: """
                    SELECT position, visibleAt, receives, sentAt, size FROM message WHERE queue = ? AND visibleAt <= ?
                    ORDER BY visibleAt, position
                    """)
            let rows = try Row.fetchCursor(waiting, arguments: [claim.queue.name, claim.now])
            while found.count < claim.count, overdue.count < Self.most, let row = try rows.next() {
                let isOld = row["sentAt"] < claim.now - claim.queue.retention.milliseconds
                if isOld || claim.queue.maxReceives.map({ row["receives"] >= $0 }) == true {
                    overdue.append((row["position"], row["size"], isOld))
                    continue
                }
                bytes += row["size"] + MessageQueue.messageOverhead
                guard found.isEmpty || bytes <= claim.bytes else { break }
                found.append((row["position"], row["visibleAt"]))
            }
            let other = try Self.graveyard(of: claim.queue, in: database)
            for (position, size, isOld) in overdue {
                try Self.bury(position, size, isOld ? nil : other, claim, in: database)
            }
            let messages = try found.compactMap { try Self.handOut($0.position, $0.visibleAt, claim, in: database) }
            return (messages, other != nil && overdue.contains { !$0.isOld })
        }
    }

    private static func handOut(_ position: Int64, _ visibleAt: Int, _ claim: MessageClaim, in database: Database)
        throws -> QueueMessage?
    {
        let statement = try database.cachedStatement(
            sql: """
                UPDATE message SET visibleAt = ?2, receives = receives + 1,
                    firstReceivedAt = coalesce(firstReceivedAt, ?3) WHERE position = ?1 RETURNING *
                """)
        var message = try Row.fetchOne(statement, arguments: [position, claim.until, claim.now]).map(
            QueueMessage.init(_:))
        message?.visibleAt = visibleAt
        return message
    }

    /// Where those go that were handed out often enough; a queue that is gone takes nothing.
    private static func graveyard(of queue: MessageQueue, in database: Database) throws -> String? {
        guard queue.maxReceives != nil, let other = queue.deadLetters else { return nil }
        return try Self.queue(other, in: database)?.name
    }

    /// - Parameter other: where it goes; nil: nowhere.
    private static func bury(
        _ position: Int64, _ size: Int, _ other: String?, _ claim: MessageClaim, in database: Database
    ) throws {
        guard let other, let room = try room(in: other, claim.bounds, database) else {
            return try database.cachedStatement(sql: "DELETE FROM message WHERE position = ?").execute(
                arguments: [position])
        }
        // Nothing is lost: it waits where it is, until there is room, and its queue fills.
        guard room.count > 0, room.bytes >= size else {
            let statement = try database.cachedStatement(sql: "UPDATE message SET visibleAt = ? WHERE position = ?")
            return try statement.execute(
                arguments: [claim.now + claim.queue.visibility.milliseconds, position])
        }
        let statement = try database.cachedStatement(
            sql: "UPDATE message SET queue = ?, receives = 0, firstReceivedAt = NULL, visibleAt = ? WHERE position = ?")
        try statement.execute(arguments: [other, claim.now, position])
    }

    package func remove(_ handles: [MessageHandle]) async throws {
        try await group.write { database in
            let statement = try database.cachedStatement(
                sql: "DELETE FROM message WHERE position = ? AND queue = ? AND receives = ?")
            for handle in handles {
                try statement.execute(arguments: [handle.position, handle.queue, handle.receives])
            }
        }
    }

    package func release(_ handles: [MessageHandle], at instant: Int?) async throws {
        try await group.write { database in
            let statement = try database.cachedStatement(
                sql:
                    "UPDATE message SET visibleAt = ?, receives = receives - ? WHERE position = ? AND queue = ? AND receives = ?"
            )
            for handle in handles {
                try statement.execute(arguments: [
                    instant ?? handle.waitedSince, instant == nil ? 1 : 0, handle.position, handle.queue,
                    handle.receives,
                ])
            }
        }
    }

    package func expire(_ queue: MessageQueue, now: Int) async throws -> Int {
        try await group.write { database in
            let oldest = now - queue.retention.milliseconds
            return try Self.delete(
                "INDEXED BY messageSent WHERE queue = ? AND sentAt < ? AND visibleAt <= ?", [queue.name, oldest, now],
                limit: Self.most, in: database)
        }
    }

    package func state(of queue: String, now: Int) async throws -> MessageState {
        try await database.read { database in
            var state = MessageState()
            let sums = try Row.fetchOne(
                database,
                sql: """
                    SELECT sum(visibleAt <= ?2), sum(visibleAt > ?2 AND receives > 0), sum(visibleAt > ?2 AND receives = 0),
                        (SELECT bytes FROM messageSum WHERE name = ?1) FROM message WHERE queue = ?1
                    """, arguments: [queue, now])
            guard let sums else { return state }
            (state.waiting, state.inFlight, state.delayed) = (sums[0] ?? 0, sums[1] ?? 0, sums[2] ?? 0)
            state.bytes = sums[3] ?? 0
            return state
        }
    }

    package func outlook(of queue: String, now: Int, count: Int, bytes: Int) async throws -> MessageOutlook {
        try await database.read { database in
            let waiting = try Row.fetchCursor(
                database,
                sql:
                    "SELECT visibleAt, size FROM message WHERE queue = ? AND visibleAt <= ? ORDER BY visibleAt, position",
                arguments: [queue, now])
            var since: Int?, counted = 0, size = 0
            while counted < count, size < bytes, let row = try waiting.next() {
                since = since ?? row["visibleAt"]
                counted += 1
                size += row["size"] + MessageQueue.messageOverhead
            }
            let next = try Int.fetchOne(
                database, sql: "SELECT min(visibleAt) FROM message WHERE queue = ? AND visibleAt > ?",
                arguments: [queue, now])
            return MessageOutlook(isFull: counted >= count || size >= bytes, waitingSince: since, nextAt: next)
        }
    }

    package func messages(in queue: String, after: Int64, limit: Int) async throws -> [QueueMessage] {
        try await database.read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM message WHERE queue = ? AND position > ? ORDER BY position LIMIT ?",
                arguments: [queue, after, limit]
            ).map(QueueMessage.init(_:))
        }
    }

    package func purge(_ queue: String) async throws -> Int {
        try await group.write { try Self.delete("WHERE queue = ?", [queue], limit: Self.most, in: $0) }
    }

    package func move(
        from queue: String, to other: String, now: Int, _ bounds: MessageBounds
    ) async throws -> Int {
        try await group.write { database in
            if let refusal = try Self.refusal(of: 0, in: other, bounds, database) { throw refusal }
            guard let room = try Self.room(in: other, bounds, database) else { return 0 }
            let rows = try Row.fetchAll(
                database,
                sql:
                    "SELECT position, size FROM message WHERE queue = ? AND visibleAt <= ? ORDER BY visibleAt, position LIMIT ?",
                arguments: [queue, now, min(Self.most, room.count)])
            var moved = 0, bytes = 0
            for row in rows {
                bytes += row["size"]
                guard bytes <= room.bytes else { break }
                let statement = try database.cachedStatement(
                    sql: """
                        UPDATE message SET queue = ?, sentAt = ?, receives = 0, firstReceivedAt = NULL, visibleAt = ?
                        WHERE position = ?
                        """)
                try statement.execute(arguments: [other, now, now, row["position"] as Int64])
                moved += 1
            }
            return moved
        }
    }
}

// MARK: - Queues and mappings

extension SQLiteMessages {
    package func queues() throws -> [MessageQueue] {
        try database.read { try Self.definitions(of: "queue", in: $0) }
    }

    package func mappings() throws -> [EventSourceMapping] {
        try database.read { try Self.definitions(of: "mapping", in: $0) }
    }

    private static func definitions<Value: Decodable>(of table: String, in database: Database) throws -> [Value] {
        try Data.fetchAll(database, sql: "SELECT definition FROM \(table)").map {
            try JSONDecoder().decode(Value.self, from: $0)
        }
    }

    fileprivate static func queue(_ name: String, in database: Database) throws -> MessageQueue? {
        try Data.fetchOne(database, sql: "SELECT definition FROM queue WHERE name = ?", arguments: [name]).map {
            try JSONDecoder().decode(MessageQueue.self, from: $0)
        }
    }

    package func put(
        _ queue: MessageQueue, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool {
        try await database.write { database in
            let old = try Self.queue(queue.name, in: database)
            try precondition?.check(old?.tag)
            try Self.check(queue, in: database)
            try database.execute(
                sql:
                    "INSERT INTO queue (name, definition) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET definition = ?2",
                arguments: [queue.name, try JSONEncoder().encode(queue)])
            database.afterNextTransaction { _ in committed() }
            return old == nil
        }
    }

    /// What is buried keeps its age: where it goes it must not be too old at once.
    private static func check(_ queue: MessageQueue, in database: Database) throws {
        if let name = queue.deadLetters {
            guard let other = try Self.queue(name, in: database) else {
                throw Failure(.notFound, "deadLetters: there is no queue \"\(name)\"")
            }
            guard other.retention >= queue.retention else {
                throw Failure(
                    .invalidRequest,
                    "deadLetters: \"\(name)\" keeps messages for \(other.retention) only, and this queue for \(queue.retention)"
                )
            }
        }
        let queues: [MessageQueue] = try definitions(of: "queue", in: database)
        if let other = queues.first(where: { $0.deadLetters == queue.name && $0.retention > queue.retention }) {
            throw Failure(
                .conflict,
                "retention: it takes the dead letters of \"\(other.name)\", which keeps messages for \(other.retention)"
            )
        }
    }

    package func removeQueue(
        _ name: String, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool? {
        try await database.write { database in
            guard let old = try Self.queue(name, in: database) else { return false }
            try precondition?.check(old.tag)
            let function = try String.fetchOne(
                database, sql: "SELECT name FROM mapping WHERE queue = ?", arguments: [name])
            if let function {
                throw Failure(.conflict, "\(function) gets what waits in \"\(name)\": delete that mapping first")
            }
            let queues: [MessageQueue] = try Self.definitions(of: "queue", in: database)
            if let other = queues.first(where: { $0.deadLetters == name && $0.name != name }) {
                throw Failure(
                    .conflict, "\"\(name)\" takes the dead letters of \"\(other.name)\": change that queue first")
            }
            guard try Self.delete("WHERE queue = ?", [name], limit: Self.most, in: database) < Self.most else {
                return nil
            }
            try database.execute(sql: "DELETE FROM queue WHERE name = ?", arguments: [name])
            try database.execute(sql: "DELETE FROM messageSum WHERE name = ?", arguments: [name])
            database.afterNextTransaction { _ in committed() }
            return true
        }
    }

    package func put(
        _ mapping: EventSourceMapping, isNew: Bool, committed: @escaping @Sendable () -> Void
    ) async throws {
        try await database.write { database in
            func has(_ sql: String, _ arguments: StatementArguments) throws -> Bool {
                try Bool.fetchOne(database, sql: "SELECT EXISTS (\(sql))", arguments: arguments) ?? false
            }
            guard try Self.queue(mapping.queue, in: database) != nil else {
                throw Failure(.notFound, "the queue \"\(mapping.queue)\" is gone")
            }
            guard try has("SELECT 1 FROM version WHERE name = ?", [mapping.function.text]) else {
                throw Failure(.notFound, "the function \"\(mapping.function)\" is gone")
            }
            guard try has("SELECT 1 FROM mapping WHERE id = ?", [mapping.id]) != isNew else {
                throw Failure(.notFound, "the mapping is gone")
            }
            let other = try String.fetchOne(
                database, sql: "SELECT id FROM mapping WHERE queue = ? AND name = ? AND id != ?",
                arguments: [mapping.queue, mapping.function.text, mapping.id])
            if let other {
                throw Failure(
                    .conflict,
                    "\(mapping.function) gets what waits in \"\(mapping.queue)\" already, by the mapping \(other)")
            }
            try database.execute(
                sql: "INSERT INTO mapping (id, queue, name, number, definition) VALUES (?1, ?2, ?3, ?4, ?5) "
                    + "ON CONFLICT (id) DO UPDATE SET queue = ?2, name = ?3, number = ?4, definition = ?5",
                arguments: [
                    mapping.id, mapping.queue, mapping.function.text, mapping.number, try JSONEncoder().encode(mapping),
                ])
            database.afterNextTransaction { _ in committed() }
        }
    }

    package func removeMapping(_ id: String, committed: @escaping @Sendable () -> Void) async throws -> Bool {
        try await database.write { database in
            try database.execute(sql: "DELETE FROM mapping WHERE id = ?", arguments: [id])
            let count = database.changesCount
            database.afterNextTransaction { _ in committed() }
            return count > 0
        }
    }
}
