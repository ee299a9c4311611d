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
import Runtimes
import Sandbox

struct PolicyLearnCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "learn", abstract: "Runs a function in a cell and prints the smallest manifest it needs.",
        discussion: """
            The function runs many times: first with wide limits and every file that it looks for, then with less and less \
            for as long as its result stays the same. All of it happens inside the cell: only files that it looks for and \
            that every user may read are shown to it, and what no grant could allow is refused as ever. The manifest goes \
            to stdout; what was seen and is not granted goes to stderr. It holds for the event that was given: an event \
            that leads elsewhere may need more.
            """)

    @Argument(help: "An executable, a Python file, a zip or tar.gz, or a folder with function.yaml.")
    var path: String

    @Option(help: "The event, as JSON.")
    var data = "null"

    @Option(name: .customLong("set"), help: "KEY=VALUE of the manifest, such as handler=app.main. May be repeated.")
    var settings: [String] = []

    @Option(name: .customLong("allow-degraded"), help: "Run although this layer is missing.")
    var allowDegraded: [String] = []

    func run() throws {
        let source = try UploadSource(path: path, settings: settings, name: nil)
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let observer = try PathObserver()
        defer { observer.close() }
        let logger = Logger(label: "bulkhead.learn") { _ in SwiftLogNoOpLogHandler() }
        var options = Foundations.Options()
        options.readyCells = 0
        options.degraded = Set(try allowDegraded.map(DegradableLayer.init(named:)))
        options.observer = observer.writeEnd
        let foundations = try Foundations(data: DataDirectory(folder.path), options: options, logger: logger)
        try foundations.require(allowing: options.degraded)
        let host = try foundations.host(options: Supervisor.Options(), logger: logger)
        defer { host.stop() }

        let version = try blocking { try await host.deploy(source) }
        let view = try host.deployment.runtimes.roots.view(for: version)
        var trials = 0
        let learner = PolicyLearner(
            attempt: { manifest, observing in
                trials += 1
                return try Self.attempt(version.under(manifest), event: data, on: host, observing: observing, observer)
            },
            isCandidate: { Self.isGrantable($0) && !view.shows($0) && !$0.utf8.starts(with: folder.path.utf8) })
        var manifest: Manifest
        do {
            manifest = try learner.learn(version.manifest)
        } catch let failed as PolicyLearner.Failed {
            throw CommandFailure(failed.message, .guest)
        }
        // Of what a manifest could allow, only limits are tried.
        for refusal in host.journal.refusals.all(of: version.name) where refusal.grant?.hasPrefix("limits.") != true {
            complain(
                "refused \(refusal.count) times in \(trials) runs, not needed for this result: \(refusal.syscall)"
                    + " (\(refusal.errno))")
        }
        // A file that was given by itself was stored under the function's name; beside the manifest it has its own.
        if source.format == .executable, manifest.run != nil {
            manifest.run = URL(fileURLWithPath: path).lastPathComponent
        }
        complain("\(trials) runs; this manifest gave the same result as everything granted")
        print(manifest.yaml, terminator: "")
    }

    private static func attempt(
        _ version: FunctionVersion, event: String, on host: Supervisor, observing: Bool, _ observer: PathObserver
    ) throws -> PolicyLearner.Trial {
        host.deployment.observes = observing
        let completion = try blocking { await host.run(version, event: ByteBuffer(string: event)) }
        var trial = PolicyLearner.Trial(
            outcome: completion.outcome, detail: "", body: [], wall: completion.usage.wall,
            memoryBytes: completion.usage.memoryBytes, paths: observer.take())
        switch completion.result {
        case .success(let output): trial.body = Array(output.body.readableBytesView)
        case .failure(let failure): trial.detail = failure.detail
        }
        return trial
    }

    /// Whether a path is there for every user to read, and one that a grant may name.
    private static func isGrantable(_ path: String) -> Bool {
        let own = ["/function", "/runtime", "/proc", "/sys", "/dev", "/tmp", "/run/bulkhead"]
        guard path.isAbsolutePath, !own.contains(where: { path == $0 || path.isPath(below: $0) }) else {
            return false
        }
        let parts = path.pathComponents.dropFirst()
        guard parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else { return false }
        let real = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let info = try? FileManager.default.attributesOfItem(atPath: real)
        guard let mode = info?[.posixPermissions] as? Int, mode & 0o4 != 0 else { return false }
        let kind = info?[.type] as? FileAttributeType
        return kind == .typeRegular || kind == .typeDirectory
    }
}
