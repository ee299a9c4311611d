/// A queue by name: its messages wait until a mapping hands them to a function.
package struct MessageQueue: Sendable, Hashable {
    package var name: String
    /// For so long a message that was handed out is nobody else's.
    package var visibility: TimeLimit
    /// What is older is deleted.
    package var retention: TimeLimit
    /// How often a message is handed out, before it goes to `deadLetters`; nil: until it is too old.
    package var maxReceives: Int?
    /// The queue for what could not be done; nil: it is deleted.
    package var deadLetters: String?
    /// RFC 3339, UTC, milliseconds.
    package var updatedAt: String

    package static let nameRule = Route.idRule
    package static func isName(_ text: String) -> Bool { Route.isID(text) }

    /// What a message costs beside its body, in bytes: its row, and what is around it in an event.
    package static let messageOverhead = 512
    /// Of a message, in bytes.
    package static let longestMessage = 256 << 10
    /// In milliseconds, as the others.
    package static let visibilities = 1000...12 * 3_600_000
    package static let retentions = 60_000...14 * 86_400_000
    package static let receives = 1...1000
    package static let longestDelay = TimeLimit.seconds(900)

    package init(
        name: String, visibility: TimeLimit = .seconds(30), retention: TimeLimit = .seconds(4 * 86_400),
        maxReceives: Int? = nil, deadLetters: String? = nil, updatedAt: String = ""
    ) {
        self.name = name
        self.visibility = visibility
        self.retention = retention
        self.maxReceives = maxReceives
        self.deadLetters = deadLetters
        self.updatedAt = updatedAt
    }

    package var tag: String { String(Alias.hash(of: "\(self)"), radix: 16) }

    /// But for when it was changed.
    package func isSame(as other: MessageQueue) -> Bool {
        var other = other
        other.updatedAt = updatedAt
        return self == other
    }
}

/// A message, as it waits in a queue.
package struct QueueMessage: Sendable, Hashable {
    /// Counts up, in the order in which they came.
    package var position: Int64
    package let id: String
    package let body: String
    /// In milliseconds since 1970, as the others.
    package let sentAt: Int
    /// From when on it may be handed out; of one that is handed out: could be before.
    package var visibleAt: Int
    /// How often it was handed out.
    package var receives: Int
    package var firstReceivedAt: Int?

    package init(
        position: Int64 = 0, id: String, body: String, sentAt: Int, visibleAt: Int, receives: Int = 0,
        firstReceivedAt: Int? = nil
    ) {
        self.position = position
        self.id = id
        self.body = body
        self.sentAt = sentAt
        self.visibleAt = visibleAt
        self.receives = receives
        self.firstReceivedAt = firstReceivedAt
    }
}

/// That a queue's messages go to a function: what Lambda calls an event source mapping.
package struct EventSourceMapping: Sendable, Hashable {
    /// A UUID.
    package var id: String
    package var queue: String
    package var function: FunctionName
    /// An alias, or a version's number in digits.
    package var qualifier: String
    /// Messages that the function gets at once, at most.
    package var batchSize: Int
    /// How long it waits for so many.
    package var window: TimeLimit
    package var isEnabled: Bool
    /// Whether the function's answer names the messages that it could not do (`batchItemFailures`).
    package var reportsFailures: Bool
    /// Batches at once; nil: a few.
    package var maxConcurrency: Int?
    /// RFC 3339, UTC, milliseconds.
    package var updatedAt: String

    package static let batchSizes = 1...10_000
    /// Of batches that do not wait until they are full.
    package static let maxQuickBatch = 10
    /// In milliseconds.
    package static let windows = 0...300_000
    package static let concurrencies = 1...1000
    private static let defaultConcurrency = 5
    package var batchesAtOnce: Int { maxConcurrency ?? Self.defaultConcurrency }

    package init(
        id: String, queue: String, function: FunctionName, qualifier: String = Alias.live, batchSize: Int = 10,
        window: TimeLimit = .seconds(0), isEnabled: Bool = true, reportsFailures: Bool = false,
        maxConcurrency: Int? = nil, updatedAt: String = ""
    ) {
        self.id = id
        self.queue = queue
        self.function = function
        self.qualifier = qualifier
        self.batchSize = batchSize
        self.window = window
        self.isEnabled = isEnabled
        self.reportsFailures = reportsFailures
        self.maxConcurrency = maxConcurrency
        self.updatedAt = updatedAt
    }

    /// The same between these.
    package func between(_ queue: String, _ function: FunctionName, id: String) -> EventSourceMapping {
        var mapping = self
        (mapping.queue, mapping.function, mapping.id) = (queue, function, id)
        return mapping
    }

    /// Where its messages go.
    package var reference: FunctionReference {
        FunctionReference(function, version: number, alias: qualifier)
    }

    /// Of the version that is named by it; nil: an alias is.
    package var number: Int? {
        qualifier.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(qualifier) : nil
    }

    package var tag: String { String(Alias.hash(of: "\(self)"), radix: 16) }

    /// But for when it was changed.
    package func isSame(as other: EventSourceMapping) -> Bool {
        var other = other
        other.updatedAt = updatedAt
        return self == other
    }
}
