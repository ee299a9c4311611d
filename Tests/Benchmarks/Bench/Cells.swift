import Foundation
import FunctionModel
import HostSystem
import Logging
import PythonRuntime
import Runtimes
import Sandbox
import Synchronization

private let count = 500
private let slowCount = 30

/// Measures starts of cells, by the launcher and plans that the host itself uses, and prints one JSON line for each kind.
/// Pipes are made before the clock starts, as in `floor.c`; it stops at the first byte of an answer.
func measureCells(echo: String, reactor: String) throws {
    let bench = try CellBench(echo: echo, reactor: reactor)
    defer { bench.remove() }
    try bench.with(readyCells: 0) { cells in
        try cells.report("cold_nothing_ready", count) { try cells.start(.echo, afresh: true) }
        try cells.report("cold_known", count) { try cells.startAnother(.echo) }
    }
    try bench.with(readyCells: 16) { cells in
        try cells.report("cold_ready", count) { try cells.start(.echo, afresh: true) }
        try cells.report("renewed", count) { try cells.start(.echo, afresh: false) }
        try cells.report("prewarmed", count) { try cells.useStarted(.echo) }
        try cells.report("reused", count * 4) { try cells.ask(.reactor) }
        try cells.report("python_cold", slowCount) { try cells.start(.python, afresh: false) }
        try cells.report("snapshot", count) { try cells.ask(.snapshot) }
    }
}

/// 50 MB of live objects beside a few modules that take a while to load.
private let handler = """
    import decimal, json, sqlite3, ssl
    heap = [bytes([n % 256]) * 1000 for n in range(50_000)]
    def handler(event, context):
        return event
    """

private enum Subject: String { case echo, reactor, python, snapshot }

private final class CellBench {
    private let folder: String
    private var launcher: Launcher?
    private var plans: [Subject: SealedFile] = [:]
    private var kept: [Subject: RunningWorker] = [:]

    init(echo: String, reactor: String) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("bulkhead-bench-\(getpid())").path
        let files = FileManager.default
        for (digest, name, source) in [("a", "echo", echo), ("b", "reactor", reactor)] {
            let bundle = bundle(digest)
            try files.createDirectory(atPath: bundle, withIntermediateDirectories: true)
            try files.copyItem(atPath: source, toPath: bundle + "/" + name)
        }
        for (digest, name, bytes) in [
            ("c", "app.py", Array(handler.utf8)), ("d", PythonRuntime.fileName, PythonRuntime.source),
        ] {
            try files.createDirectory(atPath: bundle(digest), withIntermediateDirectories: true)
            try Data(bytes).write(to: URL(fileURLWithPath: bundle(digest) + "/" + name))
        }
    }

    private func digest(_ letter: String) -> String { String(repeating: letter, count: 64) }
    private func bundle(_ letter: String) -> String { "\(folder)/\(digest(letter))" }
    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    func with(readyCells: Int, _ work: (CellBench) throws -> Void) throws {
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
        var options = Launcher.Options(program: program + "/bulkhead-launcher", store: folder, firstUID: 720_000_001)
        options.readyCells = readyCells
        let launcher = try Launcher(options, logger: Logger(label: "bench"))
        launcher.startReading()
        self.launcher = launcher
        usleep(300_000)
        try work(self)
        kept = [:]
        launcher.stop()
        self.launcher = nil
    }

    private func plan(_ subject: Subject, afresh: Bool) throws -> SealedFile {
        if !afresh, let plan = plans[subject] { return plan }
        var manifest = Manifest()
        switch subject {
        case .echo: manifest.run = "echo"
        case .reactor:
            manifest.run = "reactor"
            manifest.mode = .reactor
        case .python, .snapshot:
            manifest.runtime = .python
            manifest.handler = "app.handler"
            manifest.mode = subject == .snapshot ? .snapshot : .command
        }
        let letter = subject == .echo ? "a" : subject == .reactor ? "b" : "c"
        guard let name = FunctionName("bench") else { throw CancellationError() }
        let version = FunctionVersion(
            name: name, number: 1, sha256: "", size: 0, bundle: digest(letter), createdAt: "", manifest: manifest,
            executable: manifest.run == nil ? nil : .staticELF)
        let plan = try LaunchPlan(version: version, runtimeBundle: digest("d")).seal()
        plans[subject] = plan
        return plan
    }

    private func worker(_ subject: Subject, afresh: Bool) throws -> RunningWorker {
        guard let launcher else { throw CancellationError() }
        return try RunningWorker(plan(subject, afresh: afresh), launcher: launcher)
    }

    // MARK: - One sample each, in microseconds

    /// A worker that is started for its event.
    func start(_ subject: Subject, afresh: Bool) throws -> Double {
        let worker = try worker(subject, afresh: afresh)
        let began = ContinuousClock.now
        try worker.launch()
        if subject == .python { worker.readLine() } else { worker.write("{\"x\":1}\n") }
        if subject == .python { worker.request() }
        worker.closeInput()
        worker.readLine()
        let time = ContinuousClock.now - began
        worker.finish()
        usleep(2000)  // what is built ahead of need is built again
        return time.microseconds
    }

    /// A worker whose version has a cell already, but none that waits for it.
    func startAnother(_ subject: Subject) throws -> Double {
        let holder = try worker(subject, afresh: false)
        try holder.launch()
        holder.waitUntilStarted()
        let time = try start(subject, afresh: false)
        holder.kill()  // so that its cell is not renewed
        return time
    }

    /// A worker that waits in its first read, and serves once.
    func useStarted(_ subject: Subject) throws -> Double {
        let worker = try worker(subject, afresh: false)
        try worker.launch()
        worker.waitUntilStarted()
        usleep(2000)
        let began = ContinuousClock.now
        worker.write("{\"x\":1}\n")
        worker.closeInput()
        worker.readLine()
        let time = ContinuousClock.now - began
        worker.finish()
        return time.microseconds
    }

    /// A worker that serves again and again; of a snapshot each time a fork of it does.
    func ask(_ subject: Subject) throws -> Double {
        let worker: RunningWorker
        if let there = kept[subject] {
            worker = there
        } else {
            worker = try self.worker(subject, afresh: false)
            try worker.launch()
            worker.readLine()
            kept[subject] = worker
        }
        if subject == .snapshot { worker.clear() }
        let began = ContinuousClock.now
        worker.request()
        worker.readLine()
        return (ContinuousClock.now - began).microseconds
    }

    func report(_ name: String, _ count: Int, _ sample: () throws -> Double) throws {
        for _ in 0..<max(2, count / 20) { _ = try sample() }
        var samples: [Double] = []
        for _ in 0..<count { samples.append(try sample()) }
        samples.sort()
        func quantile(_ share: Double) -> Double {
            (samples[Int(Double(samples.count - 1) * share)] * 10).rounded() / 10
        }
        print(
            #"{"name":"\#(name)","p50_us":\#(quantile(0.5)),"p90_us":\#(quantile(0.9)),"p99_us":\#(quantile(0.99)),"count":\#(count)}"#
        )
        fflush(nil)
    }
}

/// A worker, its three pipes, and what is told of it.
private final class RunningWorker {
    private final class News: Sendable {
        let started = DispatchSemaphore(value: 0)
        let cleared = DispatchSemaphore(value: 0)
        let gone = DispatchSemaphore(value: 0)
    }

    private let launcher: Launcher
    private let plan: SealedFile
    private let pipes: [(read: Int32, write: Int32)]
    private let news = News()
    private var cell: CellID?
    private var isInputOpen = true
    private var line: [UInt8] = Array(repeating: 0, count: 65536)

    init(_ plan: SealedFile, launcher: Launcher) throws {
        self.plan = plan
        self.launcher = launcher
        pipes = try (0..<3).map { _ in try OwnedDescriptor.pipe() }
    }

    deinit {
        closeInput()
        close(pipes[1].read)
        close(pipes[2].read)
    }

    func launch() throws {
        let news = news
        let input = OwnedDescriptor(owning: pipes[0].read), output = OwnedDescriptor(owning: pipes[1].write)
        let log = OwnedDescriptor(owning: pipes[2].write)
        cell = try launcher.launch(plan: plan, stdin: input, stdout: output, stderr: log) { event in
            switch event {
            case .started: news.started.signal()
            case .cleared: news.cleared.signal()
            case .failed(let error): fatalError("launch failed: \(error)")
            case .gone: news.gone.signal()
            case .refused, .locked, .connected, .exited: break
            }
        }
    }

    func waitUntilStarted() { news.started.wait() }

    func clear() {
        guard let cell else { return }
        launcher.clear(cell)
        news.cleared.wait()
    }

    func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            guard Glibc.write(pipes[0].write, bytes.baseAddress, bytes.count) == bytes.count else {
                fatalError("the worker reads nothing")
            }
        }
    }

    func request() {
        let context =
            #"{"invocationId":"i","function":"f","version":1,"deadlineMs":0,"memoryLimitMiB":128,"traceparent":null}"#
        write(
            #"{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"event":{"x":1},"context":\#(context)}}"# + "\n")
    }

    func closeInput() {
        guard isInputOpen else { return }
        isInputOpen = false
        close(pipes[0].write)
    }

    func readLine() {
        guard read(pipes[1].read, &line, line.count) > 0 else { fatalError("the worker answered nothing") }
    }

    func kill() {
        if let cell { launcher.kill(cell) }
        finish()
    }

    func finish() {
        closeInput()
        news.gone.wait()
    }
}

extension Duration {
    fileprivate var microseconds: Double {
        Double(components.seconds) * 1e6 + Double(components.attoseconds) * 1e-12
    }
}
