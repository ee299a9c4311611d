import ArgumentParser
import Foundation
import Host

/// Which data directory is meant.
struct DataOptions: ParsableArguments {
    @Option(
        name: .customLong("data-dir"), help: "Data directory. Default: BULKHEAD_DATA, or the user's.")
    var path: String?

    var directory: DataDirectory { DataDirectory(path) }
}

struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Writes a data directory into one file, also while a host serves from it.",
        discussion: """
            Functions, aliases, routes, schedules, keys, what waits, secrets as they are sealed, usage. Not in it: secrets.key, without \
            which the secrets cannot be opened (keep it elsewhere), admin.token and logs.
            """)

    @Argument(help: "The file, a tar with gzip.")
    var file: String
    @OptionGroup var data: DataOptions

    func run() throws {
        let count = try Backup(data.directory).write(to: file)
        complain("\(file) holds \(count) versions", prefix: "")
    }
}

struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Makes a data directory out of a backup.",
        discussion: "Where the host had secrets, put its secrets.key there before you start it.")

    @Argument(help: "The file.")
    var file: String
    @OptionGroup var data: DataOptions

    func run() throws {
        let directory = data.directory
        let count = try Backup(directory).restore(from: file)
        complain("\(directory.path) holds \(count) versions", prefix: "")
    }
}

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Says whether a data directory is sound: database, versions, bundles.")

    @OptionGroup var data: DataOptions

    func run() throws {
        let (problems, versions) = try Backup(data.directory).check()
        for problem in problems { print(problem) }
        guard problems.isEmpty else { throw Ending.host }
        print("sound: \(versions) versions")
    }
}
