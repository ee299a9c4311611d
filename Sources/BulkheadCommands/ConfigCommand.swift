import ArgumentParser

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Checks and shows what `serve` would go by.",
        subcommands: [Check.self, Show.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check", abstract: "Says whether a configuration can be served: exit 0, or 2 and why not.")

        @Argument(help: "The file of `serve --config`; without it the environment alone is checked.")
        var file: String?

        func run() throws {
            let configured = try Configured(options: [:], file: file.map(ConfigurationFile.init(path:)))
            let settings = configured.settings
            for text in [settings.listen, settings.adminListen].compactMap({ $0 }) { _ = try ListenAddress(text) }
            _ = try Front.files(settings.tls)
            let count = configured.rows.count { $0.value != nil }
            print("\(file ?? "the environment") can be served: \(count) of \(configured.rows.count) keys are set")
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Shows every key, its value and where it comes from.",
            discussion:
                "An option of `serve` comes before the environment (BULKHEAD_MAX_WORKERS for maxWorkers), that before the file."
        )

        @Option(help: "The file of `serve --config`.")
        var config: String?
        @Flag(help: "Print JSON.")
        var json = false

        func run() throws {
            let rows = try Configured(options: [:], file: config.map(ConfigurationFile.init(path:))).rows.map {
                [
                    "key": $0.setting.key, "value": $0.value ?? $0.setting.standard, "from": $0.source,
                    "about": $0.setting.about, "accepts": $0.setting.accepts,
                ]
            }
            if json { return try printDocument(["settings": rows]) }
            let columns = ["key", "value", "from", "about"]
            printTable([["KEY", "VALUE", "FROM", "WHAT IT IS"]] + rows.map { row in columns.map { row[$0] ?? "" } })
        }
    }
}
