import CHostSystem
import Glibc

/// A folder held by its descriptor. Every path is opened strictly below it, and no link is ever followed.
package struct Folder: ~Copyable, Sendable {
    package let descriptor: OwnedDescriptor

    /// - Throws: `SystemError`.
    package init(path: String) throws(SystemError) {
        descriptor = try OwnedDescriptor(
            returned: Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), by: "open \(path)")
    }

    private init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

    /// Opens the folder `path` below this one.
    package func folder(_ path: String) throws(SystemError) -> Folder {
        let number = bh_open_beneath(descriptor.number, path, O_RDONLY | O_DIRECTORY, 0)
        return Folder(try OwnedDescriptor(returned: number, by: "open \(path)"))
    }

    /// Makes one folder; that it exists already is no error unless `isNew`.
    package func makeFolder(_ name: String, isNew: Bool = false, mode: UInt32 = 0o755) throws(SystemError) {
        try Self.checkSingle(name, "mkdir")
        if mkdirat(descriptor.number, name, mode) < 0, isNew || errno != EEXIST { throw SystemError("mkdir \(name)") }
    }

    /// Opens the folder at the end of `names`, making each that is missing.
    package func makeFolders(_ names: some Sequence<String>) throws(SystemError) -> Folder {
        var current = try folder(".")
        for name in names {
            try current.makeFolder(name)
            current = try current.folder(name)
        }
        return current
    }

    /// Makes a file that must not exist.
    package func create(_ path: String, mode: UInt32) throws(SystemError) -> OwnedDescriptor {
        try OwnedDescriptor(
            returned: bh_open_beneath(descriptor.number, path, O_RDWR | O_CREAT | O_EXCL, mode), by: "create \(path)")
    }

    package func open(file path: String) throws(SystemError) -> OwnedDescriptor {
        try OwnedDescriptor(returned: bh_open_beneath(descriptor.number, path, O_RDONLY, 0), by: "open \(path)")
    }

    package func makeLink(_ name: String, to target: String) throws(SystemError) {
        try Self.checkSingle(name, "symlink")
        if symlinkat(target, descriptor.number, name) < 0 { throw SystemError("symlink \(name)") }
    }

    /// Where the link `name` leads, as text; nil where it is none.
    package func link(_ name: String) throws(SystemError) -> String? {
        try Self.checkSingle(name, "readlink")
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let length = readlinkat(descriptor.number, name, &buffer, buffer.count)
        if length < 0, errno == EINVAL { return nil }
        guard length >= 0 else { throw SystemError("readlink \(name)") }
        return String(validating: buffer.prefix(length), as: UTF8.self)
    }

    /// mkdirat(2), symlinkat(2) and readlinkat(2) have no RESOLVE_BENEATH: whoever calls them gives them one component.
    private static func checkSingle(_ name: String, _ call: String) throws(SystemError) {
        guard !name.utf8.contains(UInt8(ascii: "/")), name != "..", name != "." else {
            throw SystemError("\(call) \(name): not a single name", EXDEV)
        }
    }

    /// Makes what has been written here survive a power cut.
    package func sync() throws(SystemError) {
        if fsync(descriptor.number) < 0 { throw SystemError("fsync") }
    }

    /// The same for all that has been written below: once, where each file by itself would take its turn of the disk (syncfs(2)).
    package func syncAll() throws(SystemError) {
        if bh_sync_all(descriptor.number) < 0 { throw SystemError("syncfs") }
    }

    /// Renames `from` here to `to` in `other`. Returns false when `to` is there already.
    package func move(_ from: String, to other: borrowing Folder, as to: String) throws(SystemError) -> Bool {
        let error = bh_rename_new(descriptor.number, from, other.descriptor.number, to)
        if error == EEXIST || error == ENOTEMPTY { return false }
        try SystemError.check(error, "rename \(from)")
        return true
    }

    /// The names in this folder.
    package func names() throws(SystemError) -> [String] {
        let copy = openat(descriptor.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else { throw SystemError("list a folder") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Removes `name` with all below it, following no link.
    package func removeTree(_ name: String) throws(SystemError) {
        if unlinkat(descriptor.number, name, 0) == 0 || errno == ENOENT { return }
        if errno != EISDIR, errno != EPERM { throw SystemError("unlink \(name)") }
        let inner = try folder(name)
        for child in try inner.names() { try inner.removeTree(child) }
        if unlinkat(descriptor.number, name, AT_REMOVEDIR) < 0 { throw SystemError("rmdir \(name)") }
    }
}

extension OwnedDescriptor {
    /// Writes all of `bytes`.
    package func writeAll(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var offset = 0
        while offset < bytes.count {
            let written = write(number, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
            guard written > 0 else {
                if written < 0, errno == EINTR { continue }
                throw SystemError("write")
            }
            offset += written
        }
    }

    /// Reads up to `count` bytes at `offset`; fewer at the file's end.
    package func read(at offset: Int, count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var total = 0
        while total < count {
            let length = bytes[total...].withUnsafeMutableBytes {
                pread(number, $0.baseAddress, $0.count, off_t(offset + total))
            }
            if length < 0, errno == EINTR { continue }
            guard length > 0 else { break }
            total += length
        }
        return Array(bytes.prefix(total))
    }

    package func size() throws(SystemError) -> Int {
        var info = stat()
        if fstat(number, &info) < 0 { throw SystemError("fstat") }
        guard info.st_mode & S_IFMT == S_IFREG else { throw SystemError("fstat: no regular file", EINVAL) }
        return Int(info.st_size)
    }

    /// Differs from that of any other file, and from its own once something of it has changed.
    package func identity() throws(SystemError) -> [Int] {
        var info = stat()
        if fstat(number, &info) < 0 { throw SystemError("fstat") }
        return [
            Int(info.st_dev), Int(info.st_ino), Int(info.st_size), info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
            info.st_ctim.tv_sec, info.st_ctim.tv_nsec,
        ]
    }

    package func sync() throws(SystemError) {
        if fsync(number) < 0 { throw SystemError("fsync") }
    }
}
