import Foundation
import FunctionModel
import GRDB
import HostSystem
import Store

/// A version as a row.
struct VersionRecord: Codable, FetchableRecord, PersistableRecord {
    static let databaseTableName = "version"

    struct Damaged: Error, CustomStringConvertible {
        let description: String
    }

    var revision: String
    var name: String
    var number: Int
    var sha256: String
    var size: Int
    var bundle: String
    var createdAt: String
    var manifest: String
    var executable: String?
    var storedBytes: Int
    var key: String?
    var published: Bool

    init(_ version: FunctionVersion) throws {
        revision = "\(version.revision)"
        name = version.name.text
        number = version.number
        sha256 = version.sha256
        size = version.size
        bundle = version.bundle
        createdAt = version.createdAt
        manifest = String(decoding: try JSONEncoder().encode(version.manifest), as: UTF8.self)
        storedBytes = version.storedBytes
        key = version.key
        published = version.isPublished
        executable = try version.executable.map { String(decoding: try JSONEncoder().encode($0), as: UTF8.self) }
    }

    func version() throws -> FunctionVersion {
        guard let name = FunctionName(name) else {
            throw Damaged(description: "catalogue: \"\(name)\" is no function name")
        }
        guard let revision = RevisionID(revision) else {
            throw Damaged(description: "catalogue: \"\(revision)\" is no revision of \(name)")
        }
        return FunctionVersion(
            revision: revision, name: name, number: number, sha256: sha256, size: size, bundle: bundle,
            createdAt: createdAt,
            manifest: try JSONDecoder().decode(Manifest.self, from: Data(manifest.utf8)),
            executable: try executable.map { try JSONDecoder().decode(Executable.self, from: Data($0.utf8)) },
            storedBytes: storedBytes, key: key, isPublished: published)
    }
}

/// A token's record as a row.
struct KeyRecord: Codable, FetchableRecord, PersistableRecord {
    static let databaseTableName = "key"

    var id: String
    var name: String
    var scope: Principal.Role
    var createdAt: String
    var hash: String
    /// Separated by spaces; nil: all.
    var functions: String?
    var rate: String?
    var quota: String?
    var expiresAt: Int?

    init(_ key: AccessKey) {
        id = key.id
        name = key.name
        scope = key.role
        createdAt = key.createdAt
        hash = key.hash
        functions = key.functions.isAll ? nil : key.functions.patterns.joined(separator: " ")
        rate = key.rate.map { "\($0)" }
        quota = key.quota.map { "\($0)" }
        expiresAt = key.expiresAt
    }

    var key: AccessKey {
        let patterns = functions?.split(separator: " ").map(String.init) ?? []
        return AccessKey(
            id: id, name: name, role: scope, functions: FunctionScope(patterns: patterns),
            rate: rate.flatMap(Rate.init),
            quota: quota.flatMap(Rate.init), createdAt: createdAt, expiresAt: expiresAt, hash: hash)
    }
}

/// An accepted invocation as a row.
struct QueuedRecord: Codable, FetchableRecord, PersistableRecord {
    static let databaseTableName = "queued"

    let id: String
    let name: String
    let number: Int
    let event: Data
    let traceparent: String?
    let webhook: String?
    let schedule: String?
    let key: String?
    let depth: Int
    let acceptedAt: Int
    let isRaw: Bool
    /// Of the event, in bytes.
    let size: Int

    init(_ queued: QueuedInvocation) {
        webhook = queued.webhook
        schedule = queued.schedule
        key = queued.key
        depth = queued.depth
        acceptedAt = queued.acceptedAt
        isRaw = queued.isRaw
        size = queued.event.count
        id = queued.id
        name = queued.function.text
        number = queued.version
        event = queued.event
        traceparent = queued.traceparent
    }
}

/// One that has ended, as a row.
struct FinishedRecord: Codable, FetchableRecord, PersistableRecord {
    static let databaseTableName = "finished"
    /// After a kill in between it may have run twice: the last one counts.
    static let persistenceConflictPolicy = PersistenceConflictPolicy(insert: .replace)

    let id: String
    let name: String
    let number: Int
    let summary: Data
    /// In bytes, of the result.
    let size: Int
    let result: Data?
    /// In milliseconds since 1970.
    let endedAt: Int

    init(_ finished: FinishedInvocation) {
        id = finished.id
        name = finished.function.text
        number = finished.version
        summary = finished.summary
        size = finished.result?.count ?? 0
        result = finished.result
        endedAt = wallClockMilliseconds()
    }

    /// Nil for a row of which nobody knows the function.
    func finished() -> FinishedInvocation? {
        FunctionName(name).map {
            FinishedInvocation(id: id, function: $0, version: number, summary: summary, result: result)
        }
    }
}
