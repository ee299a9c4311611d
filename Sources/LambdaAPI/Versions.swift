import Catalogue
import Deployment
import FunctionModel
import HostSystem
import WireText

/// Versions and aliases.
struct VersionOperations: OperationGroup {
    let services: Lambda.Services

    func publishVersion(_ call: LambdaCall) async throws -> LambdaAnswer {
        let newest = try newest(call)
        if let sha = call.input.text("CodeSha256"), !sha.isEmpty, sha != FunctionDocument.base64(hex: newest.sha256) {
            throw LambdaError(
                .invalidParameter,
                "CodeSHA256 (\(printable(sha.prefix(bytes: 100)))) is different from current CodeSHA256 in $LATEST (\(FunctionDocument.base64(hex: newest.sha256))). Please try again with the CodeSHA256 in $LATEST."
            )
        }
        let precondition = call.precondition
        try precondition?.check("\(newest.revision)")
        var version = newest
        if !newest.isPublished {
            version = try await services.deployment.revise(
                newest.name, by: call.principal, precondition, isPublished: true
            ) { manifest in
                if let description = call.input.text("Description"), !description.isEmpty {
                    manifest.about = try FunctionConfiguration.about(description)
                }
            }.0
        }
        return LambdaAnswer(status: 201, FunctionDocument(version, call).configuration(shownAs: version.label))
    }

    func listVersions(_ call: LambdaCall) throws -> LambdaAnswer {
        let newest = try newest(call)
        var entries = [("$LATEST", FunctionDocument(newest, call).configuration(shownAs: nil))]
        for version in services.catalogue.snapshot.versions(of: newest.name) where version.isPublished {
            entries.append((version.label, FunctionDocument(version, call).configuration(shownAs: version.label)))
        }
        return LambdaAnswer(status: 200, try call.page(entries.map { (key: $0.0, value: $0.1) }, as: "Versions"))
    }

    // MARK: - Aliases

    func putAlias(_ call: LambdaCall, isNew: Bool) async throws -> LambdaAnswer {
        let newest = try newest(call), name = newest.name
        let text = call.input.text("Name") ?? ""
        let old = services.catalogue.snapshot.alias(text, of: name)
        if isNew, let old, !isHidden(old) {
            throw LambdaError(.conflict, "Alias already exists: \(call.arn(name, text))")
        }
        guard isNew || old != nil else { throw noAlias(text, name, call) }
        guard Alias.isName(text) else {
            throw LambdaError(.invalidParameter, "Name: an alias has \(Alias.nameRule)")
        }
        var alias = Alias(name: text, updatedAt: timestamp())
        if let old, !isNew {
            (alias.target, alias.weights, alias.header, alias.about) = (old.target, old.weights, old.header, old.about)
        }
        if let target = call.input.text("FunctionVersion") {
            alias.target = try Self.target(target, name, call, services)
        }
        if let about = call.input.text("Description") { alias.about = about.isEmpty ? nil : about }
        if let routing = call.input["RoutingConfig"] { alias.weights = try weights(routing, name, call) }
        let precondition = isNew ? (text == Alias.live ? nil : .nothing) : call.precondition
        let entered: Alias
        do {
            entered = try await services.deployment.put(alias, of: name, precondition).0
        } catch is PreconditionFailed where isNew {
            throw LambdaError(.conflict, "Alias already exists: \(call.arn(name, text))")
        }
        return LambdaAnswer(status: isNew ? 201 : 200, document(entered, name, call))
    }

    private static func target(
        _ text: String, _ name: FunctionName, _ call: LambdaCall, _ services: Lambda.Services
    ) throws -> Alias.Target {
        if text == FunctionVersion.latestLabel { return .latest }
        guard let number = FunctionARN.number(text),
            services.catalogue.snapshot.version(number, of: name)?.isPublished == true
        else {
            throw LambdaError(.notFound, "Function not found: \(call.arn(name, printable(text.prefix(bytes: 40))))")
        }
        return .version(number)
    }

    private func weights(_ routing: LambdaValue, _ name: FunctionName, _ call: LambdaCall) throws -> [Int: Double] {
        guard let shares = (routing["AdditionalVersionWeights"] ?? [:]).members, shares.count <= 1 else {
            throw LambdaError(
                .invalidParameter, "RoutingConfig.AdditionalVersionWeights: one version and its share, or none")
        }
        var weights: [Int: Double] = [:]
        for (text, share) in shares {
            guard let number = FunctionARN.number(text) else {
                throw LambdaError(
                    .invalidParameter, "RoutingConfig: \(printable(text.prefix(bytes: 40))) is no version's number")
            }
            guard services.catalogue.snapshot.version(number, of: name)?.isPublished == true else {
                throw LambdaError(.notFound, "Function not found: \(call.arn(name, text))")
            }
            guard let part = share.number, (0...1).contains(part) else {
                throw LambdaError(
                    .invalidParameter,
                    "RoutingConfig: a share is a number from 0 to 1; not \(share.shown.prefix(bytes: 40))")
            }
            if part > 0 { weights[number] = part }
        }
        return weights
    }

    func getAlias(_ call: LambdaCall) throws -> LambdaAnswer {
        let newest = try newest(call), text = call.input.text("Name") ?? ""
        guard let alias = services.catalogue.snapshot.alias(text, of: newest.name) else {
            throw noAlias(text, newest.name, call)
        }
        return LambdaAnswer(status: 200, document(alias, newest.name, call))
    }

    func deleteAlias(_ call: LambdaCall) async throws -> LambdaAnswer {
        let newest = try newest(call), text = call.input.text("Name") ?? ""
        if text == Alias.live {
            // It is always there: what can go is what it was pinned to.
            _ = try await services.deployment.put(Alias(name: Alias.live, updatedAt: timestamp()), of: newest.name)
            try await services.catalogue.changeSettings(of: newest.name) { $0.drop(Alias.live) }
        } else if services.catalogue.snapshot.alias(text, of: newest.name) != nil {
            try await services.deployment.removeAlias(text, of: newest.name)
        }
        return LambdaAnswer(status: 204)
    }

    func listAliases(_ call: LambdaCall) throws -> LambdaAnswer {
        let newest = try newest(call), only = call.input.text("FunctionVersion")
        let aliases = services.catalogue.snapshot.aliases(of: newest.name).filter { alias in
            !isHidden(alias) && (only == nil || only == Self.label(alias.target))
        }
        let entries = aliases.map { (key: $0.name, value: document($0, newest.name, call)) }
        return LambdaAnswer(status: 200, try call.page(entries, as: "Aliases"))
    }

    /// `live` as every function has it, which nobody has made.
    private func isHidden(_ alias: Alias) -> Bool {
        alias.name == Alias.live && alias.target == .latest && alias.weights.isEmpty
    }

    private static func label(_ target: Alias.Target) -> String {
        if case .version(let number) = target { String(number) } else { FunctionVersion.latestLabel }
    }

    private func noAlias(_ text: String, _ name: FunctionName, _ call: LambdaCall) -> LambdaError {
        LambdaError(.notFound, "Cannot find alias arn: \(call.arn(name, printable(text.prefix(bytes: 128))))")
    }

    private func document(_ alias: Alias, _ name: FunctionName, _ call: LambdaCall) -> LambdaValue {
        var members: [String: LambdaValue] = [
            "AliasArn": .text(call.arn(name, alias.name)), "Name": .text(alias.name),
            "FunctionVersion": .text(Self.label(alias.target)), "Description": .text(alias.about ?? ""),
            "RevisionId": .text(alias.tag),
        ]
        if !alias.weights.isEmpty {
            let shares = Dictionary(alias.weights.map { (String($0.key), LambdaValue.number($0.value)) }) { $1 }
            members["RoutingConfig"] = ["AdditionalVersionWeights": .object(shares)]
        }
        return .object(members)
    }
}
