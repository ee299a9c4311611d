package import FunctionModel

/// What is served, as of one moment: immutable, so that an invocation reads it without a lock on the database.
package struct Snapshot: Sendable {
    /// Versions in ascending order; never empty.
    private var functions: [FunctionName: [FunctionVersion]] = [:]

    init(_ versions: [FunctionVersion]) {
        for version in versions.sorted(by: { $0.number < $1.number }) {
            functions[version.name, default: []].append(version)
        }
    }

    package var names: [FunctionName] { functions.keys.sorted() }
    /// What is served when no version is named.
    package var latestVersions: [FunctionVersion] { functions.values.compactMap(\.last) }
    package var count: Int { functions.count }

    /// All versions of a function, in ascending order; empty when there is no such function.
    package func versions(of name: FunctionName) -> [FunctionVersion] { functions[name] ?? [] }

    package func latest(_ name: FunctionName) -> FunctionVersion? { functions[name]?.last }

    package func version(_ number: Int, of name: FunctionName) -> FunctionVersion? {
        functions[name]?.first { $0.number == number }
    }

    /// Whether this version is (still) there.
    package func has(_ version: FunctionVersion) -> Bool {
        guard let versions = functions[version.name] else { return false }
        return versions.last == version || versions.contains(version)
    }

    /// The version that is meant.
    /// - Throws: `Failure` not_found, saying what there is.
    package func resolve(_ reference: FunctionReference) throws(Failure) -> FunctionVersion {
        let name = reference.name
        guard let latest = latest(name) else { throw Self.unknown(name) }
        switch reference.qualifier {
        case .unqualified, .alias("latest"): return latest
        case .alias(let alias):
            throw Failure(
                .notFound,
                "\(name) has no alias \"\(alias.prefix(bytes: 80))\"; \"latest\" always names the newest version")
        case .version(let number):
            if let version = version(number, of: name) { return version }
            throw Failure(.notFound, "\(name) has no version \(number); the newest is \(latest.number)")
        }
    }

    package static func unknown(_ name: FunctionName) -> Failure {
        Failure(.notFound, "there is no function named \(name); GET /v1/functions lists what there is")
    }

    /// Of a version that was picked when its event began to arrive: it may have gone since, its files too.
    /// - Throws: `Failure` not_found.
    package func require(_ version: FunctionVersion) throws(Failure) {
        guard has(version) else {
            throw Failure(.notFound, "\(version.name) version \(version.number) was deleted meanwhile")
        }
    }

    /// Digests that versions name.
    package var bundleDigests: Set<String> { Set(functions.values.flatMap { $0.map(\.bundle) }) }

    /// What the bundles of all versions take on the disk, each counted once, and how many versions there are.
    /// - Parameter key: only of versions that this key uploaded; nil: of all.
    package func stored(by key: String? = nil) -> (bytes: Int, count: Int) {
        var bundles: [String: Int] = [:]
        var count = 0
        for versions in functions.values {
            for version in versions where key == nil || version.key == key {
                bundles[version.bundle] = version.storedBytes
                count += 1
            }
        }
        return (bundles.values.reduce(0, +), count)
    }

    /// - Parameter most: versions of the function that are kept.
    mutating func add(_ version: FunctionVersion, keeping most: Int) {
        functions[version.name, default: []].append(version)
        let surplus = (functions[version.name]?.count ?? 0) - most
        if surplus > 0 { functions[version.name]?.removeFirst(surplus) }
    }
    mutating func remove(_ name: FunctionName) { functions[name] = nil }
}
