import FunctionModel
import NIOCore
import WireText

/// The host's side of Lambda's Runtime API (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html): what a client in the
/// cell asks by HTTP, on however many connections, becomes the events of one invocation after another. A value without I/O.
/// What comes out of turn is refused and changes nothing: an invocation's id is known to who was given it alone.
package struct RuntimeAPIDialogue: Sendable {
    private enum State: Equatable {
        /// It has not asked for an event yet.
        case starting
        /// This connection waits for one.
        case waiting(Int)
        /// Whether somebody takes the answer while it is made.
        case busy(id: String, on: Int, streams: Bool)
        /// It has answered this one, and not asked for the next.
        case answered(id: String)
        /// Nothing more is read of it.
        case over
    }

    /// What is being sent to the host.
    private struct Upload {
        enum Kind: Equatable {
            case answer, streamed
            case error(type: String?)
            /// Before it has asked for anything.
            case failedStart(type: String?)
        }

        let connection: Int
        let kind: Kind
        var bytes = ByteBuffer()
        var size = 0
        var reader = ResultKind.Reader()
    }

    private var state = State.starting
    private var upload: Upload?
    /// How often it was refused something since its last event.
    private var refused = 0
    /// Beyond this it is no runtime that has erred: each call is work of the host's.
    private static let maxRefused = 1000
    private let longestResult: Int
    /// Of an error this much is looked at.
    private static let longestError = 256 << 10

    /// - Parameter longestResult: in bytes.
    package init(longestResult: Int) { self.longestResult = longestResult }

    package var isIdle: Bool { if case .waiting = state { true } else { false } }
    var isBusy: Bool { if case .busy = state { true } else { false } }
    var held: Int { upload?.bytes.readableBytes ?? 0 }

    package mutating func begin(_ request: DialogueRequest) -> DialogueOpening? {
        guard case .waiting(let connection) = state else { return nil }
        state = .busy(id: request.invocationID, on: connection, streams: request.streams)
        refused = 0
        return .reply(Self.event(request), to: connection)
    }

    package func ended() -> DialogueEvent { .violation("the worker exited without answering", wrote: "") }

    /// Takes what the client did.
    package mutating func receive(_ call: RuntimeCall) -> [DialogueEvent] {
        guard state != .over else { return [] }
        let connection = call.connection
        switch call.act {
        case .next: return next(connection)
        case .unknown: return refuse(.nothingThere, connection)
        case .answer(let id, let isStreamed): return begin(isStreamed ? .streamed : .answer, of: id, connection)
        case .error(let id?, let type): return begin(.error(type: type), of: id, connection)
        case .error(nil, let type):
            guard state == .starting, upload == nil else { return refuse(.outOfTurn, connection) }
            upload = Upload(connection: connection, kind: .failedStart(type: type))
            return []
        case .body(let bytes): return take(bytes, connection)
        case .end(let failure): return end(connection, failure)
        case .hungUp: return hungUp(connection)
        case .unsent:
            guard case .busy(_, connection, _) = state else { return [] }
            over()
            return [.violation("the runtime hung up before it had its event", wrote: "")]
        }
    }

    private mutating func next(_ connection: Int) -> [DialogueEvent] {
        switch state {
        case .starting where upload == nil:
            state = .waiting(connection)
            return [.ready]
        case .answered:
            state = .waiting(connection)
            return [.asksAgain]
        case .starting, .waiting, .busy, .over: return refuse(.outOfTurn, connection)
        }
    }

    private mutating func begin(_ kind: Upload.Kind, of id: String, _ connection: Int) -> [DialogueEvent] {
        switch state {
        case .busy(let own, _, _) where own.isSame(as: id) && upload == nil:
            upload = Upload(connection: connection, kind: kind)
            return []
        case .busy(let own, _, _) where own.isSame(as: id), .answered(let own) where own.isSame(as: id):
            return refuse(.outOfTurn, connection)
        case .starting, .waiting, .busy, .answered, .over: return refuse(.wrongID, connection)
        }
    }

    /// What it still sends of it is nobody's.
    private mutating func refuse(_ reply: RuntimeReply, _ connection: Int) -> [DialogueEvent] {
        refused += 1
        guard refused > Self.maxRefused else { return [.reply(reply, to: connection)] }
        over()
        return [
            .violation("the runtime was refused \(Self.maxRefused) calls between two events, and went on", wrote: "")
        ]
    }

    private mutating func take(_ bytes: ByteBuffer, _ connection: Int) -> [DialogueEvent] {
        guard let kind = upload?.kind, upload?.connection == connection else { return [] }
        upload?.size += bytes.readableBytes
        let size = upload?.size ?? 0
        switch kind {
        case .error, .failedStart:
            if size <= Self.longestError { upload?.bytes.writeImmutableBuffer(bytes) }
            return []
        case .answer:
            guard size <= longestWhole else { return tooLong(connection) }
            upload?.bytes.writeImmutableBuffer(bytes)
            upload?.reader.read(bytes)
            return []
        case .streamed:
            guard size <= longestStreamed else { return tooLong(connection) }
            return [.part(.body(bytes))]
        }
    }

    private var longestWhole: Int { min(longestResult, Manifest.longestWhole.bytes) }

    /// Where nobody takes the parts they are held until all have come, as any answer is.
    private var longestStreamed: Int { if case .busy(_, _, true) = state { longestResult } else { longestWhole } }

    private mutating func tooLong(_ connection: Int) -> [DialogueEvent] {
        over()
        return [.reply(.tooLarge, to: connection), .tooLong]
    }

    private mutating func over() {
        state = .over
        upload = nil
    }

    private mutating func end(_ connection: Int, _ failure: (type: String, body: String)?) -> [DialogueEvent] {
        guard let ended = upload, ended.connection == connection else { return [] }
        upload = nil
        let taken = DialogueEvent.reply(.accepted, to: connection)
        if case .failedStart(let type) = ended.kind {
            over()
            return [taken, .failedStart(Self.error(ended.bytes, type))]
        }
        guard case .busy(let id, _, _) = state else { return [] }  // not reached: it began while that was so
        state = .answered(id: id)
        switch ended.kind {
        case .error(let type): return [taken, .error(Self.error(ended.bytes, type))]
        case .answer, .streamed:
            if let failure { return [taken, .error(Self.error(ByteBuffer(string: failure.body), failure.type))] }
            guard ended.kind == .answer else { return [taken, .result(ByteBuffer(), .bytes)] }
            var reader = ended.reader
            return [taken, .result(ended.bytes, reader.finish())]
        case .failedStart: return []  // not reached: see above
        }
    }

    private mutating func hungUp(_ connection: Int) -> [DialogueEvent] {
        if state == .waiting(connection) {
            over()
            return [.violation("the runtime hung up where it should wait for its next event", wrote: "")]
        }
        guard let broken = upload, broken.connection == connection else { return [] }
        upload = nil
        // Of one that is held nobody has seen anything: it may be sent again.
        guard broken.kind == .streamed, broken.size > 0 else { return [] }
        over()
        return [.violation("the runtime hung up in the middle of its answer", wrote: "")]
    }

    /// As Lambda's own runtimes write it; of what is none, the type alone is known.
    private static func error(_ body: ByteBuffer, _ type: String?) -> Failure.HandlerError {
        body.withUnsafeReadableBytes { Failure.HandlerError(lambda: $0, type: type) }
    }

    // MARK: - The event

    private static func event(_ request: DialogueRequest) -> RuntimeReply {
        var reply = RuntimeReply(status: 200, body: request.event)
        func add(_ name: String, _ value: String) { reply.headers.append(.init(name: name, value: value)) }
        add("Content-Type", "application/json")
        add("Lambda-Runtime-Aws-Request-Id", request.invocationID)
        add("Lambda-Runtime-Deadline-Ms", "\(request.deadline)")
        add("Lambda-Runtime-Invoked-Function-Arn", request.arn)
        if let trace = request.traceparent.flatMap(trace) { add("Lambda-Runtime-Trace-Id", trace) }
        if let client = request.lambda?.clientContext { add("Lambda-Runtime-Client-Context", line(client)) }
        return reply
    }

    /// A trace's id as AWS X-Ray writes it.
    private static func trace(_ traceparent: String) -> String? {
        guard let caller = TraceParent(traceparent) else { return nil }
        let (epoch, rest) = (caller.traceID.prefix(8), caller.traceID.suffix(24))
        return "Root=1-\(epoch)-\(rest);Parent=\(caller.spanID);Sampled=\(caller.isSampled ? 1 : 0)"
    }

    /// Sound JSON as one line: line ends are white space there, and within a text they cannot be. What is no ASCII is written as JSON
    /// may write it.
    private static func line(_ json: String) -> String {
        var line = ""
        for unit in json.utf16 {
            switch unit {
            case 0..<0x20: line += " "
            case 0x20..<0x7F: line.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
            default:
                let digits = String(unit, radix: 16)
                line += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            }
        }
        return line
    }
}
