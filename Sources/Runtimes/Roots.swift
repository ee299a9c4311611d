package import FunctionModel
import Glibc
package import Sandbox
import WireText

/// The roots that functions of this host may have.
package struct Roots: Sendable {
    package struct Unknown: Error, CustomStringConvertible {
        package let description: String
    }

    private let prepared: [String: OperatorRoot]

    package init(_ prepared: [OperatorRoot] = []) {
        self.prepared = Dictionary(prepared.map { ($0.name, $0) }) { $1 }
    }

    /// Bundles that are roots.
    package var bundles: Set<String> {
        Set(prepared.values.compactMap { if case .bundle(let digest) = $0.place { digest } else { nil } })
    }

    /// - Throws: `Unknown` when the manifest names a root that this host does not have.
    package func prepared(for manifest: Manifest) throws(Unknown) -> OperatorRoot? {
        guard case .prepared(let name) = manifest.root else { return nil }
        if let root = prepared[name] { return root }
        let own = prepared.keys.sorted()
        throw Unknown(
            description:
                "root: this host has no root named \(name); accepted are \(Manifest.Root.own.joined(separator: ", "))"
                + (own.isEmpty
                    ? "; an operator names others under roots: in the configuration"
                    : ", \(own.joined(separator: ", "))"))
    }

    /// What stands in the cells of a version.
    package func view(for version: FunctionVersion) throws -> RootView {
        if let root = try prepared(for: version.manifest) { return try RootView(mounts: root.mounts) }
        return try RootView(named: Self.viewName(for: version))
    }

    /// The name of the view a version needs, see `roots.profile`.
    private static func viewName(for version: FunctionVersion) -> String {
        switch version.manifest.root {
        case .system: "system"
        // All that does not bring what it needs with it.
        case .auto where version.executable != .staticELF: "system"
        case .auto, .minimal, .prepared: version.manifest.runtime.rules.minimalView(for: version.executable)
        }
    }

    /// Whether a cell will find a program that is not in the bundle.
    package func show(executable path: String, to manifest: Manifest) throws -> Bool {
        if try prepared(for: manifest)?.has(path, executable: true) == true { return true }
        let isGranted = manifest.allow.filesRead.contains { path.isSame(as: $0) || path.isPath(below: $0) }
        let views: [String] =
            switch manifest.root {
            case .prepared: []
            case .minimal: ["script", "dynamic"]
            case .auto, .system: ["system"]
            }
        // The place must be one that the cell shows; what it is there the launch will say.
        let isShown = try isGranted || views.contains { try RootView(named: $0).shows(path) }
        return isShown && access(path, X_OK) == 0
    }

    /// That what the manifest asks of its root is there.
    /// - Throws: `Unknown`, saying what is not.
    package func check(_ manifest: Manifest) throws(Unknown) {
        guard let root = try prepared(for: manifest) else { return }
        if let program = manifest.runtime.rules.program, !root.has(program, executable: true) {
            throw Unknown(
                description:
                    "root: \(root.name) has no \(program), which runtime: \(manifest.runtime.rawValue) needs")
        }
        // A mount point in a tree that is read-only must be there.
        for path in manifest.allow.filesRead {
            let isBelow = root.mounts.contains { path.isPath(below: $0.target) }
            guard isBelow, !root.has(path) else { continue }
            throw Unknown(
                description:
                    "allow.files.read: \(path) cannot be shown in the root \(root.name), whose own \(path) is missing; grant another place, or have the operator make it there"
            )
        }
    }
}

extension Manifest.Root {
    /// Whose the programs in it are, in words.
    var owner: String { if case .prepared(let name) = self { "the root \(name)'s" } else { "the host's" } }
}
