package import NIOCore
import WireText

/// What a command's stdout is, decided once, at its edge.
package enum ResultKind: String, Sendable, Codable {
    case json = "application/json"
    case text = "text/plain; charset=utf-8"
    case bytes = "application/octet-stream"

    /// Finds it out as the bytes come, so that nothing is left to be done at the end.
    package struct Reader: Sendable {
        private var json = JSONScanner()
        private var text = UTF8Scanner()

        package init() {}

        package mutating func read(_ bytes: ByteBuffer) {
            bytes.withUnsafeReadableBytes {
                json.read($0)
                text.read($0)
            }
        }

        /// The bytes are complete.
        package mutating func finish() -> ResultKind {
            guard text.isValid else { return .bytes }
            return json.finish() == nil ? .json : .text
        }
    }

    package init(of output: ByteBuffer) {
        var reader = Reader()
        reader.read(output)
        self = reader.finish()
    }
}

/// Who wrote a line of a function's log: so that no function can pass its own off as the host's.
package enum LogSource: String, Sendable, Codable { case function, host }
