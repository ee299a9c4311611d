import FunctionModel
import WireText

/// A resource, as far as any is read.
struct TemplateResource {
    static let function = "AWS::Serverless::Function"

    let id: String
    let type: String
    let properties: TemplateValue?
    let line: Int
    let isLeftOut: Bool
}

/// The parts of a template: parameters, globals, resources with their names.
struct TemplateOutline {
    static let maxResources = 500, maxGlobals = 1000

    /// By the kind of resource that they are for.
    private(set) var globals: [String: TemplateValue] = [:]
    private(set) var resources: [TemplateResource] = []
    private let reading: TemplateReading

    init(_ root: [TemplateValue.Member], _ reading: TemplateReading) {
        self.reading = reading
        var sections: [String: TemplateValue] = [:]
        for member in root {
            switch member.name {
            case "Parameters", "Globals", "Resources": sections[member.name] = member.value
            // They describe.
            case "AWSTemplateFormatVersion", "Description", "Metadata", "Outputs": break
            case "Transform":
                for name in TemplateText.names(member.value) where name != TemplateText.transform {
                    reading.unsupported(member.line, "Transform", "\(shown(name)) is not supported")
                }
            default: reading.unsupported(member.line, shown(member.name))
            }
        }
        readParameters(sections["Parameters"])
        readGlobals(sections["Globals"])
        readResources(sections["Resources"])
        nameFunctions()
    }

    // MARK: - Parameters

    private func readParameters(_ value: TemplateValue?) {
        var given = reading.setting.parameters
        for parameter in reading.section(value, "Parameters") {
            let name = parameter.name, place = "Parameters.\(shown(name))"
            guard TemplateReading.isID(name) else {
                reading.wrong(parameter.line, place, "a parameter is named by up to 255 letters and digits")
                continue
            }
            var type = "String", value = given.removeValue(forKey: name), allowed: [String]?, standard: String?
            for member in reading.members(parameter.value, place) {
                let place = "\(place).\(shown(member.name))"
                switch member.name {
                case "Type": type = reading.text(member.value, place) ?? type
                case "Default": standard = reading.text(member.value, place)
                case "AllowedValues": allowed = reading.texts(member.value, place)
                case "Description", "ConstraintDescription", "NoEcho": break
                case "AllowedPattern", "MinLength", "MaxLength", "MinValue", "MaxValue":
                    reading.note(member.line, place, "values are not held against it")
                default: reading.unsupported(member.line, place)
                }
            }
            value = value ?? standard
            if let problem = Self.problem(of: value, type, allowed) {
                reading.wrong(parameter.line, place, problem)
            } else if type.hasPrefix("AWS::SSM::Parameter::Value") {
                reading.unsupported(parameter.line, place, "\(shown(type)) is not supported")
            }
            reading.intrinsics.parameters[name] = Self.content(value ?? "", type, parameter.line)
        }
        for name in given.keys.sorted() {
            reading.wrong(0, "--parameter \(shown(name))", "the template has no such parameter")
        }
    }

    private static func problem(of value: String?, _ type: String, _ allowed: [String]?) -> String? {
        guard let value else { return "it has no default: --parameter NAME=VALUE gives it a value" }
        guard value.utf8.count <= 4096 else { return "its value is longer than 4096 bytes" }
        if type == "Number", Double(value) == nil { return "\"\(shown(value))\" is no number" }
        guard let allowed, !allowed.contains(where: { $0.isSame(as: value) }) else { return nil }
        return "\"\(shown(value))\" is not among its AllowedValues"
    }

    private static func content(_ value: String, _ type: String, _ line: Int) -> TemplateValue.Content {
        guard type == "CommaDelimitedList" || type.hasPrefix("List<") else { return .text(value) }
        let parts = value.split(separator: ",").map { part in
            String(part.drop { $0 == " " })
        }
        return .list(parts.map { TemplateValue(.text($0), line: line) })
    }

    // MARK: - Globals and resources

    private mutating func readGlobals(_ value: TemplateValue?) {
        for section in reading.section(value, "Globals") {
            let place = "Globals.\(shown(section.name))"
            let isOfFunctions = section.name == "Function"
            let kinds = [TemplateAPI.Kind.http, .rest].map(\.globals)
            guard isOfFunctions || kinds.contains(section.name) else {
                reading.unsupported(section.line, place)
                continue
            }
            guard section.value.size <= Self.maxGlobals else {
                reading.wrong(section.line, place, "it holds more than \(Self.maxGlobals) values")
                continue
            }
            // Said once, and not once for each function. Of APIs it is for those to say what it means that something is left out.
            var taken: [TemplateValue.Member] = []
            for member in reading.section(section.value, place) {
                if !isOfFunctions || TemplateFunctionReader.properties.contains(member.name) {
                    taken.append(member)
                } else {
                    reading.unsupported(member.line, "\(place).\(shown(member.name))")
                }
            }
            globals[section.name] = TemplateValue(.map(taken), line: section.line)
        }
    }

    private mutating func readResources(_ value: TemplateValue?) {
        let all = reading.section(value, "Resources")
        guard all.count <= Self.maxResources else {
            reading.wrong(value?.line ?? 0, "Resources", "there are more than \(Self.maxResources)")
            return
        }
        for resource in all {
            guard TemplateReading.isID(resource.name) else {
                reading.wrong(
                    resource.line, shown(resource.name), "a resource is named by up to 255 letters and digits")
                continue
            }
            let members = reading.section(resource.value, resource.name)
            guard let type = reading.text(members.first { $0.name == "Type" }?.value, "\(resource.name).Type") else {
                reading.wrong(resource.line, resource.name, "Type is missing")
                continue
            }
            reading.intrinsics.resources[resource.name] = type
            guard type == TemplateResource.function || TemplateAPI.Kind(type: type) != nil else {
                reading.unsupported(resource.line, resource.name, "\(shown(type)) is not supported")
                continue
            }
            var isLeftOut = false
            for member in members {
                switch member.name {
                case "Type", "Properties", "Metadata", "DependsOn": break
                case "Condition":
                    isLeftOut = true
                    reading.unsupported(
                        member.line, "\(resource.name).Condition", "conditions are not supported: it is left out whole")
                default: reading.unsupported(member.line, "\(resource.name).\(shown(member.name))")
                }
            }
            resources.append(
                TemplateResource(
                    id: resource.name, type: type, properties: members.first { $0.name == "Properties" }?.value,
                    line: resource.line, isLeftOut: isLeftOut))
        }
    }

    // MARK: - Names

    private func nameFunctions() {
        var names: [String: String] = [:], owners: [String: String] = [:]
        for resource in resources where resource.type == TemplateResource.function {
            var name = Self.functionName(of: resource.id)
            let place = "\(resource.id).FunctionName"
            let own = reading.members(resource.properties, resource.id).first { $0.name == "FunctionName" }
            if let own, let given = reading.text(own.value, place) {
                if FunctionName(given) != nil {
                    name = given
                } else {
                    reading.unsupported(
                        own.line, place, "\"\(shown(given))\" is no name here; it must be \(FunctionName.rule)")
                }
            }
            if FunctionName(name) == nil {
                reading.wrong(
                    resource.line, resource.id, "it needs a FunctionName: the one made of it would be too long")
            } else if let other = owners.updateValue(resource.id, forKey: name) {
                reading.wrong(resource.line, resource.id, "its name, \(name), is also that of \(other)")
            }
            names[resource.id] = name
        }
        reading.intrinsics.functions = names
    }

    /// `ListItemsHTTP` is `list-items-http`.
    static func functionName(of id: String) -> String {
        let bytes = Array(id.utf8)
        func isCapital(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte) }
        func isSmall(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) }
        var name = ""
        for (index, byte) in bytes.enumerated() {
            if index > 0, isCapital(byte) {
                let endsCapitals = index + 1 < bytes.count && isSmall(bytes[index + 1])
                if !isCapital(bytes[index - 1]) || endsCapitals { name += "-" }
            }
            name += String(UnicodeScalar(byte)).lowercased()
        }
        return name
    }
}
