import Crypto
package import FunctionModel
import Glibc
package import HostSystem
import Synchronization

/// Uploaded files on disk: `incoming/` while they arrive, `bundles/<digest>/` when they are whole.
package final class BundleStore: Sendable {
    private let incoming: Folder
    private let bundles: Folder

    /// What an upload's body is.
    package enum Format: Sendable {
        case executable
        case archive
        /// An archive without a manifest.
        case files
    }

    /// A bundle that stands in the store.
    package struct Stored: Sendable {
        package let digest: String
        package let manifest: Manifest
        package let executable: Executable?
        /// Bytes of its files.
        package let bytes: Int
    }

    /// - Parameter path: the data directory.
    /// - Throws: `SystemError`.
    package init(path: String) throws {
        let root = try Folder(path: path)
        try root.makeFolder("incoming")
        try root.makeFolder("bundles")
        incoming = try root.folder("incoming")
        bundles = try root.folder("bundles")
        // What a crash left half-written was never answered.
        for name in try incoming.names() { try incoming.removeTree(name) }
    }

    /// Bundles that are being taken in: stored, and not yet named by a version.
    private let pinned = Mutex<[String: Int]>([:])

    /// Removes bundles that nobody names, uses or takes in. Blocks.
    /// - Parameter isNeeded: asked while no bundle can be taken in.
    package func collectGarbage(unless isNeeded: (String) -> Bool) throws {
        var moved: [String] = []
        for name in try bundles.names() {
            // Out of the way in one step: what is stored in this moment, under the same name, is another one.
            let trash = randomName() + ".gone"
            let isGone = pinned.withLock { pinned in
                guard pinned[name] == nil, !isNeeded(name) else { return false }
                // One that cannot be moved stays; it is no reason not to serve.
                return (try? bundles.move(name, to: incoming, as: trash)) ?? false
            }
            if isGone { moved.append(trash) }
        }
        for name in moved { try incoming.removeTree(name) }
    }

    /// The bundle is named by a version now, or was not taken after all.
    package func unpin(_ stored: Stored) {
        pinned.withLock { pinned in
            let left = (pinned[stored.digest] ?? 1) - 1
            pinned[stored.digest] = left > 0 ? left : nil
        }
    }

    // MARK: - Arriving

    /// A body on its way in.
    package final class Arrival: Sendable {
        private struct Progress {
            var hash = SHA256()
            var size = 0
        }

        fileprivate let name: String
        fileprivate let file: OwnedDescriptor
        private let progress = Mutex(Progress())

        package var size: Int { progress.withLock { $0.size } }

        fileprivate init(name: String, file: consuming OwnedDescriptor) {
            self.name = name
            self.file = file
        }

        /// Appends to the file. Blocks.
        package func append(_ bytes: UnsafeRawBufferPointer) throws {
            try progress.withLock {
                try file.writeAll(bytes)
                $0.hash.update(bufferPointer: bytes)
                $0.size += bytes.count
            }
        }

        /// Of what has come so far.
        package func sha256() -> [UInt8] { Array(progress.withLock { $0.hash.finalize() }) }

        /// Whether it is an archive of zip's kind, from its beginning to its end (APPNOTE.TXT, 4.3.7 and 4.3.16).
        package var isZip: Bool {
            guard file.read(at: 0, count: 4) == [0x50, 0x4B, 3, 4] else { return false }
            // Behind what ends it a comment may stand.
            let longest = 22 + 65_535, tail = file.read(at: max(0, size - longest), count: longest)
            let end: [UInt8] = [0x50, 0x4B, 5, 6]
            return tail.count >= 22
                && (0...(tail.count - 22)).contains { tail[$0] == end[0] && tail[$0..<($0 + 4)].elementsEqual(end) }
        }

        fileprivate func digest() -> String { hex(progress.withLock { $0.hash.finalize() }) }
    }

    package func beginArrival() throws -> Arrival {
        let name = randomName()
        return Arrival(name: name, file: try incoming.create(name, mode: 0o600))
    }

    package func discard(_ arrival: Arrival) {
        try? incoming.removeTree(arrival.name)  // best effort: the next start sweeps
    }

    // MARK: - Taking in

    /// Checks a whole upload and moves it into the store. Blocks.
    /// - Returns: the bundle, pinned until `unpin`, and the SHA-256 of the uploaded bytes.
    /// - Throws: `UploadRefused` or `SystemError`.
    package func store(
        _ arrival: Arrival, format: Format, manifest given: Manifest, name: FunctionName, rules: some BundleRules
    ) throws -> (Stored, sha256: String) {
        defer { discard(arrival) }
        guard arrival.size > 0 else { throw UploadRefused("the body is empty; send the executable or archive itself") }
        let sha256 = arrival.digest()
        let staging = arrival.name + ".d"
        try incoming.makeFolder(staging, isNew: true)
        defer { try? incoming.removeTree(staging) }  // gone already when it was moved

        var manifest = given
        var bytes = arrival.size
        switch format {
        case .archive, .files:
            bytes = try ArchiveUnpacker(into: incoming.folder(staging)).unpack(arrival.file)
            if format == .archive { manifest = try readManifest(in: incoming.folder(staging)) }
        case .executable:
            try place(arrival, as: rules.place(of: &manifest, named: name), in: incoming.folder(staging))
        }
        if let named = manifest.name, named != name {
            throw UploadRefused("the manifest's name is \(named), the upload's is \(name); they must be the same")
        }
        manifest.name = name
        let executable = try rules.examine(&manifest, in: incoming.folder(staging))
        manifest.spellOut()

        // The same bytes under another file name, or for another runtime, are another bundle.
        let use = "\(format):\(manifest.runtime):\(manifest.run ?? manifest.handler ?? "")"
        let digest = hex(SHA256.hash(data: Array("\(use):\(sha256)".utf8)))
        let folder = try incoming.folder(staging)
        try folder.sync()
        let stored = Stored(digest: digest, manifest: manifest, executable: executable, bytes: bytes)
        pinned.withLock { $0[digest, default: 0] += 1 }
        do {
            if try incoming.move(staging, to: bundles, as: digest) { try bundles.sync() }
        } catch {
            unpin(stored)
            throw error
        }
        return (stored, sha256)
    }

    private func place(_ arrival: Arrival, as path: String, in folder: borrowing Folder) throws {
        guard let path = BundlePath(path) else { throw UploadRefused("\"\(path)\" is no path inside the bundle") }
        let parent = try folder.makeFolders(path.components.dropLast())
        let copy = try parent.create(path.components[path.components.count - 1], mode: 0o755)
        var offset = 0
        while true {
            let bytes = arrival.file.read(at: offset, count: 1 << 20)
            if bytes.isEmpty { break }
            try bytes.withUnsafeBytes { try copy.writeAll($0) }
            offset += bytes.count
        }
        // A read that failed looks like the end: a bundle must not be stored with less than was uploaded.
        guard offset == arrival.size else { throw SystemError("read an upload", EIO) }
        try copy.sync()
        try parent.sync()
    }

    private func readManifest(in folder: borrowing Folder) throws -> Manifest {
        func bytes(of file: String) -> [UInt8]? {
            try? folder.open(file: file).read(at: 0, count: Manifest.largestFile + 1)
        }
        guard let name = Manifest.fileNames.first(where: { bytes(of: $0) != nil }), let read = bytes(of: name) else {
            // What many a file manager makes of a folder.
            let names = (try? folder.names()) ?? []
            let inner = names.count == 1 && Manifest.fileNames.contains { bytes(of: "\(names[0])/\($0)") != nil }
            let advice = inner ? "; it is in the folder \(names[0]): pack what is in that folder, not the folder" : ""
            throw UploadRefused("the archive has no function.yaml at its root\(advice)")
        }
        guard let text = String(validating: read, as: UTF8.self) else { throw UploadRefused("\(name) is not UTF-8") }
        do {
            return try Manifest(yaml: text, file: name)
        } catch {
            throw UploadRefused(error.message)
        }
    }

    /// Unpacks a root that the operator gives as a tar, unless it stands in the store already. Blocks.
    /// - Parameter file: kept as long as its place, size and times are the same: reading it whole at each start would take long.
    /// - Returns: the bundle's digest, and where it stands below the data directory.
    /// - Throws: `UploadRefused` or `SystemError`.
    package func storeRoot(_ file: borrowing OwnedDescriptor) throws -> (digest: String, path: String) {
        let digest = hex(SHA256.hash(data: Array("root:\(try file.identity())".utf8)))
        let place = (digest: digest, path: "bundles/\(digest)")
        if (try? bundles.folder(digest)) != nil { return place }
        let staging = randomName() + ".d"
        try incoming.makeFolder(staging, isNew: true)
        defer { try? incoming.removeTree(staging) }  // gone already when it was moved
        _ = try ArchiveUnpacker(into: incoming.folder(staging), rules: .root).unpack(file)
        if try incoming.move(staging, to: bundles, as: digest) { try bundles.sync() }
        return place
    }

    /// Puts the host's own files (the Python runtime) into the store. Blocks.
    /// - Returns: the bundle's digest.
    package func storeOwn(_ file: String, bytes: [UInt8]) throws -> String {
        let digest = hex(SHA256.hash(data: Array("own:\(file):".utf8) + bytes))
        let staging = randomName() + ".d"
        try incoming.makeFolder(staging, isNew: true)
        defer { try? incoming.removeTree(staging) }
        let folder = try incoming.folder(staging)
        let copy = try folder.create(file, mode: 0o644)
        try bytes.withUnsafeBytes { try copy.writeAll($0) }
        try copy.sync()
        try folder.sync()
        if try incoming.move(staging, to: bundles, as: digest) { try bundles.sync() }
        return digest
    }
}

private func randomName() -> String {
    var generator = SystemRandomNumberGenerator()
    return String(generator.next(), radix: 36) + String(generator.next(), radix: 36)
}
