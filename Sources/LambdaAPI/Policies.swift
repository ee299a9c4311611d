import Catalogue
import FunctionModel
import NIOCore
import WireText

/// Who else may, in AWS's words: kept for its clients and shown to them. Who may here, the host's keys say.
struct PolicyOperations: OperationGroup {
    let services: Lambda.Services

    /// As AWS bounds it, in bytes of its document.
    private static let maxBytes = 20_480

    func add(_ call: LambdaCall) async throws -> LambdaAnswer {
        guard try call.named.qualifier != FunctionVersion.latestLabel else {
            throw LambdaError(.invalidParameter, "We currently do not support adding policies for $LATEST.")
        }
        let place = try place(call), statement = try statement(call), resource = call.arn(place.name, place.suffix)
        let precondition = call.precondition, revision = revision(place)
        try await services.catalogue.changeSettings(of: place.name, for: place.qualifier) { settings in
            try precondition?.check(settings.policyTag(place.qualifier) ?? revision)
            var statements = settings.policies[place.qualifier] ?? []
            guard !statements.contains(where: { $0.id == statement.id }) else {
                throw LambdaError(
                    .conflict,
                    "The statement id (\(statement.id)) provided already exists. Please provide a new statement id, or remove the existing statement."
                )
            }
            statements.append(statement)
            let size = Self.policy(statements, resource).encoded.readableBytes
            guard size <= Self.maxBytes, statements.count <= FunctionSettings.maxStatements else {
                throw LambdaError(
                    .policyTooLong,
                    "The final policy size (\(size)) is bigger than the limit (\(Self.maxBytes)), or it has more than \(FunctionSettings.maxStatements) statements."
                )
            }
            settings.policies[place.qualifier] = statements
            if statement.opensURL { settings.urls[place.qualifier]?.awaitsPermission = true }
            try FunctionSettings.check(count: settings.policies.count, of: "policies")
        }
        let text = String(buffer: Self.document(statement, resource).encoded)
        return LambdaAnswer(status: 201, ["Statement": .text(text)])
    }

    func get(_ call: LambdaCall) throws -> LambdaAnswer {
        let place = try place(call), settings = settings(of: place.name)
        guard let statements = settings.policies[place.qualifier], let tag = settings.policyTag(place.qualifier) else {
            throw LambdaError(.notFound, "The resource you requested does not exist.")
        }
        let policy = Self.policy(statements, call.arn(place.name, place.suffix))
        return LambdaAnswer(
            status: 200, ["Policy": .text(String(buffer: policy.encoded)), "RevisionId": .text(tag)])
    }

    func remove(_ call: LambdaCall) async throws -> LambdaAnswer {
        let place = try place(call), id = call.input.text("StatementId") ?? "", precondition = call.precondition
        try await services.catalogue.changeSettings(of: place.name, for: place.qualifier) { settings in
            guard var statements = settings.policies[place.qualifier] else {
                throw LambdaError(.notFound, "No policy is associated with the given resource.")
            }
            guard let index = statements.firstIndex(where: { $0.id == id }) else {
                throw LambdaError(.notFound, "Statement \(id) is not found in resource policy.")
            }
            try precondition?.check(settings.policyTag(place.qualifier))
            statements.remove(at: index)
            settings.policies[place.qualifier] = statements.isEmpty ? nil : statements
        }
        return LambdaAnswer(status: 204)
    }

    /// What stands for a policy's revision where there is none yet: that of what it would be for.
    private func revision(_ place: SettingPlace) -> String {
        let snapshot = services.catalogue.snapshot
        if let alias = snapshot.alias(place.qualifier, of: place.name) { return alias.tag }
        let version = FunctionARN.number(place.qualifier).flatMap { snapshot.version($0, of: place.name) }
        return "\((version ?? place.newest).revision)"
    }

    // MARK: - Statements

    /// - Throws: `LambdaError`.
    private func statement(_ call: LambdaCall) throws -> PolicyStatement {
        let input = call.input, principal = input.text("Principal") ?? ""
        guard Self.document(principal) != nil else {
            throw LambdaError(
                .invalidParameter, "The provided principal was invalid. Please check the principal and try again.")
        }
        var statement = PolicyStatement(
            id: input.text("StatementId") ?? "", action: input.text("Action") ?? "", principal: principal)
        statement.sourceARN = input.text("SourceArn")
        statement.sourceAccount = input.text("SourceAccount")
        statement.organization = input.text("PrincipalOrgID")
        statement.eventSourceToken = input.text("EventSourceToken")
        statement.urlAuthType = input.text("FunctionUrlAuthType")
        statement.viaURL = input["InvokedViaFunctionUrl"]?.flag
        return statement
    }

    private static func policy(_ statements: [PolicyStatement], _ resource: String) -> LambdaValue {
        [
            "Version": "2012-10-17", "Id": "default",
            "Statement": .list(statements.map { document($0, resource) }),
        ]
    }

    private static func document(_ statement: PolicyStatement, _ resource: String) -> LambdaValue {
        var members: [String: LambdaValue] = [
            "Sid": .text(statement.id), "Effect": "Allow", "Action": .text(statement.action),
            "Principal": document(statement.principal) ?? .text(statement.principal), "Resource": .text(resource),
        ]
        let equal = [
            "AWS:SourceAccount": statement.sourceAccount, "aws:PrincipalOrgID": statement.organization,
            "lambda:EventSourceToken": statement.eventSourceToken,
            "lambda:FunctionUrlAuthType": statement.urlAuthType,
        ].compactMapValues { $0.map { LambdaValue.text($0) } }
        var conditions: [String: LambdaValue] = [:]
        if !equal.isEmpty { conditions["StringEquals"] = .object(equal) }
        if let source = statement.sourceARN { conditions["ArnLike"] = ["AWS:SourceArn": .text(source)] }
        if let viaURL = statement.viaURL { conditions["Bool"] = ["lambda:InvokedViaFunctionUrl": .text("\(viaURL)")] }
        if !conditions.isEmpty { members["Condition"] = .object(conditions) }
        return .object(members)
    }

    /// Who is meant: everybody, an account, one of its users or roles, or a service of AWS's; nil: nobody is called so.
    private static func document(_ principal: String) -> LambdaValue? {
        if principal.isSame(as: "*") { return "*" }
        guard principal.isASCII else { return nil }
        if principal.utf8.count == 12, FunctionARN.number(principal) != nil {
            return ["AWS": .text("arn:aws:iam::\(principal):root")]
        }
        if principal.hasPrefix("arn:aws:iam::") { return ["AWS": .text(principal)] }
        let isService = [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com"].contains { principal.hasSuffix($0) }
        guard isService, principal.isMade(of: ".-") else { return nil }
        return ["Service": .text(principal)]
    }
}
