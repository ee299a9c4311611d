import FunctionModel
import WireText

/// What the functions of a template become, once all are known.
extension ProjectFile {
    init(_ drafts: [FunctionDraft], _ reading: TemplateReading) {
        let kept = drafts.filter { !$0.isLeftOut }
        let names = Set(kept.map(\.name))
        var functions: [Function] = [], aliases: [AliasEntry] = []
        for draft in kept {
            guard let manifest = Self.manifest(of: draft, names, reading), let code = draft.code else { continue }
            let bundle = TemplateBundle(code: code, manifest: manifest)
            functions.append(Function(name: draft.name, path: "", settings: [], bundle: bundle))
            // `latest` is always there.
            if let alias = draft.alias, alias != Alias.latest {
                aliases.append(.init(function: draft.name, name: alias, body: ["version": Alias.latest]))
            }
        }
        let open = kept.flatMap(\.events.open)
        if !open.isEmpty {
            let some = open.prefix(20).joined(separator: ", ") + (open.count > 20 ? " and \(open.count - 20) more" : "")
            reading.note(0, "", "open to everybody, as AWS has it without an authorizer: \(some)")
        }
        self.init(
            functions: functions, aliases: aliases, routes: kept.flatMap(\.events.routes),
            schedules: kept.flatMap(\.events.schedules))
    }

    /// As `function.yaml`; nil where the host would refuse it, which is said.
    private static func manifest(
        of draft: FunctionDraft, _ names: Set<String>, _ reading: TemplateReading
    ) -> String? {
        var manifest = draft.manifest
        for aim in draft.aims {
            guard let told = destination(aim.text, names) else {
                reading.unsupported(
                    aim.line, aim.place, "\"\(shown(aim.text))\" is no function of this template and no https URL")
                continue
            }
            if aim.isSuccess { manifest.async.onSuccess = told } else { manifest.async.onFailure = told }
        }
        do {
            let yaml = manifest.yaml
            _ = try Manifest(yaml: yaml)
            return yaml
        } catch {
            reading.wrong(
                draft.line, draft.id, "what it becomes is refused: \(printable(error.message.prefix(bytes: 400)))")
            return nil
        }
    }

    /// - Parameter text: a name or an ARN of a function, or a URL.
    private static func destination(_ text: String, _ names: Set<String>) -> Destination? {
        guard text.utf8.count <= 2000, text.isASCII else { return nil }
        if text.lowercased().hasPrefix("https://") { return Destination(text) }
        var name = text[...]
        if text.hasPrefix("arn:"), let mark = text.firstRange(of: ":function:") { name = text[mark.upperBound...] }
        return names.contains(String(name)) ? Destination(String(name)) : nil
    }
}
