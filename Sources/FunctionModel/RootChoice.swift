/// What a cell shows of the host's programs.
package enum RootChoice: Sendable, Hashable {
    /// A static ELF gets the minimal one, all else the system's.
    case auto
    /// What the function cannot start without: its loader, its interpreter, libraries.
    case minimal
    /// What a container of the host's distribution would show: all of /usr, and what of /etc belongs to programs.
    case system
    /// One that the operator prepared and named.
    case prepared(String)

    /// Those that every host has.
    package static let own = ["auto", "minimal", "system"]
    package static let nameRule =
        "a name of up to 63 letters a-z, digits, dots, dashes and underscores that begins with a letter or digit"

    /// Nil for what can be no name.
    package init?(_ text: String) {
        switch text {
        case "auto": self = .auto
        case "minimal": self = .minimal
        case "system": self = .system
        default:
            let letters = "abcdefghijklmnopqrstuvwxyz0123456789".utf8
            guard let first = text.utf8.first, letters.contains(first), text.utf8.count <= 63,
                text.utf8.allSatisfy({ letters.contains($0) || "._-".utf8.contains($0) })
            else { return nil }
            self = .prepared(text)
        }
    }

    package var text: String {
        switch self {
        case .auto: "auto"
        case .minimal: "minimal"
        case .system: "system"
        case .prepared(let name): name
        }
    }
}
