package import Foundation
package import FunctionModel

/// What is known of asynchronous invocations that have ended, and for how long. Results are 64 MiB together at most.
package struct ResultRetention: Sendable {
    package var count: Int
    package var age: TimeLimit

    package init(count: Int = 10_000, age: TimeLimit = .seconds(7 * 86_400)) { (self.count, self.age) = (count, age) }
}

/// Accepted invocations, as intents: see `Store`.
package protocol QueueStore: Sendable {
    /// Enters an accepted invocation, and what was answered to its `Idempotency-Key`, if it had one.
    func enqueue(_ queued: QueuedInvocation, answer: KeptAnswer?) async throws
    /// Forgets one, which was refused after all.
    func dequeue(_ id: String) async throws
    /// All that wait, in the order in which they came. Blocks: asked once, at the start.
    func waiting() throws -> [WaitingInvocation]
    /// A process ended while it ran these: what ends whoever runs it is known by how often it did. Blocks: called at the start.
    func countStarts(of ids: [String]) throws
    /// The event of one that waits; nil when it is known no more.
    func event(ofQueued id: String) async throws -> Data?
    /// It has failed, and is tried again.
    /// - Parameter notBefore: in milliseconds since 1970.
    func postpone(_ id: String, attempts: Int, notBefore: Int) async throws
    /// Nobody runs it any more, and what became of it can be asked for.
    /// - Parameter make: called when its turn to write has come, so that only one copy of a result is held at a time.
    /// - Returns: what follows from it.
    func settle(_ make: @escaping @Sendable () throws -> Settlement) async throws -> [WaitingInvocation]
    /// What became of one; nil when nothing is known of it.
    func finished(_ id: String) async throws -> FinishedInvocation?

    // MARK: Dead letters

    /// The newest first.
    /// - Parameter before: only older ones than this position; nil: all.
    func deadLetters(of name: FunctionName, before: Int64?, limit: Int) async throws -> [DeadLetter]
    /// The event of one; nil when it is known no more.
    func event(ofDead id: String, of name: FunctionName) async throws -> Data?
    /// Takes dead letters back into the queue, as if they had just come.
    /// - Parameters:
    ///   - id: nil: all of the function.
    ///   - version: the one that runs them where theirs has gone.
    /// - Returns: those that wait now.
    func redrive(_ id: String?, of name: FunctionName, now: Int, version: Int) async throws -> [WaitingInvocation]
    /// - Parameter id: nil: all of the function.
    /// - Returns: how many there were.
    func removeDeadLetters(_ id: String?, of name: FunctionName) async throws -> Int
    /// How many there are, by functions. Blocks: asked once, at the start.
    func deadLetterCounts() throws -> [FunctionName: Int]

    // MARK: Idempotency keys

    /// Nil for one that is not known, or has expired.
    /// What is kept, but for its body.
    /// - Throws: `Failure` throttled, where it is not known and the function has so many that none can be added.
    func keptAnswer(_ key: Data, of name: FunctionName, now: Int) async throws -> KeptAnswer?
    func keptBody(_ key: Data) async throws -> Data?
    /// Of a function that has too many bytes of them the body is not kept.
    func keep(_ answer: KeptAnswer) async throws
}

/// Schedules, as intents: see `Store`.
package protocol ScheduleStore: Sendable {
    /// All, with how far each has come, in milliseconds since 1970. Blocks: asked once, at the start.
    func schedules() throws -> [(schedule: Schedule, cursor: Int)]
    /// Enters a schedule in the place of the one with its id.
    /// - Parameters:
    ///   - cursor: what was due until then is not its concern any more; nil: as it is.
    ///   - precondition: on the one that is there.
    ///   - committed: told in the order of commits, before this returns.
    /// - Returns: whether it is new.
    /// - Throws: `PreconditionFailed`.
    func put(
        _ schedule: Schedule, cursor: Int?, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool
    /// - Returns: false when there was none.
    /// - Throws: `PreconditionFailed`.
    func removeSchedule(
        _ id: String, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool
    /// Enters that a schedule was due, once for each time, and what is to run for it.
    /// - Parameters:
    ///   - queued: nil: nothing.
    ///   - skipsOverlap: not if something that it asked for waits or runs.
    ///   - isManual: somebody asked for it: no matter how far the schedule has come.
    /// - Returns: as it was entered; nil when this time, or a later one, was entered already.
    func fire(
        _ run: ScheduleRun, queued: QueuedInvocation?, skipsOverlap: Bool, isManual: Bool
    ) async throws -> ScheduleRun?
    /// The newest first.
    func runs(of id: String, limit: Int) async throws -> [ScheduleRun]
}

/// A time at which a schedule was due.
package struct ScheduleRun: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// On time.
        case fired
        /// For times that had passed while nobody was there.
        case missed
        /// Somebody asked for it.
        case manual
        /// The one before had not ended.
        case skipped
        /// It could not be started: see `reason`.
        case failed
    }

    package let schedule: String
    /// In milliseconds since 1970, as the other.
    package let due: Int
    package let at: Int
    package var kind: Kind
    package var invocation: String?
    package var reason: String?

    package init(schedule: String, due: Int, at: Int, kind: Kind, invocation: String? = nil, reason: String? = nil) {
        self.schedule = schedule
        self.due = due
        self.at = at
        self.kind = kind
        self.invocation = invocation
        self.reason = reason
    }
}

/// Secrets as they are stored: sealed. See `Store`.
package protocol SecretStore: Sendable {
    /// Blocks: asked once, at the start.
    func secrets() throws -> [SealedSecret]
    /// - Returns: whether it is new.
    func put(_ secret: SealedSecret) async throws -> Bool
    func removeSecret(_ name: String) async throws -> Bool
    /// All at once: they are sealed with another key.
    func replace(_ secrets: [SealedSecret]) throws
}

package struct SealedSecret: Sendable, Hashable {
    package let name: String
    /// Nonce, what is encrypted, and tag.
    package var sealed: Data
    /// RFC 3339, UTC, milliseconds; as the other.
    package let createdAt: String
    package let updatedAt: String

    package init(name: String, sealed: Data, createdAt: String, updatedAt: String) {
        self.name = name
        self.sealed = sealed
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}

/// What was used, as intents: see `Store`.
package protocol UsageStore: Sendable {
    /// Adds to what is there.
    func addUsage(_ usage: [UsageKey: UsageSum]) async throws
    /// - Parameters: days of UTC from 1970, both included.
    func usage(from: Int, to: Int) async throws -> [UsageKey: UsageSum]
    /// GB-seconds of a month so far, by functions. Blocks.
    /// - Parameter from: the month's first day.
    func spent(from: Int) throws -> [FunctionName: Double]
    /// GB-seconds a month, by functions. Blocks: asked once, at the start.
    func budgets() throws -> [FunctionName: Double]
    /// - Parameter budget: nil: none any more.
    func set(budget: Double?, of name: FunctionName) async throws
}

/// Whose use it was, and when.
package struct UsageKey: Sendable, Hashable {
    package let function: FunctionName
    /// The access key's id; empty where there was none.
    package let key: String
    /// Of UTC, from 1970.
    package let day: Int

    package init(function: FunctionName, key: String, day: Int) {
        self.function = function
        self.key = key
        self.day = day
    }
}

package struct UsageSum: Sendable, Hashable {
    package var invocations = 0, errors = 0
    /// In nanoseconds: whole numbers add up exactly.
    package var wall = 0, cpu = 0
    /// Of the memory that functions are given, in GiB.
    package var gbSeconds = 0.0
    package var bytesIn = 0, bytesOut = 0

    package init() {}

    package static func += (sum: inout UsageSum, other: UsageSum) {
        sum.invocations += other.invocations
        sum.errors += other.errors
        sum.wall += other.wall
        sum.cpu += other.cpu
        sum.gbSeconds += other.gbSeconds
        sum.bytesIn += other.bytesIn
        sum.bytesOut += other.bytesOut
    }
}
