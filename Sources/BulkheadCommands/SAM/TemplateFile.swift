import Foundation
import FunctionModel
import Host
import WireText

/// A template as `apply` is given it.
struct TemplateFile {
    private let path: String
    private let template: SAMTemplate

    /// - Parameter parameters: `NAME=VALUE` pairs.
    /// - Returns: nil for a file that is none.
    /// - Throws: `CommandFailure`.
    init?(path: String, parameters: [String]) throws {
        self.path = path
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw CommandFailure("\(path) cannot be read", .usage)
        }
        // Looked for before any of it is read: what is too large for a template is not left to whoever reads projects.
        guard Self.holds(TemplateText.transform, bytes) else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure("\(path) is not UTF-8", .usage)
        }
        var setting = SAMTemplate.Setting(parameters: try Self.values(parameters))
        let environment = ProcessInfo.processInfo.environment
        setting.region = environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? setting.region
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        setting.folder = folder.path
        setting.stack = Self.stack(named: folder.lastPathComponent) ?? setting.stack
        do {
            guard let template = try SAMTemplate(text, setting) else { return nil }
            self.template = template
        } catch {
            throw CommandFailure("\(path) \(error.text)", .usage)
        }
    }

    private static func holds(_ text: String, _ bytes: Data) -> Bool {
        let text = Array(text.utf8)
        return bytes.withUnsafeBytes { bytes in
            guard bytes.count >= text.count else { return false }
            return (0...(bytes.count - text.count)).contains { start in
                bytes[start] == text[0] && bytes[start..<(start + text.count)].elementsEqual(text)
            }
        }
    }

    private static func values(_ pairs: [String]) throws -> [String: String] {
        var values: [String: String] = [:]
        for pair in pairs {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, values.updateValue(String(parts[1]), forKey: String(parts[0])) == nil else {
                throw CommandFailure("--parameter \(pair): it must be NAME=VALUE, each name once", .usage)
            }
        }
        return values
    }

    /// A link would lead out of the template's folder as well as `..` does, and whoever has written a template may have put it there.
    private func checkLinks(_ code: String) throws {
        var place = URL(fileURLWithPath: path).deletingLastPathComponent().path
        for part in code.utf8.dropFirst(place.utf8.count).split(separator: UInt8(ascii: "/")) {
            place += "/" + String(decoding: part, as: UTF8.self)
            let kind = try? FileManager.default.attributesOfItem(atPath: place)[.type] as? FileAttributeType
            guard kind != .typeSymbolicLink else {
                throw CommandFailure(
                    "\(path): \(printable(place)) is a link: a template's code is in its own folder; put it there",
                    .usage
                )
            }
        }
    }

    /// As CloudFormation takes it.
    private static func stack(named folder: String) -> String? {
        let name = folder.utf8.prefix(128).map { byte -> Character in
            let character = Character(UnicodeScalar(byte))
            return character.isASCII && (character.isLetter || character.isNumber) ? character : "-"
        }
        guard let first = name.first, first.isLetter else { return nil }
        return String(name)
    }

    /// Says what is to be said of it, on stderr.
    /// - Throws: `CommandFailure` where it asks for what is not there, unless that is left out, and where it is not sound.
    func project(skippingUnsupported isSkipping: Bool) throws -> ProjectFile {
        let refused = template.complaints.filter { $0.kind == .wrong || ($0.kind == .unsupported && !isSkipping) }
        for complaint in refused.isEmpty ? template.complaints : refused {
            let isLeftOut = complaint.kind == .unsupported && refused.isEmpty
            complain("\(path) \(isLeftOut ? "leaves out " : "")\(complaint.text)", prefix: "")
        }
        if template.unsaid > 0 { complain("\(path) … and \(template.unsaid) more", prefix: "") }
        if refused.isEmpty, template.unsaid == 0 {
            for case .path(let code)? in template.project.functions.map(\.bundle?.code) { try checkLinks(code) }
            return template.project
        }
        let wrong = refused.count { $0.kind == .wrong }, unsupported = refused.count - wrong
        var parts: [String] = []
        if wrong > 0 { parts.append("\(wrong) of it is wrong") }
        if unsupported > 0 { parts.append("\(unsupported) is not supported (--skip-unsupported leaves that out)") }
        if template.unsaid > 0 { parts.append("\(template.unsaid) more was found than is listed") }
        throw CommandFailure(
            "\(path) is not applied, and nothing is changed: \(parts.joined(separator: ", "))", .usage)
    }
}
