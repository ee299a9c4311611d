import FunctionModel
package import NIOCore

/// What a command's stdout is, decided once, at its edge.
package enum ResultKind: String, Sendable {
    case json = "application/json"
    case text = "text/plain; charset=utf-8"
    case bytes = "application/octet-stream"

    package init(of output: ByteBuffer) {
        self = output.withUnsafeReadableBytes { bytes in
            if JSONText.problem(in: bytes) == nil { return .json }
            return isUTF8(bytes) ? .text : .bytes
        }
    }
}
