import FunctionModel
import WireText

/// What `!Ref`, `!Sub`, `!GetAtt` and `!Join` stand for in a template. They lead to parameters, to AWS' own words and to functions'
/// names, which are known before: there is no way round in a circle.
struct Intrinsics {
    let region: String
    let stack: String
    /// Texts, or lists of texts.
    var parameters: [String: TemplateValue.Content] = [:]
    /// Types by logical ids.
    var resources: [String: String] = [:]
    /// Names by logical ids; empty while they are being made.
    var functions: [String: String] = [:]
    /// Bytes of all that was put together.
    private var written = 0

    private static let longest = 256 << 10, mostWritten = 8 << 20

    init(region: String, stack: String) { (self.region, self.stack) = (region, stack) }

    /// - Returns: what it stands for, where it is an intrinsic function, and else itself; never a call.
    mutating func value(of value: TemplateValue) throws(TemplateComplaint) -> TemplateValue {
        guard case .call(let function, let argument) = value.content else { return value }
        let line = value.line
        switch function {
        case "Ref":
            guard case .text(let name) = argument.content else { throw .wrong(line, "!Ref takes a name") }
            return TemplateValue(try reference(to: name, line), line: line)
        case "Sub": return TemplateValue(.text(try substitute(argument)), line: line)
        case "GetAtt": return TemplateValue(.text(try attribute(argument)), line: line)
        case "Join": return TemplateValue(.text(try join(argument)), line: line)
        default: throw .unsupported(line, "the intrinsic function \(shown(function)) is not supported")
        }
    }

    mutating func text(of value: TemplateValue) throws(TemplateComplaint) -> String {
        guard case .text(let text) = try self.value(of: value).content else {
            throw .wrong(value.line, "a text is wanted")
        }
        return text
    }

    // MARK: - Names

    private func reference(to name: String, _ line: Int) throws(TemplateComplaint) -> TemplateValue.Content {
        // What is no name is not looked up: see `HostileText`.
        guard (1...255).contains(name.utf8.count), name.isMade(of: ":.") else {
            throw .wrong(line, "\"\(shown(name))\" is no name of a parameter or resource")
        }
        if let parameter = parameters[name] { return parameter }
        if let function = functions[name] { return .text(function) }
        switch name {
        case "AWS::Region": return .text(region)
        case "AWS::AccountId": return .text(LambdaLabel.account)
        case "AWS::StackName": return .text(stack)
        case "AWS::Partition": return .text("aws")
        case "AWS::URLSuffix": return .text("amazonaws.com")
        case "AWS::NoValue": return .null
        default: throw unknown(name, line)
        }
    }

    private func attribute(_ name: Substring, of resource: Substring, _ line: Int) throws(TemplateComplaint) -> String {
        let resource = String(resource)
        guard (1...255).contains(resource.utf8.count), resource.isMade(of: "") else {
            throw .wrong(line, "\"\(shown(resource))\" is no name of a resource")
        }
        guard let function = functions[resource] else { throw unknown(resource, line) }
        guard name == "Arn" else {
            throw .unsupported(line, "\(resource).\(shown(String(name))) is not supported; a function here has an Arn")
        }
        return LambdaLabel.arn(function, region)
    }

    private func unknown(_ name: String, _ line: Int) -> TemplateComplaint {
        if name.hasPrefix("AWS::") { return .unsupported(line, "\(name) is not supported") }
        // Of a function SAM makes more than the template says: Catalog.Version.
        let resource = String(name.prefix { $0 != "." })
        guard let type = resources[resource] else {
            return .wrong(line, "the template has no parameter or resource \(name)")
        }
        let isOfFunction = type == TemplateResource.function && resource.utf8.count == name.utf8.count
        return isOfFunction
            ? .unsupported(line, "a function's name that is made of another's (\(name)) is not supported")
            : .unsupported(line, "what \(name) stands for is not known here: \(shown(type))")
    }

    // MARK: - Functions

    private func attribute(_ argument: TemplateValue) throws(TemplateComplaint) -> String {
        switch argument.content {
        case .text(let text):
            let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { return try attribute(parts[1], of: parts[0], argument.line) }
        case .list(let list):
            if list.count == 2, case .text(let resource) = list[0].content, case .text(let name) = list[1].content {
                return try attribute(name[...], of: resource[...], argument.line)
            }
        default: break
        }
        throw .wrong(argument.line, "!GetAtt takes a resource and an attribute, such as Catalog.Arn")
    }

    private mutating func join(_ argument: TemplateValue) throws(TemplateComplaint) -> String {
        guard case .list(let parts) = argument.content, parts.count == 2,
            case .list(let list) = try value(of: parts[1]).content
        else { throw .wrong(argument.line, "!Join takes a delimiter and a list") }
        let delimiter = try text(of: parts[0])
        var joined: [UInt8] = []
        for (index, item) in list.enumerated() {
            if index > 0 { try append(delimiter, to: &joined, argument.line) }
            try append(try text(of: item), to: &joined, argument.line)
        }
        return String(decoding: joined, as: UTF8.self)
    }

    private mutating func substitute(_ argument: TemplateValue) throws(TemplateComplaint) -> String {
        let (template, members) = try Self.parts(of: argument)
        var variables: [String: String] = [:]
        for member in members {
            guard member.name.isMade(of: "") else {
                throw .wrong(member.line, "!Sub: a variable is named by letters and digits")
            }
            variables[member.name] = try text(of: member.value)
        }
        let bytes = Array(template.utf8)
        var made: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if let close = Self.end(ofNameAt: index, in: bytes) {
                let name = String(decoding: bytes[(index + 2)..<close], as: UTF8.self)
                try append(try substitute(name, variables, argument.line), to: &made, argument.line)
                index = close + 1
            } else {
                let next = bytes[(index + 1)...].firstIndex(of: UInt8(ascii: "$")) ?? bytes.count
                try append(bytes[index..<next], to: &made, argument.line)
                index = next
            }
        }
        return String(decoding: made, as: UTF8.self)
    }

    private static func parts(
        of argument: TemplateValue
    ) throws(TemplateComplaint) -> (text: String, members: [TemplateValue.Member]) {
        switch argument.content {
        case .text(let text): return (text, [])
        case .list(let parts):
            if parts.count == 2, case .text(let text) = parts[0].content, case .map(let members) = parts[1].content {
                return (text, members)
            }
        default: break
        }
        throw .wrong(argument.line, "!Sub takes a text, or a list of a text and a mapping")
    }

    /// Where `${name}` ends; nil where none begins.
    private static func end(ofNameAt index: Int, in bytes: [UInt8]) -> Int? {
        guard index + 2 < bytes.count, bytes[index] == UInt8(ascii: "$"), bytes[index + 1] == UInt8(ascii: "{") else {
            return nil
        }
        return bytes[(index + 2)..<min(index + 300, bytes.count)].firstIndex(of: UInt8(ascii: "}"))
    }

    /// - Parameter name: what stands in `${}`.
    private func substitute(
        _ name: String, _ variables: [String: String], _ line: Int
    ) throws(TemplateComplaint) -> String {
        if name.hasPrefix("!") { return "${\(name.dropFirst())}" }
        if name.isMade(of: ""), let variable = variables[name] { return variable }
        if !name.hasPrefix("AWS::"), let dot = name.firstIndex(of: ".") {
            return try attribute(name[name.index(after: dot)...], of: name[..<dot], line)
        }
        guard case .text(let text) = try reference(to: name, line) else {
            throw .wrong(line, "!Sub: ${\(shown(name))} is no text")
        }
        return text
    }

    private mutating func append(
        _ text: String, to made: inout [UInt8], _ line: Int
    ) throws(TemplateComplaint) {
        try append(Array(text.utf8)[...], to: &made, line)
    }

    private mutating func append(
        _ bytes: ArraySlice<UInt8>, to made: inout [UInt8], _ line: Int
    ) throws(TemplateComplaint) {
        made += bytes
        written += bytes.count
        guard made.count <= Self.longest else {
            throw .wrong(line, "the text becomes longer than \(ByteSize(bytes: Self.longest))")
        }
        guard written <= Self.mostWritten else {
            throw .wrong(line, "all texts together become longer than \(ByteSize(bytes: Self.mostWritten))")
        }
    }
}
