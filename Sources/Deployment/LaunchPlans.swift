import FunctionModel
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

    private struct State {
        var plans: [Key: (function: FunctionName, plan: SealedFile)] = [:]
        var observes = false
    }

    private let runtimes: Runtimes
    private let state = Mutex(State())
    /// Each holds a descriptor.
    private static let maxPlans = 1000

    init(_ runtimes: Runtimes) { self.runtimes = runtimes }

    /// Whether new plans are made for `policy learn`: see `SeccompFilter`.
    var observes: Bool {
        get { state.withLock { $0.observes } }
        set { state.withLock { $0.observes = newValue } }
    }

    /// - Throws: as `make`.
    func plan(for version: FunctionVersion) throws -> SealedFile {
        let observes = observes
        let key = Key(revision: version.revision, observes: observes)
        if let known = state.withLock({ $0.plans[key] }) { return known.plan }
        let plan = try make(for: version, observing: observes)
        state.withLock { state in
            // Old versions make theirs anew when somebody asks for one.
            if state.plans.count >= Self.maxPlans { state.plans = [:] }
            state.plans[key] = (version.name, plan)
        }
        return plan
    }

    /// One that is not kept.
    /// - Throws: as `Runtimes.plan`, or `SystemError`.
    func make(for version: FunctionVersion, observing: Bool) throws -> SealedFile {
        try runtimes.plan(for: version, observing: observing).seal()
    }

    func forget(_ name: FunctionName) {
        state.withLock { state in state.plans = state.plans.filter { $0.value.function != name } }
    }
}
