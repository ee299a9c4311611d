import FunctionModel
import Invoker
import NIOCore
import Synchronization

extension InvokeOperation {
    /// An answer that goes out while it is made, as events of `EventStreamMessage`: parts, and how it ended.
    func invokeStreaming(_ call: LambdaCall) async throws -> LambdaAnswer {
        let kind = call.input.text("InvocationType") ?? "RequestResponse"
        let (asked, qualifier) = try await prepared(call, kind)
        if kind == "DryRun" { return LambdaAnswer(status: 204) }
        let stream = ResponseStream(charge: services.budget.charge(of: asked.version.name.text))
        var invocation = asked
        invocation.stream = stream
        let told = asked.withoutEvent
        // It goes on while the answer is written; its limits bound it, and the client's leaving ends it.
        let running = Task { [invocation, services, watching = call.request.watching] in
            let completion = await watching { cancellation in
                var invocation = invocation
                invocation.cancellation = cancellation
                return await services.invoker.invoke(invocation)
            }
            stream.finish()
            return completion
        }
        let first = await stream.next()
        stream.accept()
        // What is no function's failure is an answer of its own, as long as nothing has gone out.
        if first == nil, case .failure(let failure) = await running.value.result { _ = try document(failure, told) }
        let isTail = call.input.text("LogType") == "Tail"
        let parts = StreamedParts(stream, first: first) {
            let completion = await running.value
            return (completion, ending(of: completion, told, isTail ? tail(of: told, completion) : nil))
        }
        var answer = LambdaAnswer(status: 200, headers: [("content-type", "application/vnd.amazon.eventstream")])
        answer.headers.append(("x-amz-executed-version", qualifier ?? FunctionVersion.latestLabel))
        answer.next = { await parts.next() }
        return answer
    }

    private func ending(of completion: Completion, _ invocation: Invocation, _ tail: String?) -> LambdaValue {
        var members: [String: LambdaValue] = [:]
        if let tail { members["LogResult"] = .text(tail) }
        if case .failure(let failure) = completion.result {
            // What the host has to say of itself stands in its own words here: a status is no longer to be had.
            let document = try? document(failure, invocation)
            members["ErrorCode"] = document?["errorType"] ?? .text(failure.outcome.rawValue)
            members["ErrorDetails"] = .text(document.map { String(buffer: $0.encoded) } ?? failure.detail)
        }
        return .object(members)
    }
}

/// The events of one answer, one after another. Let go of before the end, for the client has left, the invocation ends.
private final class StreamedParts: Sendable {
    private enum State {
        /// What the client was given before, and has taken when it asks for the next.
        case parts(first: ResponsePart?, taken: Int)
        /// What is left of an answer that came as a whole.
        case whole(ByteBuffer, MemoryBudget.Charge?, LambdaValue)
        case over
    }

    private let stream: ResponseStream
    private let end: @Sendable () async -> (Completion, LambdaValue)
    private let state: Mutex<State>

    init(
        _ stream: ResponseStream, first: ResponsePart?,
        end: @escaping @Sendable () async -> (Completion, LambdaValue)
    ) {
        self.stream = stream
        self.end = end
        state = Mutex(.parts(first: first, taken: 0))
    }

    deinit { stream.end() }

    /// Of an answer that came as a whole; in bytes.
    private static let longest = 256 << 10

    /// For one reader.
    func next() async -> ByteBuffer? {
        let now = state.withLock { state in
            defer { state = .over }
            return state
        }
        switch now {
        case .over: return nil
        case .whole(var rest, let charge, let document):
            guard let slice = rest.readSlice(length: min(rest.readableBytes, Self.longest)), slice.readableBytes > 0
            else {
                return EventStreamMessage.complete(document.encoded)
            }
            state.withLock { $0 = .whole(rest, charge, document) }
            return EventStreamMessage.chunk(slice)
        case .parts(let first, let taken):
            stream.took(taken)
            var part = first
            if part == nil { part = await stream.next() }
            while let coming = part {
                let bytes: ByteBuffer
                switch coming {
                case .body(let body): bytes = body
                // As Lambda's runtimes send it: what it begins with, and eight NUL bytes.
                case .head(let head):
                    bytes = ByteBuffer(bytes: head.readableBytesView + [UInt8](repeating: 0, count: 8))
                }
                if bytes.readableBytes > 0 {
                    state.withLock { $0 = .parts(first: nil, taken: coming.size) }
                    return EventStreamMessage.chunk(bytes)
                }
                part = await stream.next()
            }
            let (completion, document) = await end()
            var whole = ByteBuffer()
            if !stream.hasBegun, case .success(let output) = completion.result { whole = output.body }
            state.withLock { $0 = .whole(whole, completion.charge, document) }
            return await next()
        }
    }
}
