import CHostSystem
import FunctionModel
import Glibc
import HostSystem
package import Sandbox
import WireText

/// A root that the operator prepared, so that a host that runs strangers' code need not show its own programs: `roots:` of the
/// configuration. Looked at once, when the host starts.
package struct OperatorRoot: Sendable {
    /// Where its tree stands.
    package enum Place: Sendable {
        /// A folder of the host's, whose files cells read as their own user.
        case folder(path: String)
        /// A bundle of the store, into which a tar was unpacked.
        case bundle(digest: String)
    }

    package let name: String
    package let place: Place
    /// The tree as this process reaches it.
    private let path: String
    /// What a plan mounts.
    package let mounts: [LaunchPlan.Mount]

    /// - Parameter path: the tree as this process reaches it.
    /// - Throws: `SystemError`, or `LaunchPlan.TooLarge` when there is more in it than a cell takes.
    package init(named name: String, at place: Place, path: String) throws {
        self.name = name
        self.place = place
        self.path = path
        var mounts: [LaunchPlan.Mount] = []
        let top = try Folder(path: path)
        try Self.list(top, below: "", except: Self.cellsOwn) { entry, kind, text in
            mounts.append(Self.mount("/\(entry)", kind, text, of: place))
        }
        if let settings = try? top.folder("etc") {
            try Self.list(settings, below: "etc/", except: Self.made) { entry, kind, text in
                mounts.append(Self.mount("/\(entry)", kind, text, of: place))
            }
        }
        // What every cell has of the host's is there before its root is: a link cannot take its place.
        let everywhere = try RootView(named: RootView.every).mounts.map(\.target)
        mounts.removeAll { mount in
            mount.kind == .link && everywhere.contains { $0.isSame(as: mount.target) || $0.isPath(below: mount.target) }
        }
        guard mounts.count <= LaunchPlan.maxMounts - Self.othersMounts else {
            throw LaunchPlan.TooLarge(
                description:
                    "there are \(mounts.count) files and folders at its top and in its /etc, more than the \(LaunchPlan.maxMounts - Self.othersMounts) that fit in a cell"
            )
        }
        self.mounts = mounts
    }

    /// The function, a runtime, and as many grants as a manifest may have.
    private static let othersMounts = 2 + 32

    /// Made for each cell, or none of a root's business. Of /etc only a part is: the others are shown one by one.
    private static let cellsOwn: Set<String> = [
        "proc", "sys", "dev", "etc", "tmp", "function", "runtime", "lost+found",
    ]
    /// What of /etc is made for each cell; and passwords, whoever may read them.
    private static let made: Set<String> = [
        "passwd", "group", "hosts", "nsswitch.conf", "localtime", "timezone", "mtab", "shadow", "gshadow", "passwd-",
        "group-", "shadow-", "gshadow-", "bulkhead",
    ]

    private enum Kind { case file, folder, link }

    private static func mount(
        _ target: String, _ kind: Kind, _ text: String, of place: Place
    ) -> LaunchPlan.Mount {
        switch (kind, place) {
        case (.link, _): .init(kind: .link, source: text, target: target)
        case (_, .folder(let path)): .init(kind: .host, source: path + target, target: target)
        case (_, .bundle(let digest)): .init(kind: .bundle, source: digest + target, target: target)
        }
    }

    /// Names what everybody may read in a folder, in the order of names.
    private static func list(
        _ folder: borrowing Folder, below prefix: String, except: Set<String>, _ take: (String, Kind, String) -> Void
    ) throws {
        for name in try folder.names().sorted() where !except.contains(name) && BundlePath(name)?.text == name {
            var info = stat()
            guard fstatat(folder.descriptor.number, name, &info, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            switch info.st_mode & S_IFMT {
            case S_IFREG where info.st_mode & 0o004 != 0: take(prefix + name, .file, "")
            case S_IFDIR where info.st_mode & 0o005 == 0o005: take(prefix + name, .folder, "")
            case S_IFLNK: if let text = try folder.link(name) { take(prefix + name, .link, text) }
            default: break
            }
        }
    }

    /// Whether `path`, as a cell of this root sees it, is there; all links are followed inside the root.
    package func has(_ path: String, executable: Bool = false) -> Bool {
        guard let folder = try? Folder(path: self.path) else { return false }
        let number = bh_open_inside(folder.descriptor.number, path)
        guard number >= 0 else { return false }
        guard let found = try? FileStanding(of: OwnedDescriptor(owning: number)) else { return false }
        return !executable || (found.isPlainFile && found.isOpen.search)
    }
}
