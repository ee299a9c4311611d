package import Foundation
package import FunctionModel

/// What was accepted to be done later, and outlives the process: an invocation, or telling a webhook of one.
package struct QueuedInvocation: Sendable {
    package let id: String
    package let function: FunctionName
    package let version: Int
    /// For a webhook: the body.
    package let event: Data
    package let traceparent: String?
    /// The URL that is to be told; nil: the function is to run.
    package var webhook: String?
    /// Id of the access key that asked for it, for what it costs.
    package var key: String?
    /// The schedule that asked for it.
    package var schedule: String?
    /// How many destinations lie before it.
    package var depth = 0
    /// In milliseconds since 1970.
    package var acceptedAt = 0
    /// Of a content type that is not JSON's.
    package var isRaw = false

    package init(id: String, function: FunctionName, version: Int, event: Data, traceparent: String?) {
        self.id = id
        self.function = function
        self.version = version
        self.event = event
        self.traceparent = traceparent
    }
}

/// One that waits, without its event, for all of them may be too much for a process's memory.
package struct WaitingInvocation: Sendable, Hashable {
    package let id: String
    package let function: FunctionName
    package let version: Int
    package let traceparent: String?
    package var webhook: String?
    package var key: String?
    package var depth = 0
    package var acceptedAt = 0
    package var isRaw = false
    /// Of its event, in bytes.
    package var size = 0
    package var tries = Tries()

    package struct Tries: Sendable, Hashable {
        /// That have failed.
        package var attempts = 0
        /// How many processes ended while they ran it, one after another.
        package var starts = 0
        /// In milliseconds since 1970.
        package var notBefore = 0
    }

    package init(id: String, function: FunctionName, version: Int, traceparent: String?) {
        self.id = id
        self.function = function
        self.version = version
        self.traceparent = traceparent
    }
}

/// An accepted invocation that has ended.
package struct FinishedInvocation: Sendable, Hashable {
    package let id: String
    package let function: FunctionName
    package let version: Int
    /// How it ended, as whoever wrote it reads it.
    package let summary: Data
    /// Nil when it made room for newer ones.
    package let result: Data?

    package init(id: String, function: FunctionName, version: Int, summary: Data, result: Data?) {
        self.id = id
        self.function = function
        self.version = version
        self.summary = summary
        self.result = result
    }
}

/// What becomes of one that is done with, as one change.
package struct Settlement: Sendable {
    package var finished: FinishedInvocation
    /// Whether it goes to the dead letters, with its event; and after how many attempts.
    package var deadAfter: Int?
    /// What follows from it.
    package var followUps: [QueuedInvocation]

    package init(finished: FinishedInvocation, deadAfter: Int? = nil, followUps: [QueuedInvocation] = []) {
        self.finished = finished
        self.deadAfter = deadAfter
        self.followUps = followUps
    }
}

/// An invocation that is not tried any more.
package struct DeadLetter: Sendable, Hashable {
    /// Counts up.
    package let position: Int64
    package let id: String
    package let function: FunctionName
    package let version: Int
    package let webhook: String?
    package let attempts: Int
    /// In milliseconds since 1970, as the other.
    package let acceptedAt: Int
    package let diedAt: Int
    /// Of its event, in bytes.
    package let size: Int
    /// As `FinishedInvocation.summary`.
    package let summary: Data

    package init(
        position: Int64, id: String, function: FunctionName, version: Int, webhook: String?, attempts: Int,
        acceptedAt: Int, diedAt: Int, size: Int, summary: Data
    ) {
        self.position = position
        self.id = id
        self.function = function
        self.version = version
        self.webhook = webhook
        self.attempts = attempts
        self.acceptedAt = acceptedAt
        self.diedAt = diedAt
        self.size = size
        self.summary = summary
    }
}

/// What was answered under an `Idempotency-Key`.
package struct KeptAnswer: Sendable, Hashable {
    /// SHA-256 of whose key it is, and for which function.
    package let key: Data
    /// SHA-256 of the request.
    package let request: Data
    package let function: FunctionName
    /// The invocation's id.
    package let invocation: String
    /// As whoever wrote it reads it.
    package let head: Data
    /// Nil: it stands in the store, or was too large to be kept.
    package let body: Data?
    /// Of the body, in bytes; nil: it is not kept.
    package let size: Int?
    /// In milliseconds since 1970.
    package let expiresAt: Int

    package init(
        key: Data, request: Data, function: FunctionName, invocation: String, head: Data, body: Data?, size: Int?,
        expiresAt: Int
    ) {
        self.size = size
        self.key = key
        self.request = request
        self.function = function
        self.invocation = invocation
        self.head = head
        self.body = body
        self.expiresAt = expiresAt
    }
}
