import Foundation

extension Secrets {
    /// A secret as JSON has it, whatever its bytes are.
    private enum Member: Encodable {
        case text(String)
        case bytes([UInt8])

        private enum Key: String, CodingKey { case base64 }

        init(_ bytes: [UInt8]) {
            self = String(validating: bytes, as: UTF8.self).map(Member.text) ?? .bytes(bytes)
        }

        func encode(to encoder: any Encoder) throws {
            switch self {
            case .text(let text):
                var value = encoder.singleValueContainer()
                try value.encode(text)
            case .bytes(let bytes):
                var object = encoder.container(keyedBy: Key.self)
                try object.encode(Data(bytes).base64EncodedString(), forKey: .base64)
            }
        }
    }

    /// All of them in one JSON object: each as text or, where it is no UTF-8, as `{"base64": "…"}`.
    /// - Parameter table: names of secrets by those of the members.
    /// - Returns: nil where one is missing.
    package func document(_ table: [String: String]) -> [UInt8]? {
        var members: [String: Member] = [:]
        for (member, name) in table {
            guard let bytes = bytes(of: name) else { return nil }
            members[member] = Member(bytes)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(members)).map { Array($0) }
    }
}
