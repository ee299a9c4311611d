import FunctionModel
import WireText

/// An `Authorization` header, and the token in it if it is a `Bearer`'s.
package struct Bearer: Sendable {
    package let header: String
    package let token: String?

    /// RFC 6750, 2.1: a token is ASCII.
    /// - Parameter longest: in bytes; the host's own are short.
    package init(_ header: String, longest: Int = 1024) {
        self.header = header
        guard header.utf8.count <= longest, header.isASCII else {
            token = nil
            return
        }
        let parts = header.split(separator: " ", maxSplits: 1)
        token = parts.count == 2 && parts[0].lowercased() == "bearer" ? String(parts[1]).trimmingSpaces : nil
    }
}

extension String {
    fileprivate var trimmingSpaces: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text.drop { $0 == " " })
    }
}
