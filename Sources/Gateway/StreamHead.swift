import FunctionModel
import HTTPTypes
package import NIOCore

/// Finds what a command's streamed stdout begins with: as in Lambda's response streaming, an object with `statusCode`, `headers` and
/// `cookies` and eight NUL bytes after it, or the body at once. Looked for only as long as what has come can still be one, so that
/// lines of JSON do not wait for each other.
package struct StreamHead {
    package enum Found: Equatable {
        case unfinished
        case head(ByteBuffer, rest: ByteBuffer)
        case body(ByteBuffer)
    }

    private var held = ByteBuffer()
    private var looked = 0
    private var depth = 0
    private var isInString = false, isEscaped = false
    /// Where the object ends.
    private var end: Int?

    package static let longest = 128 << 10
    private static let marks = 8

    package init() {}

    package mutating func take(_ bytes: ByteBuffer) -> Found {
        held.writeImmutableBuffer(bytes)
        let view = held.readableBytesView
        guard let first = view.first else { return .unfinished }
        guard first == UInt8(ascii: "{") else { return giveUp() }
        while end == nil, looked < view.count {
            look(at: view[view.index(view.startIndex, offsetBy: looked)])
            looked += 1
        }
        guard let end else { return view.count > Self.longest ? giveUp() : .unfinished }
        let marks = view.dropFirst(end).prefix(Self.marks)
        guard marks.allSatisfy({ $0 == 0 }) else { return giveUp() }
        guard marks.count == Self.marks else { return .unfinished }
        var rest = held
        let head = rest.readSlice(length: end) ?? ByteBuffer()
        rest.moveReaderIndex(forwardBy: Self.marks)
        return .head(head, rest: rest)
    }

    /// Nothing more comes.
    package mutating func finish() -> ByteBuffer { held }

    private func giveUp() -> Found { .body(held) }

    private mutating func look(at byte: UInt8) {
        if isInString {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInString = false
            }
            return
        }
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            depth -= 1
            if depth == 0 { end = looked + 1 }
        default: break
        }
    }
}
