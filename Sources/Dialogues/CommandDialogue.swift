import FunctionModel
package import NIOCore

/// The host's side of a command's life: stdin is the event, all of stdout is the result, once.
package struct CommandDialogue: Sendable {
    private enum State {
        /// It has had no event yet.
        case waiting
        case answering
        /// So much has gone on as it came.
        case streaming(Int)
        /// Nothing more is read of it.
        case over
    }

    private var state = State.waiting
    private var output = ByteBuffer()
    /// What the output is, as far as it has come.
    private var kind = ResultKind.Reader()
    private let longestResult: Int

    /// - Parameter longestResult: in bytes.
    package init(longestResult: Int) { self.longestResult = longestResult }

    package var isIdle: Bool { if case .waiting = state { true } else { false } }

    var held: Int { output.readableBytes }

    package mutating func begin(_ request: DialogueRequest) -> DialogueOpening? {
        guard isIdle else { return nil }
        state = request.streams ? .streaming(0) : .answering
        return .input(request.event, isLast: true)
    }

    package mutating func receive(_ bytes: ByteBuffer) -> [DialogueEvent] {
        switch state {
        case .waiting:
            // What it computed without its event may be stale by the time that one comes.
            state = .over
            return [.violation("ended: it was started ahead and wrote without waiting for its event", wrote: "")]
        case .answering:
            guard output.readableBytes + bytes.readableBytes <= min(longestResult, Manifest.longestWhole.bytes) else {
                state = .over
                return [.tooLong]
            }
            output.writeImmutableBuffer(bytes)
            kind.read(bytes)
            return []
        case .streaming(let before):
            guard before + bytes.readableBytes <= longestResult else {
                state = .over
                return [.tooLong]
            }
            state = .streaming(before + bytes.readableBytes)
            return [.part(.body(bytes))]
        case .over: return []
        }
    }

    package mutating func ended() -> DialogueEvent {
        state = .over
        return .result(output, kind.finish())
    }

    func tail(_ length: Int) -> String { String(decoding: output.readableBytesView.suffix(length), as: UTF8.self) }
}
