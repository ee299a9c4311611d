import Foundation
import NIOCore

/// Base64 of any length, piece by piece: a function's code stands in memory once.
enum Base64Pieces {
    /// In letters; four make three bytes.
    private static let step = 256 << 10

    /// - Parameter letters: what stands in a JSON string; an encoder may have broken lines, and escaped slashes.
    /// - Throws: `LambdaError`, or what `take` throws.
    static func decode(_ letters: ByteBuffer, _ take: (Data) throws -> Void) throws {
        var rest = letters, held: [UInt8] = [], isOver = false
        while let piece = rest.readBytes(length: min(rest.readableBytes, step)), !piece.isEmpty {
            held += piece.filter { ![0x0A, 0x0D, 0x20, 0x09, UInt8(ascii: "\\")].contains($0) }
            let whole = rest.readableBytes == 0 ? held.count : held.count / 4 * 4
            guard whole > 0 else { continue }
            // Padding ends it.
            guard !isOver, let bytes = Data(base64Encoded: Data(held.prefix(whole))) else { throw LambdaError.noZip }
            isOver = held[whole - 1] == UInt8(ascii: "=")
            held.removeFirst(whole)
            try take(bytes)
        }
    }
}
