import Foundation
import FunctionModel
import NIOCore
import WireText

/// JSON as Lambda's API reads and writes it.
enum LambdaValue: Sendable, Equatable {
    case null
    case flag(Bool)
    case whole(Int)
    case number(Double)
    case text(String)
    case list([LambdaValue])
    case object([String: LambdaValue])

    subscript(_ name: String) -> LambdaValue? {
        guard case .object(let members) = self, let value = members[name], value != .null else { return nil }
        return value
    }

    var text: String? { if case .text(let text) = self { text } else { nil } }
    var whole: Int? { if case .whole(let number) = self { number } else { nil } }
    var flag: Bool? { if case .flag(let flag) = self { flag } else { nil } }
    var list: [LambdaValue]? { if case .list(let list) = self { list } else { nil } }
    var members: [String: LambdaValue]? { if case .object(let members) = self { members } else { nil } }
    var number: Double? {
        switch self {
        case .number(let number): number
        case .whole(let number): Double(number)
        case .null, .flag, .text, .list, .object: nil
        }
    }

    /// Of a table of texts; nil where one of them is none.
    var texts: [String: String]? {
        members.flatMap { members in
            let texts = members.compactMapValues(\.text)
            return texts.count == members.count ? texts : nil
        }
    }

    /// As in an error message.
    var shown: String {
        switch self {
        case .null: "null"
        case .flag(let flag): "\(flag)"
        case .whole(let number): "\(number)"
        case .number(let number): "\(number)"
        case .text(let text): text
        case .list, .object: String(buffer: encoded)
        }
    }

    var encoded: ByteBuffer {
        var json = ByteBuffer()
        write(to: &json)
        return json
    }

    private func write(to json: inout ByteBuffer) {
        switch self {
        case .null: json.writeString("null")
        case .flag(let flag): json.writeString(flag ? "true" : "false")
        case .whole(let number): json.writeString("\(number)")
        case .number(let number): json.writeString("\(number)")
        case .text(let text): JSONString.write(text, to: &json)
        case .list(let values):
            json.writeString("[")
            for (index, value) in values.enumerated() {
                if index > 0 { json.writeString(",") }
                value.write(to: &json)
            }
            json.writeString("]")
        case .object(let members):
            json.writeString("{")
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { json.writeString(",") }
                JSONString.write(member.key, to: &json)
                json.writeString(":")
                member.value.write(to: &json)
            }
            json.writeString("}")
        }
    }
}

extension LambdaValue: Decodable {
    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: Name.self) {
            var members: [String: LambdaValue] = [:]
            for name in container.allKeys {
                members[name.stringValue] = try container.decode(LambdaValue.self, forKey: name)
            }
            self = .object(members)
            return
        }
        if var container = try? decoder.unkeyedContainer() {
            var list: [LambdaValue] = []
            while !container.isAtEnd { list.append(try container.decode(LambdaValue.self)) }
            self = .list(list)
            return
        }
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? value.decode(Int.self) {
            self = .whole(number)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else {
            self = .text(try value.decode(String.self))
        }
    }
}

extension LambdaValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByDictionaryLiteral,
    ExpressibleByArrayLiteral, ExpressibleByBooleanLiteral
{
    init(stringLiteral text: String) { self = .text(text) }
    init(integerLiteral number: Int) { self = .whole(number) }
    init(booleanLiteral flag: Bool) { self = .flag(flag) }
    init(arrayLiteral values: LambdaValue...) { self = .list(values) }
    init(dictionaryLiteral members: (String, LambdaValue)...) { self = .object(Dictionary(members) { $1 }) }
}
