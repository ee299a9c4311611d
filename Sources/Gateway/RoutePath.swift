/// A path with parameters: `/v1/functions/{name}`; `{path+}` at its end stands for all the rest.
struct RoutePath: Sendable, Hashable {
    enum Segment: Sendable, Hashable {
        case literal(String)
        case parameter(String)
        case rest(String)
    }

    let text: String
    let segments: [Segment]

    init(_ text: String) {
        self.text = text
        segments = text.split(separator: "/").map { part in
            guard part.hasPrefix("{"), part.hasSuffix("}") else { return .literal(String(part)) }
            let name = part.dropFirst().dropLast()
            return name.hasSuffix("+") ? .rest(String(name.dropLast())) : .parameter(String(name))
        }
    }

    /// How many of its segments are words.
    var literals: Int { segments.count { if case .literal = $0 { true } else { false } } }

    var parameters: [String] {
        segments.compactMap {
            switch $0 {
            case .literal: nil
            case .parameter(let name), .rest(let name): name
            }
        }
    }

    /// As the framework's router writes it.
    var forRouter: String {
        segments.map {
            switch $0 {
            case .literal(let text): "/" + text
            case .parameter(let name): "/:" + name
            case .rest: "/**"
            }
        }.joined()
    }

    /// As OpenAPI writes it, which knows no rest.
    var forOpenAPI: String { text.replacing("+}", with: "}") }

    /// - Parameter path: split at its slashes, empty parts left out.
    func matches(_ path: [Substring]) -> Bool {
        var parts = path[...]
        for segment in segments {
            if case .rest = segment { return true }
            guard let part = parts.popFirst() else { return false }
            if case .literal(let text) = segment, !text.utf8.elementsEqual(part.utf8) { return false }
        }
        return parts.isEmpty
    }

    /// What stands before and behind the one parameter, for finding it by its bytes.
    var around: (before: [UInt8], after: [UInt8])? {
        guard parameters.count == 1, let open = text.utf8.firstIndex(of: UInt8(ascii: "{")),
            let close = text.utf8.firstIndex(of: UInt8(ascii: "}"))
        else { return nil }
        return (Array(text.utf8[..<open]), Array(text.utf8[text.utf8.index(after: close)...]))
    }
}
