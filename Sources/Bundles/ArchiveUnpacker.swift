import CArchive
import FunctionModel
import Glibc
import HostSystem
import WireText

/// Unpacks an uploaded zip or tar into a folder. The archive is hostile: libarchive only reads it; every file is made
/// here, by descriptor, below the folder, following no link.
struct ArchiveUnpacker: ~Copyable {
    /// Whose archive it is, and so what it may hold and become.
    struct Rules {
        /// Bounds of what it may become.
        var maxEntries = 100_000
        var maxBytes = 256 << 20
        /// How long that may take.
        var maxCPU = Duration.seconds(10)
        var longest = Duration.seconds(180)
        /// A root holds links that lead anywhere, for it is all there is; devices, which a cell has of its own; and programs
        /// that change their user, which they do not in a cell.
        var isRoot = false

        /// A tenant's.
        static let bundle = Rules()
        /// The operator's: by mistake it can be large, not by malice.
        static let root = Rules(
            maxEntries: 1_000_000, maxBytes: 16 << 30, maxCPU: .seconds(600), longest: .seconds(1800), isRoot: true)

        /// What may be read out of the compression, headers and all.
        var maxRead: Int { maxBytes + maxEntries * (8 << 10) }
        /// Making a file costs the kernel something too, on some file systems a hundred microseconds.
        static let maxCPUOfEntry = Duration.microseconds(200)
    }
    private let rules: Rules
    private let began = ContinuousClock.now
    private let usedBefore = threadCPU()

    private let folder: Folder

    init(into folder: consuming Folder, rules: Rules = .bundle) {
        self.folder = folder
        self.rules = rules
    }

    /// - Parameter file: the archive.
    /// - Returns: how many bytes its files have together.
    /// - Throws: `UploadRefused`, naming the entry, or `SystemError`.
    func unpack(_ file: borrowing OwnedDescriptor) throws -> Int {
        // libarchive converts names by way of the locale: in "C" every name beyond ASCII would be refused.
        guard let locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nil) else { throw SystemError("newlocale") }
        let before = uselocale(locale)  // of this thread alone, uselocale(3)
        defer {
            uselocale(before)
            freelocale(locale)
        }
        guard let archive = archive_read_new() else { throw SystemError("archive_read_new", ENOMEM) }
        defer { archive_read_free(archive) }
        // One layer, and said to be the only one: asked to find out, libarchive looks for further ones in what comes out, as
        // often as it finds any, and holds all of a header that has no end.
        let isCompressed = file.read(at: 0, count: 2) == [0x1F, 0x8B]  // RFC 1952, 2.3.1
        archive_read_append_filter(archive, isCompressed ? ARCHIVE_FILTER_GZIP : ARCHIVE_FILTER_NONE)
        archive_read_support_format_tar(archive)
        if !isCompressed {
            try ZipDirectory.check(file)
            archive_read_support_format_zip(archive)
        }
        guard lseek(file.number, 0, SEEK_SET) == 0, archive_read_open_fd(archive, file.number, 1 << 16) == ARCHIVE_OK
        else {
            throw UploadRefused("the archive cannot be read: \(Self.problem(of: archive))")
        }
        var taken = Taken()
        var place = Place(path: [], folder: try folder.folder("."))
        while true {
            var entry: OpaquePointer?
            let result = archive_read_next_header(archive, &entry)
            if result == ARCHIVE_EOF { break }
            guard result == ARCHIVE_OK || result == ARCHIVE_WARN, let entry else {
                let advice = isCompressed && taken.entries == 0 ? "; a gzip must hold a tar, compressed once" : ""
                throw UploadRefused("the archive is broken: \(Self.problem(of: archive))\(advice)")
            }
            taken.entries += 1
            try checkEffort(archive, taken)
            guard taken.entries <= rules.maxEntries else {
                throw UploadRefused("the archive has more than \(rules.maxEntries) entries")
            }
            try take(entry, of: archive, at: &place, &taken)
            guard taken.depth <= rules.maxEntries * 4 else {
                throw UploadRefused("the archive's paths are too deep altogether")
            }
        }
        guard taken.entries > 0 else { throw UploadRefused("the archive is empty") }
        try folder.syncAll()
        return taken.bytes
    }

    private func checkEffort(_ archive: OpaquePointer, _ taken: Taken) throws {
        guard archive_filter_bytes(archive, 0) <= Int64(rules.maxRead) else {
            throw UploadRefused(
                "the archive unpacks to more than \(ByteSize(bytes: rules.maxBytes))", as: .payloadTooLarge)
        }
        guard threadCPU() - usedBefore <= rules.maxCPU + Rules.maxCPUOfEntry * taken.entries,
            .now - began <= rules.longest
        else {
            throw UploadRefused(
                "the archive takes too long to unpack: more than \(rules.maxCPU.components.seconds) s of CPU time and 0.2 ms for each entry, or \(rules.longest.components.seconds) s in all; fewer or smaller files do"
            )
        }
    }

    /// What the archive has become so far.
    private struct Taken {
        var entries = 0, bytes = 0
        /// Components of all paths that had to be walked.
        var depth = 0
    }

    /// The folder of the last entry: most stand beside their neighbours.
    private struct Place: ~Copyable {
        var path: [String]
        var folder: Folder
    }

    private func take(
        _ entry: OpaquePointer, of archive: OpaquePointer, at place: inout Place, _ taken: inout Taken
    ) throws {
        let name = try Self.name(of: entry, in: archive)
        let mode = archive_entry_mode(entry)
        if name == "." || name == "./", mode & S_IFMT == S_IFDIR { return }
        if name.utf8.starts(with: "__MACOSX/".utf8) { return }  // what macOS's Finder keeps beside each file
        func refuse(_ why: String) -> UploadRefused {
            UploadRefused("archive entry \"\(name.prefix(bytes: 200))\": \(why)")
        }
        guard let path = BundlePath(name) else {
            throw refuse("a path must be relative and stay inside the bundle")
        }
        guard mode & 0o6000 == 0 || rules.isRoot else { throw refuse("setuid and setgid bits are not taken") }
        // It would be unpacked only to be passed over.
        guard mode & S_IFMT == S_IFREG || archive_entry_size(entry) <= 1 << 20 else {
            throw refuse("it has data, though it is no file")
        }
        do {
            let parts = path.components, leaf = parts[parts.count - 1]
            taken.depth += 1
            if place.path != parts.dropLast() {
                taken.depth += parts.count  // folders that are only implied cost an inode each as well
                place = Place(path: parts.dropLast(), folder: try folder.makeFolders(parts.dropLast()))
            }
            if let target = archive_entry_hardlink(entry).map({ String(cString: $0) }) {
                try copy(linked: target, to: leaf, in: place.folder, &taken, refuse)
                return
            }
            switch mode & S_IFMT {
            case S_IFDIR: try place.folder.makeFolder(leaf, mode: rules.isRoot && mode & 0o005 != 0o005 ? 0o700 : 0o755)
            case S_IFREG:
                let forOthers: UInt32 = rules.isRoot && mode & 0o004 == 0 ? 0o700 : 0o755
                let file = try place.folder.create(leaf, mode: (mode & 0o111 != 0 ? 0o755 : 0o644) & forOthers)
                try copy(archive, to: file, &taken, refuse)
                // Zips made on other systems carry no mode.
                if mode & 0o111 == 0, !rules.isRoot, Self.looksExecutable(file) {
                    guard fchmod(file.number, 0o755) == 0 else { throw SystemError("chmod \(leaf)") }
                }
            case S_IFLNK:
                let target = archive_entry_symlink_utf8(entry).map { String(cString: $0) } ?? ""
                guard rules.isRoot ? !target.isEmpty : Self.stays(target, from: path) else {
                    throw refuse(
                        "the link points out of the bundle (to \"\(target.prefix(bytes: 200))\"); only links into it and to programs of the system in /usr are taken"
                    )
                }
                try place.folder.makeLink(leaf, to: target)
            default:
                if rules.isRoot { return }
                throw refuse("only files, folders and links are taken, no devices, pipes or sockets")
            }
        } catch let error as SystemError {
            switch error.number {
            case EEXIST: throw refuse("it stands in the archive twice")
            case ELOOP, ENOTDIR, EXDEV: throw refuse("a part of its path is not a folder of the bundle")
            default: throw error
            }
        }
    }

    /// A hard link becomes a file of its own with the same bytes: links would let one bundle's file have many names' worth of
    /// life, and count once.
    private func copy(
        linked target: String, to leaf: String, in parent: borrowing Folder, _ taken: inout Taken,
        _ refuse: (String) -> UploadRefused
    ) throws {
        guard let path = BundlePath(target), let original = try? folder.open(file: path.text),
            let size = try? original.size()
        else {
            throw refuse("it is a hard link to \"\(target.prefix(bytes: 200))\", which is no file that came before it")
        }
        taken.bytes += size
        guard taken.bytes <= rules.maxBytes else {
            throw UploadRefused(
                "the archive unpacks to more than \(ByteSize(bytes: rules.maxBytes))", as: .payloadTooLarge)
        }
        var info = stat()
        guard fstat(original.number, &info) == 0 else { throw SystemError("fstat") }
        let file = try parent.create(leaf, mode: info.st_mode & 0o111 != 0 ? 0o755 : 0o644)
        var offset = 0
        while offset < size {
            let part = original.read(at: offset, count: min(size - offset, 1 << 20))
            guard !part.isEmpty else { throw SystemError("read a file of the archive", EIO) }
            try part.withUnsafeBytes { try file.writeAll($0) }
            offset += part.count
        }
    }

    private static func looksExecutable(_ file: borrowing OwnedDescriptor) -> Bool {
        let head = file.read(at: 0, count: 4)
        return head.starts(with: "#!".utf8) || head == [0x7F] + Array("ELF".utf8)
    }

    /// An entry's name. Zips that do not say that theirs are UTF-8 have them in the code page of DOS (APPNOTE.TXT, D.1), or in
    /// UTF-8 all the same.
    static func name(of entry: OpaquePointer, in archive: OpaquePointer) throws -> String {
        if let name = archive_entry_pathname_utf8(entry) { return String(cString: name) }
        let isZip = archive_format(archive) & ARCHIVE_FORMAT_BASE_MASK == ARCHIVE_FORMAT_ZIP
        guard isZip, let raw = archive_entry_pathname(entry) else {
            throw UploadRefused("the archive has an entry whose name is not UTF-8")
        }
        return CodePage437.text(UnsafeBufferPointer(start: raw, count: strlen(raw)).map { UInt8(bitPattern: $0) })
    }

    private func copy(
        _ archive: OpaquePointer, to file: borrowing OwnedDescriptor, _ taken: inout Taken,
        _ refuse: (String) -> UploadRefused
    ) throws {
        // In order and with holes filled: a sparse entry must count for what it becomes.
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let length = archive_read_data(archive, &buffer, buffer.count)
            if length == 0 { break }
            guard length > 0 else { throw refuse("its data is broken: \(Self.problem(of: archive))") }
            taken.bytes += length
            guard taken.bytes <= rules.maxBytes else {
                throw UploadRefused(
                    "the archive unpacks to more than \(ByteSize(bytes: rules.maxBytes))", as: .payloadTooLarge)
            }
            try checkEffort(archive, taken)
            try buffer[..<length].withUnsafeBytes { try file.writeAll($0) }
        }
    }

    /// Whether a link at `path` with this target stays inside, read as text.
    private static func stays(_ target: String, from path: BundlePath) -> Bool {
        guard !target.isEmpty, !target.utf8.contains(0) else { return false }
        // As a virtual environment has them: `bin/python3 -> /usr/bin/python3`. A cell's root decides what is there; the host
        // follows no link of a bundle's.
        if target.isAbsolutePath {
            return target.isPath(below: "/usr") && target.pathComponents.allSatisfy { $0 != ".." }
        }
        var depth = path.components.count - 1
        for part in target.pathComponents where !part.isEmpty {
            if part == ".." { depth -= 1 } else if part != "." { depth += 1 }
            if depth < 0 { return false }
        }
        return true
    }

    static func problem(of archive: OpaquePointer) -> String {
        archive_error_string(archive).map { String(cString: $0) } ?? "it is neither zip nor tar"
    }
}

/// CPU time of the thread that asks, clock_gettime(2).
private func threadCPU() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
