import Bundles
import Catalogue
import FunctionModel

/// How much disk uploads may take, of all keys together and of each.
package struct StorageQuota: Sendable {
    /// What the bundles of all versions may take on the disk, in bytes, and how many versions there may be.
    package var maxBytes = 16 << 30
    package var maxVersions = 100_000
    /// The same for what one key has uploaded.
    package var maxBytesByKey = 8 << 30
    package var maxVersionsByKey = 50_000

    package init() {}

    /// - Parameters:
    ///   - bytes: what the upload would add.
    ///   - key: id of the key that uploads; nil: none.
    /// - Throws: `UploadRefused`.
    func check(_ snapshot: Snapshot, adding bytes: Int, key: String?) throws(UploadRefused) {
        try check(snapshot.stored(), bytes, maxBytes, maxVersions, "this host stores")
        guard let key else { return }
        try check(snapshot.stored(by: key), bytes, maxBytesByKey, maxVersionsByKey, "this key has stored")
    }

    private func check(
        _ stored: (bytes: Int, count: Int), _ more: Int, _ maxBytes: Int, _ maxVersions: Int, _ whose: String
    ) throws(UploadRefused) {
        guard stored.bytes + more <= maxBytes, stored.count < maxVersions else {
            throw UploadRefused(
                "\(whose) \(stored.count) versions with \(stored.bytes >> 20) MiB, and may store \(maxVersions) with \(maxBytes >> 20) MiB: delete functions that are not needed, or raise maxStored or maxVersions in the configuration",
                as: .payloadTooLarge)
        }
    }
}
