package import ArgumentParser
import Glibc
import Host

/// `bulkhead`: every subcommand is synchronous at its root, so that `serve` can set itself up while this process has
/// one thread.
package struct BulkheadCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "bulkhead",
        abstract: "Runs other people's native code behind HTTP, each invocation in a process and a cell of its own.",
        discussion: """
            Exit status: 0 for outcome ok, 1 for a guest's failure, 2 for wrong usage or a request that was refused, \
            3 for the host's failure.
            """,
        version: version,
        subcommands: [
            ServeCommand.self, RunCommand.self, DeployCommand.self, InvokeCommand.self, ListCommand.self,
            ShowCommand.self, PolicyCommand.self, DeleteCommand.self, LogsCommand.self, AliasCommand.self,
            RollbackCommand.self, RoutesCommand.self, QueuesCommand.self, SchedulesCommand.self, SecretsCommand.self,
            DeadLettersCommand.self,
            UsageCommand.self, InitCommand.self, DevCommand.self, TopCommand.self, InstallCommand.self,
            BackupCommand.self, RestoreCommand.self, CheckCommand.self, KeysCommand.self,
            ApplyCommand.self, ConfigCommand.self,
            DoctorCommand.self,
        ])

    package static let version = "0.1.0"

    package init() {}

    /// Parses the process's arguments, runs, and exits.
    package static func runAndExit() -> Never {
        do {
            var command = try parseAsRoot()
            try command.run()
            Glibc.exit(0)
        } catch let code as Ending {
            Glibc.exit(code.rawValue)
        } catch let failure as CommandFailure {
            complain(failure.message)
            Glibc.exit(failure.ending.rawValue)
        } catch let failure as HostFailure {
            complain(failure.message)
            Glibc.exit((failure.isUsage ? Ending.usage : .host).rawValue)
        } catch {
            let message = fullMessage(for: error)
            if exitCode(for: error).isSuccess {
                print(message)
                Glibc.exit(0)
            }
            complain(message, prefix: "")
            Glibc.exit(Ending.usage.rawValue)
        }
    }
}

/// The command's exit statuses, as the contract has them. Thrown to end without a message.
enum Ending: Int32, Error {
    case guest = 1
    case usage = 2
    case host = 3
}

/// Ends the command with a message on stderr.
struct CommandFailure: Error {
    let message: String
    var ending = Ending.host

    init(_ message: String, _ ending: Ending = .host) {
        self.message = message
        self.ending = ending
    }
}
