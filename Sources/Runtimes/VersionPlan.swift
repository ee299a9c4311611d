package import FunctionModel
package import Sandbox
import WireText

extension LaunchPlan {
    /// The plan for one version's workers.
    /// - Parameter runtimeBundle: digest of the Python runtime in the store.
    /// - Throws: what is wrong with the profiles, or `TooLarge`.
    /// - Parameter observing: for `policy learn`, see `SeccompFilter`.
    package init(
        version: FunctionVersion, runtimeBundle: String, roots: Roots = Roots(), observing: Bool = false
    ) throws {
        let manifest = version.manifest
        let view = try roots.view(for: version)
        var limits = manifest.limits
        limits.scratch = manifest.effectiveScratch
        if manifest.mode == .snapshot {
            // The template is one process more.
            limits.threads = limits.effectiveThreads
            limits.processes = limits.effectiveProcesses + 1
        }
        let profile = try SeccompProfile.base(manifest.traits(processes: limits.effectiveProcesses))
        let command = manifest.runtime.rules.command(of: version, runtimeBundle: runtimeBundle)
        var mounts =
            [Mount(kind: .bundle, source: version.bundle, target: "/function")] + view.mounts + command.mounts
        // What lies below another one comes with it, links and all, and cannot be mounted over it.
        let granted = manifest.allow.filesRead.filter { path in
            !manifest.allow.filesRead.contains { path.isPath(below: $0) }
        }
        // Nor can what the view reaches by a link: it is there by that link.
        func isThere(_ path: String) -> Bool {
            view.everywhere.contains { path.isSame(as: $0) || path.isPath(below: $0) }
                || mounts.contains {
                    switch $0.kind {
                    case .host, .bundle: $0.target.isSame(as: path)
                    case .link: $0.target.isSame(as: path) || path.isPath(below: $0.target)
                    }
                }
        }
        for path in granted where !isThere(path) {
            mounts.append(Mount(kind: .host, source: path, target: path))
        }
        self.init(
            hostname: version.name.text, executable: command.executable, arguments: command.arguments + manifest.args,
            environment: Self.environment(of: version), mounts: mounts, limits: limits,
            filter: try SeccompFilter(
                profile, for: observing ? .observedWorker : manifest.lock ? .lockedWorker : .worker))
        // Those that run, as many that wait or belong to the version before, and some that end.
        cells = 2 * manifest.concurrency.max + 16
        if manifest.hasLoopback { traits.insert(.hasLoopback) }
        if version.speech == .runtimeAPI { listener = Provided.port }
        if manifest.mode != .command { traits.insert(.isReactor) }
        if manifest.concurrency.warm > 0 { traits.insert(.startsAhead) }
        // Who loads libraries may have one that looks for them.
        if version.executable != .staticELF { traits.insert(.showsCgroups) }
        if manifest.mode == .snapshot { traits.insert(.forksForEach) }
        if manifest.lock && manifest.mode == .snapshot { traits.insert(.sparesTemplate) }
    }

    /// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    private static func lambda(_ version: FunctionVersion) -> [String: String] {
        let manifest = version.manifest, region = LambdaLabel.region(of: manifest)
        let day = version.createdAt.prefix(10).replacing("-", with: "/")
        let stream = "\(version.revision)".filter { $0 != "-" }
        let isProvided = version.speech == .runtimeAPI
        let runtime = manifest.labels[LambdaLabel.runtime] ?? (isProvided ? "provided.al2023" : "")
        var variables = [
            "AWS_LAMBDA_FUNCTION_NAME": version.name.text, "AWS_LAMBDA_FUNCTION_VERSION": version.label,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": String(manifest.limits.memory.bytes >> 20),
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/\(version.name)",
            "AWS_LAMBDA_LOG_STREAM_NAME": "\(day)/[\(version.label)]\(stream)",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_REGION": region, "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": "AWS_Lambda_\(runtime)",
            "LAMBDA_TASK_ROOT": "/function", "_HANDLER": manifest.handler ?? manifest.run ?? "", "TZ": ":UTC",
        ]
        guard isProvided else { return variables }
        variables["AWS_LAMBDA_RUNTIME_API"] = "127.0.0.1:\(Provided.port)"
        variables["LAMBDA_TASK_ROOT"] = Provided.taskRoot
        variables["LAMBDA_RUNTIME_DIR"] = "/var/runtime"
        return variables
    }

    /// The contract's variables; the manifest's own win where both name one.
    private static func environment(of version: FunctionVersion) -> [String] {
        let manifest = version.manifest
        var variables = [
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8",
            "BULKHEAD_FUNCTION": version.name.text, "BULKHEAD_VERSION": version.label,
            "BULKHEAD_MEMORY_MIB": String(manifest.limits.memory.bytes >> 20),
        ]
        if manifest.effectiveScratch.bytes > 0 {
            variables["HOME"] = "/tmp"
            variables["TMPDIR"] = "/tmp"
        }
        if LambdaLabel.areOf(manifest) || version.speech == .runtimeAPI { variables.merge(lambda(version)) { $1 } }
        variables.merge(manifest.env) { $1 }
        if manifest.mode == .snapshot { variables["BULKHEAD_MODE"] = "snapshot" }
        if manifest.lock { variables["BULKHEAD_LOCK"] = "1" }
        return variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }
}
