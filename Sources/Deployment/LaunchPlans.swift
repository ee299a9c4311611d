import FunctionModel
import Glibc
import HostSystem
import Runtimes
import Sandbox
import Synchronization

/// Launch plans, each made once and kept as long as its version is, or there is room.
final class LaunchPlans: Sendable {
    private struct Key: Hashable {
        let revision: RevisionID
        let observes: Bool
    }

    private struct Known {
        let function: FunctionName
        let secrets: Set<String>
        let plan: SealedFile
    }

    private struct State {
        var plans = Generations<Key, Known>(each: LaunchPlans.maxPlans)
        var observes = false
        /// Of secrets.
        var changes = 0
    }

    private let runtimes: Runtimes
    private let secrets: Deployment.Secrets
    private let state = Mutex(State())
    /// Asked for of late; before them as many more are kept. Each holds a descriptor.
    private static let maxPlans = 1000

    init(_ runtimes: Runtimes, _ secrets: Deployment.Secrets) { (self.runtimes, self.secrets) = (runtimes, secrets) }

    /// Whether new plans are made for `policy learn`: see `SeccompFilter`.
    var observes: Bool {
        get { state.withLock { $0.observes } }
        set { state.withLock { $0.observes = newValue } }
    }

    /// - Throws: as `make`.
    func plan(for version: FunctionVersion) throws -> SealedFile {
        let (observes, changes) = state.withLock { ($0.observes, $0.changes) }
        let key = Key(revision: version.revision, observes: observes)
        if let known = state.withLock({ $0.plans.use(key) }) { return known.plan }
        let plan = try make(for: version, observing: observes)
        state.withLock { state in
            // A secret that was changed meanwhile may not be in it.
            guard state.changes == changes else { return }
            state.plans.keep(
                Known(function: version.name, secrets: Set(version.manifest.secrets.values), plan: plan), for: key)
        }
        return plan
    }

    /// One that is not kept.
    /// - Throws: as `Runtimes.plan`, `SystemError`, or `LaunchError` where a secret is gone.
    func make(for version: FunctionVersion, observing: Bool) throws -> SealedFile {
        var plan = try runtimes.plan(for: version, observing: observing)
        guard secrets.give(version.manifest, to: &plan) else {
            // One is gone, or is to be a variable and holds what none can.
            let isGone = !secrets.missing(version.manifest.secrets).isEmpty
            throw LaunchError(stage: "secrets", number: isGone ? ENOENT : EILSEQ)
        }
        return try plan.seal()
    }

    /// Those with this secret are made anew.
    func forget(secret: String) {
        state.withLock { state in
            state.changes += 1
            state.plans.forget { $0.secrets.contains(secret) }
        }
    }

    func forget(_ name: FunctionName) {
        state.withLock { $0.plans.forget { $0.function == name } }
    }
}
