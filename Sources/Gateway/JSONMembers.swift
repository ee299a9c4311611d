import Foundation
import FunctionModel
import NIOCore
import WireText

/// The members of a JSON object as slices of its bytes, decoded only where one is asked for.
struct JSONMembers {
    private let bytes: ByteBuffer
    private let ranges: [MemberName: Range<Int>]

    /// Nil when `bytes` is no JSON object, or has more than `most` members.
    init?(_ bytes: ByteBuffer, most: Int = 1000) {
        guard let ranges = bytes.withUnsafeReadableBytes({ JSONText.members(of: $0, most: most) }) else { return nil }
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

    static func says(_ bytes: ByteBuffer, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { bytes.readableBytesView.elementsEqual($0) }
    }

    /// A string's text, or a number or boolean as it is written; nil for anything else, and for what is longer.
    func scalar(_ name: MemberName, longest: Int) -> String? {
        guard let raw = bytes(name), let first = raw.readableBytesView.first else { return nil }
        if first == UInt8(ascii: "\"") {
            guard raw.readableBytes <= longest * 6 + 2, let text = Self.text(raw), text.readableBytes <= longest else {
                return nil
            }
            return String(buffer: text)
        }
        guard raw.readableBytes <= longest, first != UInt8(ascii: "{"), first != UInt8(ascii: "["),
            !Self.says(raw, "null")
        else { return nil }
        return String(buffer: raw)
    }

    /// An array's strings; nil when it is no array of strings, or longer than `longest` bytes.
    static func strings(_ raw: ByteBuffer, longest: Int) -> [String]? {
        guard raw.readableBytes <= longest * 2 else { return nil }
        return try? JSONDecoder().decode([String].self, from: Data(raw.readableBytesView))
    }

    static func isString(_ bytes: ByteBuffer) -> Bool {
        bytes.readableBytesView.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: "\"")
    }

    /// The text of a JSON string; nil for any other value.
    static func text(_ bytes: ByteBuffer) -> ByteBuffer? {
        var trimmed = bytes
        let spaces: [UInt8] = [0x20, 0x09, 0x0A, 0x0D]
        while let byte = trimmed.readableBytesView.first, spaces.contains(byte) {
            trimmed.moveReaderIndex(forwardBy: 1)
        }
        while let byte = trimmed.readableBytesView.last, spaces.contains(byte) {
            trimmed.moveWriterIndex(to: trimmed.writerIndex - 1)
        }
        return JSONString.text(of: trimmed)
    }
}
