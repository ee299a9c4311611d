import FunctionModel
import Glibc
import Sandbox

/// Tells the outcome from how a worker's process ended. Each outcome has a source of its own: nothing is guessed.
enum Ending {
    /// - Parameter cpuUsed: CPU time of the invocation.
    /// - Returns: nil when the worker exited with 0.
    static func failure(of exit: CellExit, limits: Manifest.Limits, cpuUsed: Duration) -> Failure? {
        if exit.launcherDied {
            var failure = Failure(
                .launchFailed,
                "the launcher died while the function ran, and its cells with it; another was started: retry")
            failure.stage = "launcher"
            failure.errno = "ECONNRESET"
            return failure
        }
        if let denied = exit.denied { return self.denied(denied) }
        // Also when the main process got over the loss of a child: cgroup v2 ends all of the cell then, v1 only one process.
        if exit.wasOutOfMemory {
            var failure = Failure(
                .memoryExceeded,
                "the function needed more than limits.memory (\(limits.memory)), scratch files included; the kernel stopped it"
            )
            failure.limit = limits.memory.description
            return failure
        }
        if exit.exitCode == 0 { return nil }
        if let code = exit.exitCode {
            var failure = Failure(.exit, "the function exited with status \(code); its log may say why")
            failure.exitCode = code
            return failure
        }
        let signal = exit.signal ?? 0
        if signal == SIGXCPU || signal == SIGKILL, cpuUsed >= limits.effectiveCPU.duration {
            return cpuExceeded(limits)
        }
        var failure = Failure(.signal, "the function was ended by \(signalName(signal)); its log may say why")
        failure.signal = signalName(signal)
        return failure
    }

    static func cpuExceeded(_ limits: Manifest.Limits) -> Failure {
        var failure = Failure(
            .cpuExceeded, "the function used more CPU time than limits.cpu (\(limits.effectiveCPU)) allows")
        failure.limit = limits.effectiveCPU.description
        return failure
    }

    static func timeout(_ limit: String, _ value: TimeLimit) -> Failure {
        let what = limit == "init" ? "was not ready" : "did not end"
        var failure = Failure(.timeout, "the function \(what) within limits.\(limit) (\(value)) and was stopped")
        failure.limit = limit
        return failure
    }

    static func outputExceeded(_ limits: Manifest.Limits) -> Failure {
        var failure = Failure(
            .outputExceeded, "the function wrote more than limits.output (\(limits.output)) to stdout")
        failure.limit = limits.output.description
        return failure
    }

    static var crowdedOut: Failure {
        var failure = Failure(
            .overloaded,
            "the function's answer found no room beside all that the host holds for others at this moment (maxBuffered); retry shortly"
        )
        failure.retryAfter = 1
        failure.hasRun = true
        return failure
    }

    static func launchFailed(_ error: LaunchError) -> Failure {
        var failure = Failure(
            .launchFailed,
            "the worker could not be started: stage \(error); run `bulkhead doctor` on the host to see which layer fails"
        )
        failure.stage = error.stage
        failure.errno = error.errnoText
        return failure
    }

    private static func denied(_ call: CellExit.DeniedCall) -> Failure {
        let arguments = describeArguments(of: call.name, call.arguments)
        let reason = SeccompProfile.denialReason(of: call.name, call.arguments).map { " (\($0))" } ?? ""
        var failure = Failure(
            .denied,
            "the function made the system call \(call.name)(\(arguments.joined(separator: ", ")))\(reason), which no grant allows; it was stopped before the call"
        )
        failure.syscall = call.name
        failure.arguments = arguments
        return failure
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
