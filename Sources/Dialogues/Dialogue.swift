package import FunctionModel
package import NIOCore

/// How the host talks to a worker: a value without I/O, bytes in, events out. Each has the same shape: `begin` an
/// invocation, `receive` what the worker writes, and `ended` when it will write no more.
package enum Dialogue: Sendable {
    case command(CommandDialogue)
    case jsonRPC(JSONRPCDialogue)
    case runtimeAPI(RuntimeAPIDialogue)

    /// One that has just begun.
    /// - Parameter longestResult: in bytes.
    package init(_ speech: WorkerSpeech, longestResult: Int) {
        self =
            switch speech {
            case .command: .command(CommandDialogue(longestResult: longestResult))
            case .jsonRPC: .jsonRPC(JSONRPCDialogue(longestResult: longestResult))
            case .runtimeAPI: .runtimeAPI(RuntimeAPIDialogue(longestResult: longestResult))
            }
    }

    /// Whether the worker says itself when it can take an event. One that does not can be sent its event before it runs.
    package var saysReady: Bool { if case .command = self { false } else { true } }

    /// Whether an invocation can begin.
    package var isIdle: Bool {
        switch self {
        case .command(let dialogue): dialogue.isIdle
        case .jsonRPC(let dialogue): dialogue.isIdle
        case .runtimeAPI(let dialogue): dialogue.isIdle
        }
    }

    /// Whether the worker has still to answer. One that has may not be ready for the next.
    package var isBusy: Bool {
        switch self {
        case .command, .jsonRPC: !isIdle
        case .runtimeAPI(let dialogue): dialogue.isBusy
        }
    }

    /// Bytes of an answer that have come and not gone on.
    package var held: Int {
        switch self {
        case .command(let dialogue): dialogue.held
        case .jsonRPC(let dialogue): dialogue.held
        case .runtimeAPI(let dialogue): dialogue.held
        }
    }

    /// Begins an invocation.
    /// - Returns: nil when the worker cannot be asked now.
    package mutating func begin(_ request: DialogueRequest) -> DialogueOpening? {
        inPlace {
            $0.begin(request)
        } jsonRPC: {
            $0.begin(request)
        } runtimeAPI: {
            $0.begin(request)
        }
    }

    /// Takes all that the worker wrote up to now. What breaks the protocol comes alone: whatever was read with it is not to
    /// be trusted.
    package mutating func receive(_ bytes: ByteBuffer) -> [DialogueEvent] {
        inPlace {
            $0.receive(bytes)
        } jsonRPC: {
            $0.receive(bytes)
        } runtimeAPI: { _ in
            []  // its stdout is its log
        }
    }

    /// Takes what a client of the Runtime API did.
    package mutating func receive(_ call: RuntimeCall) -> [DialogueEvent] {
        inPlace { _ in
            []
        } jsonRPC: { _ in
            []
        } runtimeAPI: {
            $0.receive(call)
        }
    }

    /// The worker has exited with success during an invocation, and all that it wrote is read.
    package mutating func ended() -> DialogueEvent {
        inPlace {
            $0.ended()
        } jsonRPC: {
            $0.ended()
        } runtimeAPI: {
            $0.ended()
        }
    }

    /// The end of what a command wrote, for who asks why it failed; empty for others, whose stdout is the host's.
    /// - Parameter length: in bytes, at most.
    package func tail(_ length: Int) -> String {
        guard case .command(let dialogue) = self else { return "" }
        return dialogue.tail(length)
    }

    /// A copy of a dialogue would copy all that it has gathered, at every read.
    private mutating func inPlace<Value>(
        command: (inout CommandDialogue) -> Value, jsonRPC: (inout JSONRPCDialogue) -> Value,
        runtimeAPI: (inout RuntimeAPIDialogue) -> Value
    ) -> Value {
        switch self {
        case .command(var dialogue):
            self = Self.nothing
            defer { self = .command(dialogue) }
            return command(&dialogue)
        case .jsonRPC(var dialogue):
            self = Self.nothing
            defer { self = .jsonRPC(dialogue) }
            return jsonRPC(&dialogue)
        case .runtimeAPI(var dialogue):
            self = Self.nothing
            defer { self = .runtimeAPI(dialogue) }
            return runtimeAPI(&dialogue)
        }
    }

    private static let nothing = Dialogue.command(CommandDialogue(longestResult: 0))
}

/// What one invocation brings to a worker.
package struct DialogueRequest: Sendable {
    /// Checked to be what the function takes.
    package let event: ByteBuffer
    package let invocationID: String
    package let function: String
    /// 0: a revision that has no number.
    package let version: Int
    /// When the answer must be there, in milliseconds since 1970.
    package let deadline: Int
    /// In MiB.
    package let memoryLimit: Int
    package let traceparent: String?
    package let lambda: LambdaAsking?
    /// The function's name as AWS writes it; as the caller named it, where it came by Lambda's API.
    package let arn: String
    /// Whether somebody takes an answer while it is made.
    package let streams: Bool

    package init(
        event: ByteBuffer, invocationID: String, function: String, version: Int, deadline: Int, memoryLimit: Int,
        traceparent: String?, lambda: LambdaAsking? = nil, arn: String = "", streams: Bool = false
    ) {
        self.event = event
        self.invocationID = invocationID
        self.function = function
        self.version = version
        self.deadline = deadline
        self.memoryLimit = memoryLimit
        self.traceparent = traceparent
        self.lambda = lambda
        self.arn = arn
        self.streams = streams
    }
}

/// How an event goes to the worker.
package enum DialogueOpening: Sendable, Equatable {
    /// To its stdin; whether nothing comes after it.
    case input(ByteBuffer, isLast: Bool)
    /// To the connection by which it has asked.
    case reply(RuntimeReply, to: Int)

    package var bytes: ByteBuffer {
        switch self {
        case .input(let bytes, _): bytes
        case .reply(let reply, _): reply.body
        }
    }
}

package enum DialogueEvent: Sendable, Equatable {
    case ready
    /// It has answered, and can take the next event.
    case asksAgain
    /// It says that it will never be ready.
    case failedStart(Failure.HandlerError)
    /// What is answered to its client.
    case reply(RuntimeReply, to: Int)
    /// Of an answer that comes in parts; its end is a `result` without bytes.
    case part(ResponsePart)
    case result(ByteBuffer, ResultKind)
    case error(Failure.HandlerError)
    /// The answer is longer than allowed.
    case tooLong
    /// Anything else: what was wrong, in a sentence, and what the worker wrote, for its log.
    case violation(String, wrote: String)
}
