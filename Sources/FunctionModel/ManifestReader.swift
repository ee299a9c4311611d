import WireText
import Yams

extension Manifest {
    /// Largest `function.yaml` that is read, in bytes.
    package static let largestFile = 64 << 10

    /// What a manifest's file may be called; the first that is there is it.
    package static let fileNames = ["function.yaml", "function.yml"]

    /// Reads `function.yaml`.
    /// - Parameter file: what it is called, for messages.
    /// - Throws: `ManifestError`, naming the line and what is accepted there.
    package init(yaml: String, file: String = Self.fileNames[0]) throws(ManifestError) {
        self.init()
        guard yaml.utf8.count <= Self.largestFile else {
            throw ManifestError("\(file) is larger than \(ByteSize(bytes: Self.largestFile))")
        }
        if let danger = YAMLDanger(in: yaml) {
            throw ManifestError("\(file)\(danger.line > 0 ? " line \(danger.line)" : ""): \(danger)")
        }
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw ManifestError("\(file) is not YAML: \(error)")
        }
        guard let root else { throw ManifestError("\(file) is empty; it needs at least run: or handler:") }
        var reader = YAMLReader(file: file)
        try reader.readMapping(root, path: "", into: &self)
        if program.runtime == .native, program.run == nil, program.handler == nil {
            throw ManifestError("run is missing: it names the executable inside the bundle, such as ./thumbnail")
        }
        try ManifestRules(self).check()
    }

    /// Reads the query of an upload whose body is one executable.
    /// - Throws: `ManifestError`, naming the parameter and what is accepted.
    package init(query: [(name: String, value: String)]) throws(ManifestError) {
        self.init()
        var lists: [String: [String]] = [:]
        for (name, value) in query {
            guard let field = ManifestField.byQueryName[name] else {
                let known = ManifestField.byQueryName.keys.sorted().joined(separator: ", ")
                throw ManifestError("unknown query parameter \"\(name)\"; accepted: \(known)")
            }
            lists[field.path, default: []].append(value)
        }
        for (path, values) in lists.sorted(by: { $0.key < $1.key }) {
            guard let field = ManifestField.byPath[path] else { continue }
            let value: ManifestField.Value
            switch field.kind {
            case .list: value = .list(values)
            case .table:
                var table: [String: String] = [:]
                for pair in values {
                    let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    guard parts.count == 2 else {
                        throw ManifestError("query parameter \(path): \"\(pair)\" is not NAME=value")
                    }
                    table[String(parts[0])] = String(parts[1])
                }
                value = .table(table)
            default:
                guard values.count == 1 else {
                    throw ManifestError("query parameter \(field.queryName ?? path) is given \(values.count) times")
                }
                value = .text(values[0])
            }
            guard field.set(&self, value) else {
                throw ManifestError(
                    "query parameter \(field.queryName ?? path): \"\(values.joined(separator: ", "))\" is not accepted;"
                        + " it must be \(field.accepts)")
            }
        }
        try ManifestRules(self).check()
    }
}

/// Walks the YAML tree. Only known keys are descended into, so an alias bomb is refused at its first level.
private struct YAMLReader {
    private static let groups: Set<String> = ["limits", "concurrency", "async", "allow", "allow.files"]

    let file: String

    mutating func readMapping(_ node: Node, path: String, into manifest: inout Manifest) throws(ManifestError) {
        guard case .mapping(let mapping) = node else {
            throw ManifestError("\(place(node)): \(path.isEmpty ? "the manifest" : path) must be a mapping of keys")
        }
        for (keyNode, value) in mapping {
            guard let key = keyNode.scalar?.string else {
                throw ManifestError("\(place(keyNode)): a key must be a word")
            }
            let full = path.isEmpty ? key : "\(path).\(key)"
            if Self.groups.contains(full) {
                try readMapping(value, path: full, into: &manifest)
            } else if let field = ManifestField.byPath[full] {
                guard let read = readValue(value), field.set(&manifest, read) else {
                    let shown = value.scalar.map { "\"\($0.string.prefix(bytes: 80))\"" } ?? "this"
                    throw ManifestError(
                        "\(place(value)): \(full): \(shown) is not accepted; it must be \(field.accepts)")
                }
            } else {
                throw ManifestError("\(place(keyNode)): unknown key \"\(full)\"; accepted here: \(known(below: path))")
            }
        }
    }

    private func readValue(_ node: Node) -> ManifestField.Value? {
        switch node {
        case .scalar(let scalar): return .text(scalar.string)
        case .sequence(let sequence):
            var list: [String] = []
            for item in sequence {
                guard let text = item.scalar?.string else { return nil }
                list.append(text)
            }
            return .list(list)
        case .mapping(let mapping):
            var table: [String: String] = [:]
            for (key, value) in mapping {
                guard let name = key.scalar?.string, let text = value.scalar?.string else { return nil }
                table[name] = text
            }
            return .table(table)
        default: return nil
        }
    }

    private func place(_ node: Node) -> String { node.mark.map { "\(file) line \($0.line)" } ?? file }

    private func known(below path: String) -> String {
        let prefix = path.isEmpty ? "" : path + "."
        let names = ManifestField.all.map(\.path).filter { $0.hasPrefix(prefix) }
            .map { String($0.dropFirst(prefix.count).prefix { $0 != "." }) }
        return Array(Set(names)).sorted().joined(separator: ", ")
    }
}
