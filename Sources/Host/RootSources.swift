import Bundles
import Foundation
import Glibc
import HostSystem
import Runtimes

/// The operator's roots before they are looked at: opened while this process may open anything.
struct RootSources: Sendable {
    private enum Source: Sendable {
        case folder(path: String)
        /// Held by whoever copies this.
        case tar(Held)
    }

    private final class Held: Sendable {
        let file: OwnedDescriptor

        init(_ file: consuming OwnedDescriptor) { self.file = file }
    }

    private let sources: [(name: String, path: String, source: Source)]

    /// The folders that cells read, and this process looks into.
    var folders: [String] {
        sources.compactMap { if case .folder(let path) = $0.source { path } else { nil } }
    }

    /// - Throws: `HostFailure`, naming the root.
    init(_ paths: [String: String]) throws {
        sources = try paths.sorted { $0.key < $1.key }.map { name, path in
            (name, path, try Self.open(path, for: name))
        }
    }

    private static func open(_ path: String, for name: String) throws -> Source {
        func failure(_ why: String) -> HostFailure { HostFailure("roots: \(name): \(path) \(why)", isUsage: true) }
        let number = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard number >= 0 else { throw failure("cannot be opened: \(String(cString: strerror(errno)))") }
        let file = OwnedDescriptor(owning: number)
        let standing = try FileStanding(of: file)
        if standing.isPlainFile { return .tar(Held(file)) }
        guard standing.isFolder else { throw failure("is neither a folder nor a tar") }
        guard let real = realpath(path, nil) else { throw failure("has no path") }
        defer { free(real) }
        let folder = String(cString: real)
        guard folder != "/" else {
            throw failure("is the host's own root; what of it programs need is in root: system")
        }
        // Without root, cells are this very user.
        if geteuid() == 0, let closed = closed(folder) {
            throw failure(
                "cannot be read by cells, which are nobody's: \(closed) must be open to everybody (chmod o+rx)")
        }
        return .folder(path: folder)
    }

    /// The first folder of a path that others may not enter; of the last they must be able to read the names.
    private static func closed(_ path: String) -> String? {
        var above = ""
        for part in path.split(separator: "/") {
            above += "/\(part)"
            guard let isOpen = FileStanding(of: above)?.isOpen, isOpen.search, above != path || isOpen.reading else {
                return above
            }
        }
        return nil
    }

    /// Looks at folders and unpacks tars that are new. Blocks.
    /// - Throws: `HostFailure`, naming the root.
    func prepare(in bundles: BundleStore, data: String) throws -> Roots {
        Roots(
            try sources.map { name, path, source in
                do {
                    switch source {
                    case .folder(let folder):
                        return try OperatorRoot(named: name, at: .folder(path: folder), path: folder)
                    case .tar(let held):
                        let stored = try bundles.storeRoot(held.file)
                        return try OperatorRoot(
                            named: name, at: .bundle(digest: stored.digest), path: "\(data)/\(stored.path)")
                    }
                } catch {
                    throw HostFailure("roots: \(name): \(path) cannot be used: \(error)", isUsage: true)
                }
            })
    }
}
