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
        return versions.last?.number == version.number || versions.contains { $0.number == version.number }
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
