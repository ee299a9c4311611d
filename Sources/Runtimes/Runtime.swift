package import Bundles
package import FunctionModel
package import HostSystem
import PythonRuntime
package import Sandbox

/// What differs from runtime to runtime. Each has one file here, and a line in `Manifest.Runtime.rules`.
protocol Runtime: Sendable {
    /// As `BundleRules.place`.
    func place(of manifest: inout Manifest, named name: FunctionName) -> String
    /// As `BundleRules.examine`.
    func examine(_ manifest: inout Manifest, in folder: borrowing Folder, roots: Roots) throws -> Executable?
    /// A program of the root's that it needs; nil: none but what `examine` has looked for.
    var program: String? { get }
    /// The smallest view of the host that starts it, see `roots.profile`.
    func minimalView(for executable: Executable?) -> String
    /// What is executed, seen from inside the cell.
    func command(of version: FunctionVersion, runtimeBundle: String) -> RuntimeCommand
    /// What it runs, in words, for `policy show`.
    func description(of version: FunctionVersion) -> String
    /// What its cells hold beside the bundle, in words.
    var holds: String { get }
}

/// What a worker's process begins as.
struct RuntimeCommand {
    var executable: String
    /// `argv`, before the manifest's `args`.
    var arguments: [String]
    /// Beside the bundle at /function.
    var mounts: [LaunchPlan.Mount] = []
}

extension Manifest.Runtime {
    var rules: any Runtime {
        switch self {
        case .native: Native()
        case .python: Python()
        case .provided: Provided()
        }
    }
}

/// The runtimes of this host: with the roots that functions may have, and with what the host itself brings.
package struct Runtimes: BundleRules {
    package let roots: Roots
    /// Digest of the Python runtime in the store.
    private let runtimeBundle: String

    /// Puts the host's own files into the store. Blocks.
    /// - Throws: what the file system says.
    package init(roots: Roots, in bundles: BundleStore) throws {
        self.roots = roots
        runtimeBundle = try bundles.storeOwn(PythonRuntime.fileName, bytes: PythonRuntime.source)
    }

    /// Bundles that no version names: the host's own.
    package var bundles: Set<String> { roots.bundles.union([runtimeBundle]) }

    package func place(of manifest: inout Manifest, named name: FunctionName) -> String {
        manifest.runtime.rules.place(of: &manifest, named: name)
    }

    package func examine(_ manifest: inout Manifest, in folder: borrowing Folder) throws -> Executable? {
        do {
            return try manifest.runtime.rules.examine(&manifest, in: folder, roots: roots)
        } catch let unknown as Roots.Unknown {
            throw UploadRefused("\(unknown)")
        }
    }

    /// That the root which a manifest names is there, with what the function needs of it.
    /// - Throws: `Roots.Unknown`.
    package func check(_ manifest: Manifest) throws(Roots.Unknown) { try roots.check(manifest) }

    /// The plan for a version's workers.
    /// - Parameter observing: for `policy learn`, see `SeccompFilter`.
    /// - Throws: what is wrong with the profiles, `Roots.Unknown` or `LaunchPlan.TooLarge`.
    package func plan(for version: FunctionVersion, observing: Bool = false) throws -> LaunchPlan {
        try LaunchPlan(version: version, runtimeBundle: runtimeBundle, roots: roots, observing: observing)
    }
}
