import Glibc

/// Whose a file is, and what it is.
package struct FileStanding: Sendable {
    package let owner: UInt32
    package let isPlainFile: Bool
    package let isFolder: Bool
    /// Whether others may enter the folder (or run the file), and read the names in it (or the file).
    package let isOpen: (search: Bool, reading: Bool)
    /// Whether nobody but its owner has any right to it.
    package let isPrivate: Bool
    /// How many names it has.
    package let names: Int

    /// Of the very name, not of what a link points to. Nil when there is no such file, or nobody may look.
    package init?(of path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return nil }
        self.init(info)
    }

    /// - Throws: `SystemError`.
    package init(of file: borrowing OwnedDescriptor) throws(SystemError) {
        var info = stat()
        guard fstat(file.number, &info) == 0 else { throw SystemError("fstat") }
        self.init(info)
    }

    private init(_ info: stat) {
        owner = info.st_uid
        isPlainFile = info.st_mode & S_IFMT == S_IFREG
        isFolder = info.st_mode & S_IFMT == S_IFDIR
        isOpen = (info.st_mode & 0o001 != 0, info.st_mode & 0o004 != 0)
        isPrivate = info.st_mode & 0o077 == 0
        names = Int(info.st_nlink)
    }
}
