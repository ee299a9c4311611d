import Foundation

extension Manifest: Codable {
    // One shape for the API's JSON and the catalogue's: the contract's keys with the contract's units.
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ text: String) { stringValue = text }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    package func encode(to encoder: any Encoder) throws {
        var root = encoder.container(keyedBy: Key.self)
        for (name, fields) in ManifestField.groups {
            if name.isEmpty {
                for field in fields { try write(field, to: &root) }
            } else {
                var group = root.nestedContainer(keyedBy: Key.self, forKey: Key(name))
                for field in fields { try write(field, to: &group) }
            }
        }
    }

    private func write(_ field: ManifestField, to container: inout KeyedEncodingContainer<Key>) throws {
        let key = Key(field.key)
        switch field.shown(self) {
        case .text(let text): try container.encode(text, forKey: key)
        case .number(let number): try container.encode(number, forKey: key)
        case .flag(let flag): try container.encode(flag, forKey: key)
        case .list(let list): try container.encode(list, forKey: key)
        case .table(let table): try container.encode(table, forKey: key)
        case nil: break
        }
    }

    package init(from decoder: any Decoder) throws {
        self.init()
        let root = try decoder.container(keyedBy: Key.self)
        for (name, fields) in ManifestField.groups {
            let key = Key(name)
            guard name.isEmpty || root.contains(key) else { continue }
            let group = name.isEmpty ? root : try root.nestedContainer(keyedBy: Key.self, forKey: key)
            for field in fields {
                guard let value = try Self.read(field, from: group) else { continue }
                guard field.set(&self, value) else {
                    throw ManifestError("stored manifest: \(field.path) is not accepted")
                }
            }
        }
    }

    /// As a person would have written it.
    private static func read(
        _ field: ManifestField, from container: KeyedDecodingContainer<Key>
    ) throws -> ManifestField.Value? {
        let key = Key(field.key)
        return switch field.kind {
        case .text, .words, .quantity:
            try container.decodeIfPresent(String.self, forKey: key).map(ManifestField.Value.text)
        case .number: try container.decodeIfPresent(Int.self, forKey: key).map { .text(String($0)) }
        case .flag: try container.decodeIfPresent(Bool.self, forKey: key).map { .text(String($0)) }
        case .list: try container.decodeIfPresent([String].self, forKey: key).map(ManifestField.Value.list)
        case .table: try container.decodeIfPresent([String: String].self, forKey: key).map(ManifestField.Value.table)
        }
    }
}

extension Manifest {
    /// By bytes: to an argument that differs from another one in its normalization only, `==` is blind.
    package func isSame(as other: Manifest) -> Bool { isSameWritten(self, other) }
}

/// Whether both are written down in the same bytes; false where one cannot be.
func isSameWritten<Value: Encodable>(_ one: Value, _ other: Value) -> Bool {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let (own, others) = (try? encoder.encode(one), try? encoder.encode(other))
    return own != nil && own == others
}
