/// One immutable version of a function: what was uploaded and what it may do. A reference, because each invocation hands it on a
/// dozen times.
@dynamicMemberLookup
package final class FunctionVersion: Sendable {
    package let revision: RevisionID
    package let name: FunctionName
    /// Of one that is not published, the number that it will have.
    package let number: Int
    /// Whether it has its number, which nothing else will ever have. Else it is what Lambda calls `$LATEST`: its function's newest
    /// revision, in whose place the next one comes.
    package let isPublished: Bool
    package let content: Content
    /// RFC 3339, UTC, milliseconds.
    package let createdAt: String
    package let manifest: Manifest
    /// What `manifest.run` is; nil for a Python handler.
    package let executable: Executable?

    /// Id of the key that uploaded it; nil where nobody knows.
    package let key: String?

    /// What was uploaded.
    package struct Content: Sendable {
        /// SHA-256 of the uploaded bytes, lower-case hex.
        package let sha256: String
        /// Size of the uploaded bytes.
        package let size: Int
        /// Digest under which the bundle's files stand in the store.
        package let bundle: String
        /// What the bundle takes on the disk, unpacked, in bytes.
        package let storedBytes: Int
    }

    package subscript<Value>(dynamicMember path: KeyPath<Content, Value>) -> Value { content[keyPath: path] }

    package init(
        revision: RevisionID = RevisionID(), name: FunctionName, number: Int, sha256: String, size: Int, bundle: String,
        createdAt: String,
        manifest: Manifest, executable: Executable?, storedBytes: Int = 0, key: String? = nil, isPublished: Bool = true,
        isTrial: Bool = false
    ) {
        self.revision = revision
        self.name = name
        self.number = number
        self.isPublished = isPublished
        content = Content(sha256: sha256, size: size, bundle: bundle, storedBytes: storedBytes)
        self.createdAt = createdAt
        self.manifest = manifest
        self.executable = executable
        self.key = key
        self.isTrial = isTrial
        speech =
            switch manifest.runtime {
            case .python: .jsonRPC
            case .provided: .runtimeAPI
            case .native: manifest.mode == .command ? .command : .jsonRPC
            }
    }

    /// Whether it is a trial of `policy learn`: no catalogue knows it, and what it does is told all the same.
    package let isTrial: Bool

    /// How its workers are talked to. With a Python handler by JSON-RPC, in any mode: so that an error it raises can be told from
    /// an exit.
    package let speech: WorkerSpeech

    /// What others are told: 0 for one that is not published.
    package var shownNumber: Int { isPublished ? number : 0 }
    /// The same in words.
    package var label: String { Self.label(shownNumber) }
    package static func label(_ shownNumber: Int) -> String { shownNumber == 0 ? latestLabel : String(shownNumber) }
    /// As Lambda writes it.
    package static let latestLabel = "$LATEST"

    /// The same bytes under another manifest, to be tried.
    package func under(_ manifest: Manifest) -> FunctionVersion {
        FunctionVersion(
            name: name, number: number, sha256: content.sha256, size: content.size, bundle: content.bundle,
            createdAt: createdAt,
            manifest: manifest, executable: executable, storedBytes: content.storedBytes, key: key, isTrial: true)
    }
}

extension FunctionVersion: Hashable {
    package static func == (one: FunctionVersion, other: FunctionVersion) -> Bool { one.revision == other.revision }

    package func hash(into hasher: inout Hasher) { hasher.combine(revision) }
}

/// How the host and a worker talk.
package enum WorkerSpeech: Sendable {
    /// The event is its stdin, its stdout the result.
    case command
    /// JSON-RPC, line by line, on stdin and stdout.
    case jsonRPC
    /// It asks by HTTP, as Lambda's custom runtimes do.
    case runtimeAPI
}
