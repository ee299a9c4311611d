package import Access
package import Catalogue
package import Deployment
package import Events
package import FunctionModel
package import Invoker
package import Journal
package import Logging
package import Queues
import WireText

/// AWS Lambda's REST API (https://docs.aws.amazon.com/lambda/latest/api/) over the same services as the host's own: it reads what
/// clients of AWS send, and writes what they expect. What it does not serve it says it does not.
package struct Lambda: Sendable {
    let services: Services

    /// What it stands on.
    package struct Services: Sendable {
        let catalogue: Catalogue
        let access: Access
        let deployment: Deployment
        let invoker: Invoker
        let journal: Journal
        let events: Events
        let queues: Queues
        let budget: MemoryBudget
        let maxPayload: Int
        let logger: Logger

        /// - Parameter maxEvent: the operator's limit, in bytes; AWS's own holds beside it.
        package init(
            catalogue: Catalogue, access: Access, deployment: Deployment, invoker: Invoker, journal: Journal,
            events: Events, queues: Queues, budget: MemoryBudget, maxEvent: Int, logger: Logger
        ) {
            self.catalogue = catalogue
            self.access = access
            self.deployment = deployment
            self.invoker = invoker
            self.journal = journal
            self.events = events
            self.queues = queues
            self.budget = budget
            maxPayload = min(maxEvent, Lambda.maxPayload)
            self.logger = logger
        }
    }

    package init(_ services: Services) { self.services = services }

    /// AWS's own.
    private static let maxPayload = 6_291_456

    /// What an invocation brings at most, in bytes.
    package var maxPayload: Int { services.maxPayload }

    // MARK: - One request

    /// Whether a path is one of Lambda's: they begin with the date of the API that they came with.
    package static func isPath(_ path: String) -> Bool {
        let part = path.utf8.drop { $0 == UInt8(ascii: "/") }.prefix { $0 != UInt8(ascii: "/") }
        guard part.count == 10 else { return false }
        return zip(part, "dddd-dd-dd".utf8).allSatisfy { byte, kind in
            kind == UInt8(ascii: "-") ? byte == kind : (0x30...0x39).contains(byte)
        }
    }

    /// Whether a request for this path brings an event, and not a function.
    package static func isEvent(_ method: String, _ path: String) -> Bool {
        guard case .known(let matched)? = OperationMatch(method, path) else { return false }
        return Operation(rawValue: matched.name)?.takesEvent == true
    }

    /// Answers a request. Never throws: whatever goes wrong is an answer, too.
    package func answer(_ request: LambdaRequest) async -> LambdaAnswer {
        do {
            return tagged(try await served(request), request)
        } catch {
            return refusal(error, request)
        }
    }

    /// Why a request is refused before its body is read; nil: it is to be read.
    package func refusal(of request: inout LambdaRequest) -> LambdaAnswer? {
        do {
            request.claim = try services.access.claim(of: request.signed)
            return nil
        } catch {
            return refusal(error, request)
        }
    }

    /// What is answered where the body could not be taken in.
    package func answer(to failure: Failure, _ request: LambdaRequest) -> LambdaAnswer {
        guard failure.outcome == .payloadTooLarge, Self.isEvent(request.method, request.path) else {
            return tagged(LambdaError(failure).answer, request)
        }
        let error = LambdaError(
            .entityTooLarge, "the payload is too large for an invocation (limit \(maxPayload) bytes)")
        return tagged(error.answer, request)
    }

    func tagged(_ answer: LambdaAnswer, _ request: LambdaRequest) -> LambdaAnswer {
        var answer = answer
        answer.headers.append(("x-amzn-requestid", request.id))
        return answer
    }

    private func served(_ request: LambdaRequest) async throws -> LambdaAnswer {
        let (operation, call) = try identified(request)
        let answer = try await run(operation, call)
        if operation.role != .invoke, request.method != "GET" {
            await note(operation, call.function.map { call.arn($0.name, $0.qualifier) } ?? request.path, call)
        }
        return answer
    }

    /// What is asked for, by whom.
    /// - Throws: `SignatureRefused`, `LambdaError`.
    func identified(_ request: LambdaRequest) throws -> (Operation, LambdaCall) {
        // Whoever is not known is told nothing, not even what there is.
        var request = request
        let claim = try request.claim ?? services.access.claim(of: request.signed)
        request.claim = claim
        let key = try services.access.key(signing: request.signed, claim)
        guard let matched = OperationMatch(request.method, request.path, query: request.signed.query) else {
            throw LambdaError(
                .unknownOperation,
                "Bulkhead knows no operation of Lambda's at \(request.method) \(printable(request.path.prefix(bytes: 200)))"
            )
        }
        guard case .known(let found) = matched else {
            throw LambdaError(.methodNotAllowed, "\(request.method) is not what Lambda takes at this path")
        }
        guard let operation = Operation(rawValue: found.name) else {
            throw LambdaError(
                .notImplemented, "\(found.name) is not implemented by Bulkhead, which serves part of Lambda's API")
        }
        let call = try LambdaCall(operation, request, found.parameters)
        let name =
            try call.input.text("FunctionName").map { try FunctionARN($0, call) }
            ?? call.input.text("Resource").map { try FunctionARN($0, isARN: true, call) }
        let who = try principal(key, needing: operation.role, on: name?.name)
        return (operation, call.by(who, name))
    }

    /// Who changed what. It is done: that it could not be noted undoes nothing.
    private func note(_ operation: Operation, _ target: String, _ call: LambdaCall) async {
        do {
            try await services.access.note(
                operation.rawValue, to: target, by: call.principal, from: call.request.client)
        } catch {
            services.logger.warning(
                "a change is not in the audit log", metadata: ["action": "\(operation.rawValue)", "reason": "\(error)"])
        }
    }

    private func principal(
        _ key: SigningKey, needing role: Principal.Role, on name: FunctionName?
    ) throws -> Principal {
        do {
            return try services.access.principal(key, needing: role, on: name)
        } catch {
            throw LambdaError(error)
        }
    }

    private func run(_ operation: Operation, _ call: LambdaCall) async throws -> LambdaAnswer {
        let functions = FunctionOperations(services: services), versions = VersionOperations(services: services)
        let settings = SettingOperations(services: services), events = EventInvokeOperations(services: services)
        let urls = FunctionURLOperations(services: services), policies = PolicyOperations(services: services)
        let provisioned = ProvisionedOperations(services: services), mappings = MappingOperations(services: services)
        return switch operation {
        case .createFunction: try await functions.createFunction(call)
        case .getFunction: try functions.getFunction(call)
        case .getFunctionConfiguration: try functions.getFunctionConfiguration(call)
        case .updateFunctionCode: try await functions.updateFunctionCode(call)
        case .updateFunctionConfiguration: try await functions.updateFunctionConfiguration(call)
        case .deleteFunction: try await functions.deleteFunction(call)
        case .listFunctions: try functions.listFunctions(call)
        case .invoke: try await InvokeOperation(services: services).invoke(call)
        case .invokeAsync: try await InvokeOperation(services: services).invokeAsync(call)
        case .invokeStreaming: try await InvokeOperation(services: services).invokeStreaming(call)
        case .publishVersion: try await versions.publishVersion(call)
        case .listVersionsByFunction: try versions.listVersions(call)
        case .createAlias: try await versions.putAlias(call, isNew: true)
        case .updateAlias: try await versions.putAlias(call, isNew: false)
        case .getAlias: try versions.getAlias(call)
        case .deleteAlias: try await versions.deleteAlias(call)
        case .listAliases: try versions.listAliases(call)
        case .putFunctionConcurrency: try await settings.putConcurrency(call)
        case .getFunctionConcurrency: try settings.getConcurrency(call)
        case .deleteFunctionConcurrency: try await settings.deleteConcurrency(call)
        case .listTags: try settings.listTags(call)
        case .tagResource: try await settings.tag(call)
        case .untagResource: try await settings.untag(call)
        case .getAccountSettings: try settings.getAccountSettings(call)
        case .getFunctionCodeSigningConfig: try settings.getCodeSigning(call)
        case .getFunctionRecursionConfig: try settings.getRecursion(call)
        case .getRuntimeManagementConfig: try settings.getRuntimeManagement(call)
        case .putFunctionEventInvokeConfig: try await events.put(call, isUpdate: false)
        case .updateFunctionEventInvokeConfig: try await events.put(call, isUpdate: true)
        case .getFunctionEventInvokeConfig: try events.get(call)
        case .deleteFunctionEventInvokeConfig: try await events.delete(call)
        case .listFunctionEventInvokeConfigs: try events.list(call)
        case .createFunctionUrlConfig: try await urls.create(call)
        case .updateFunctionUrlConfig: try await urls.update(call)
        case .getFunctionUrlConfig: try urls.get(call)
        case .deleteFunctionUrlConfig: try await urls.delete(call)
        case .listFunctionUrlConfigs: try urls.list(call)
        case .addPermission: try await policies.add(call)
        case .getPolicy: try policies.get(call)
        case .removePermission: try await policies.remove(call)
        case .putProvisionedConcurrencyConfig: try await provisioned.put(call)
        case .getProvisionedConcurrencyConfig: try provisioned.get(call)
        case .deleteProvisionedConcurrencyConfig: try await provisioned.delete(call)
        case .listProvisionedConcurrencyConfigs: try provisioned.list(call)
        case .createEventSourceMapping: try await mappings.create(call)
        case .getEventSourceMapping: try mappings.get(call)
        case .updateEventSourceMapping: try await mappings.update(call)
        case .deleteEventSourceMapping: try await mappings.delete(call)
        case .listEventSourceMappings: try mappings.list(call)
        case .listLayers: mappings.listLayers()
        case .listLayerVersions: mappings.listLayerVersions()
        }
    }
}
