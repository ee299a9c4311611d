import Catalogue
import Foundation
import FunctionModel
import HostSystem
import WireText

/// What becomes of asynchronous invocations: how often they are tried, how old they may be, and who is told.
struct EventInvokeOperations: OperationGroup {
    let services: Lambda.Services

    private static let noFunction = "The function doesn't exist."

    /// - Parameter isUpdate: whether what is not named stays as it was.
    func put(_ call: LambdaCall, isUpdate: Bool) async throws -> LambdaAnswer {
        let retries = call.input.whole("MaximumRetryAttempts"), age = call.input.whole("MaximumEventAgeInSeconds")
        let told = call.input["DestinationConfig"]
        guard retries != nil || age != nil || told != nil else {
            throw LambdaError(
                .invalidParameter, "You must specify at least one of error handling or destination setting.")
        }
        let place = try place(call, orSay: Self.noFunction), missing = try missing(call), now = timestamp()
        let onSuccess = try told.flatMap { try destination($0, "OnSuccess", of: place.name, call) }
        let onFailure = try told.flatMap { try destination($0, "OnFailure", of: place.name, call) }
        let isTold = told != nil
        let rules = try await services.catalogue.changeSettings(of: place.name, for: place.qualifier) { settings in
            let old = isUpdate ? settings.eventInvoke[place.qualifier] : nil
            if isUpdate, old == nil { throw missing }
            var rules = old ?? EventInvokeRules(modifiedAt: now)
            rules.modifiedAt = now
            if let retries { rules.retries = retries }
            if let age { rules.maxAge = age }
            if isTold { (rules.onSuccess, rules.onFailure) = (onSuccess, onFailure) }
            settings.eventInvoke[place.qualifier] = rules
            try FunctionSettings.check(count: settings.eventInvoke.count, of: "event invoke configurations")
            return rules
        }
        return LambdaAnswer(status: 200, document(rules, place.name, place.qualifier, call))
    }

    func get(_ call: LambdaCall) throws -> LambdaAnswer {
        guard let place = try? place(call), let rules = settings(of: place.name).eventInvoke[place.qualifier] else {
            throw try missing(call)
        }
        return LambdaAnswer(status: 200, document(rules, place.name, place.qualifier, call))
    }

    func delete(_ call: LambdaCall) async throws -> LambdaAnswer {
        let missing = try missing(call)
        guard let place = try? place(call) else { throw missing }
        try await services.catalogue.changeSettings(of: place.name, for: place.qualifier) { settings in
            guard settings.eventInvoke.removeValue(forKey: place.qualifier) != nil else { throw missing }
        }
        return LambdaAnswer(status: 204)
    }

    func list(_ call: LambdaCall) throws -> LambdaAnswer {
        guard let name = try? newest(call).name else { throw LambdaError(.notFound, Self.noFunction) }
        return try page(settings(of: name).eventInvoke, call, as: "FunctionEventInvokeConfigs") {
            document($1, name, $0, call)
        }
    }

    private func missing(_ call: LambdaCall) throws -> LambdaError {
        let arn = try call.named
        let text = call.arn(arn.name, arn.qualifier ?? FunctionVersion.latestLabel)
        return LambdaError(.notFound, "The function \(text) doesn't have an EventInvokeConfig")
    }

    private func document(
        _ rules: EventInvokeRules, _ name: FunctionName, _ qualifier: String, _ call: LambdaCall
    ) -> LambdaValue {
        func shown(_ text: String?) -> LambdaValue {
            switch text.flatMap({ Destination($0) }) {
            case .function(let name)?: ["Destination": .text(call.arn(name))]
            case .webhook(let url)?: ["Destination": .text(url.text)]
            case nil: [:]
            }
        }
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        let modified = try? Date(rules.modifiedAt, strategy: style)
        var members: [String: LambdaValue] = [
            "FunctionArn": .text(call.arn(name, qualifier)),
            "LastModified": .number(modified?.timeIntervalSince1970 ?? 0),
            "DestinationConfig": ["OnSuccess": shown(rules.onSuccess), "OnFailure": shown(rules.onFailure)],
        ]
        if let retries = rules.retries { members["MaximumRetryAttempts"] = .whole(retries) }
        if let age = rules.maxAge { members["MaximumEventAgeInSeconds"] = .whole(age) }
        return .object(members)
    }

    // MARK: - Who is told

    /// - Parameter side: `OnSuccess` or `OnFailure`.
    /// - Returns: as `Destination` reads it; nil: nobody.
    /// - Throws: `LambdaError`.
    private func destination(
        _ config: LambdaValue, _ side: String, of name: FunctionName, _ call: LambdaCall
    ) throws -> String? {
        guard let own = config[side] else { return nil }
        guard own.members != nil, let text = (own["Destination"] ?? "").text else {
            throw LambdaError.invalid(
                own.shown, at: "destinationConfig.\(side).destination", "Member must be an object with a string")
        }
        if text.isEmpty { return nil }
        let shown = printable(text.prefix(bytes: 350))
        let parts = text.prefix(bytes: 2001).split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if parts.first == "arn", parts.count >= 7, parts[2] == "lambda", parts[5] == "function" {
            return try function(parts, shown, of: name, call).text
        }
        guard parts.first != "arn", let url = OutgoingURL(text) else {
            throw LambdaError(
                .invalidParameter,
                "DestinationConfig.\(side): \(shown) is not told of anything here. Bulkhead takes the ARN of a function (\(FunctionARN.text("NAME", call.region))), or \(OutgoingURL.rule); SQS, SNS, EventBridge and S3 are not reached"
            )
        }
        return url.text
    }

    /// - Parameter parts: of an ARN, the function's name is the seventh.
    private func function(
        _ parts: [String], _ shown: String, of name: FunctionName, _ call: LambdaCall
    ) throws -> FunctionName {
        guard parts[4] == FunctionARN.account, let other = FunctionName(parts[6]) else {
            throw LambdaError(.invalidParameter, "The destination ARN \(shown) is invalid.")
        }
        guard parts.count == 7 else {
            throw LambdaError(
                .invalidParameter,
                "The destination ARN \(shown) is invalid. Bulkhead tells what a function's alias \"\(Alias.live)\" names: leave the qualifier out"
            )
        }
        guard other != name else {
            throw LambdaError(.invalidParameter, "You can't specify the function as a destination for itself.")
        }
        guard call.principal.functions.includes(other) else {
            throw LambdaError(
                .accessDenied,
                "DestinationConfig: the key is for functions named \(call.principal.functions.patterns.joined(separator: ", ")); \(other), which would be run, is not one of them"
            )
        }
        guard services.catalogue.snapshot.latest(other) != nil else {
            throw LambdaError(.invalidParameter, "The destination ARN \(shown) is invalid.")
        }
        return other
    }
}
