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

    mutating func add(_ version: FunctionVersion) { functions[version.name, default: []].append(version) }
    mutating func remove(_ name: FunctionName) { functions[name] = nil }
}
