/// A path inside a bundle: relative, without `..`, `.`, empty components or NUL. A leading `./` is dropped.
package struct BundlePath: Sendable, Hashable, CustomStringConvertible {
    package let text: String

    /// Nil when `text` could name anything outside the bundle, or nothing at all.
    package init?(_ text: String) {
        var rest = text[...]
        while rest.hasPrefix("./") { rest = rest.dropFirst(2) }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        let components = rest.split(separator: "/", omittingEmptySubsequences: false)
        guard rest.utf8.count <= 1024, !rest.utf8.contains(0), (1...64).contains(components.count),
            components.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." && $0.utf8.count <= 255 })
        else { return nil }
        self.text = String(rest)
    }

    package var components: [Substring] { text.split(separator: "/") }
    package var description: String { text }
}
