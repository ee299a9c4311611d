import Foundation
import Glibc

/// A private folder that goes when the command ends.
package struct TemporaryFolder {
    package let path: String

    /// - Throws: `HostFailure`.
    package init() throws {
        var template = Array("/tmp/bulkhead-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw HostFailure("no temporary folder can be made: \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    package func remove() { try? FileManager.default.removeItem(atPath: path) }
}
