import Foundation
import FunctionModel
import WireText

/// A function of a template, until all are known.
struct FunctionDraft {
    /// Who is told how its asynchronous invocations ended.
    struct Aim {
        let text: String
        let isSuccess: Bool
        let line: Int
        let place: String
    }

    let id: String
    let name: String
    let line: Int
    var manifest: Manifest
    var code: TemplateBundle.Code?
    var alias: String?
    var aims: [Aim] = []
    var events = TemplateEvents()
    /// Something of it is not supported without which it would be another function.
    var isLeftOut: Bool
}

/// Reads an `AWS::Serverless::Function`.
struct TemplateFunctionReader {
    static let properties: Set<String> = [
        "FunctionName", "Runtime", "Handler", "CodeUri", "InlineCode", "PackageType", "Architectures", "Description",
        "Role", "Tags", "Timeout", "MemorySize", "EphemeralStorage", "Environment", "ReservedConcurrentExecutions",
        "AutoPublishAlias", "ProvisionedConcurrencyConfig", "EventInvokeConfig", "FunctionUrlConfig", "Events",
    ]

    private(set) var draft: FunctionDraft
    private let reading: TemplateReading

    init(
        _ resource: TemplateResource, _ globals: TemplateValue?, _ apis: [String: TemplateAPI],
        _ reading: TemplateReading
    ) {
        self.reading = reading
        draft = FunctionDraft(
            id: resource.id, name: reading.intrinsics.functions[resource.id] ?? "", line: resource.line,
            manifest: Self.blankManifest(region: reading.setting.region), isLeftOut: resource.isLeftOut)
        draft.manifest.name = FunctionName(draft.name)
        let own = resource.properties ?? TemplateValue(.null, line: resource.line)
        let all = reading.members(own.merged(with: globals), resource.id)
        for member in all {
            let place = "\(resource.id).\(shown(member.name))"
            guard Self.properties.contains(member.name) else {
                reading.unsupported(member.line, place)
                continue
            }
            read(member, place)
            readSize(member, place)
            readOutside(member, place)
        }
        check()
        // They go where the alias points, which may stand below them.
        if let events = all.first(where: { $0.name == "Events" }) {
            var reader = TemplateEventReader(function: draft.name, alias: draft.alias, apis: apis, reading: reading)
            reader.read(events.value, "\(resource.id).Events")
            draft.events.routes += reader.events.routes
            draft.events.schedules += reader.events.schedules
            draft.events.open += reader.events.open
        }
    }

    /// What every function that comes from AWS has here: as `FunctionConfiguration` of the Lambda API makes them.
    private static func blankManifest(region: String) -> Manifest {
        var manifest = Manifest()
        manifest.mode = .reactor
        manifest.report = true
        manifest.limits.processes = 64
        manifest.limits.threads = 256
        manifest.limits.scratch = .mebibytes(512)
        manifest.labels = [LambdaLabel.region: region, LambdaLabel.ephemeralStorage: "512"]
        return manifest
    }

    private mutating func check() {
        guard !draft.isLeftOut else { return }
        if draft.code == nil { reading.wrong(draft.line, draft.id, "CodeUri or InlineCode is missing") }
        switch draft.manifest.runtime {
        case .native: reading.wrong(draft.line, draft.id, "Runtime is missing")
        case .python:
            guard PythonHandler(draft.manifest.handler ?? "") == nil else { return }
            reading.wrong(draft.line, "\(draft.id).Handler", "module.function is wanted, such as app.lambda_handler")
        case .provided:
            guard case .inline = draft.code else { return }
            reading.unsupported(
                draft.line, "\(draft.id).InlineCode", "it is taken for Python alone: the function is left out whole")
            draft.isLeftOut = true
        }
    }

    // MARK: - What runs

    private mutating func read(_ member: TemplateValue.Member, _ place: String) {
        switch member.name {
        case "Runtime":
            guard let runtime = reading.text(member.value, place) else {
                draft.isLeftOut = true
                return
            }
            setRuntime(runtime, member.line, place)
        case "Handler":
            guard let handler = reading.text(member.value, place) else {
                draft.isLeftOut = true
                return
            }
            draft.manifest.handler = handler
        case "CodeUri":
            if case .inline = draft.code { return }
            readCode(member, place)
        case "InlineCode":
            guard let code = reading.text(member.value, place) else {
                draft.isLeftOut = true
                return
            }
            draft.code = .inline(code)
        case "PackageType":
            guard let type = reading.text(member.value, place), type != "Zip" else { return }
            reading.unsupported(member.line, place, "\(shown(type)) is not supported: the function is left out whole")
            draft.isLeftOut = true
        case "Architectures":
            guard let all = reading.texts(member.value, place), all != ["x86_64"] else { return }
            reading.unsupported(member.line, place, "x86_64 alone is supported: the function is left out whole")
            draft.isLeftOut = true
        case "Description":
            if let text = reading.text(member.value, place), !text.isEmpty { draft.manifest.about = text }
        case "Role":
            // Noted, as by the Lambda API; it gives nothing.
            if let role = reading.text(member.value, place) { draft.manifest.labels[LambdaLabel.role] = role }
        case "Tags": reading.note(member.line, place, "tags are not carried over")
        default: break
        }
    }

    private mutating func setRuntime(_ runtime: String, _ line: Int, _ place: String) {
        if ["provided", "provided.al2", "provided.al2023"].contains(runtime) {
            draft.manifest.runtime = .provided
            draft.manifest.run = "bootstrap"
        } else if runtime.hasPrefix("python3."), runtime.utf8.count <= 16, runtime.isMade(of: ".") {
            draft.manifest.runtime = .python
        } else {
            reading.unsupported(
                line, place,
                "\(shown(runtime)) is not supported; python3.x, provided, provided.al2 and provided.al2023 are: the function is left out whole"
            )
            draft.isLeftOut = true
            return
        }
        draft.manifest.labels[LambdaLabel.runtime] = runtime
    }

    private mutating func readCode(_ member: TemplateValue.Member, _ place: String) {
        guard let value = reading.evaluated(member.value, place) else {
            draft.isLeftOut = true
            return
        }
        guard case .text(let path) = value.content, !path.contains("://") else {
            reading.unsupported(
                member.line, place,
                "a folder or a .zip beside the template is wanted, nothing is fetched: the function is left out whole")
            draft.isLeftOut = true
            return
        }
        let parts = path.utf8.split(separator: UInt8(ascii: "/")).map { String(decoding: $0, as: UTF8.self) }
        guard path.utf8.first != UInt8(ascii: "/"), !parts.contains(".."), !path.utf8.contains(0), !path.isEmpty else {
            // It would be uploaded, and might be shown, by a template that somebody else has written.
            reading.wrong(member.line, place, "\(shown(path)) leads out of the template's folder")
            return
        }
        draft.code = .path(reading.setting.folder + "/" + path)
    }

    // MARK: - How much of it

    private mutating func readSize(_ member: TemplateValue.Member, _ place: String) {
        switch member.name {
        case "Timeout":
            if let seconds = reading.whole(member.value, in: 1...900, place) {
                draft.manifest.limits.wall = .seconds(seconds)
            }
        case "MemorySize":
            if let size = reading.whole(member.value, in: 128...10_240, place) {
                draft.manifest.limits.memory = .mebibytes(size)
            }
        case "EphemeralStorage":
            let given = only("Size", of: member, place)
            guard let size = reading.whole(given, in: 512...10_240, "\(place).Size") else { return }
            draft.manifest.limits.scratch = .mebibytes(size)
            draft.manifest.labels[LambdaLabel.ephemeralStorage] = "\(size)"
        case "ReservedConcurrentExecutions":
            guard let most = reading.whole(member.value, in: 0...10_000, place) else { return }
            if most == 0 {
                reading.unsupported(member.line, place, "0, which lets nothing run, is not supported")
            } else {
                draft.manifest.concurrency.max = most
            }
        case "ProvisionedConcurrencyConfig":
            guard let count = only("ProvisionedConcurrentExecutions", of: member, place) else { return }
            draft.manifest.concurrency.warm = reading.whole(count, in: 0...10_000, place) ?? 0
        case "Environment":
            if let variables = only("Variables", of: member, place) {
                readVariables(variables, "\(place).Variables")
            }
        default: break
        }
    }

    /// The value of the one member that is taken.
    private func only(_ name: String, of member: TemplateValue.Member, _ place: String) -> TemplateValue? {
        var found: TemplateValue?
        for inner in reading.members(member.value, place) {
            if inner.name == name {
                found = inner.value
            } else {
                reading.unsupported(inner.line, "\(place).\(shown(inner.name))")
            }
        }
        return found
    }

    private mutating func readVariables(_ value: TemplateValue, _ place: String) {
        let all = reading.members(value, place)
        guard all.count <= 128 else { return reading.wrong(value.line, place, "there are more than 128") }
        for variable in all {
            let place = "\(place).\(shown(variable.name))"
            guard variable.name.isMade(of: "_"), !(0x30...0x39).contains(variable.name.utf8.first ?? 0x30) else {
                reading.wrong(variable.line, place, "a variable is named by letters, digits and underscores")
                continue
            }
            draft.manifest.env[variable.name] = reading.text(variable.value, place)
        }
    }

    // MARK: - Who calls it, and who is called

    private mutating func readOutside(_ member: TemplateValue.Member, _ place: String) {
        switch member.name {
        case "AutoPublishAlias":
            guard let alias = reading.text(member.value, place) else { return }
            if Alias.isName(alias) {
                draft.alias = alias
            } else {
                reading.wrong(member.line, place, "\"\(shown(alias))\" is no alias; it must be \(Alias.nameRule)")
            }
        case "FunctionUrlConfig": readURL(member, place)
        case "EventInvokeConfig": readAsync(member, place)
        default: break
        }
    }

    private mutating func readURL(_ member: TemplateValue.Member, _ place: String) {
        for inner in reading.members(member.value, place) {
            let place = "\(place).\(shown(inner.name))"
            guard ["AuthType", "InvokeMode"].contains(inner.name) else {
                reading.unsupported(inner.line, place)
                continue
            }
            guard let word = reading.text(inner.value, place) else { continue }
            switch word {
            case "NONE" where inner.name == "AuthType":
                draft.manifest.auth = .none
                draft.events.open.append("/fn/\(draft.name)")
            case "AWS_IAM" where inner.name == "AuthType":
                reading.note(inner.line, place, "/fn/\(draft.name) takes keys of this host")
            case "RESPONSE_STREAM" where inner.name == "InvokeMode": draft.manifest.stream = true
            case "BUFFERED" where inner.name == "InvokeMode": break
            default: reading.unsupported(inner.line, place, "\(shown(word)) is not supported")
            }
        }
    }

    private mutating func readAsync(_ member: TemplateValue.Member, _ place: String) {
        for inner in reading.members(member.value, place) {
            let place = "\(place).\(shown(inner.name))"
            switch inner.name {
            case "MaximumRetryAttempts":
                if let count = reading.whole(inner.value, in: 0...2, place) { draft.manifest.async.retries = count }
            case "MaximumEventAgeInSeconds":
                if let age = reading.whole(inner.value, in: 60...21_600, place) {
                    draft.manifest.async.maxAge = .seconds(age)
                }
            case "DestinationConfig":
                for aim in reading.members(inner.value, place) {
                    let place = "\(place).\(shown(aim.name))"
                    if ["OnSuccess", "OnFailure"].contains(aim.name) {
                        readAim(aim, place)
                    } else {
                        reading.unsupported(aim.line, place)
                    }
                }
            default: reading.unsupported(inner.line, place)
            }
        }
    }

    private mutating func readAim(_ member: TemplateValue.Member, _ place: String) {
        var type = "Lambda", destination: String?
        for inner in reading.members(member.value, place) {
            let place = "\(place).\(shown(inner.name))"
            switch inner.name {
            case "Type": type = reading.text(inner.value, place) ?? type
            case "Destination": destination = reading.text(inner.value, place)
            default: reading.unsupported(inner.line, place)
            }
        }
        guard type == "Lambda" else {
            return reading.unsupported(
                member.line, place, "\(shown(type)) is not supported, a function or an https URL is")
        }
        guard let destination else { return reading.unsupported(member.line, place, "Destination is missing") }
        draft.aims.append(
            .init(text: destination, isSuccess: member.name == "OnSuccess", line: member.line, place: place))
    }
}
