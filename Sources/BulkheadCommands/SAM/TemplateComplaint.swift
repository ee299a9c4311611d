import FunctionModel
import WireText

/// What is to be said of a template.
struct TemplateComplaint: Error, Hashable {
    enum Kind: Hashable {
        /// It is done, in a way that one should know of.
        case note
        /// There is nothing here that it could become.
        case unsupported
        /// It is no sound template.
        case wrong
    }

    let kind: Kind
    /// 0: none.
    let line: Int
    /// Such as `Catalog.Events.List`.
    var place = ""
    let what: String

    static func unsupported(_ line: Int, _ what: String) -> TemplateComplaint {
        TemplateComplaint(kind: .unsupported, line: line, what: what)
    }

    static func wrong(_ line: Int, _ what: String) -> TemplateComplaint {
        TemplateComplaint(kind: .wrong, line: line, what: what)
    }

    var text: String {
        (line > 0 ? "line \(line): " : "") + (place.isEmpty ? "" : "\(place): ") + what
    }
}

/// As much of a template's text as a message shows.
func shown(_ text: String) -> String { printable(text.prefix(bytes: 80)) }
