package import FunctionModel
import HostSystem
package import Invoker
package import Logging
package import Store
import Synchronization
import WireText

/// Queues by name, and the mappings by which functions get what waits in them: Lambda's event sources, with the host's own store
/// for a queue. What was answered 202 is handed out at least once.
package final class Queues: Sendable {
    /// What of others it must know.
    package struct Surroundings: Sendable {
        /// What is meant by a reference; where its alias has shares, a key decides.
        package var resolve: @Sendable (FunctionReference, String) throws -> FunctionVersion
        /// How long an invocation may wait for its worker.
        package var maxWait: Duration

        package init(
            resolve: @escaping @Sendable (FunctionReference, String) throws -> FunctionVersion,
            maxWait: Duration = .seconds(10)
        ) {
            (self.resolve, self.maxWait) = (resolve, maxWait)
        }
    }

    private struct State {
        var queues: [String: MessageQueue] = [:]
        var machine = MappingMachine()
        /// How each mapping's last batch went, in a sentence.
        var results: [String: String] = [:]
        var isClosed = false
    }

    let store: any MessageStore
    let invoker: Invoker
    let around: Surroundings
    let budget: MemoryBudget
    let logger: Logger
    let bell = Bell()
    private let maxMessages: Int
    private let state: Mutex<State>

    private static let maxQueues = 1000
    private static let maxMappings = 1000
    /// Of one queue's bodies.
    private static let maxBytes = 1 << 30
    /// Of all queues'.
    private static let maxTotal = 4 << 30

    /// Blocks.
    /// - Parameter maxMessages: so many may wait in one queue.
    /// - Throws: what the store says.
    package init(
        store: any MessageStore, invoker: Invoker, budget: MemoryBudget, maxMessages: Int, around: Surroundings,
        logger: Logger
    ) throws {
        self.store = store
        self.invoker = invoker
        self.around = around
        self.budget = budget
        self.logger = logger
        self.maxMessages = maxMessages
        var state = State()
        for queue in try store.queues() { state.queues[queue.name] = queue }
        for mapping in try store.mappings() { state.machine.put(mapping) }
        self.state = Mutex(state)
    }

    // MARK: - Queues

    /// By their names.
    package var all: [MessageQueue] { state.withLock { $0.queues.values.sorted { $0.name < $1.name } } }

    /// - Throws: `Failure` not_found.
    package func queue(_ name: String) throws(Failure) -> MessageQueue {
        guard let queue = state.withLock({ $0.queues[name] }) else {
            throw Failure(
                .notFound,
                "there is no queue \"\(printable(name.prefix(bytes: 80)))\"; GET /v1/queues lists what there is")
        }
        return queue
    }

    /// Enters a queue in the place of the one by its name; the same again changes nothing.
    /// - Parameter now: RFC 3339.
    /// - Throws: `Failure` not_found or conflict, `PreconditionFailed`, or what the store says.
    package func put(
        _ queue: MessageQueue, now: String, _ precondition: Precondition? = nil
    ) async throws -> (MessageQueue, isNew: Bool) {
        let old = state.withLock { $0.queues[queue.name] }
        if precondition == nil, let old, old.isSame(as: queue) { return (old, false) }
        guard old != nil || all.count < Self.maxQueues else {
            throw Failure(.conflict, "there are \(Self.maxQueues) queues, this host's limit; delete one first")
        }
        guard queue.deadLetters != queue.name else {
            throw Failure(.invalidRequest, "deadLetters: a queue cannot be its own")
        }
        var queue = queue
        queue.updatedAt = now
        let isNew = try await store.put(queue, precondition) { [self, queue] in
            state.withLock { $0.queues[queue.name] = queue }
        }
        return (queue, isNew)
    }

    /// - Returns: false when there was none.
    /// - Throws: `PreconditionFailed`, or what the store says: `Failure` conflict while a mapping or another queue needs it.
    package func remove(_ name: String, _ precondition: Precondition? = nil) async throws -> Bool {
        // A part at a time, so that others can write in between.
        for _ in 0..<Self.maxRounds {
            let isRemoved = try await store.removeQueue(name, precondition) { [self] in
                state.withLock { $0.queues[name] = nil }
            }
            if let isRemoved { return isRemoved }
        }
        throw Failure(
            .overloaded(retryAfter: 1), "the queue \"\(name)\" is filled faster than it is deleted; try again")
    }

    /// Of a few hundred messages each.
    private static let maxRounds = 20_000

    // MARK: - Messages

    /// Puts a message into a queue: once this returns it is safe.
    /// - Returns: its id.
    /// - Throws: `Failure` not_found or overloaded, or what the store says.
    package func send(_ body: String, to name: String, after delay: TimeLimit = .seconds(0)) async throws -> String {
        let queue = try queue(name), now = wallClockMilliseconds(), id = RandomUUID().text
        guard delay < queue.retention else {
            throw Failure(.invalidRequest, "delay: \"\(name)\" keeps a message for \(queue.retention) only")
        }
        let message = QueueMessage(id: id, body: body, sentAt: now, visibleAt: now + delay.milliseconds)
        try await store.send(message, to: name, bounds(of: queue, now))
        filled(name)
        return id
    }

    func bounds(of queue: MessageQueue, _ now: Int) -> MessageBounds {
        MessageBounds(
            count: maxMessages, bytes: Self.maxBytes, total: Self.maxTotal, oldest: now - queue.retention.milliseconds)
    }

    /// - Throws: what the store says.
    package func state(of queue: MessageQueue) async throws -> MessageState {
        try await store.state(of: queue.name, now: wallClockMilliseconds())
    }

    /// The oldest first; nobody has them for that.
    /// - Throws: what the store says.
    package func messages(in queue: MessageQueue, after: Int64, limit: Int) async throws -> [QueueMessage] {
        try await store.messages(in: queue.name, after: after, limit: limit)
    }

    /// - Returns: how many there were.
    /// - Throws: what the store says.
    package func purge(_ queue: MessageQueue) async throws -> Int {
        try await allRounds { try await store.purge(queue.name) }
    }

    /// A part at a time, so that others can write in between; what comes meanwhile may stay.
    private func allRounds(_ part: () async throws -> Int) async throws -> Int {
        var count = 0
        for _ in 0..<Self.maxRounds {
            let done = try await part()
            if done == 0 { break }
            count += done
        }
        return count
    }

    /// Deletes what is too old where nobody sends or fetches.
    func expire() async throws {
        let now = wallClockMilliseconds()
        for queue in all { _ = try await allRounds { try await store.expire(queue, now: now) } }
    }

    /// Moves what nobody has at this moment to another queue, as if it had just come.
    /// - Returns: how many those were.
    /// - Throws: `Failure` not_found or invalid_request, or what the store says.
    package func redrive(_ queue: MessageQueue, to other: String) async throws -> Int {
        guard other != queue.name else { throw Failure(.invalidRequest, "to: it is the queue itself") }
        let target = try self.queue(other), now = wallClockMilliseconds()
        defer { filled(other) }
        return try await allRounds {
            try await store.move(from: queue.name, to: other, now: now, bounds(of: target, now))
        }
    }

    /// Who gets what is sent to a queue, also when that fails: by its dead letters' queues.
    package func functions(reachedFrom queue: MessageQueue) -> Set<FunctionName> {
        state.withLock { state in
            var names: Set<String> = [], next: String? = queue.name
            while let name = next, names.insert(name).inserted { next = state.queues[name]?.deadLetters }
            return Set(state.machine.mappings.filter { names.contains($0.queue) }.map(\.function))
        }
    }

    /// Something may be there to fetch.
    func filled(_ queue: String) {
        state.withLock { $0.machine.filled(queue, now: .now) }
        bell.ring()
    }

    // MARK: - Mappings

    /// By queues and functions.
    package var mappings: [EventSourceMapping] {
        state.withLock { $0.machine.mappings }.sorted { ($0.queue, $0.function.text) < ($1.queue, $1.function.text) }
    }

    package func mapping(_ id: String) -> EventSourceMapping? { state.withLock { $0.machine.mapping(id) } }

    /// The one by which the function gets what waits in the queue.
    package func mapping(from queue: String, to function: FunctionName) -> EventSourceMapping? {
        mappings.first { $0.queue == queue && $0.function == function }
    }

    /// How its last batch went; nil: there was none since the host started.
    package func lastResult(of id: String) -> String? { state.withLock { $0.results[id] } }

    /// Enters a mapping in the place of the one with its id; the same again changes nothing.
    /// - Parameter now: RFC 3339.
    /// - Throws: `Failure` not_found or conflict, or what the store says.
    package func put(_ mapping: EventSourceMapping, now: String) async throws -> EventSourceMapping {
        let old = self.mapping(mapping.id)
        if let old, old.isSame(as: mapping) { return old }
        _ = try queue(mapping.queue)
        _ = try around.resolve(mapping.reference, mapping.id)
        guard old != nil || state.withLock({ $0.machine.count }) < Self.maxMappings else {
            throw Failure(.conflict, "there are \(Self.maxMappings) mappings, this host's limit; delete one first")
        }
        var mapping = mapping
        mapping.updatedAt = now
        try await store.put(mapping, isNew: old == nil) { [self, mapping] in state.withLock { $0.machine.put(mapping) }
        }
        bell.ring()
        return mapping
    }

    /// - Returns: false when there was none.
    /// - Throws: what the store says.
    package func removeMapping(_ id: String) async throws -> Bool {
        try await store.removeMapping(id) { [self] in forget(id) }
    }

    private func forget(_ id: String) {
        state.withLock { state in
            state.machine.remove(id)
            state.results[id] = nil
        }
    }

    /// The function is gone; the store has forgotten its mappings with it. Blocks.
    package func forget(_ name: FunctionName) {
        let ids = mappings.filter { $0.function == name }.map(\.id)
        guard !ids.isEmpty else { return }
        // Another one by that name may have some by now.
        guard let there = try? Set(store.mappings().map(\.id)) else { return }
        for id in ids where !there.contains(id) { forget(id) }
    }

    // MARK: - For who hands them out

    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// From now on nothing is handed out; what runs goes on.
    package func close() {
        state.withLock { $0.isClosed = true }
        bell.ring()
    }

    func due(_ now: ContinuousClock.Instant) -> [EventSourceMapping] { state.withLock { $0.machine.due(now) } }
    func next(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? { state.withLock { $0.machine.next(now) } }

    func fetched(_ id: String, emptyUntil: ContinuousClock.Instant?) {
        state.withLock { $0.machine.fetched(id, emptyUntil: emptyUntil, now: .now) }
        bell.ring()
    }

    /// Nothing could be fetched for it.
    func pause(_ id: String, because reason: String) {
        tell(id, "PROBLEM: \(reason)") { machine in
            machine.pause(id, now: .now)
            machine.fetched(id, emptyUntil: .now, now: .now)
        }
    }

    /// Its function had no room for a batch.
    func putOff(_ id: String, because reason: String) {
        tell(id, "PROBLEM: \(reason)") { $0.putOff(id, now: .now) }
    }

    /// See `MappingMachine`.
    func failedStart(_ id: String) -> Bool { state.withLock { $0.machine.failedStart(id) } }

    func ended(_ id: String, _ result: String) { tell(id, result) { $0.ended(id) } }

    private func tell(_ id: String, _ result: String, _ change: (inout MappingMachine) -> Void) {
        state.withLock { state in
            change(&state.machine)
            if state.machine.mapping(id) != nil { state.results[id] = result }
        }
        bell.ring()
    }
}
