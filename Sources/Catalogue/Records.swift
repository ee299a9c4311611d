import Foundation
import FunctionModel
import GRDB

/// A version as a row.
struct VersionRecord: Codable, FetchableRecord, PersistableRecord {
    static let databaseTableName = "version"

    struct Damaged: Error, CustomStringConvertible {
        let description: String
    }

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

    init(_ version: FunctionVersion) throws {
        name = version.name.text
        number = version.number
        sha256 = version.sha256
        size = version.size
        bundle = version.bundle
        createdAt = version.createdAt
        manifest = String(decoding: try JSONEncoder().encode(version.manifest), as: UTF8.self)
        storedBytes = version.storedBytes
        key = version.key
        executable = try version.executable.map { String(decoding: try JSONEncoder().encode($0), as: UTF8.self) }
    }

    func version() throws -> FunctionVersion {
        guard let name = FunctionName(name) else {
            throw Damaged(description: "catalogue: \"\(name)\" is no function name")
        }
        return FunctionVersion(
            name: name, number: number, sha256: sha256, size: size, bundle: bundle, createdAt: createdAt,
            manifest: try JSONDecoder().decode(Manifest.self, from: Data(manifest.utf8)),
            executable: try executable.map { try JSONDecoder().decode(Executable.self, from: Data($0.utf8)) },
            storedBytes: storedBytes, key: key)
    }
}

/// A token's record as a row.
struct KeyRecord: Codable, FetchableRecord, PersistableRecord {
    static let databaseTableName = "key"

    var id: String
    var name: String
    var scope: AccessKey.Scope
    var createdAt: String
    var hash: String

    init(_ key: AccessKey) {
        id = key.id
        name = key.name
        scope = key.scope
        createdAt = key.createdAt
        hash = key.hash
    }

    var key: AccessKey { AccessKey(id: id, name: name, scope: scope, createdAt: createdAt, hash: hash) }
}
