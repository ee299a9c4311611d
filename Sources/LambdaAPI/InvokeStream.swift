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
        case parts(first: ResponsePart?)
        case ending(LambdaValue)
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
        state = Mutex(.parts(first: first))
    }

    deinit { stream.end() }

    /// For one reader.
    func next() async -> ByteBuffer? {
        let now = state.withLock { state in
            defer {
                switch state {
                case .parts: state = .parts(first: nil)
                case .ending, .over: state = .over
                }
            }
            return state
        }
        switch now {
        case .over: return nil
        case .ending(let document): return EventStreamMessage.complete(document.encoded)
        case .parts(let first):
            var part = first
            if part == nil { part = await stream.next() }
            while let taken = part {
                // The client has taken it when it asks for the next one; two pieces at most are here.
                stream.took(taken.size)
                if case .body(let bytes) = taken, bytes.readableBytes > 0 { return EventStreamMessage.chunk(bytes) }
                part = await stream.next()
            }
            let (completion, document) = await end()
            state.withLock { $0 = .ending(document) }
            guard !stream.hasBegun, case .success(let output) = completion.result, output.body.readableBytes > 0 else {
                return await next()
            }
            return EventStreamMessage.chunk(output.body)
        }
    }
}
