import Dialogues
import FunctionModel
import NIOCore
import Testing

@Suite struct DialogueTests {
    private let ready = #"{"jsonrpc":"2.0","method":"ready"}"# + "\n"

    private func started(limit: Int = 1000) -> JSONRPCDialogue {
        var dialogue = JSONRPCDialogue(longestResult: limit, firstID: 1)
        #expect(dialogue.receive(ByteBuffer(string: ready)) == [.ready])
        return dialogue
    }

    private func asked(limit: Int = 1000) -> JSONRPCDialogue {
        var dialogue = started(limit: limit)
        #expect(dialogue.begin(request("{}")) != nil)
        return dialogue
    }

    private func isViolation(_ events: [DialogueEvent]) -> Bool {
        if events.count == 1, case .violation = events[0] { return true }
        return false
    }

    @Test func asksInOneLine() {
        var dialogue = started()
        let line = dialogue.begin(request("{\r\n\"a\":\n1}"))?.bytes
        #expect(
            line.map { String(buffer: $0) }
                == #"{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"event":{  "a": 1},"context":{"invocationId":"i","function":"f","version":1,"deadlineMs":5,"memoryLimitMiB":128,"traceparent":null}}}"#
                + "\n"
        )
    }

    /// However the bytes are cut, the events are the same.
    @Test func anySplitGivesTheSame() {
        let text = Array(#"{"jsonrpc":"2.0","id":1,"result":{"a":"\n"}}"#.utf8) + [0x0A]
        for cut in 0...text.count {
            var dialogue = asked()
            var events = dialogue.receive(ByteBuffer(bytes: text[..<cut]))
            events += dialogue.receive(ByteBuffer(bytes: text[cut...]))
            #expect(events == [.result(ByteBuffer(string: #"{"a":"\n"}"#), .json)])
            #expect(dialogue.isIdle)
        }
    }

    /// However chunks are cut, their bytes are the same; what came together goes on together.
    @Test func chunksInAnySplit() {
        let text = Array(
            (#"{"jsonrpc":"2.0","method":"chunk","params":{"id":1,"head":{"a":1},"data":"ab\n"}}"# + "\n"
                + #"{"jsonrpc":"2.0","method":"chunk","params":{"data":"/w==","isBase64Encoded":true,"id":1}}"# + "\n"
                + #"{"jsonrpc":"2.0","id":1,"result":null}"# + "\n").utf8)
        for cut in 0...text.count {
            var dialogue = asked()
            let events =
                dialogue.receive(ByteBuffer(bytes: text[..<cut])) + dialogue.receive(ByteBuffer(bytes: text[cut...]))
            #expect(events.first == .part(.head(ByteBuffer(string: #"{"a":1}"#))))
            #expect(events.last == .result(ByteBuffer(), .bytes))
            var bytes = ByteBuffer()
            for case .part(.body(let more)) in events { bytes.writeImmutableBuffer(more) }
            #expect(bytes == ByteBuffer(bytes: [0x61, 0x62, 0x0A, 0xFF]))
            #expect(dialogue.isIdle)
        }
        var dialogue = asked()
        #expect(dialogue.receive(ByteBuffer(bytes: text)).count == 3)
    }

    @Test func chunksAreBoundedTogether() {
        func chunk(_ count: Int) -> ByteBuffer {
            let data = String(repeating: "x", count: count)
            return ByteBuffer(string: #"{"jsonrpc":"2.0","method":"chunk","params":{"id":1,"data":"\#(data)"}}"# + "\n")
        }
        var dialogue = asked(limit: 1000)
        #expect(dialogue.receive(chunk(600)).count == 1)
        #expect(dialogue.receive(chunk(400)).count == 1)
        #expect(dialogue.receive(chunk(1)) == [.tooLong])
        #expect(dialogue.receive(chunk(1)).isEmpty)
    }

    @Test(arguments: [
        #"{"jsonrpc":"2.0","method":"chunk","params":{"id":2,"data":"x"}}"#,
        #"{"jsonrpc":"2.0","method":"chunk","params":{"data":"x"}}"#, #"{"jsonrpc":"2.0","method":"chunk"}"#,
        #"{"jsonrpc":"2.0","method":"chunk","params":{"id":1,"data":1}}"#,
        #"{"jsonrpc":"2.0","method":"chunk","params":{"id":1,"head":[]}}"#,
        #"{"jsonrpc":"2.0","method":"chunk","params":{"id":1,"data":"x","isBase64Encoded":true}}"#,
        #"{"jsonrpc":"2.0","method":"ready"}"#,
    ])
    func whatIsNoChunk(line: String) {
        var dialogue = asked()
        #expect(isViolation(dialogue.receive(ByteBuffer(string: line + "\n"))))
    }

    /// What is held of a worker is charged as long as it is; behind chunks no line grows to the size of a whole answer.
    @Test func aLineBehindChunksIsNoLongerThanThey() {
        var dialogue = Dialogue(.jsonRPC, longestResult: 64 << 20)
        #expect(dialogue.receive(ByteBuffer(string: ready)) == [.ready])
        guard let line = dialogue.begin(request("{}"))?.bytes, let id = id(in: line) else {
            Issue.record("it cannot be asked")
            return
        }
        let chunk = #"{"jsonrpc":"2.0","method":"chunk","params":{"id":\#(id),"data":"x"}}"# + "\n"
        #expect(dialogue.receive(ByteBuffer(string: chunk + "{\"jsonrpc\"")).count == 1)
        #expect(dialogue.held == 10)
        let part = ByteBuffer(repeating: 0x20, count: 1 << 20)
        #expect(dialogue.receive(part).isEmpty && dialogue.held == 10 + (1 << 20))
        #expect(dialogue.receive(part) == [.tooLong] || dialogue.receive(part) == [.tooLong])
        #expect(dialogue.held == 0)
    }

    private func id(in line: ByteBuffer) -> String? {
        String(buffer: line).split(separator: "\"id\":").last?.split(separator: ",").first.map(String.init)
    }

    @Test func chunksEndWithNull() {
        var dialogue = asked()
        let chunk = #"{"jsonrpc":"2.0","method":"chunk","params":{"id":1}}"# + "\n"
        #expect(dialogue.receive(ByteBuffer(string: chunk)) == [.part(.body(ByteBuffer()))])
        #expect(isViolation(dialogue.receive(ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"result":{}}"# + "\n"))))
    }

    /// A trace of megabytes is not decoded to keep 64 lines of it, and what is kept is the same wherever it stands.
    @Test func looksAtTheBeginningOfALongError() {
        let frame = #""\#(String(repeating: "x", count: 2000))""#
        let trace = Array(repeating: frame, count: 10_000).joined(separator: ",")
        for error in [
            #"{"code":1,"message":"m","data":{"type":"T","stackTrace":[\#(trace)]}}"#,
            #"{"data":{"other":[{"a":[1,"]"]}],"type":"T","stackTrace":[\#(trace)]},"message":"m","code":1}"#,
        ] {
            var dialogue = asked(limit: 64 << 20)
            let events = dialogue.receive(ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"error":\#(error)}"# + "\n"))
            guard case .error(let told)? = events.first else {
                Issue.record("no error but \(events.count) events")
                continue
            }
            #expect(told.type == "T")
            #expect(told.stackTrace.count == 64)
            #expect(told.stackTrace.first?.count == 1024)
            #expect(
                told.message
                    == (error.hasPrefix(#"{"code""#)
                        ? "m" : "(the error's message stands behind more than 256 KiB of other things)"))
        }
    }

    /// Python writes half a pair as it finds it: sound JSON, and no reason to end the worker.
    @Test func tellsErrorsOfAnyText() {
        for (message, told) in [
            (#"\ud800"#, "\u{FFFD}"), (String(repeating: "ü", count: 40_000), String(repeating: "ü", count: 4096)),
        ] {
            var dialogue = asked(limit: 1 << 20)
            let answer = #"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"\#(message)"}}"# + "\n"
            #expect(
                dialogue.receive(ByteBuffer(string: answer)) == [
                    .error(.init(type: "Error", message: told, stackTrace: []))
                ])
        }
    }

    @Test func tellsErrors() {
        var dialogue = asked()
        let answer =
            #"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"m","data":{"type":"T","stackTrace":["s"]}}}"#
        #expect(
            dialogue.receive(ByteBuffer(string: answer + "\n")) == [
                .error(.init(type: "T", message: "m", stackTrace: ["s"]))
            ])
        #expect(dialogue.isIdle)
    }

    @Test(arguments: [
        "hello\n", "{}\n", #"{"jsonrpc":"2.0","id":2,"result":1}"# + "\n",
        #"{"jsonrpc":"2.0","id":"1","result":1}"# + "\n",
        #"{"jsonrpc":"2.0","id":1}"# + "\n",
        #"{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":"m"}}"# + "\n",
        #"{"jsonrpc":"2.0","id":1,"error":"x"}"# + "\n", #"{"jsonrpc":"2.0","method":"ready"}"# + "\n", "\n", "\0\n",
        #"{"jsonrpc":"2.0","id":1,"id":1,"result":1}"# + "\n",
        #"{"jsonrpc":"2.0","id":1,"result":1}"# + "\n" + #"{"jsonrpc":"2.0","id":1,"result":2}"# + "\n",
        #"{"jsonrpc":"2.0","id":1,"result":1}"# + "\nhalf a line",
    ])
    func refuses(_ text: String) {
        var dialogue = asked()
        #expect(isViolation(dialogue.receive(ByteBuffer(string: text))))
        #expect(!dialogue.isIdle)
        #expect(dialogue.receive(ByteBuffer(string: ready)).isEmpty, "nothing is read of a broken worker")
        #expect(dialogue.begin(request("1")) == nil)
    }

    /// Once crashed the host: ready twice in one write left an exchange that was asked while broken.
    @Test func readyTwiceIsAViolation() {
        var dialogue = JSONRPCDialogue(longestResult: 1000, firstID: 1)
        #expect(isViolation(dialogue.receive(ByteBuffer(string: ready + ready))))
        #expect(dialogue.begin(request("1")) == nil)
    }

    @Test func anAnswerBeforeItsRequestIsAViolation() {
        var dialogue = started()
        #expect(isViolation(dialogue.receive(ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"result":1}"# + "\n"))))
    }

    @Test func endlessLinesAreCut() {
        var dialogue = asked(limit: 100)
        #expect(dialogue.receive(ByteBuffer(repeating: 0x61, count: 10_000)) == [.tooLong])
    }
}

@Suite struct LogLinesTests {
    @Test func cutsLinesAndSaysWhatItDrops() {
        var log = LogLines(limit: 80)
        #expect(log.receive(ByteBuffer(string: "abcdefg\nhi")) == ["abcdefg"])
        #expect(log.receive(ByteBuffer(string: "jklmn\n12345678")) == ["hijklmn"])
        let rest = log.finish()
        #expect(rest.lines == ["12345678"])
        #expect(rest.dropped == nil)
        #expect(log.receive(ByteBuffer(string: "the next\n")) == ["the next"])
    }

    /// Each line costs the host something, also one without a byte in it.
    @Test func newlinesAloneAreSoonDropped() {
        var log = LogLines(limit: 8000)
        let lines = log.receive(ByteBuffer(repeating: UInt8(ascii: "\n"), count: 8000))
        #expect(lines.count == 250)
        #expect(log.finish().dropped == "7750 bytes of log dropped; limits.log is 8000 bytes")
    }

    /// What one invocation left without a line's end does not begin the next one's line.
    @Test func halfALineIsOneOfItsOwn() {
        var log = LogLines(limit: 1000)
        #expect(log.receive(ByteBuffer(string: "half")) == [])
        #expect(log.breakLine() == ["half"])
        #expect(log.receive(ByteBuffer(string: "whole\n")) == ["whole"])
        #expect(log.tail == "halfwhole\n")
        #expect(log.finish().lines == [])
        #expect(log.tail == "")
    }

    @Test func aLineWithoutEndIsCut() {
        var log = LogLines(limit: 1 << 20)
        #expect(log.receive(ByteBuffer(repeating: 0x61, count: 40_000)).map(\.count) == [16_384, 16_384])
    }
}

private func request(_ event: String) -> DialogueRequest {
    DialogueRequest(
        event: ByteBuffer(string: event), invocationID: "i", function: "f", version: 1, deadline: 5, memoryLimit: 128,
        traceparent: nil)
}
