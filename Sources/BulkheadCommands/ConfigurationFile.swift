import Foundation
import FunctionModel
import WireText
import Yams

/// The file of `--config`: YAML with the keys of `Setting.all`.
struct ConfigurationFile {
    struct Value {
        let text: String
        let line: Int
    }

    let path: String
    private(set) var values: [String: Value] = [:]

    /// - Throws: `CommandFailure`, naming file and line.
    init(path: String) throws {
        self.path = path
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandFailure("--config \(path): it cannot be read", .usage)
        }
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            throw CommandFailure("--config \(path): it is not YAML: \(error)", .usage)
        }
        guard let root else { return }
        guard case .mapping(let mapping) = root else {
            throw CommandFailure("--config \(path): it must be a mapping of keys", .usage)
        }
        for (key, value) in mapping {
            let line = key.mark?.line ?? 0
            guard let name = key.scalar?.string, let setting = Setting.all.first(where: { $0.key == name }) else {
                throw CommandFailure(
                    "\(path) line \(line): \"\(printable(key.scalar?.string ?? "?"))\" is unknown; keys: \(Setting.all.map(\.key).joined(separator: ", "))",
                    .usage)
            }
            values[name] = Value(text: try Self.text(value, setting, "\(path) line \(line)"), line: line)
        }
    }

    /// As it is written on the command line or in the environment.
    private static func text(_ value: Node, _ setting: Setting, _ place: String) throws -> String {
        func scalar(_ node: Node?) throws -> String {
            guard let text = node?.scalar?.string else {
                throw CommandFailure("\(place): \(setting.key): \(setting.accepts)", .usage)
            }
            return text
        }
        switch (setting.kind, value) {
        case (.list, .sequence(let list)): return try list.map(scalar).joined(separator: ",")
        case (.table, .mapping(let mapping)): return try table(mapping, place)
        case (.table, _): throw CommandFailure("\(place): \(setting.key) must be a mapping of names to paths", .usage)
        default: return try scalar(value)
        }
    }

    private static func table(_ mapping: Node.Mapping, _ place: String) throws -> String {
        try mapping.map { key, value in
            let name = key.scalar?.string ?? "?", path = value.scalar?.string ?? ""
            guard case .prepared = Manifest.Root(name) else {
                throw CommandFailure(
                    "\(place): roots: \"\(name)\" must be \(Manifest.Root.nameRule), other than \(Manifest.Root.own.joined(separator: ", "))",
                    .usage)
            }
            guard path.isAbsolutePath else {
                throw CommandFailure(
                    "\(place): roots: \(name): \"\(path)\" must be the absolute path of a folder or a tar", .usage)
            }
            return "\(name)=\(path)"
        }.joined(separator: ",")
    }
}
