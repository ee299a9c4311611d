import Dialogues
import FunctionModel
import Glibc
import Sandbox
import WireText

/// Tells the outcome from how a worker's process ended. Each outcome has a source of its own: nothing is guessed.
enum Ending {
    /// - Parameter cpuUsed: CPU time of the invocation.
    /// - Returns: nil when the worker exited with 0.
    static func failure(of exit: CellExit, limits: Manifest.Limits, cpuUsed: Duration) -> Failure? {
        if exit.launcherDied {
            return Failure(
                .launchFailed(stage: "launcher", errno: "ECONNRESET"),
                "the launcher died while the function ran, and its cells with it; another was started: retry")
        }
        if let denied = exit.denied { return self.denied(denied) }
        // Also when the main process got over the loss of a child: cgroup v2 ends all of the cell then, v1 only one process.
        if exit.wasOutOfMemory {
            return Failure(
                .memoryExceeded(limit: "\(limits.memory)"),
                "the function needed more than limits.memory (\(limits.memory)), scratch files included; the kernel stopped it"
            )
        }
        if exit.exitCode == 0 { return nil }
        if let code = exit.exitCode {
            return Failure(.exit(code), "the function exited with status \(code); its log may say why")
        }
        let signal = exit.signal ?? 0
        if signal == SIGXCPU || signal == SIGKILL, cpuUsed >= limits.effectiveCPU.duration {
            return cpuExceeded(limits)
        }
        let name = signalName(signal)
        return Failure(.signal(name), "the function was ended by \(name); its log may say why")
    }

    /// Tells what an invocation without an answer comes to from the end of its process.
    static func judge(
        _ exit: CellExit, limits: Manifest.Limits, cpuUsed: Duration, _ dialogue: inout Dialogue
    ) -> Result<Completion.Output, Failure> {
        if var failure = failure(of: exit, limits: limits, cpuUsed: cpuUsed) {
            if failure.outcome == .exit || failure.outcome == .signal {
                failure.ends = Failure.Ends(stdout: dialogue.tail(longestEnd))
            }
            return .failure(failure)
        }
        switch dialogue.ended() {
        case .result(let body, let kind): return .success(Completion.Output(body: body, kind: kind))
        case .violation(let what, _): return .failure(Failure(.protocolError, what))
        case .ready, .asksAgain, .failedStart, .reply, .part, .error, .tooLong:
            return .failure(Failure(.protocolError, "the worker exited without answering"))
        }
    }

    /// What is told of a failed one's output, in bytes.
    private static let longestEnd = 4 << 10

    static func raised(_ error: Failure.HandlerError, by what: String) -> Failure {
        Failure(.error(error), "\(what) \(error.type): \(error.message.prefix(bytes: 500))")
    }

    static func cpuExceeded(_ limits: Manifest.Limits) -> Failure {
        Failure(
            .cpuExceeded(limit: "\(limits.effectiveCPU)"),
            "the function used more CPU time than limits.cpu (\(limits.effectiveCPU)) allows")
    }

    static func timeout(_ limit: String, _ value: TimeLimit) -> Failure {
        let what = limit == "init" ? "was not ready" : "did not end"
        return Failure(
            .timeout(limit: limit), "the function \(what) within limits.\(limit) (\(value)) and was stopped")
    }

    /// Of an invocation that was given less time than its function has.
    static func timeout(of asked: TimeLimit) -> Failure {
        Failure(
            .timeout(limit: "wall"),
            "the function did not end within the time that its route gives (\(asked)) and was stopped")
    }

    static func outputExceeded(_ manifest: Manifest, streamed: Bool) -> Failure {
        let limit = manifest.effectiveOutput
        guard manifest.stream, !streamed, limit > Manifest.longestWhole else {
            return Failure(
                .outputExceeded(limit: "\(limit)"), "the function wrote more than limits.output (\(limit)) to stdout")
        }
        return Failure(
            .outputExceeded(limit: "\(Manifest.longestWhole)"),
            "the function wrote more than \(Manifest.longestWhole), the most that is held as a whole; more streams at /fn/ and routes"
        )
    }

    static var crowdedOut: Failure {
        Failure(
            .overloaded(retryAfter: 1),
            "the function's answer found no room beside all that the host holds for others at this moment (maxBuffered); retry shortly",
            hasRun: true)
    }

    static var notCleared: Failure {
        Failure(
            .launchFailed(stage: "clear", errno: "EBUSY"),
            "what ran beside the snapshot could not be ended; this takes a cgroup that counts processes")
    }

    static func threadedSnapshot(_ threads: Int) -> Failure {
        let message =
            "the snapshot has \(threads) threads, and a fork carries only one of them: start threads in the handler, not while the module loads (for numpy: OPENBLAS_NUM_THREADS=1), or use mode: reactor"
        return Failure(.error(Failure.HandlerError(type: "SnapshotError", message: message, stackTrace: [])), message)
    }

    static func launchFailed(_ error: LaunchError) -> Failure {
        Failure(
            .launchFailed(stage: error.stage, errno: error.errnoText),
            "the worker could not be started: stage \(error); \(advice(error))")
    }

    /// What to do next.
    private static func advice(_ error: LaunchError) -> String {
        switch (error.stage, error.number) {
        case ("secrets", ENOENT): "a secret of its manifest is not stored any more: store it again with PUT /v1/secrets"
        case ("secrets", _): "a secret of its manifest is no text without NUL, which is all that a variable can carry"
        default: "run `bulkhead doctor` on the host to see which layer fails"
        }
    }

    private static func denied(_ call: CellExit.DeniedCall) -> Failure {
        let arguments = describeArguments(of: call.name, call.arguments)
        let reason = SeccompProfile.denialReason(of: call.name, call.arguments).map { " (\($0))" } ?? ""
        return Failure(
            .denied(syscall: call.name, arguments: arguments, grant: nil),
            "the function made the system call \(call.name)(\(arguments.joined(separator: ", ")))\(reason), which no grant allows; it was stopped before the call"
        )
    }

    private static func signalName(_ number: Int32) -> String {
        let names: [Int32: String] = [
            SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
            SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGUSR1: "SIGUSR1",
            SIGSEGV: "SIGSEGV", SIGUSR2: "SIGUSR2", SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM",
            SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ", SIGVTALRM: "SIGVTALRM", SIGPROF: "SIGPROF", SIGSYS: "SIGSYS",
            SIGSTKFLT: "SIGSTKFLT", SIGIO: "SIGIO", SIGPWR: "SIGPWR",
        ]
        return names[number] ?? "signal \(number)"
    }
}
