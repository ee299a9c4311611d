import Dialogues
import FunctionModel
import NIOCore
import WireText

private let longest = 4096

/// What a reactor writes, in pieces as the first byte says: the host must stay in step with it or break off, for good.
@Sendable func fuzzProtocol(_ input: UnsafeRawBufferPointer) {
    guard let first = input.first else { return }
    var dialogue = JSONRPCDialogue(longestResult: longest, firstID: 1)
    var chunked: Int?
    var asked = 0, answered = 0, isReady = false, isBroken = false
    var rest = ByteBuffer(bytes: input.dropFirst())
    let piece = Int(first) % 64 + 1
    while let bytes = rest.readSlice(length: min(piece, rest.readableBytes)), bytes.readableBytes > 0 {
        if dialogue.isIdle, first >= 128 {
            require(dialogue.begin(request("{\"a\":\n1}")) != nil, "idle, not asked")
            asked += 1
        }
        for event in dialogue.receive(bytes) {
            require(!isBroken, "an event after the protocol was broken")
            switch event {
            case .ready:
                require(!isReady, "ready twice")
                isReady = true
            case .result(let body, _):
                answered += 1
                require(isReady && body.readableBytes <= longest + 256, "an answer that is longer than allowed")
                if chunked != nil {
                    require(body.readableBytes == 0, "a result beside chunks")
                    chunked = nil
                    continue
                }
                let problem = body.withUnsafeReadableBytes { JSONText.problem(in: $0) }
                require(problem == nil, "an answer that is not JSON: \(problem ?? "")")
                require(!body.readableBytesView.contains(UInt8(ascii: "\n")), "an answer with a line end in it")
            case .part(let part):
                if case .body(let bytes) = part { chunked = (chunked ?? 0) + bytes.readableBytes }
                require(answered < asked, "a part that nobody asked for")
                require(chunked ?? 0 <= longest, "parts that are longer than allowed")
            case .error(let error):
                answered += 1
                chunked = nil
                require(error.message.count <= 8192 && error.stackTrace.count <= 64, "an error without bounds")
            case .tooLong, .violation: isBroken = true
            case .asksAgain, .failedStart, .reply: require(false, "an event of another protocol")
            }
        }
        require(answered <= asked, "an answer that nobody asked for")
        require(!isBroken || !dialogue.isIdle, "idle after it was broken")
    }
}

/// What a client of the Runtime API does: three bytes a step, on three connections, with bodies out of what is left. One answer for
/// each event, whatever is done in whatever order, and as many replies as there were questions.
@Sendable func fuzzRuntime(_ input: UnsafeRawBufferPointer) {
    var dialogue = RuntimeAPIDialogue(longestResult: longest)
    var asked = 0, answered = 0, streamed = 0, isReady = false, isOver = false
    var rest = ByteBuffer(bytes: input)
    while let step = rest.readBytes(length: 3) {
        if dialogue.isIdle, step[0] >= 128 {
            require(dialogue.begin(request("{}", id: "i\(asked)")) != nil, "idle, not asked")
            (asked, streamed) = (asked + 1, 0)
        }
        // The id that is asked for, the one before, and one that never was.
        let id = ["i\(asked - 1)", "i\(asked - 2)", ""][Int(step[1] % 3)]
        let act: RuntimeCall.Act =
            switch step[0] % 8 {
            case 0: .next
            case 1: .answer(id: id, isStreamed: step[1] >= 128)
            case 2:
                .error(id: step[1] >= 200 ? nil : id, type: step[1] % 2 == 0 ? nil : String(repeating: "é", count: 999))
            case 3, 4: .body(rest.readSlice(length: min(Int(step[1]) * 32, rest.readableBytes)) ?? ByteBuffer())
            case 5: .end(failure: step[1] >= 200 ? ("T", String(buffer: rest)) : nil)
            case 6: step[1] >= 128 ? .unsent : .hungUp
            default: .unknown
            }
        for event in dialogue.receive(RuntimeCall(act, on: Int(step[2] % 3))) {
            require(!isOver, "an event after its end")
            switch event {
            case .ready:
                require(!isReady, "ready twice")
                isReady = true
            case .asksAgain: require(answered == asked && dialogue.isIdle, "asks again before it has answered")
            case .result(let body, _):
                answered += 1
                require(body.readableBytes <= longest, "an answer that is longer than allowed")
            case .error(let error):
                answered += 1
                require(error.message.utf8.count <= 8192 * 3 && error.stackTrace.count <= 64, "an error without bounds")
            case .part(.body(let bytes)):
                streamed += bytes.readableBytes
                require(answered < asked && streamed <= longest, "parts that nobody asked for, or too long")
            case .part(.head): require(false, "a head of its own")
            case .reply: break
            case .failedStart, .tooLong, .violation: isOver = true
            }
        }
        require(answered <= asked, "an answer that nobody asked for")
        require(!isOver || !dialogue.isIdle, "idle after its end")
    }
}

/// What a worker writes to its log: bounded, and in lines.
@Sendable func fuzzLog(_ input: UnsafeRawBufferPointer) {
    guard let first = input.first else { return }
    let limit = 512
    var log = LogLines(limit: limit)
    var lines: [String] = []
    var rest = ByteBuffer(bytes: input.dropFirst())
    while let bytes = rest.readSlice(length: min(Int(first) % 64 + 1, rest.readableBytes)), bytes.readableBytes > 0 {
        lines += log.receive(bytes)
    }
    lines += log.finish().lines
    require(lines.reduce(0) { $0 + $1.unicodeScalars.count } <= limit + 256, "more log than allowed")
    for line in lines { require(!line.utf8.contains(UInt8(ascii: "\n")), "two lines in one") }
}

private func request(_ event: String, id: String = "i") -> DialogueRequest {
    DialogueRequest(
        event: ByteBuffer(string: event), invocationID: id, function: "f", version: 1, deadline: 5, memoryLimit: 128,
        traceparent: nil)
}
