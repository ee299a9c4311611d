package import Sandbox

/// Layers that a host may lack and still serve, when its operator says so.
package enum DegradableLayer: String, CaseIterable {
    case memory
    case processes
    case cpu
    case landlock

    /// - Throws: `HostFailure` for a word that names no layer.
    package init(named name: String) throws {
        guard let layer = DegradableLayer(rawValue: name) else {
            let known = DegradableLayer.allCases.map(\.rawValue).joined(separator: ", ")
            throw HostFailure("--allow-degraded \(name): accepted are \(known)", isUsage: true)
        }
        self = layer
    }

    package func isPresent(in features: Launcher.Features) -> Bool {
        switch self {
        case .memory: features.limitsMemory
        case .processes: features.limitsTasks
        case .cpu: features.sharesCPU
        case .landlock: features.landlockABI > 0
        }
    }

    package var advice: String {
        switch self {
        case .memory, .processes, .cpu:
            "no cgroup with this controller can be used; run as root, or under `systemd-run --user --scope -p Delegate=yes`"
        case .landlock: "the kernel has no Landlock (5.13 or newer, and named in its lsm= list)"
        }
    }
}
