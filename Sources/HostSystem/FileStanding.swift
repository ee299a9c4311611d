import Glibc

/// Whose a file is, and what it is: of the very name, not of what a link points to.
package struct FileStanding: Sendable {
    package let owner: UInt32
    package let isPlainFile: Bool
    /// Whether nobody but its owner has any right to it.
    package let isPrivate: Bool
    /// How many names it has.
    package let names: Int

    /// Nil when there is no such file, or nobody may look.
    package init?(of path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return nil }
        owner = info.st_uid
        isPlainFile = info.st_mode & S_IFMT == S_IFREG
        isPrivate = info.st_mode & 0o077 == 0
        names = Int(info.st_nlink)
    }
}
