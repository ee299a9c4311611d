import SandboxProfiles

extension SeccompProfile {
    private static let one = Result { try SeccompProfile(text: SandboxProfiles.base, singleProcess: true) }
    private static let many = Result { try SeccompProfile(text: SandboxProfiles.base, singleProcess: false) }

    /// The profile that functions run under, parsed once.
    /// - Throws: `Flaw`; a test keeps that from happening.
    package static func base(singleProcess: Bool) throws -> SeccompProfile { try (singleProcess ? one : many).get() }

    private static let lock = Result { try SeccompProfile(text: SandboxProfiles.locked, singleProcess: false) }

    /// What is left of it to a worker that is locked. Parsed once.
    /// - Throws: as `base`.
    package static func locked() throws -> SeccompProfile { try lock.get() }

    /// What in a manifest would have let a refused call through; nil when nothing would.
    package static func grant(for syscall: String, refusedWith errno: String) -> String? {
        guard let profile = try? base(singleProcess: true) else { return nil }
        return profile.rules.first { rule in
            guard rule.syscall == syscall, case .refuse(errno, _) = rule.action else { return false }
            return rule.grant != nil
        }?.grant
    }

    /// Why the profile denies this call; nil when no rule names it (a foreign ABI's entry).
    package static func denialReason(of syscall: String, _ arguments: [UInt64]) -> String? {
        let rules = [one, many].compactMap { try? $0.get().rule(for: syscall, arguments) }
        if let denying = rules.first(where: { $0.action == .deny }) { return denying.reason }
        // Any other call is only ever denied by the lock.
        return rules.isEmpty ? nil : "after `lock: true` has taken effect"
    }
}
