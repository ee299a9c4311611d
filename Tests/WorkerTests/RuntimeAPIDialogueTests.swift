import Dialogues
import FunctionModel
import NIOCore
import Testing

@Suite struct RuntimeAPIDialogueTests {
    private func request(
        _ id: String = "id-1", trace: String? = nil, client: String? = nil, streams: Bool = false
    ) -> DialogueRequest {
        DialogueRequest(
            event: ByteBuffer(string: "{}"), invocationID: id, function: "f", version: 1, deadline: 5, memoryLimit: 128,
            traceparent: trace, lambda: client.map { LambdaAsking(arn: "arn", version: "1", clientContext: $0) },
            arn: "arn:f", streams: streams)
    }

    /// One that waits on connection 1.
    private func waiting(limit: Int = 1000) -> RuntimeAPIDialogue {
        var dialogue = RuntimeAPIDialogue(longestResult: limit)
        #expect(dialogue.receive(RuntimeCall(.next, on: 1)) == [.ready])
        #expect(dialogue.isIdle)
        return dialogue
    }

    private func busy(limit: Int = 1000) -> RuntimeAPIDialogue {
        var dialogue = waiting(limit: limit)
        #expect(dialogue.begin(request()) != nil)
        return dialogue
    }

    private func status(_ events: [DialogueEvent]) -> Int? {
        for case .reply(let reply, _) in events { return reply.status }
        return nil
    }

    private func isViolation(_ events: [DialogueEvent]) -> Bool {
        if events.count == 1, case .violation = events[0] { return true }
        return false
    }

    private func answer(
        _ dialogue: inout RuntimeAPIDialogue, _ id: String, _ body: String, on connection: Int = 1
    ) -> [DialogueEvent] {
        dialogue.receive(RuntimeCall(.answer(id: id, isStreamed: false), on: connection))
            + dialogue.receive(RuntimeCall(.body(ByteBuffer(string: body)), on: connection))
            + dialogue.receive(RuntimeCall(.end(failure: nil), on: connection))
    }

    @Test func theEventGoesToWhoHasAsked() {
        var dialogue = waiting()
        let trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
        let client = "{\"a\":\r\n\"\u{e9}\u{1F600}\"}"
        guard case .reply(let reply, 1)? = dialogue.begin(request(trace: trace, client: client)) else {
            Issue.record("not to the connection that asked")
            return
        }
        let headers = Dictionary(uniqueKeysWithValues: reply.headers.map { ($0.name, $0.value) })
        #expect(
            headers == [
                "Content-Type": "application/json", "Lambda-Runtime-Aws-Request-Id": "id-1",
                "Lambda-Runtime-Deadline-Ms": "5", "Lambda-Runtime-Invoked-Function-Arn": "arn:f",
                "Lambda-Runtime-Trace-Id": "Root=1-01234567-89abcdef0123456789abcdef;Parent=0123456789abcdef;Sampled=1",
                "Lambda-Runtime-Client-Context": #"{"a":  "\u00e9\ud83d\ude00"}"#,
            ])
        #expect(String(buffer: reply.body) == "{}")
        #expect(!dialogue.isIdle)
        #expect(dialogue.begin(request("id-2")) == nil)
    }

    @Test func oneAnswerAndTheNext() {
        var dialogue = busy()
        let events = answer(&dialogue, "id-1", #"{"a":1}"#)
        #expect(status(events) == 202)
        #expect(events.last == .result(ByteBuffer(string: #"{"a":1}"#), .json))
        #expect(!dialogue.isIdle, "it has not asked again")
        #expect(dialogue.receive(RuntimeCall(.next, on: 2)) == [.asksAgain])
        #expect(dialogue.isIdle)
        guard case .reply(_, 2)? = dialogue.begin(request("id-2")) else {
            Issue.record("not to the connection that asked")
            return
        }
        #expect(answer(&dialogue, "id-2", "plain \u{e9}").last == .result(ByteBuffer(string: "plain \u{e9}"), .text))
    }

    @Test func outOfTurn() {
        var dialogue = RuntimeAPIDialogue(longestResult: 1000)
        #expect(status(answer(&dialogue, "id-1", "1")) == 400, "before it was asked")
        #expect(status(dialogue.receive(RuntimeCall(.unknown, on: 1))) == 404)
        #expect(dialogue.receive(RuntimeCall(.next, on: 1)) == [.ready])
        #expect(status(dialogue.receive(RuntimeCall(.next, on: 2))) == 403, "two ask")
        #expect(dialogue.begin(request()) != nil)
        #expect(status(dialogue.receive(RuntimeCall(.next, on: 2))) == 403, "while it has an event")
        #expect(status(answer(&dialogue, "id-2", "1")) == 400, "another's id")
        #expect(dialogue.receive(RuntimeCall(.answer(id: "id-1", isStreamed: false), on: 1)).isEmpty)
        #expect(status(answer(&dialogue, "id-1", "2", on: 2)) == 403, "while another answers")
        #expect(dialogue.receive(RuntimeCall(.end(failure: nil), on: 1)).last == .result(ByteBuffer(), .text))
        #expect(status(answer(&dialogue, "id-1", "1")) == 403, "twice")
        #expect(
            status(dialogue.receive(RuntimeCall(.error(id: nil, type: nil), on: 1))) == 403, "an init error too late")
        #expect(dialogue.receive(RuntimeCall(.end(failure: nil), on: 1)).isEmpty, "it was answered")
        #expect(dialogue.receive(RuntimeCall(.next, on: 1)) == [.asksAgain])
    }

    @Test func errors() {
        let trace = (0..<100).map { "\"line \($0)\"" }.joined(separator: ",")
        let body = #"{"errorMessage":"no","errorType":"E","stackTrace":[\#(trace)],"x":{"errorType":"F"}}"#
        for (text, type, message) in [(body, "E", "no"), ("not JSON", "Fallback", ""), ("[1]", "Fallback", "")] {
            var dialogue = busy()
            #expect(dialogue.receive(RuntimeCall(.error(id: "id-1", type: "Fallback"), on: 1)).isEmpty)
            _ = dialogue.receive(RuntimeCall(.body(ByteBuffer(string: text)), on: 1))
            guard case .error(let error)? = dialogue.receive(RuntimeCall(.end(failure: nil), on: 1)).last else {
                Issue.record("no error of \(text)")
                continue
            }
            #expect(error.type == type && error.message == message && error.stackTrace.count <= 64)
            #expect(dialogue.receive(RuntimeCall(.next, on: 1)) == [.asksAgain])
        }
    }

    @Test func aFailedStart() {
        var dialogue = RuntimeAPIDialogue(longestResult: 1000)
        _ = dialogue.receive(RuntimeCall(.error(id: nil, type: "Runtime.NoSuchHandler"), on: 1))
        let events = dialogue.receive(RuntimeCall(.end(failure: nil), on: 1))
        guard case .failedStart(let error)? = events.last else {
            Issue.record("\(events)")
            return
        }
        #expect(error.type == "Runtime.NoSuchHandler" && status(events) == 202)
        #expect(dialogue.receive(RuntimeCall(.next, on: 1)).isEmpty)
    }

    @Test func tooLong() {
        var held = busy(limit: 4)
        #expect(answer(&held, "id-1", "1234").last == .result(ByteBuffer(string: "1234"), .json))
        held = busy(limit: 4)
        let events = answer(&held, "id-1", "12345")
        #expect(status(events) == 413 && events.last == .tooLong)
        var streamed = busy(limit: 4)
        _ = streamed.receive(RuntimeCall(.answer(id: "id-1", isStreamed: true), on: 1))
        let part = ByteBuffer(string: "123")
        #expect(streamed.receive(RuntimeCall(.body(part), on: 1)) == [.part(.body(part))])
        #expect(streamed.receive(RuntimeCall(.body(part), on: 1)).last == .tooLong)
    }

    /// Parts that nobody takes are held, and so no more than of any answer that is.
    @Test func partsWithoutATaker() {
        let limit = Manifest.longestWhole.bytes * 2
        for streams in [false, true] {
            var dialogue = waiting(limit: limit)
            _ = dialogue.begin(request(streams: streams))
            _ = dialogue.receive(RuntimeCall(.answer(id: "id-1", isStreamed: true), on: 1))
            let half = ByteBuffer(repeating: 0, count: limit / 4)
            var taken = 0
            while case .part(.body(let bytes))? = dialogue.receive(RuntimeCall(.body(half), on: 1)).last {
                taken += bytes.readableBytes
            }
            #expect(taken == (streams ? limit : limit / 2))
        }
    }

    /// An event whose connection was gone before it was sent is nobody's; of any other connection that is no news.
    @Test func anEventThatIsNotSent() {
        var dialogue = busy()
        #expect(dialogue.receive(RuntimeCall(.unsent, on: 2)).isEmpty)
        #expect(isViolation(dialogue.receive(RuntimeCall(.unsent, on: 1))))
        var later = busy()
        _ = answer(&later, "id-1", "1")
        #expect(later.receive(RuntimeCall(.unsent, on: 1)).isEmpty, "it had it, for it has answered")
    }

    /// Refusals are work of the host's, and have an end; each event begins anew.
    @Test func whoIsRefusedOnAndOn() {
        var dialogue = waiting()
        for _ in 0..<3 {
            _ = dialogue.begin(request())
            for _ in 0..<1000 { #expect(status(dialogue.receive(RuntimeCall(.unknown, on: 2))) == 404) }
            _ = answer(&dialogue, "id-1", "1")
            #expect(dialogue.receive(RuntimeCall(.next, on: 1)) == [.asksAgain])
        }
        #expect(isViolation(dialogue.receive(RuntimeCall(.unknown, on: 2))))
        #expect(dialogue.receive(RuntimeCall(.unknown, on: 2)).isEmpty)
    }

    @Test func anErrorBehindPartsOfAnAnswer() {
        var dialogue = busy()
        _ = dialogue.receive(RuntimeCall(.answer(id: "id-1", isStreamed: true), on: 1))
        _ = dialogue.receive(RuntimeCall(.body(ByteBuffer(string: "a")), on: 1))
        let end = dialogue.receive(RuntimeCall(.end(failure: ("T", #"{"errorMessage":"m"}"#)), on: 1))
        guard case .error(let error)? = end.last else {
            Issue.record("\(end)")
            return
        }
        #expect(error.type == "T" && error.message == "m")
    }

    @Test func hangingUp() {
        var dialogue = waiting()
        #expect(dialogue.receive(RuntimeCall(.hungUp, on: 2)).isEmpty)
        #expect(isViolation(dialogue.receive(RuntimeCall(.hungUp, on: 1))))
        #expect(dialogue.receive(RuntimeCall(.next, on: 3)).isEmpty)
        #expect(!dialogue.isIdle)

        // In the middle of an answer that nobody has seen: it may come again.
        dialogue = busy()
        _ = dialogue.receive(RuntimeCall(.answer(id: "id-1", isStreamed: false), on: 2))
        _ = dialogue.receive(RuntimeCall(.body(ByteBuffer(string: "x")), on: 2))
        #expect(dialogue.receive(RuntimeCall(.hungUp, on: 2)).isEmpty)
        #expect(answer(&dialogue, "id-1", "1", on: 3).last == .result(ByteBuffer(string: "1"), .json))

        dialogue = busy()
        _ = dialogue.receive(RuntimeCall(.answer(id: "id-1", isStreamed: true), on: 2))
        _ = dialogue.receive(RuntimeCall(.body(ByteBuffer(string: "x")), on: 2))
        #expect(isViolation(dialogue.receive(RuntimeCall(.hungUp, on: 2))))
    }
}
