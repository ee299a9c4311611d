/// A path inside a bundle: relative, without `..`, `.`, empty components or NUL. A leading `./` is dropped.
package struct BundlePath: Sendable, Hashable, CustomStringConvertible {
    package let text: String

    /// Nil when `text` could name anything outside the bundle, or nothing at all.
    package init?(_ text: String) {
        var rest = text.utf8[...]
        while rest.starts(with: "./".utf8) { rest = rest.dropFirst(2) }
        if rest.last == UInt8(ascii: "/") { rest = rest.dropLast() }
        let plain = String(Substring(rest))
        let components = plain.pathComponents
        guard rest.count <= 1024, !rest.contains(0), (1...64).contains(components.count),
            components.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." && $0.utf8.count <= 255 })
        else { return nil }
        self.text = plain
    }

    package var components: [String] { text.pathComponents }
    package var description: String { text }
}

// By bytes, as the kernel reads a path: to Swift, "/" with a combining mark behind it is one character that is no "/",
// so that a search for characters would overlook `..` in "../\u{301}".
extension String {
    /// The components between slashes, empty ones as well.
    package var pathComponents: [String] {
        utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { String(Substring($0)) }
    }

    /// Whether this is a path from the root.
    package var isAbsolutePath: Bool { utf8.first == UInt8(ascii: "/") }

    /// Whether this path lies below `folder`, which has no slash at its end. Both are read as text, without `..`.
    package func isPath(below folder: String) -> Bool { utf8.starts(with: "\(folder)/".utf8) }
}
