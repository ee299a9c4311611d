import Foundation
import FunctionModel
import HostSystem
import Queues
import WireText

/// Event source mappings: a function gets what waits in one of the host's queues, which to clients of AWS is one of SQS's.
/// https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
struct MappingOperations: OperationGroup {
    let services: Lambda.Services

    /// What AWS takes for other sources, or what is not there.
    private static let others = [
        "FilterCriteria", "ParallelizationFactor", "StartingPosition", "StartingPositionTimestamp", "DestinationConfig",
        "MaximumRecordAgeInSeconds", "BisectBatchOnFunctionError", "MaximumRetryAttempts", "TumblingWindowInSeconds",
        "Topics", "Queues", "SourceAccessConfigurations", "SelfManagedEventSource",
        "AmazonManagedKafkaEventSourceConfig",
        "SelfManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig", "KMSKeyArn", "MetricsConfig",
        "LoggingConfig", "ProvisionedPollerConfig", "Tags",
    ]

    func create(_ call: LambdaCall) async throws -> LambdaAnswer {
        try requireAll(call)
        let queue = try queue(call), version = try resolved(call).0
        if let old = services.queues.mapping(from: queue.name, to: version.name) {
            throw LambdaError(
                .conflict,
                "An event source mapping with SQS arn (\" \(arn(queue.name, call)) \") and function (\" \(version.name) \") already exists. Please update or delete the existing mapping with UUID \(old.id)"
            )
        }
        var mapping = EventSourceMapping(id: RandomUUID().text, queue: queue.name, function: version.name)
        mapping.qualifier = try qualifier(call)
        return try await enter(mapping, call)
    }

    func update(_ call: LambdaCall) async throws -> LambdaAnswer {
        var mapping = try mapping(call)
        if call.function != nil {
            try requireAll(call)
            let version = try resolved(call).0
            (mapping.function, mapping.qualifier) = (version.name, try qualifier(call))
        }
        return try await enter(mapping, call)
    }

    func get(_ call: LambdaCall) throws -> LambdaAnswer {
        LambdaAnswer(status: 200, document(try mapping(call), call))
    }

    func delete(_ call: LambdaCall) async throws -> LambdaAnswer {
        let mapping = try mapping(call)
        _ = try await services.queues.removeMapping(mapping.id)
        return LambdaAnswer(status: 202, document(mapping, call, state: "Deleting"))
    }

    func list(_ call: LambdaCall) throws -> LambdaAnswer {
        var found = services.queues.mappings.filter { call.principal.functions.includes($0.function) }
        if let name = call.function?.name { found = found.filter { $0.function == name } }
        if let source = call.input.text("EventSourceArn") {
            let queue = Self.queue(in: source)
            found = found.filter { $0.queue == queue }
        }
        return LambdaAnswer(
            status: 200,
            try call.page(found.map { ($0.id, document($0, call)) }, as: "EventSourceMappings"))
    }

    func listLayers() -> LambdaAnswer { LambdaAnswer(status: 200, ["Layers": []]) }
    func listLayerVersions() -> LambdaAnswer { LambdaAnswer(status: 200, ["LayerVersions": []]) }

    // MARK: - What is asked for

    /// The rest of what a mapping says.
    private func enter(_ old: EventSourceMapping, _ call: LambdaCall) async throws -> LambdaAnswer {
        if let other = Self.others.first(where: { call.input[$0] != nil }) {
            throw LambdaError(
                .invalidParameter,
                "Unsupported parameter for given event source mapping type: \(other). Bulkhead's queues take none")
        }
        var mapping = old
        if call.input["Enabled"] != nil { mapping.isEnabled = call.input.flag("Enabled") }
        if let size = call.input.whole("BatchSize") { mapping.batchSize = size }
        if let window = call.input.whole("MaximumBatchingWindowInSeconds") { mapping.window = .seconds(window) }
        guard mapping.batchSize <= EventSourceMapping.maxQuickBatch || mapping.window.milliseconds > 0 else {
            throw LambdaError(
                .invalidParameter,
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than \(EventSourceMapping.maxQuickBatch)"
            )
        }
        if let types = call.input["FunctionResponseTypes"]?.list {
            guard types.allSatisfy({ $0.text == "ReportBatchItemFailures" }) else {
                throw LambdaError.invalid(
                    LambdaValue.list(types).shown, at: "functionResponseTypes",
                    "Member must satisfy constraint: [Member must satisfy enum value set: [ReportBatchItemFailures]]")
            }
            mapping.reportsFailures = !types.isEmpty
        }
        if let scaling = call.input["ScalingConfig"] {
            let most = scaling["MaximumConcurrency"]
            guard most == nil || most?.whole.map({ (2...1000).contains($0) }) == true else {
                throw LambdaError.invalid(
                    most?.shown ?? "", at: "scalingConfig.maximumConcurrency",
                    "Member must have value greater than or equal to 2 and less than or equal to 1000")
            }
            mapping.maxConcurrency = most?.whole
        }
        let entered = try await services.queues.put(mapping, now: timestamp())
        return LambdaAnswer(status: 202, document(entered, call))
    }

    /// What waits in a queue is nobody's in particular: who sees one function only is not to have it all sent there.
    private func requireAll(_ call: LambdaCall) throws {
        guard call.principal.functions.isAll else {
            throw LambdaError(
                .accessDenied,
                "The key is for functions named \(call.principal.functions.patterns.joined(separator: ", ")); queues are for keys that are for all"
            )
        }
    }

    private func queue(_ call: LambdaCall) throws -> MessageQueue {
        guard let source = call.input.text("EventSourceArn") else {
            throw LambdaError(.invalidParameter, "Unrecognized event source: EventSourceArn is missing")
        }
        guard let name = Self.queue(in: source) else {
            throw LambdaError(
                .invalidParameter,
                "Unrecognized event source: \(printable(source.prefix(bytes: 200))). Bulkhead hands out what waits in its own queues: \(arn("NAME", call))"
            )
        }
        do {
            return try services.queues.queue(name)
        } catch {
            throw LambdaError(
                .invalidParameter,
                "Error occurred while ReceiveMessage. Queue does not exist: \(printable(name.prefix(bytes: 80))). Make it with PUT /v1/queues/NAME, or `bulkhead queues set NAME`"
            )
        }
    }

    /// The queue that an ARN names, wherever that says it is; nil: it names none.
    private static func queue(in arn: String) -> String? {
        let parts = arn.prefix(bytes: 300).split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 6, parts[0] == "arn", parts[2] == "sqs", parts[4] == FunctionARN.account else {
            return nil
        }
        return parts[5]
    }

    private func arn(_ queue: String, _ call: LambdaCall) -> String { LambdaLabel.queueARN(queue, call.region) }

    /// As the mapping keeps it: who names none means the newest revision, published or not.
    private func qualifier(_ call: LambdaCall) throws -> String {
        let arn = try call.named
        return arn.isLatest ? Alias.latest : arn.qualifier ?? Alias.latest
    }

    /// - Throws: `LambdaError` not_found.
    private func mapping(_ call: LambdaCall) throws -> EventSourceMapping {
        guard let mapping = call.input.text("UUID").flatMap({ services.queues.mapping($0) }) else {
            throw LambdaError(.notFound, "The resource you requested does not exist.")
        }
        guard call.principal.functions.includes(mapping.function) else {
            throw LambdaError(.accessDenied, "The key is not for \(mapping.function), which the mapping is of")
        }
        return mapping
    }

    // MARK: - What is answered

    /// - Parameter state: nil: as it is.
    private func document(_ mapping: EventSourceMapping, _ call: LambdaCall, state: String? = nil) -> LambdaValue {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        let modified = try? Date(mapping.updatedAt, strategy: style)
        let qualifier = mapping.qualifier == Alias.latest ? nil : mapping.qualifier
        return [
            "UUID": .text(mapping.id), "BatchSize": .whole(mapping.batchSize),
            "MaximumBatchingWindowInSeconds": .whole(mapping.window.milliseconds / 1000),
            "EventSourceArn": .text(arn(mapping.queue, call)),
            "FunctionArn": .text(call.arn(mapping.function, qualifier)),
            "EventSourceMappingArn": .text(
                "arn:aws:lambda:\(call.region):\(FunctionARN.account):event-source-mapping:\(mapping.id)"),
            "LastModified": .number(modified?.timeIntervalSince1970 ?? 0),
            "LastProcessingResult": .text(services.queues.lastResult(of: mapping.id) ?? "No records processed"),
            "State": .text(state ?? (mapping.isEnabled ? "Enabled" : "Disabled")),
            "StateTransitionReason": "USER_INITIATED",
            "FunctionResponseTypes": mapping.reportsFailures ? ["ReportBatchItemFailures"] : [],
            "ScalingConfig": mapping.maxConcurrency.map { ["MaximumConcurrency": .whole($0)] } ?? [:],
        ]
    }
}
