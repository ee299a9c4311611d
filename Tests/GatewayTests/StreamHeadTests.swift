import Gateway
import NIOCore
import Testing

@Suite struct StreamHeadTests {
    /// What is found when it comes in these pieces, and what is left over.
    private func found(_ pieces: [[UInt8]]) -> (StreamHead.Found, after: Int) {
        var head = StreamHead()
        for (number, piece) in pieces.enumerated() {
            let found = head.take(ByteBuffer(bytes: piece))
            if found != .unfinished { return (found, number) }
        }
        return (.body(head.finish()), pieces.count)
    }

    @Test func aHeadInAnySplit() {
        let json = #"{"a":"}\"{","b":[{}]}"#
        let bytes = Array(json.utf8) + [UInt8](repeating: 0, count: 8) + [1, 0, 2]
        for cut in 0...bytes.count {
            var (head, rest) = (ByteBuffer(), [UInt8]())
            guard
                case (.head(let found, rest: let more), let after) = found([Array(bytes[..<cut]), Array(bytes[cut...])])
            else {
                Issue.record("none at \(cut)")
                continue
            }
            head = found
            rest = Array(more.readableBytesView) + (after == 0 ? Array(bytes[cut...]) : [])
            #expect(String(buffer: head) == json && rest == [1, 0, 2])
        }
    }

    @Test(arguments: [
        "hello", "[1]", " {}", "{}\n{}", "{\"a\":1}\0\0\0\0\0\0\0x", "\0\0\0\0\0\0\0\0",
    ])
    func whatIsNoneGoesOnAtOnce(text: String) {
        let (result, after) = found([Array(text.utf8), [1]])
        #expect(result == .body(ByteBuffer(string: text)) && after == 0)
    }

    @Test func whatNeverEndsIsNone() {
        let piece = [UInt8](repeating: UInt8(ascii: "{"), count: 1000)
        let (result, after) = found(Array(repeating: piece, count: 1000))
        guard case .body(let bytes) = result else {
            Issue.record("it is one")
            return
        }
        #expect(after == StreamHead.longest / 1000 && bytes.readableBytes == (after + 1) * 1000)
    }

    @Test func itsBeginningIsNotLost() {
        #expect(found([Array("{\"a\"".utf8)]).0 == .body(ByteBuffer(string: "{\"a\"")))
        #expect(found([]).0 == .body(ByteBuffer()))
    }
}
