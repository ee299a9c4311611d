import Yams

/// A value of a template, and where it stands.
struct TemplateValue {
    struct Member {
        let name: String
        let value: TemplateValue
        /// Of its name.
        let line: Int
    }

    indirect enum Content {
        case null
        case text(String)
        case list([TemplateValue])
        case map([Member])
        /// An intrinsic function, by its name without `Fn::`, with what it is given: `!Sub x`, or `{"Fn::Sub": x}`.
        case call(String, TemplateValue)
    }

    let content: Content
    let line: Int

    init(_ content: Content, line: Int) { (self.content, self.line) = (content, line) }
}

extension TemplateValue {
    /// How deep a template may be nested: what follows walks it by recursion.
    static let maxDepth = 100
    private static let longestKey = 1024
    private static let nulls = ["", "~", "null", "Null", "NULL"]
    private static let plainTags =
        ["", "!"] + ["str", "int", "float", "bool", "null", "map", "seq"].map { "tag:yaml.org,2002:" + $0 }

    /// - Throws: for what no template holds: a tag of YAML's own, a key that is no text, too many levels.
    init(_ node: Node, depth: Int = 0) throws(TemplateComplaint) {
        let line = node.mark?.line ?? 0
        guard depth < Self.maxDepth else {
            throw .wrong(line, "it is nested deeper than \(Self.maxDepth) levels")
        }
        let tag: String
        var content: Content
        switch node {
        case .scalar(let scalar):
            tag = scalar.tag.rawValue
            let isNull = scalar.style == .plain && Self.nulls.contains(scalar.string)
            content = isNull ? .null : .text(scalar.string)
        case .sequence(let list):
            tag = list.tag.rawValue
            var values: [TemplateValue] = []
            for item in list { values.append(try TemplateValue(item, depth: depth + 1)) }
            content = .list(values)
        case .mapping(let mapping):
            tag = mapping.tag.rawValue
            content = try Self.map(mapping, depth: depth)
        case .alias:
            throw .wrong(line, "anchors and aliases of YAML are not taken")
        }
        if tag.utf8.count > 1, tag.utf8.first == UInt8(ascii: "!") {
            content = .call(String(tag.dropFirst()), TemplateValue(content, line: line))
        } else if !Self.plainTags.contains(tag) {
            throw .wrong(line, "the tag \(shown(tag)) is not taken")
        }
        self.init(content, line: line)
    }

    private static func map(_ mapping: Node.Mapping, depth: Int) throws(TemplateComplaint) -> Content {
        var members: [Member] = []
        for (key, value) in mapping {
            let line = key.mark?.line ?? 0
            guard let name = key.scalar?.string, name.utf8.count <= longestKey else {
                throw .wrong(line, "a key must be a text of up to \(longestKey) bytes")
            }
            members.append(Member(name: name, value: try TemplateValue(value, depth: depth + 1), line: line))
        }
        guard members.count == 1, let only = members.first else { return .map(members) }
        if only.name == "Ref" { return .call(only.name, only.value) }
        return only.name.hasPrefix("Fn::") ? .call(String(only.name.dropFirst(4)), only.value) : .map(members)
    }

    /// How many values it holds, itself one of them.
    var size: Int {
        switch content {
        case .null, .text: 1
        case .list(let values): values.reduce(1) { $0 + $1.size }
        case .map(let members): members.reduce(1) { $0 + $1.value.size }
        case .call(_, let argument): 1 + argument.size
        }
    }

    /// With what stands in `Globals` for it, as SAM merges: of two mappings the members of both, of two lists one behind the other,
    /// and else what is its own.
    func merged(with global: TemplateValue?) -> TemplateValue {
        guard let global else { return self }
        switch (global.content, content) {
        case (_, .null): return global
        case (.list(let first), .list(let second)): return TemplateValue(.list(first + second), line: line)
        case (.map(let others), .map(let own)):
            var merged = own
            for other in others {
                if let index = merged.firstIndex(where: { $0.name == other.name }) {
                    let both = merged[index].value.merged(with: other.value)
                    merged[index] = Member(name: other.name, value: both, line: merged[index].line)
                } else {
                    merged.append(other)
                }
            }
            return TemplateValue(.map(merged), line: line)
        default: return self
        }
    }
}
