import Foundation

extension Manifest {
    /// As `function.yaml`, with what differs from the defaults, and what is always worth saying.
    package var yaml: String {
        let standard = Manifest()
        var lines: [String] = []
        for (name, fields) in ManifestField.groups {
            let indent = name.isEmpty ? "" : "  "
            var group: [String] = []
            for field in fields {
                guard let value = field.written(self), field.isAlwaysWritten || value != field.written(standard) else {
                    continue
                }
                group += Self.lines(field, value).map { indent + $0 }
            }
            if !name.isEmpty, !group.isEmpty { lines.append("\(name):") }
            lines += group
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(_ field: ManifestField, _ value: ManifestField.Value) -> [String] {
        let key = field.key
        return switch value {
        case .text(let text): ["\(key): \(field.kind == .text && key != "name" ? quoted(text) : text)"]
        case .number(let number): ["\(key): \(number)"]
        case .flag(let flag): ["\(key): \(flag)"]
        case .list(let list): ["\(key): [\(list.map(quoted).joined(separator: ", "))]"]
        case .table(let table):
            ["\(key):"] + table.sorted { $0.key < $1.key }.map { "  \($0.key): \(quoted($0.value))" }
        }
    }

    /// JSON's strings are YAML's.
    private static func quoted(_ text: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
    }
}
