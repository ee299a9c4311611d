import Configuration
import Foundation

/// All settings, each from the first of these that has it: an option, the environment (`BULKHEAD_MAX_WORKERS`), the file.
struct Configured {
    struct Row {
        let setting: Setting
        /// Nil: nobody has said.
        let value: String?
        /// Where it comes from, for people.
        let source: String
    }

    private(set) var settings = ServeSettings()
    private(set) var rows: [Row] = []

    /// - Parameters:
    ///   - options: of the command line, by the settings' keys.
    ///   - file: of `--config`.
    /// - Throws: `CommandFailure`, naming the source of what is not accepted.
    init(
        options: [String: String], file: ConfigurationFile?,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws {
        // An empty variable is one that is not set.
        let variables = EnvironmentVariablesProvider(environmentVariables: environment.filter { !$0.value.isEmpty })
        let given = InMemoryProvider(name: "options", values: Self.values(options))
        let written = InMemoryProvider(
            name: "file", values: Self.values((file?.values ?? [:]).mapValues(\.text)))
        for setting in Setting.all {
            let key = AbsoluteConfigKey([setting.key])
            let name = AbsoluteConfigKey(["bulkhead", setting.key])
            let row: Row
            if let text = try Self.text(given.value(forKey: key, type: .string)) {
                row = Row(setting: setting, value: text, source: "option")
            } else if case let found = try variables.value(forKey: name, type: .string), let text = Self.text(found) {
                row = Row(setting: setting, value: text, source: found.encodedKey)
            } else if let text = try Self.text(written.value(forKey: key, type: .string)) {
                let line = file?.values[setting.key]?.line ?? 0
                row = Row(setting: setting, value: text, source: "\(file?.path ?? "") line \(line)")
            } else {
                row = Row(setting: setting, value: nil, source: "default")
            }
            if let text = row.value, !setting.set(&settings, text) {
                throw CommandFailure(
                    "\(row.source): \(setting.key): \"\(text)\" is not accepted; it takes \(setting.accepts)", .usage)
            }
            rows.append(row)
        }
    }

    private static func values(_ texts: [String: String]) -> [AbsoluteConfigKey: ConfigValue] {
        Dictionary(texts.map { (AbsoluteConfigKey([$0.key]), ConfigValue(.string($0.value), isSecret: false)) }) { $1 }
    }

    private static func text(_ found: LookupResult) -> String? {
        if case .string(let text)? = found.value?.content { text } else { nil }
    }
}
