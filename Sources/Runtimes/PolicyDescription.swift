package import FunctionModel
import Glibc
import Sandbox

/// What a version's workers may do, as data and in sentences: what the cell is built from, told and not interpreted.
package struct PolicyDescription: Sendable, Encodable {
    /// One line of the profile, for one call.
    package struct SystemCall: Sendable, Encodable {
        package let name: String
        /// allow, refuse, quiet (refused, not counted), pretend (answered 0, not made) or deny.
        package let action: String
        /// What a refused call returns.
        package let errno: String?
        /// All must hold of the call's arguments: `argument & mask == value`.
        package let conditions: [Condition]
        package let reason: String

        package struct Condition: Sendable, Encodable {
            package let argument: Int
            package let mask: UInt32
            package let value: UInt32
        }
    }

    package let function: String
    package let version: Int
    /// The last one is "Nothing else."
    package let sentences: [String]
    package let systemCalls: [SystemCall]
    /// Of any call that `systemCalls` does not name.
    package let otherSystemCalls = "ENOSYS"

    /// - Throws: what is wrong with the profiles, or `Roots.Unknown`.
    package init(of version: FunctionVersion, roots: Roots) throws {
        function = version.name.text
        self.version = version.shownNumber
        let profile = try SeccompProfile.base(
            version.manifest.traits(processes: version.manifest.limits.effectiveProcesses))
        systemCalls = profile.rules.map(SystemCall.init)
        let view = try roots.view(for: version)
        sentences =
            [Self.start(version), Self.reading(version, view), Self.finding(version), Self.writing(version.manifest)]
            + [Self.processes(version.manifest.limits), Self.limits(version.manifest)]
            + [Self.environment(version), Self.calls(profile, version.manifest), "Nothing else."]
    }

    private static func start(_ version: FunctionVersion) -> String {
        let manifest = version.manifest
        let what = manifest.runtime.rules.description(of: version)
        let life =
            switch manifest.mode {
            case .command: "in a fresh process for each invocation"
            case .reactor:
                "in a process that serves up to \(manifest.concurrency.reuse) invocations, one at a time; what it keeps in"
                    + " memory\(manifest.effectiveScratch.bytes > 0 ? " and in /tmp" : "") is seen by the next of them"
            case .snapshot:
                "in a fork of a process that has loaded it, a fresh one for each invocation; what that process shares on"
                    + " purpose before it is ready (shared memory, open files) is shared by all of them"
            }
        return "\(version.name) version \(version.label) runs \(what), \(life)."
    }

    /// What of a root that the operator prepared is shown, by its top folders.
    private static func prepared(_ manifest: Manifest, _ view: RootView) -> String {
        guard case .prepared(let name) = manifest.root else { return "" }
        let tops = Set(view.mounts.map { "/" + ($0.target.pathComponents.dropFirst().first ?? "") })
        return ", and all that everybody may read of the root \(name), which the operator prepared:"
            + " \(tops.sorted().joined(separator: ", "))"
    }

    private static func reading(_ version: FunctionVersion, _ view: RootView) -> String {
        func isShown(_ path: String) -> Bool {
            view.mounts.contains { $0.kind != .link && path.isPath(below: $0.target) }
        }
        let ofHost = prepared(version.manifest, view).isEmpty ? view.mounts : []
        let folders =
            ofHost.filter { $0.kind == .host && (!$0.isOptional || access($0.source, F_OK) == 0) }
            .map(\.target) + view.everywhere.filter { path in access(path, F_OK) == 0 && !isShown(path) }
        let own = "It may read its own bundle at /function" + version.manifest.runtime.rules.holds
        let shared = folders.isEmpty ? "" : ", and of the host \(folders.joined(separator: ", "))"
        let granted = version.manifest.allow.filesRead
        return own + shared
            + prepared(version.manifest, view)
            + (granted.isEmpty ? "." : ", and what files.read grants: \(granted.joined(separator: ", ")).")
    }

    private static func finding(_ version: FunctionVersion) -> String {
        "It finds /proc of its own processes, with the memory and the CPUs that it may use, and nothing else of the machine;"
            + " names for its streams in /dev; in /etc a name for its user, and no other user of the host's"
            + (version.executable == .staticELF ? "." : "; and at /sys/fs/cgroup its own limits.")
    }

    private static func writing(_ manifest: Manifest) -> String {
        let scratch = manifest.effectiveScratch
        let place =
            scratch.bytes > 0
            ? ", and \(scratch) of files in /tmp and /dev/shm together, which go with the process" : ""
        return "It may write to stdout and stderr, to /dev/null\(place)."
    }

    private static func processes(_ limits: Manifest.Limits) -> String {
        limits.effectiveProcesses == 1
            ? "It may be one process with \(limits.effectiveThreads) threads."
            : "It may be \(limits.effectiveProcesses) processes"
                + (limits.threads.map { " and \($0) further threads." } ?? ", threads counted as processes.")
    }

    private static func limits(_ manifest: Manifest) -> String {
        let limits = manifest.limits
        return
            "An invocation may take \(limits.wall), use \(limits.effectiveCPU) of CPU time and \(limits.memory) of memory"
            + " (no swap), answer \(manifest.effectiveOutput) and log \(limits.log); \(manifest.concurrency.max) may run at once."
    }

    private static func environment(_ version: FunctionVersion) -> String {
        let manifest = version.manifest, secrets = manifest.secrets.keys.sorted()
        let areBehind = manifest.secretsAs == .descriptor && !secrets.isEmpty
        let own = (Array(manifest.env.keys) + (areBehind ? [] : secrets)).sorted()
        return "Its environment holds the host's fixed variables"
            + (own.isEmpty ? " only." : " and \(own.joined(separator: ", ")).")
            + (areBehind
                ? " Its secrets (\(secrets.joined(separator: ", "))) are not in there: it reads them behind an open descriptor,"
                    + " BULKHEAD_SECRETS_FD, and nobody can change them."
                : "")
    }

    private static func calls(_ profile: SeccompProfile, _ manifest: Manifest) -> String {
        let allowed = Set(profile.rules.filter { $0.action == .allow }.map(\.syscall))
        let bound = Set(profile.rules.filter { $0.action == .allow && !$0.conditions.isEmpty }.map(\.syscall))
        return "It may make \(allowed.count) kinds of system calls, \(bound.count) of them only with certain arguments,"
            + " as a user without rights and "
            + (manifest.hasLoopback
                ? "in a network of its own, which ends at the cell: over TCP it reaches itself, at 127.0.0.1 and ::1."
                : "without a network: it can open no socket.")
    }
}

extension PolicyDescription.SystemCall {
    fileprivate init(_ rule: SeccompProfile.Rule) {
        name = rule.syscall
        reason = rule.reason
        conditions = rule.conditions.map { .init(argument: $0.argument, mask: $0.mask, value: $0.value) }
        switch rule.action {
        case .allow: (action, errno) = ("allow", nil)
        case .pretend: (action, errno) = ("pretend", nil)
        case .deny: (action, errno) = ("deny", nil)
        case .refuse(let name, let isQuiet): (action, errno) = (isQuiet ? "quiet" : "refuse", name)
        }
    }
}
