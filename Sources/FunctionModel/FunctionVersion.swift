/// One immutable version of a function: what was uploaded and what it may do.
package struct FunctionVersion: Sendable, Hashable {
    package var name: FunctionName
    package var number: Int
    /// SHA-256 of the uploaded bytes, lower-case hex.
    package var sha256: String
    /// Size of the uploaded bytes.
    package var size: Int
    /// Digest under which the bundle's files stand in the store.
    package var bundle: String
    /// RFC 3339, UTC, milliseconds.
    package var createdAt: String
    package var manifest: Manifest
    /// What `manifest.run` is; nil for a Python handler.
    package var executable: Executable?

    /// What the bundle takes on the disk, unpacked, in bytes.
    package var storedBytes: Int
    /// Id of the key that uploaded it; nil where nobody knows.
    package var key: String?

    package init(
        name: FunctionName, number: Int, sha256: String, size: Int, bundle: String, createdAt: String,
        manifest: Manifest, executable: Executable?, storedBytes: Int = 0, key: String? = nil
    ) {
        self.name = name
        self.number = number
        self.sha256 = sha256
        self.size = size
        self.bundle = bundle
        self.createdAt = createdAt
        self.manifest = manifest
        self.executable = executable
        self.storedBytes = storedBytes
        self.key = key
    }

    /// Whether both are one.
    package func isSameVersion(as other: FunctionVersion) -> Bool {
        name == other.name && number == other.number && bundle == other.bundle && createdAt == other.createdAt
    }

    /// Whether the worker speaks JSON-RPC. A Python handler always does, in either mode: so that an error it raises
    /// can be told from an exit.
    package var speaksJSONRPC: Bool { manifest.mode != .command || manifest.runtime == .python }
}
