package import FunctionModel
import Store

/// What is served, as of one moment: immutable, so that an invocation reads it without a lock on the database.
package struct Snapshot: Sendable {
    private struct Entry: Sendable {
        /// In ascending order; never empty.
        var versions: [FunctionVersion]
        var traffic: Traffic
        /// What `live` goes on to serve while its newest version is being made ready.
        var held: FunctionVersion?

        func version(_ number: Int) -> FunctionVersion? { versions.last { $0.number == number } }
    }

    private var functions: [FunctionName: Entry] = [:]
    package internal(set) var routes = RouteTable()

    init(_ versions: [FunctionVersion], _ stored: [StoredTraffic] = [], routes: [Route] = []) {
        for route in routes { self.routes.put(route) }
        let known = Dictionary(stored.map { ($0.function, $0) }) { $1 }
        for (name, own) in Dictionary(grouping: versions, by: \.name) {
            let sorted = own.sorted { $0.number < $1.number }
            let traffic = Traffic(
                numbers: sorted.map(\.number),
                unpublished: sorted.last.flatMap { $0.isPublished ? nil : $0.number },
                aliases: known[name]?.aliases ?? [], keep: known[name]?.keep,
                settings: known[name]?.settings ?? FunctionSettings(),
                createdAt: sorted.last?.createdAt ?? "")
            functions[name] = Entry(versions: sorted, traffic: traffic)
        }
    }

    package var names: [FunctionName] { functions.keys.sorted() }
    package var count: Int { functions.count }
    /// Versions of which workers may be kept started: all that `live` sends somebody to, and what is provisioned.
    package var warmVersions: [FunctionVersion] { functions.values.flatMap(Self.warm) }

    package func warmVersions(of name: FunctionName) -> [FunctionVersion] { functions[name].map(Self.warm) ?? [] }

    private static func warm(_ entry: Entry) -> [FunctionVersion] {
        let live = live(entry)
        let provisioned = entry.traffic.provisioned
        guard !provisioned.isEmpty else { return live }
        return live + entry.versions.filter { provisioned[$0.number] != nil && !live.contains($0) }
    }

    /// How many of a version's workers are kept started, while it is served.
    package func keptWorkers(of version: FunctionVersion) -> Int {
        let asked = version.manifest.concurrency.warm
        guard let entry = functions[version.name] else { return asked }
        let provisioned = entry.traffic.provisioned[version.number] ?? 0
        return max(Self.live(entry).contains(version) || entry.held == version ? asked : 0, provisioned)
    }

    private static func live(_ entry: Entry) -> [FunctionVersion] {
        let live = entry.traffic.live
        let numbers = live.named.union([live.main(newest: entry.traffic.newest ?? 0)])
        return entry.versions.filter { numbers.contains($0.number) }
    }

    /// All versions of a function, in ascending order; empty when there is no such function.
    package func versions(of name: FunctionName) -> [FunctionVersion] { functions[name]?.versions ?? [] }

    package func latest(_ name: FunctionName) -> FunctionVersion? { functions[name]?.versions.last }

    package func version(_ number: Int, of name: FunctionName) -> FunctionVersion? { functions[name]?.version(number) }

    /// Whether this version is (still) there.
    package func has(_ version: FunctionVersion) -> Bool {
        guard let entry = functions[version.name] else { return false }
        // What is served still, though another has taken its place.
        return entry.versions.last == version || entry.versions.contains(version) || entry.held == version
    }

    /// Whether an alias sends somebody to this version.
    package func isServed(_ version: FunctionVersion) -> Bool {
        guard let entry = functions[version.name], has(version) else { return false }
        return entry.held == version || entry.traffic.served.contains(version.number)
    }

    // MARK: - Aliases

    /// By name; empty when there is no such function.
    package func aliases(of name: FunctionName) -> [Alias] {
        functions[name]?.traffic.aliases.values.sorted { $0.name < $1.name } ?? []
    }

    package func settings(of name: FunctionName) -> FunctionSettings {
        functions[name]?.traffic.settings ?? FunctionSettings()
    }

    /// The URL that a function has: for an alias, or for itself (`FunctionVersion.latestLabel`).
    package func url(of name: FunctionName, _ qualifier: String) -> FunctionURL? {
        guard let settings = functions[name]?.traffic.settings, !settings.urls.isEmpty,
            var url = settings.urls[qualifier]
        else { return nil }
        if url.awaitsPermission {
            url.isOpen = url.isOpen && settings.policies[qualifier]?.contains(where: \.opensURL) == true
        }
        return url
    }

    /// What becomes of asynchronous invocations of this version.
    package func asyncRules(of version: FunctionVersion) -> AsyncRules {
        guard let traffic = functions[version.name]?.traffic, !traffic.settings.eventInvoke.isEmpty else {
            return version.manifest.async
        }
        return traffic.settings.asyncRules(
            of: version, newest: traffic.newest ?? version.number, aliases: Array(traffic.aliases.values))
    }

    package func alias(_ alias: String, of name: FunctionName) -> Alias? { functions[name]?.traffic.aliases[alias] }

    /// The version that is meant.
    /// - Parameter key: what decides between two versions of one alias; asked where there are two, with the name of the header
    ///   whose value it is, or nil for the invocation's id.
    /// - Throws: `Failure` not_found, saying what there is.
    package func resolve(
        _ reference: FunctionReference, key: (String?) -> String = { _ in "" }
    ) throws(Failure) -> FunctionVersion {
        let name = reference.name
        guard let entry = functions[name], let latest = entry.versions.last else { throw Self.unknown(name) }
        switch reference.qualifier {
        case .alias(Alias.latest): return latest
        case .unqualified: return Self.pick(entry.traffic.live, entry, latest, key)
        case .alias(let text):
            guard let alias = entry.traffic.aliases[text] else { throw Traffic.unknown(text, of: name) }
            return Self.pick(alias, entry, latest, key)
        case .version(let number):
            if let version = entry.version(number), version.isPublished { return version }
            throw Failure(.notFound, "\(name) has no version \(number); the newest is \(latest.label)")
        }
    }

    private static func pick(
        _ alias: Alias, _ entry: Entry, _ latest: FunctionVersion, _ key: (String?) -> String
    ) -> FunctionVersion {
        guard !alias.weights.isEmpty || alias.target != .latest else {
            return alias.name == Alias.live ? entry.held ?? latest : latest
        }
        let number = alias.number(for: alias.weights.isEmpty ? "" : key(alias.header), newest: latest.number)
        return entry.version(number) ?? latest  // there is always one: none goes while an alias names it
    }

    package static func unknown(_ name: FunctionName) -> Failure {
        Failure(.notFound, "there is no function named \(name); GET /v1/functions lists what there is")
    }

    /// Of a version that was picked when its event began to arrive: it may have gone since, its files too.
    /// - Throws: `Failure` not_found.
    package func require(_ version: FunctionVersion) throws(Failure) {
        guard has(version) else {
            throw Failure(.notFound, "\(version.name) version \(version.label) was deleted meanwhile")
        }
    }

    /// Digests that versions name.
    package var bundleDigests: Set<String> {
        Set(functions.values.flatMap { $0.versions.map(\.bundle) + [$0.held?.bundle].compactMap { $0 } })
    }

    /// What the bundles of all versions take on the disk, each counted once, and how many versions there are.
    /// - Parameter key: only of versions that this key uploaded; nil: of all.
    package func stored(by key: String? = nil) -> (bytes: Int, count: Int) {
        var bundles: [String: Int] = [:]
        var count = 0
        for entry in functions.values {
            for version in entry.versions where key == nil || version.key == key {
                bundles[version.bundle] = version.storedBytes
                count += 1
            }
        }
        return (bundles.values.reduce(0, +), count)
    }

    // MARK: - Changes

    mutating func add(_ version: FunctionVersion, _ traffic: Traffic, held: Bool) {
        var entry = functions[version.name] ?? Entry(versions: [], traffic: traffic)
        let served = entry.held ?? entry.versions.last
        entry.versions.removeAll { $0.number == version.number }
        entry.versions.append(version)
        entry.held = held ? served : nil
        functions[version.name] = entry
        set(traffic, of: version.name)
    }

    mutating func release(_ version: FunctionVersion) {
        guard let entry = functions[version.name], let held = entry.held, entry.versions.contains(version) else {
            return
        }
        if entry.versions.last == version {
            functions[version.name]?.held = nil
        } else if held.number < version.number {
            // A newer one is on its way; until then this one.
            functions[version.name]?.held = version
        }
    }

    /// Versions that it does not have go.
    mutating func set(_ traffic: Traffic, of name: FunctionName) {
        guard var entry = functions[name] else { return }
        let numbers = Set(traffic.numbers)
        entry.versions.removeAll { !numbers.contains($0.number) }
        entry.traffic = traffic
        if let held = entry.held, !numbers.contains(held.number) { entry.held = nil }
        functions[name] = entry.versions.isEmpty ? nil : entry
    }

    mutating func remove(_ name: FunctionName) { functions[name] = nil }
}
