import Bundles
import Foundation
import FunctionModel

/// A template's function as it is uploaded: files that have no manifest, and the manifest.
struct TemplateBundle: Hashable {
    enum Code: Hashable {
        /// Of a folder or a zip.
        case path(String)
        /// A Python module named `index`, as CloudFormation has it.
        case inline(String)
    }

    let code: Code
    /// As `function.yaml`.
    let manifest: String
}

extension UploadSource {
    /// - Throws: `CommandFailure`.
    init(_ bundle: TemplateBundle, name given: String) throws {
        name = try Self.checked(given)
        (format, contentType, query) = (.archive, "application/gzip", [])
        switch bundle.code {
        case .inline(let code):
            bytes = try Self.packed("InlineCode") {
                try BundlePacker.pack(files: [("index.py", Array(code.utf8))], manifest: bundle.manifest)
            }
        case .path(let path):
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
                throw CommandFailure("\(path) does not exist", .usage)
            }
            let isAFolder = isFolder.boolValue
            guard isAFolder || path.lowercased().hasSuffix(".zip") else {
                throw CommandFailure("\(path) is neither a folder nor a .zip", .usage)
            }
            bytes = try Self.packed(path) {
                try isAFolder
                    ? BundlePacker.pack(folder: path, manifest: bundle.manifest, limit: Self.largestFolder)
                    : BundlePacker.pack(zip: path, manifest: bundle.manifest, limit: Self.largestFolder)
            }
        }
    }

    private static func packed(_ what: String, _ pack: () throws -> [UInt8]) throws -> [UInt8] {
        do {
            return try pack()
        } catch {
            throw CommandFailure("\(what) cannot be packed: \(error)", .usage)
        }
    }
}
