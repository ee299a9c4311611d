import FunctionModel
import WireText

/// What an event's `Content-Type` says of it.
enum EventType {
    /// Whether the event has to be JSON. Where nothing is said, it has to.
    /// - Throws: `Failure` invalid_request where the function takes JSON only.
    static func isJSON(_ type: String?, for version: FunctionVersion) throws(Failure) -> Bool {
        // As nearly everybody says it.
        guard let type, !type.isEmpty, type != "application/json" else { return true }
        // A type is ASCII (RFC 9110, 8.3.1).
        let name = type.isASCII ? type.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" } : "?"
        if ["application/json", "text/json"].contains(name) || name.hasSuffix("+json") { return true }
        guard version.speech != .command else { return false }
        // What curl and others say of whatever they send.
        if name == "application/x-www-form-urlencoded" { return true }
        throw Failure(
            .invalidRequest,
            "the event's Content-Type is \"\(printable(name.prefix(bytes: 80)))\", and \(version.name) takes JSON as a reactor or handler does; send JSON with Content-Type: application/json, or use mode: command, which gets any bytes"
        )
    }
}
