package import FunctionModel
import SandboxProfiles

extension SeccompProfile {
    private static let bases: [Traits: Result<SeccompProfile, any Error>] = {
        let all = [true, false].flatMap { single in
            [false, true].map { Traits(singleProcess: single, hasLoopback: $0) }
        }
        return Dictionary(
            uniqueKeysWithValues: all.map { traits in
                (traits, Result { try SeccompProfile(text: SandboxProfiles.base, traits) })
            })
    }()

    /// The profile that functions run under, parsed once.
    /// - Throws: `Flaw`; a test keeps that from happening.
    package static func base(_ traits: Traits) throws -> SeccompProfile {
        guard let base = bases[traits] else { throw Flaw(description: "there is no base profile for \(traits)") }
        return try base.get()
    }

    private static let lock = Result { try SeccompProfile(text: SandboxProfiles.locked, Traits(singleProcess: false)) }

    /// What is left of it to a worker that is locked. Parsed once.
    /// - Throws: as `base`.
    package static func locked() throws -> SeccompProfile { try lock.get() }

    /// What in a manifest would have let a refused call through; nil when nothing would, or this one has it.
    package static func grant(for syscall: String, refusedWith errno: String, under manifest: Manifest) -> String? {
        let traits = manifest.traits(processes: manifest.limits.effectiveProcesses)
        guard let profile = try? base(traits) else { return nil }
        return profile.rules.first { rule in
            guard rule.syscall == syscall, case .refuse(errno, _) = rule.action else { return false }
            return rule.grant != nil
        }?.grant
    }

    /// Why the profile denies this call; nil when no rule names it (a foreign ABI's entry).
    package static func denialReason(of syscall: String, _ arguments: [UInt64]) -> String? {
        let rules = bases.values.compactMap { try? $0.get().rule(for: syscall, arguments) }
        if let denying = rules.first(where: { $0.action == .deny }) { return denying.reason }
        // Any other call is only ever denied by the lock.
        return rules.isEmpty ? nil : "after `lock: true` has taken effect"
    }
}

extension Manifest {
    /// - Parameter processes: of the cell; a snapshot's template is one more.
    package func traits(processes: Int) -> SeccompProfile.Traits {
        SeccompProfile.Traits(singleProcess: processes == 1, hasLoopback: hasLoopback)
    }
}
