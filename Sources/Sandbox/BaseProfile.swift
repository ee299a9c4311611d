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

    /// What in a manifest would have let a refused call through; nil when nothing would.
    package static func grant(for syscall: String, refusedWith errno: String) -> String? {
        guard let profile = try? base(Traits(singleProcess: true)) else { return nil }
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
