/// Where a Python handler is: `app.handler`, `src/handlers/app.handler`, `my-function.handler`, as Lambda takes it.
package struct PythonHandler: Sendable, Hashable {
    package let text: String
    /// The module's file and, where it is a package, that one's: inside the bundle.
    package let files: [String]

    /// Nil when `text` names no module below the bundle, or no function in it.
    package init?(_ text: String) {
        // By bytes, as everywhere with paths; Lambda lets slashes stand for the dots between packages.
        let parts = text.utf8.split(omittingEmptySubsequences: false) {
            $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/")
        }.map { Substring($0) }
        guard parts.count >= 2, text.utf8.count <= 1024, let function = parts.last, isIdentifier(function),
            text.utf8.dropLast(function.utf8.count).last == UInt8(ascii: "."),
            parts.dropLast().allSatisfy(Self.isModule)
        else { return nil }
        let path = parts.dropLast().joined(separator: "/")
        guard BundlePath(path + "/__init__.py") != nil else { return nil }
        self.text = text
        files = [path + ".py", path + "/__init__.py"]
    }

    /// What importlib finds by its file's name, though no `import` statement could write it.
    private static func isModule(_ name: Substring) -> Bool {
        !name.isEmpty && name.utf8.count <= 250
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}

/// Out of A-Z, a-z, 0-9 and _, not beginning with a digit: a name in most languages, and of a variable.
func isIdentifier(_ text: Substring) -> Bool {
    guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first), text.utf8.count <= 255
    else { return false }
    return text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
