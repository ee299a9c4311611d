import FunctionModel
import Glibc
import SandboxProfiles
import WireText

/// What stands in a cell's root besides the function: see `sandbox/profiles/roots.profile`.
package struct RootView: Sendable {
    package struct Flaw: Error, CustomStringConvertible {
        package let description: String
    }

    /// What a plan mounts.
    package let mounts: [LaunchPlan.Mount]
    /// Paths of the host's that are in each cell already.
    package let everywhere: [String]

    /// The view whose entries no plan names: the launcher has them in each cell.
    package static let every = "every"

    /// The host's folders that this view shows, for checking an interpreter's place.
    package func shows(_ path: String) -> Bool {
        everywhere.contains { path.isSame(as: $0) || path.isPath(below: $0) }
            || mounts.contains { mount in
                switch mount.kind {
                case .host: path.isSame(as: mount.target) || path.isPath(below: mount.target)
                case .link: path.isSame(as: mount.target) || path.isPath(below: mount.target)
                case .bundle: false
                }
            }
    }

    /// Whose own mounts are these: nothing of the host's beside them, but for what every cell has.
    /// - Throws: `Flaw` when the profile is not sound.
    package init(mounts: [LaunchPlan.Mount]) throws(Flaw) {
        self.mounts = mounts
        everywhere = try RootView(named: Self.every).mounts.map(\.target)
    }

    /// - Throws: `Flaw` when the profile is not sound.
    package init(named name: String, profile: String = SandboxProfiles.roots) throws(Flaw) {
        var mounts: [LaunchPlan.Mount] = []
        var current: Substring?
        var found = false
        for (index, line) in profile.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.prefix { $0 != "#" }.split(separator: " ")
            guard !words.isEmpty else { continue }
            guard words.count == 2 else {
                throw Flaw(description: "roots profile line \(index + 1): two words expected")
            }
            let path = String(words[1])
            if words[0] == "view" {
                current = words[1]
                if path == name { found = true }
                continue
            }
            guard current.map(String.init) == name else { continue }
            switch words[0] {
            case "bind": mounts.append(.init(kind: .host, source: path, target: path, isOptional: true))
            case "need": mounts.append(.init(kind: .host, source: path, target: path))
            case "mirror": mounts.append(Self.mirror(path))
            default: throw Flaw(description: "roots profile line \(index + 1): unknown word \(words[0])")
            }
        }
        guard found else { throw Flaw(description: "roots profile: no view \(name)") }
        self.mounts = mounts
        everywhere = name == Self.every ? [] : try RootView(named: Self.every, profile: profile).mounts.map(\.target)
    }

    private static func mirror(_ path: String) -> LaunchPlan.Mount {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let length = readlink(path, &buffer, buffer.count)
        guard length > 0 else { return .init(kind: .host, source: path, target: path, isOptional: true) }
        return .init(kind: .link, source: String(decoding: buffer.prefix(length), as: UTF8.self), target: path)
    }
}
