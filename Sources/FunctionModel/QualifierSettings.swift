// What a function's settings have of one qualifier: an alias, a version's number, or `FunctionVersion.latestLabel`.
extension FunctionSettings {
    /// What is gone leaves nothing to another one that gets its name.
    package mutating func drop(_ qualifier: String) {
        urls[qualifier] = nil
        eventInvoke[qualifier] = nil
        provisioned[qualifier] = nil
        policies[qualifier] = nil
    }

    /// What becomes of asynchronous invocations of a version: the manifest's rules, with what is said of the version; else of the first
    /// alias, by name, that names it; else, of the newest, of `FunctionVersion.latestLabel`.
    /// - Parameter newest: the newest version's number.
    package func asyncRules(of version: FunctionVersion, newest: Int, aliases: [Alias]) -> AsyncRules {
        let rules = version.manifest.async
        guard !eventInvoke.isEmpty else { return rules }
        let naming = aliases.filter { $0.main(newest: newest) == version.number && eventInvoke[$0.name] != nil }
        let own = eventInvoke[version.label] ?? naming.map(\.name).min().flatMap { eventInvoke[$0] }
        let latest = version.number == newest ? eventInvoke[FunctionVersion.latestLabel] : nil
        return (own ?? latest)?.applied(to: rules) ?? rules
    }

    /// Tells one state of a policy from another; nil: there is none.
    package func policyTag(_ qualifier: String) -> String? {
        policies[qualifier].map { String(Alias.hash(of: "\($0)"), radix: 16) }
    }
}
