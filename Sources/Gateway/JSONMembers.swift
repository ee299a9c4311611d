import Foundation
import FunctionModel
import NIOCore

/// The members of a JSON object as slices of its bytes, decoded only where one is asked for.
struct JSONMembers {
    private let bytes: ByteBuffer
    private let ranges: [String: Range<Int>]

    /// Nil when `bytes` is no JSON object.
    init?(_ bytes: ByteBuffer) {
        guard let ranges = bytes.withUnsafeReadableBytes(JSONText.members(of:)) else { return nil }
        self.bytes = bytes
        self.ranges = ranges
    }

    var names: [String] { Array(ranges.keys) }

    func has(_ name: String) -> Bool { ranges[name] != nil }

    /// The member's value as it stands.
    func bytes(_ name: String) -> ByteBuffer? {
        ranges[name].flatMap { bytes.getSlice(at: bytes.readerIndex + $0.lowerBound, length: $0.count) }
    }

    /// The member's value as it stands, as text.
    func text(_ name: String) -> String? { bytes(name).map { String(buffer: $0) } }

    func object(_ name: String) -> JSONMembers? { bytes(name).flatMap { JSONMembers($0) } }

    /// A string's text, or a number or boolean as it is written; nil for anything else.
    func scalar(_ name: String) -> String? {
        guard let raw = bytes(name) else { return nil }
        if let text = Self.string(raw) { return text }
        let text = String(buffer: raw)
        return text == "null" || text.hasPrefix("{") || text.hasPrefix("[") ? nil : text
    }

    /// An array's strings; empty when it is no array of strings.
    func strings(_ name: String) -> [String] {
        guard let raw = bytes(name), raw.readableBytes <= 1 << 20 else { return [] }
        return (try? JSONDecoder().decode([String].self, from: Data(raw.readableBytesView))) ?? []
    }

    /// The text of a JSON string; nil for any other value.
    static func string(_ bytes: ByteBuffer) -> String? {
        let first = bytes.readableBytesView.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        guard first == UInt8(ascii: "\"") else { return nil }
        return try? JSONDecoder().decode(String.self, from: Data(bytes.readableBytesView))
    }
}
