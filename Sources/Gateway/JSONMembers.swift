import Foundation
import FunctionModel
import NIOCore

/// The members of a JSON object as slices of its bytes, decoded only where one is asked for.
struct JSONMembers {
    private let bytes: ByteBuffer
    private let ranges: [MemberName: Range<Int>]

    /// Nil when `bytes` is no JSON object.
    init?(_ bytes: ByteBuffer) {
        guard let ranges = bytes.withUnsafeReadableBytes(JSONText.members(of:)) else { return nil }
        self.bytes = bytes
        self.ranges = ranges
    }

    /// In the order of their bytes.
    var names: [MemberName] { ranges.keys.sorted() }

    func has(_ name: MemberName) -> Bool { ranges[name] != nil }

    /// The member's value as it stands.
    func bytes(_ name: MemberName) -> ByteBuffer? {
        ranges[name].flatMap { bytes.getSlice(at: bytes.readerIndex + $0.lowerBound, length: $0.count) }
    }

    /// Whether the member's value stands there as `text`.
    func says(_ name: MemberName, _ text: StaticString) -> Bool { bytes(name).map { Self.says($0, text) } ?? false }

    func object(_ name: MemberName) -> JSONMembers? { bytes(name).flatMap { JSONMembers($0) } }

    /// A string's text, or a number or boolean as it is written; nil for anything else.
    func scalar(_ name: MemberName) -> String? {
        guard let raw = bytes(name) else { return nil }
        if let text = Self.string(raw) { return text }
        guard let first = raw.readableBytesView.first, first != UInt8(ascii: "{"), first != UInt8(ascii: "["),
            !Self.says(raw, "null")
        else { return nil }
        return String(buffer: raw)
    }

    /// An array's strings; empty when it is no array of strings.
    func strings(_ name: MemberName) -> [String] {
        guard let raw = bytes(name), raw.readableBytes <= 1 << 20 else { return [] }
        return (try? JSONDecoder().decode([String].self, from: Data(raw.readableBytesView))) ?? []
    }

    private static func says(_ bytes: ByteBuffer, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { bytes.readableBytesView.elementsEqual($0) }
    }

    /// The text of a JSON string; nil for any other value.
    static func string(_ bytes: ByteBuffer) -> String? {
        let first = bytes.readableBytesView.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        guard first == UInt8(ascii: "\"") else { return nil }
        return try? JSONDecoder().decode(String.self, from: Data(bytes.readableBytesView))
    }
}
