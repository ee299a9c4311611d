import FunctionModel
import WireText

/// One `Forwarded` field (RFC 7239): elements of parameters, whose values may be quoted, commas and semicolons in them too. What is
/// not as the RFC has it makes the whole field worth nothing: half of it might be a client's.
package struct ForwardedHeader: Sendable {
    /// Parameters by their names in lower case.
    package private(set) var elements: [[String: String]] = [[:]]

    private static let longest = 4096

    package init(_ text: String) {
        guard text.utf8.count <= Self.longest, text.isASCII else { return }
        var elements: [[String: String]] = [], element: [String: String] = [:]
        var rest = Array(text.utf8)[...]
        func skipBlanks() { rest = rest.drop { $0 == 0x20 || $0 == 0x09 } }
        while true {
            skipBlanks()
            let name = rest.prefix { Self.isToken($0) }
            rest = rest.dropFirst(name.count)
            if !name.isEmpty {
                guard rest.first == UInt8(ascii: "="), let value = Self.value(&rest) else { return }
                let key = String(decoding: name, as: UTF8.self).lowercased()
                guard element.updateValue(value, forKey: key) == nil else { return }
            }
            skipBlanks()
            switch rest.popFirst() {
            case UInt8(ascii: ";"): continue
            case UInt8(ascii: ","):
                elements.append(element)
                element = [:]
            case nil:
                self.elements = elements + [element]
                return
            default: return
            }
        }
    }

    /// Behind the equals sign: a token, or a quoted string.
    private static func value(_ rest: inout ArraySlice<UInt8>) -> String? {
        rest = rest.dropFirst()
        guard rest.first == UInt8(ascii: "\"") else {
            let token = rest.prefix { isToken($0) }
            rest = rest.dropFirst(token.count)
            return token.isEmpty ? nil : String(decoding: token, as: UTF8.self)
        }
        rest = rest.dropFirst()
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escaped = rest.popFirst() else { return nil }
                text.append(escaped)
            default: text.append(byte)
            }
        }
        return nil
    }

    /// RFC 9110, 5.6.2; and the colon, which some write without quotes.
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: Array("!#$%&'*+-.^_`|~:".utf8).contains(byte)
        }
    }
}
