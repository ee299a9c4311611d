package import Foundation
package import FunctionModel

/// An invocation that was accepted to be run later: what was answered 202 outlives the process.
package struct QueuedInvocation: Sendable {
    package let id: String
    package let function: FunctionName
    package let version: Int
    package let event: Data
    package let traceparent: String?

    package init(id: String, function: FunctionName, version: Int, event: Data, traceparent: String?) {
        self.id = id
        self.function = function
        self.version = version
        self.event = event
        self.traceparent = traceparent
    }
}

/// One that an earlier process did not finish; without its event, for all of them may be too much for this one's memory.
package struct UnfinishedInvocation: Sendable, Hashable {
    package let id: String
    package let function: FunctionName
    package let version: Int
    package let traceparent: String?

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
