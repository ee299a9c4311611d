import Bundles
import Foundation
import FunctionModel

/// What `run` and `deploy` are given: an executable, a Python file, an archive, or a folder with `function.yaml`.
struct UploadSource {
    let bytes: [UInt8]
    let format: BundleStore.Format
    let contentType: String
    /// The manifest's fields as an upload's query; empty for archives and folders.
    let query: [(name: String, value: String)]
    /// Out of the manifest, or the file's name made into one.
    let name: FunctionName

    /// In bytes.
    static let largestFolder = 256 << 20

    /// - Parameters:
    ///   - settings: `key=value` pairs in the manifest's words.
    ///   - name: nil to find one.
    /// - Throws: `CommandFailure`.
    init(path: String, settings: [String], name: String?) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw CommandFailure("\(path) does not exist", .usage)
        }
        query = try settings.map(Self.pair)
        let lower = path.lowercased()
        if isFolder.boolValue {
            do {
                bytes = try BundlePacker.pack(folder: path, limit: Self.largestFolder)
            } catch {
                throw CommandFailure("\(path) cannot be packed: \(error)", .usage)
            }
            (format, contentType) = (.archive, "application/gzip")
        } else {
            guard let data = FileManager.default.contents(atPath: path) else {
                throw CommandFailure("\(path) cannot be read", .usage)
            }
            bytes = Array(data)
            if lower.hasSuffix(".zip") {
                (format, contentType) = (.archive, "application/zip")
            } else if lower.hasSuffix(".tar.gz") || lower.hasSuffix(".tgz") || lower.hasSuffix(".tar") {
                (format, contentType) = (.archive, "application/gzip")
            } else {
                (format, contentType) = (.executable, "application/octet-stream")
            }
        }
        if format == .archive, !query.isEmpty {
            throw CommandFailure("--set has no meaning for \(path): its function.yaml says it all", .usage)
        }
        self.name = try Self.name(given: name, path: path, isFolder: isFolder.boolValue, query: query)
    }

    private static func pair(_ text: String) throws -> (name: String, value: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw CommandFailure("--set \(text): it must be KEY=VALUE", .usage) }
        return (String(parts[0]), String(parts[1]))
    }

    /// - Throws: `CommandFailure`.
    static func checked(_ given: String) throws -> FunctionName {
        guard let name = FunctionName(given) else {
            throw CommandFailure("\"\(given)\" is no function name; it must be \(FunctionName.rule)", .usage)
        }
        return name
    }

    private static func name(
        given: String?, path: String, isFolder: Bool, query: [(name: String, value: String)]
    ) throws -> FunctionName {
        if let given = given ?? query.first(where: { $0.name == "name" })?.value {
            return try Self.checked(given)
        }
        if isFolder,
            let text = Manifest.fileNames.lazy.compactMap({
                try? String(contentsOfFile: path + "/" + $0, encoding: .utf8)
            }).first, let name = try? Manifest(yaml: text).name
        {
            return name
        }
        let base = URL(fileURLWithPath: path).lastPathComponent.prefix { $0 != "." }.lowercased()
        let plain = base.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        let trimmed = String(plain).trimmingCharacters(in: CharacterSet(charactersIn: "-"))
        return FunctionName(String(trimmed.prefix(63))) ?? FunctionName("function")!  // a valid name
    }
}
