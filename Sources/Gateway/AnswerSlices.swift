import NIOCore

/// An answer's bytes as they are to be written, each slice once the one before has gone out: copies, made one at a time, so that what
/// they are of can be let go; and at the end nothing more, which waits as any other until the connection takes something again.
struct AnswerSlices: Sequence, IteratorProtocol {
    private static let length = 64 << 10

    private var rest: ByteBuffer
    private var isOver: Bool

    init(_ bytes: ByteBuffer) {
        rest = bytes
        isOver = bytes.readableBytes == 0
    }

    mutating func next() -> ByteBuffer? {
        guard !isOver else { return nil }
        guard rest.readableBytes > 0, let slice = rest.readSlice(length: Swift.min(rest.readableBytes, Self.length))
        else {
            isOver = true
            return ByteBuffer()
        }
        return ByteBuffer(bytes: slice.readableBytesView)
    }
}
