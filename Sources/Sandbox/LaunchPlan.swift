import CLauncherABI
package import FunctionModel
package import HostSystem

/// All that the launcher must know to start one version's workers, written once into a sealed memfd.
/// The layout is `struct bh_plan` of `sandbox/abi`.
package struct LaunchPlan: Sendable {
    package struct Mount: Sendable, Hashable {
        package enum Kind: Sendable { case bundle, host, link }

        package var kind: Kind
        package var source: String
        package var target: String
        package var isOptional = false

        package init(kind: Kind, source: String, target: String, isOptional: Bool = false) {
            self.kind = kind
            self.source = source
            self.target = target
            self.isOptional = isOptional
        }
    }

    package var hostname: String
    /// Absolute, as seen inside the cell.
    package var executable: String
    package var arguments: [String]
    package var environment: [String]
    /// What the worker reads behind a descriptor that it begins with, whose number is in BULKHEAD_SECRETS_FD; empty: it has none.
    package var secrets: [UInt8] = []
    package var mounts: [Mount]
    package var limits: Manifest.Limits
    package var filter: SeccompFilter
    package var traits: Traits = []
    /// With a network of its own, a port of 127.0.0.1 that the host answers: see `CellEvent.started`.
    package var listener: UInt16?
    /// Cells of the function at once: together they may take as often what one may.
    package var cells = 1

    package struct Traits: OptionSet, Sendable {
        package let rawValue: Int

        package init(rawValue: Int) { self.rawValue = rawValue }

        /// A network namespace of its own, which holds loopback and nothing else.
        package static let hasLoopback = Traits(rawValue: 1)
        /// For programs that size themselves by their cgroup's limits.
        package static let showsCgroups = Traits(rawValue: 2)
        /// Of a snapshot that is locked the template goes on making forks; they may not.
        package static let sparesTemplate = Traits(rawValue: 4)
        /// Of a snapshot: each invocation is a fork of the worker.
        package static let forksForEach = Traits(rawValue: 8)
        /// A reactor's CPU time adds up over many invocations: only the cgroup can tell one's share.
        package static let isReactor = Traits(rawValue: 16)
        /// Its start, which `limits.init` bounds, comes before its invocation.
        package static let startsAhead = Traits(rawValue: 32)
    }

    package struct TooLarge: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) { self.description = description }
    }

    package init(
        hostname: String, executable: String, arguments: [String], environment: [String], mounts: [Mount],
        limits: Manifest.Limits, filter: SeccompFilter
    ) {
        self.hostname = hostname
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.mounts = mounts
        self.limits = limits
        self.filter = filter
    }

    /// Entries of a cell's root.
    package static var maxMounts: Int { Int(BH_MOUNTS_MAX) }

    /// - Throws: `TooLarge` when arguments, environment, secrets or mounts exceed the launcher's bounds, or `SystemError`.
    package func seal() throws -> SealedFile {
        let bytes = try encode()
        return try SealedFile(name: "bulkhead-plan", bytes: bytes)
    }

    /// As `struct bh_plan` has it, and what follows it.
    func encode() throws -> [UInt8] {
        let environment = self.environment + (secrets.isEmpty ? [] : ["BULKHEAD_SECRETS_FD=\(BH_SECRETS_FD)"])
        guard arguments.count <= Int(BH_ARGS_MAX), environment.count <= Int(BH_ENV_MAX),
            mounts.count <= Self.maxMounts
        else {
            throw TooLarge(
                description:
                    "at most \(BH_ARGS_MAX) arguments, \(BH_ENV_MAX) environment variables and \(BH_MOUNTS_MAX)"
                    + " mounts fit in a cell")
        }
        guard secrets.count <= Int(BH_SECRETS_MAX) else {
            throw TooLarge(
                description:
                    "secrets: together, as JSON, they have \(secrets.count) bytes, and at most \(BH_SECRETS_MAX) fit behind a"
                    + " descriptor; store shorter ones")
        }
        var strings: [UInt8] = []
        func append(_ text: String) { strings += Array(text.utf8) + [0] }
        append(hostname)
        append(executable)
        arguments.forEach(append)
        environment.forEach(append)
        for mount in mounts {
            append(mount.source)
            append(mount.target)
        }

        let header = MemoryLayout<bh_plan>.stride
        let stringsOffset = header + filter.program.count
        let limitList = rlimits()
        var plan = bh_plan()
        plan.magic = BH_MAGIC
        plan.version = BH_ABI_VERSION
        plan.size = UInt32(stringsOffset + strings.count + secrets.count)
        plan.flags = flags
        plan.listener = UInt32(listener ?? 0)
        plan.memory_max = UInt64(limits.memory.bytes)
        plan.scratch_bytes = UInt64(limits.effectiveScratch.bytes)
        plan.scratch_inodes = Self.inodes(forScratch: limits.effectiveScratch.bytes)
        plan.tasks_max = UInt32(limits.tasks)
        plan.cpu_weight = BH_PLAN_WEIGHT
        plan.arg_count = UInt32(arguments.count)
        plan.env_count = UInt32(environment.count)
        plan.mount_count = UInt32(mounts.count)
        plan.cells_max = UInt32(clamping: cells)
        plan.rlimit_count = UInt32(limitList.count)
        plan.filter_count = UInt32(filter.program.count / 8)
        plan.filter_offset = UInt32(header)
        plan.strings_offset = UInt32(stringsOffset)
        plan.strings_size = UInt32(strings.count)
        plan.secrets_offset = secrets.isEmpty ? 0 : UInt32(stringsOffset + strings.count)
        plan.secrets_size = UInt32(secrets.count)
        withUnsafeMutableBytes(of: &plan.rlimits) { raw in
            let slots = raw.bindMemory(to: bh_rlimit.self)
            for (index, limit) in limitList.enumerated() { slots[index] = limit }
        }
        withUnsafeMutableBytes(of: &plan.mounts) { raw in
            let slots = raw.bindMemory(to: bh_mount.self)
            for (index, mount) in mounts.enumerated() {
                slots[index] = bh_mount(
                    kind: mount.kind.number, flags: mount.isOptional ? BH_MOUNT_OPTIONAL : 0)
            }
        }
        var bytes = withUnsafeBytes(of: plan) { Array($0) } + filter.program + strings
        bytes += secrets
        guard bytes.count <= Int(BH_PLAN_MAX) else {
            throw TooLarge(
                description: "arguments, environment, secrets and policy are larger than \(BH_PLAN_MAX) bytes together")
        }
        return bytes
    }

    /// BH_PLAN_*.
    private var flags: UInt32 {
        let bits: [(Bool, UInt32)] = [
            (traits.contains(.showsCgroups), BH_PLAN_CGROUPS), (traits.contains(.hasLoopback), BH_PLAN_OWN_NETWORK),
            (traits.contains(.sparesTemplate), BH_PLAN_LOCK_SPARES_WORKER),
            (traits.contains(.forksForEach), BH_PLAN_FORKS), (limits.effectiveProcesses > 1, BH_PLAN_LOCKS),
            (!traits.contains(.isReactor), BH_PLAN_ONCE),
        ]
        return bits.reduce(0) { $1.0 ? $0 | $1.1 : $0 }
    }

    /// One inode for 4 KiB, as an ordinary file system has, within bounds.
    private static func inodes(forScratch bytes: Int) -> UInt32 { UInt32(min(max(bytes / 4096, 64), 65_536)) }

    /// A net below the cgroup: each keeps one process from a resource that no cgroup counts, or counts too late.
    private func rlimits() -> [bh_rlimit] {
        var list: [(Resource, Int)] = [
            // The portable maximum for select(2).
            (.openFiles, traits.contains(.hasLoopback) ? Self.openFiles(beside: limits.effectiveProcesses) : 1024),
            // A core file would hold the tenant's data.
            (.core, 0),
            // Sparse files. A little above scratch, so that a full one says ENOSPC.
            (.fileSize, limits.effectiveScratch.bytes + (1 << 20)),
            // The usual default.
            (.stack, 8 << 20),
            // Locked pages cannot be reclaimed.
            (.lockedMemory, 64 << 10),
            // POSIX message queues are kernel memory, and not granted.
            (.messageQueues, 0),
            // Queued signals are kernel memory.
            (.pendingSignals, 1024),
            // No priority over others.
            (.nice, 0),
            (.realTimePriority, 0),
            // The uid is the cell's own, so this bounds its tasks even where no pids controller does. One more for init.
            (.tasks, limits.tasks + 1),
        ]
        if !traits.contains(.isReactor) {
            let used =
                limits.effectiveCPU.milliseconds
                + (traits.contains(.startsAhead) ? limits.initialization.milliseconds : 0)
            // Whole seconds, above the limit that is watched: it must not be the first to strike.
            list.append((.cpuSeconds, (used + 999) / 1000 + 1))
        }
        return list.map { bh_rlimit(resource: $0.0.rawValue, pad: 0, value: UInt64($0.1)) }
    }

    /// Each socket that listens holds kernel memory that is charged to nobody (`bounds` of network.c): all processes of a cell
    /// with a network together have about as many descriptors as one process of another.
    private static func openFiles(beside processes: Int) -> Int { max(64, 1024 / processes) }

    /// RLIMIT_* of asm-generic/resource.h, which Swift's Glibc module imports only in part.
    private enum Resource: UInt32 {
        case cpuSeconds = 0
        case fileSize = 1
        case stack = 3
        case core = 4
        case tasks = 6
        case openFiles = 7
        case lockedMemory = 8
        case pendingSignals = 11
        case messageQueues = 12
        case nice = 13
        case realTimePriority = 14
    }
}

extension LaunchPlan.Mount.Kind {
    fileprivate var number: UInt32 {
        switch self {
        case .bundle: BH_MOUNT_BUNDLE.rawValue
        case .host: BH_MOUNT_HOST.rawValue
        case .link: BH_MOUNT_SYMLINK.rawValue
        }
    }
}
