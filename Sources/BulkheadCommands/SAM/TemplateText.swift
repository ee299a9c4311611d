import FunctionModel
import WireText
import Yams

/// A template's text, looked at before a parser is let near it, and read.
enum TemplateText {
    /// What makes a file with `Resources` one of SAM's.
    static let transform = "AWS::Serverless-2016-10-31"
    /// As CloudFormation has it.
    static let largest = ByteSize.mebibytes(1)

    /// - Returns: its members; nil for what is no template.
    /// - Throws: for what cannot be read.
    static func members(of text: String) throws(TemplateComplaint) -> [TemplateValue.Member]? {
        guard text.utf8.count <= largest.bytes else { throw .wrong(0, "it is larger than \(largest)") }
        if let danger = YAMLDanger(in: text) { throw .wrong(danger.line, danger.description) }
        let root: Node?
        do {
            root = try Yams.compose(yaml: joiningHalves(text))
        } catch {
            let why = "\(error)".prefix { !$0.isNewline }
            throw .wrong(0, "it is not YAML: \(printable(String(why).prefix(bytes: 300)))")
        }
        guard let root, case .map(let members) = try TemplateValue(root).content,
            members.contains(where: { $0.name == "Resources" }),
            let transforms = members.first(where: { $0.name == "Transform" }),
            names(transforms.value).contains(transform)
        else { return nil }
        return members
    }

    /// The transforms that it asks for.
    static func names(_ value: TemplateValue) -> [String] {
        switch value.content {
        case .text(let name): [name]
        case .list(let list):
            list.compactMap { item -> String? in
                guard case .text(let name) = item.content else { return nil }
                return name
            }
        default: []
        }
    }

    /// JSON may write what lies beyond U+FFFF in two halves, which YAML does not know (RFC 8259, 7).
    private static func joiningHalves(_ text: String) -> String {
        let isJSON = text.utf8.first { !" \t\r\n".utf8.contains($0) } == UInt8(ascii: "{")
        guard isJSON, text.utf8.contains(UInt8(ascii: "\\")) else { return text }
        let bytes = Array(text.utf8)
        var joined: [UInt8] = []
        joined.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if let high = half(at: index, of: bytes), (0xD800..<0xDC00).contains(high),
                let low = half(at: index + 6, of: bytes), (0xDC00..<0xE000).contains(low),
                let scalar = UnicodeScalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
            {
                joined += Array(String(Character(scalar)).utf8)
                index += 12
            } else {
                // What is behind a backslash belongs to it.
                let count = bytes[index] == UInt8(ascii: "\\") && index + 1 < bytes.count ? 2 : 1
                joined += bytes[index..<(index + count)]
                index += count
            }
        }
        return String(decoding: joined, as: UTF8.self)
    }

    /// The number of a `\uXXXX`.
    private static func half(at index: Int, of bytes: [UInt8]) -> UInt32? {
        guard index + 6 <= bytes.count, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u") else {
            return nil
        }
        let digits = bytes[(index + 2)..<(index + 6)]
        guard !digits.contains(UInt8(ascii: "+")), !digits.contains(UInt8(ascii: "-")) else { return nil }
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
