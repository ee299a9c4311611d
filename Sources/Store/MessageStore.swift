package import FunctionModel

/// Queues by name, what waits in them, and which functions get it, as intents: see `Store`.
package protocol MessageStore: Sendable {
    /// Blocks: asked once, at the start; as the other.
    func queues() throws -> [MessageQueue]
    func mappings() throws -> [EventSourceMapping]
    /// Enters a queue in the place of the one by its name.
    /// - Parameters:
    ///   - precondition: on the one that is there.
    ///   - committed: told in the order of commits, before this returns; as in the others.
    /// - Returns: whether it is new.
    /// - Throws: `PreconditionFailed`.
    func put(
        _ queue: MessageQueue, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool
    /// With all that waits in it.
    /// - Returns: false when there was none; nil: so much waits there that it takes another call, or more.
    /// - Throws: `PreconditionFailed`; `Failure` conflict while a mapping is of it, or it takes another's dead letters.
    func removeQueue(
        _ name: String, _ precondition: Precondition?, committed: @escaping @Sendable () -> Void
    ) async throws -> Bool?
    /// Enters a mapping, or another state of it.
    /// - Parameter isNew: whether there is none with its id; else there must be.
    /// - Throws: `Failure` not_found where its queue, its function or itself is gone; conflict where another has both.
    func put(_ mapping: EventSourceMapping, isNew: Bool, committed: @escaping @Sendable () -> Void) async throws
    /// - Returns: false when there was none.
    func removeMapping(_ id: String, committed: @escaping @Sendable () -> Void) async throws -> Bool

    // MARK: Messages

    /// - Throws: `Failure` overloaded, where the queue is full; not_found, where it has gone.
    func send(_ message: QueueMessage, to queue: String, _ bounds: MessageBounds) async throws
    /// Hands out what may be handed out, the oldest first; sees to what is too old, or was handed out often enough.
    /// - Returns: those, and whether others went to the queue's dead letters.
    func claim(_ claim: MessageClaim) async throws -> (messages: [QueueMessage], buries: Bool)
    /// They are done. As `release`: of those that somebody else has by now nothing changes.
    func remove(_ handles: [MessageHandle]) async throws
    /// They are not done, and come again.
    /// - Parameters:
    ///   - at: in milliseconds since 1970; nil: as before they were handed out, and that did not count.
    func release(_ handles: [MessageHandle], at: Int?) async throws
    /// Deletes some of what is too old.
    /// - Returns: how many.
    func expire(_ queue: MessageQueue, now: Int) async throws -> Int
    func state(of queue: String, now: Int) async throws -> MessageState
    /// - Parameters: of a batch, at most.
    func outlook(of queue: String, now: Int, count: Int, bytes: Int) async throws -> MessageOutlook
    /// The oldest first, whether they may be handed out or not. None counts as handed out.
    /// - Parameter after: only later ones than this position.
    func messages(in queue: String, after: Int64, limit: Int) async throws -> [QueueMessage]
    /// Deletes some of it.
    /// - Returns: how many.
    func purge(_ queue: String) async throws -> Int
    /// Moves some of what nobody has to another queue, as if it had just come.
    /// - Returns: how many those were.
    /// - Throws: `Failure` not_found, where that has gone; overloaded, where it is full.
    func move(from queue: String, to other: String, now: Int, _ bounds: MessageBounds) async throws -> Int
}

/// A message as it was handed out once.
package struct MessageHandle: Sendable, Hashable {
    package let position: Int64
    package let queue: String
    /// How often it had been handed out, with that time.
    package let receives: Int
    /// Since when it had waited, in milliseconds since 1970.
    package let waitedSince: Int

    package init(position: Int64, queue: String, receives: Int, waitedSince: Int) {
        self.position = position
        self.queue = queue
        self.receives = receives
        self.waitedSince = waitedSince
    }
}

/// What a queue may hold.
package struct MessageBounds: Sendable {
    package var count: Int
    /// Of all bodies.
    package var bytes: Int
    /// Of all queues.
    package var total: Int
    /// What was sent before that is too old, in milliseconds since 1970.
    package var oldest: Int

    package init(count: Int, bytes: Int, total: Int, oldest: Int) {
        (self.count, self.bytes, self.total, self.oldest) = (count, bytes, total, oldest)
    }
}

/// What whoever hands out messages wants.
package struct MessageClaim: Sendable {
    package let queue: MessageQueue
    /// At most; as the other.
    package let count: Int
    /// Of their bodies and what is around them; one of them comes in any case.
    package let bytes: Int
    /// In milliseconds since 1970; as the other.
    package let now: Int
    /// Until then they are nobody else's.
    package let until: Int
    /// Of the queue for dead letters.
    package let bounds: MessageBounds

    package init(queue: MessageQueue, count: Int, bytes: Int, now: Int, until: Int, bounds: MessageBounds) {
        self.queue = queue
        self.count = count
        self.bytes = bytes
        self.now = now
        self.until = until
        self.bounds = bounds
    }
}

/// How many messages a queue has.
package struct MessageState: Sendable, Hashable {
    /// That wait to be handed out.
    package var waiting = 0
    /// That were handed out, and are not done.
    package var inFlight = 0
    /// That nobody has had, and whose time has not come.
    package var delayed = 0
    /// Of all bodies.
    package var bytes = 0

    package init() {}
}

/// What whoever hands out messages can expect of a queue.
package struct MessageOutlook: Sendable, Hashable {
    /// Whether what waits fills a batch.
    package let isFull: Bool
    /// Since when the first waits, if any does, in milliseconds since 1970; as the other.
    package let waitingSince: Int?
    /// When the next of the others may be handed out.
    package let nextAt: Int?

    package init(isFull: Bool, waitingSince: Int?, nextAt: Int?) {
        (self.isFull, self.waitingSince, self.nextAt) = (isFull, waitingSince, nextAt)
    }
}
