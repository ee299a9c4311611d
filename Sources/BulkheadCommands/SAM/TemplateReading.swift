import FunctionModel
import WireText

/// What all who read parts of a template share: how values are read, and what is to be said of them.
final class TemplateReading {
    private static let maxComplaints = 1000

    let setting: SAMTemplate.Setting
    var intrinsics: Intrinsics
    /// How many events there were so far.
    var events = 0
    private(set) var complaints: [TemplateComplaint] = []
    /// How many more there were, notes aside.
    private(set) var unsaid = 0
    private var said: Set<TemplateComplaint> = []

    init(_ setting: SAMTemplate.Setting) {
        self.setting = setting
        intrinsics = Intrinsics(region: setting.region, stack: setting.stack)
    }

    // MARK: - Complaints

    func complain(_ complaint: TemplateComplaint, _ place: String) {
        var complaint = complaint
        complaint.place = place
        guard complaints.count < Self.maxComplaints else {
            if complaint.kind != .note { unsaid += 1 }
            return
        }
        if said.insert(complaint).inserted { complaints.append(complaint) }
    }

    func note(_ line: Int, _ place: String, _ what: String) {
        complain(TemplateComplaint(kind: .note, line: line, what: what), place)
    }

    func unsupported(_ line: Int, _ place: String, _ what: String = "it is not supported") {
        complain(.unsupported(line, what), place)
    }

    func wrong(_ line: Int, _ place: String, _ what: String) { complain(.wrong(line, what), place) }

    // MARK: - Values

    /// With what an intrinsic function stands for; nil where that is not known, which is said.
    private func found(_ value: TemplateValue, _ place: String) -> TemplateValue? {
        do {
            return try intrinsics.value(of: value)
        } catch {
            complain(error, place)
            return nil
        }
    }

    /// Nil for nothing, too.
    func evaluated(_ value: TemplateValue?, _ place: String) -> TemplateValue? {
        guard let value, let found = found(value, place) else { return nil }
        if case .null = found.content { return nil }
        return found
    }

    /// - Returns: nil where it is not known what there is, which is said: then whoever asks must not take it for nothing.
    func known(_ value: TemplateValue?, _ place: String) -> [TemplateValue.Member]? {
        guard let value else { return [] }
        guard let found = found(value, place) else { return nil }
        switch found.content {
        case .null: return []
        case .map(let members):
            if let call = members.first(where: { $0.name.hasPrefix("Fn::") }) {
                wrong(call.line, place, "an intrinsic function (\(shown(call.name))) stands by itself")
            }
            return members
        default:
            wrong(value.line, place, "a mapping is wanted")
            return nil
        }
    }

    func members(_ value: TemplateValue?, _ place: String) -> [TemplateValue.Member] { known(value, place) ?? [] }

    /// What no intrinsic function may stand for: all of the template hangs on it.
    func section(_ value: TemplateValue?, _ place: String) -> [TemplateValue.Member] {
        if let value, case .call(let function, _) = value.content {
            wrong(value.line, place, "the intrinsic function \(shown(function)) cannot stand there")
            return []
        }
        return members(value, place)
    }

    func text(_ value: TemplateValue?, _ place: String) -> String? {
        guard let value = evaluated(value, place) else { return nil }
        guard case .text(let text) = value.content else {
            wrong(value.line, place, "a text is wanted")
            return nil
        }
        return text
    }

    /// A lone text is a list of one.
    func texts(_ value: TemplateValue?, _ place: String) -> [String]? {
        guard let value = evaluated(value, place) else { return nil }
        switch value.content {
        case .text(let text): return [text]
        case .list(let list):
            let texts = list.compactMap { text($0, place) }
            return texts.count == list.count ? texts : nil
        default:
            wrong(value.line, place, "a list of texts is wanted")
            return nil
        }
    }

    func whole(_ value: TemplateValue?, in range: ClosedRange<Int>, _ place: String) -> Int? {
        guard let value, let text = text(value, place) else { return nil }
        guard (1...10).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int(text), range.contains(number)
        else {
            wrong(value.line, place, "a whole number from \(range.lowerBound) to \(range.upperBound) is wanted")
            return nil
        }
        return number
    }

    func flag(_ value: TemplateValue?, _ place: String) -> Bool? {
        guard let value, let text = text(value, place) else { return nil }
        // YAML 1.1 has these, https://yaml.org/type/bool.html
        switch text.utf8.count <= 5 ? text.lowercased() : "" {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default:
            wrong(value.line, place, "true or false is wanted")
            return nil
        }
    }

    /// Whether a resource, a parameter or an event may be called so.
    static func isID(_ text: String) -> Bool { (1...255).contains(text.utf8.count) && text.isMade(of: "") }
}
