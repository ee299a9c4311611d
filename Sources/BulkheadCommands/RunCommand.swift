import ArgumentParser
import Bundles
import Deployment
import Foundation
import FunctionModel
import Glibc
import Host
import Journal
import Logging
import NIOCore
import Sandbox
import WireText

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs one sandboxed invocation, with no server.",
        discussion: "The event comes from --data, or else from stdin. The result goes to stdout, the log to stderr.")

    @Argument(help: "An executable, a Python file, a zip or tar.gz, or a folder with function.yaml.")
    var path: String

    @Option(help: "The event, as JSON.")
    var data: String?

    @Option(name: .customLong("set"), help: "KEY=VALUE of the manifest, such as memory=64MiB. May be repeated.")
    var settings: [String] = []

    @Option(help: "Configuration file as serve takes it, of which roots is read.")
    var config: String?

    @Option(name: .customLong("allow-degraded"), help: "Run although this layer is missing.")
    var allowDegraded: [String] = []

    func run() throws {
        let source = try UploadSource(path: path, settings: settings, name: nil)
        let event = try data.map { ByteBuffer(string: $0) } ?? readEvent()
        let folder = try TemporaryFolder()
        let completion: Completion
        let lines: [LogLine]
        do {
            (completion, lines) = try Self.invoke(
                source, event: event, in: folder, degraded: allowDegraded,
                roots: Configured(options: [:], file: config.map(ConfigurationFile.init(path:))).settings.roots)
        } catch {
            folder.remove()
            throw error
        }
        folder.remove()
        for line in lines { complain(printable(line.text), prefix: "") }
        switch completion.result {
        case .success(let output): try write(output.body)
        case .failure(let failure):
            throw CommandFailure("\(failure.outcome.rawValue): \(failure.detail)", failure.outcome.ending)
        }
    }

    private static func invoke(
        _ source: UploadSource, event: ByteBuffer, in folder: TemporaryFolder, degraded: [String],
        roots: [String: String]
    ) throws -> (Completion, [LogLine]) {
        let logger = Logger(label: "bulkhead.run") { _ in SwiftLogNoOpLogHandler() }
        var options = Foundations.Options()
        options.readyCells = 0
        options.degraded = Set(try degraded.map(DegradableLayer.init(named:)))
        options.roots = roots
        let foundations = try Foundations(data: DataDirectory(folder.path), options: options, logger: logger)
        defer { foundations.launcher.stop() }
        try foundations.require(allowing: options.degraded)
        let host = try foundations.host(options: Supervisor.Options(), logger: logger)
        let result = try blocking {
            let version = try await host.deploy(source)
            let completion = await host.run(version, event: event)
            return (completion, host.journal.logs.lines(of: version.name, limit: 10_000))
        }
        host.stop()
        return result
    }

    /// What stdin holds; nothing when it is a terminal.
    private func readEvent() throws -> ByteBuffer {
        if isatty(0) == 1 { return ByteBuffer() }
        var event = ByteBuffer()
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let length = read(0, &chunk, chunk.count)
            guard length > 0 else { return event }
            event.writeBytes(chunk.prefix(length))
        }
    }

    private func write(_ body: ByteBuffer) throws {
        var bytes = body.readableBytesView[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(1, $0.baseAddress, $0.count) }
            guard written > 0 else { throw CommandFailure("stdout cannot be written") }
            bytes = bytes.dropFirst(written)
        }
    }
}

extension Supervisor {
    /// Takes in what a command was given.
    /// - Throws: `CommandFailure`.
    func deploy(_ source: UploadSource) async throws -> FunctionVersion {
        do {
            let manifest = source.format == .archive ? Manifest() : try Manifest(query: source.query)
            let arrival = try deployment.beginArrival()
            try source.bytes.withUnsafeBytes { try arrival.append($0) }
            return try await deployment.deploy(
                arrival, format: source.format, manifest: manifest, name: source.name
            ).0
        } catch {
            throw CommandFailure("\(error)", .usage)
        }
    }
}

extension Outcome {
    /// The command's exit status for an invocation that ended so.
    var ending: Ending {
        switch blame {
        case .guest: .guest
        case .caller: .usage
        case .host: .host
        }
    }
}
