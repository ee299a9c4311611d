import ArgumentParser
import Foundation
import FunctionModel
import Glibc
import Host

struct InstallCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install", abstract: "Writes systemd's units for a host, with its socket and what it delegates.",
        discussion: "It starts nothing: it prints what to do next. The programs stay where they are.")

    @Option(help: "HOST:PORT or an absolute path that systemd listens on.")
    var listen = "127.0.0.1:8080"
    @Option(help: "Data directory.")
    var data = "/var/lib/bulkhead"
    @Option(help: "YAML file that serve goes by.")
    var config: String?
    @Option(name: .customLong("unit-dir"), help: "Where the units go.")
    var folder = "/etc/systemd/system"
    @Flag(name: .customLong("print"), help: "Only print them.")
    var prints = false

    func validate() throws {
        let host = listen.prefix(upTo: listen.lastIndex(of: ":") ?? listen.endIndex).filter { !"[]".contains($0) }
        guard listen.hasPrefix("/") || IPAddress(String(host)) != nil else {
            throw ValidationError(
                "--listen \(listen): systemd takes an address and a port, such as 127.0.0.1:8080, or an absolute path")
        }
        // What systemd would read otherwise than it is meant: spaces, quotes, specifiers, line ends.
        for text in [listen, data, config ?? "", Self.own] {
            guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !"\"'\\%$".utf8.contains($0) }) else {
                throw ValidationError("\"\(text)\": only letters, digits and signs that units take as they are")
            }
        }
    }

    /// This program.
    private static var own: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "/usr/bin/bulkhead"
    }

    /// systemd starts it in the root folder.
    private static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).path }

    private var units: [(name: String, text: String)] {
        let own = Self.own
        let settings = config.map { " --config \(Self.absolute($0))" } ?? ""
        return [
            (
                "bulkhead.socket",
                """
                [Unit]
                Description=Bulkhead's socket

                [Socket]
                ListenStream=\(listen)
                # Of a path: for its owner and group.
                SocketMode=0660
                # Clients that come while the host starts wait here.
                Backlog=4096

                [Install]
                WantedBy=sockets.target

                """
            ),
            (
                "bulkhead.service",
                """
                [Unit]
                Description=Bulkhead, a host for functions
                Requires=bulkhead.socket
                After=network.target bulkhead.socket

                [Service]
                ExecStart=\(own) serve --data \(Self.absolute(data))\(settings)
                # Cells have cgroups of their own below this one.
                Delegate=yes
                # The guardian ends the rest itself; invocations are finished, of which the longest takes 15 minutes.
                KillMode=mixed
                TimeoutStopSec=910
                Restart=always
                RestartSec=1
                LimitNOFILE=1048576
                TasksMax=infinity

                [Install]
                WantedBy=multi-user.target

                """
            ),
        ]
    }

    func run() throws {
        if prints {
            for (name, text) in units { print("# \(folder)/\(name)\n\(text)") }
            return
        }
        for (name, text) in units {
            let path = "\(folder)/\(name)"
            do {
                try text.write(toFile: path, atomically: true, encoding: .utf8)
            } catch {
                throw CommandFailure(
                    "\(path) cannot be written: \(error.localizedDescription); --print shows what it would hold")
            }
            chmod(path, 0o644)
            complain("wrote \(path)", prefix: "")
        }
        print("next: systemctl daemon-reload && systemctl enable --now bulkhead.socket bulkhead.service")
    }
}
