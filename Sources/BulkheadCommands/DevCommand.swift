import ArgumentParser
import Foundation
import FunctionModel
import Glibc
import Host
import NIOHTTP1
import WireText

struct DevCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev", abstract: "Deploys a folder each time that something in it changes, and prints its log.",
        discussion:
            "A program named `build` in it is run before each deployment. Ends with Ctrl-C; what is deployed stays.")

    @Argument(help: "The folder, with function.yaml.")
    var folder: String
    @OptionGroup var host: HostOptions

    /// Of each file, what changes with its content.
    private typealias Snapshot = [String: [Int]]

    func run() throws {
        let client = try host.client()
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw CommandFailure("\(folder) is no folder; `bulkhead init \(folder)` makes one", .usage)
        }
        var before: Snapshot?, followed: String?
        while true {
            let now = snapshot()
            if now != before {
                // Whoever saves several files does it in one go.
                Thread.sleep(forTimeInterval: 0.1)
                if snapshot() != now { continue }
                if let name = deploy(by: client), name != followed {
                    followed = name
                    Thread.detachNewThread { Self.follow(name, client) }
                }
                // What building has made is no change.
                before = access("\(folder)/build", X_OK) == 0 ? snapshot() : now
            }
            Thread.sleep(forTimeInterval: 0.3)
        }
    }

    private func snapshot() -> Snapshot {
        var found: Snapshot = [:]
        for name in FileManager.default.enumerator(atPath: folder)?.compactMap({ $0 as? String }) ?? [] {
            var info = stat()
            guard !name.split(separator: "/").contains(where: { $0.hasPrefix(".") }),
                lstat("\(folder)/\(name)", &info) == 0, info.st_mode & S_IFMT != S_IFDIR
            else { continue }
            found[name] = [Int(info.st_size), info.st_mtim.tv_sec, info.st_mtim.tv_nsec, Int(info.st_mode)]
        }
        return found
    }

    /// - Returns: the function's name; nil when it could not be deployed, which is said.
    private func deploy(by client: HostClient) -> String? {
        let began = Date()
        do {
            try build()
            let source = try UploadSource(path: folder, settings: [], name: nil)
            let answer = try client.get(
                .PUT, "/v1/functions/\(source.name)", body: source.bytes, contentType: source.contentType)
            struct Deployed: Decodable { let version: Int }
            let version = try JSONDecoder().decode(Deployed.self, from: answer.body).version
            let time = Int(Date().timeIntervalSince(began) * 1000)
            say("\(source.name) version \(version)" + (answer.status == 200 ? " (unchanged)" : "") + " in \(time) ms")
            return source.name.text
        } catch let failure as CommandFailure {
            say("not deployed: \(failure.message)")
        } catch {
            say("not deployed: \(error)")
        }
        return nil
    }

    private func build() throws {
        let program = "\(folder)/build"
        guard access(program, X_OK) == 0 else { return }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw CommandFailure("\(program) ended with status \(process.terminationStatus)")
        }
    }

    private func say(_ text: String) { Self.say(text) }

    private static func say(_ text: String) {
        FileHandle.standardOutput.write(Data("dev: \(text)\n".utf8))
    }

    private struct Line: Decodable {
        let time: String
        let text: String
    }

    /// The log as it comes; a host that is started anew is asked again.
    private static func follow(_ name: String, _ client: HostClient) {
        while true {
            try? client.events("/v1/functions/\(escaped(name))/logs?limit=0") { data in
                guard let line = try? JSONDecoder().decode(Line.self, from: data) else { return }
                FileHandle.standardOutput.write(Data("\(line.time) \(printable(line.text))\n".utf8))
            }
            Thread.sleep(forTimeInterval: 1)
        }
    }
}
