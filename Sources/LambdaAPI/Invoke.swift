import Catalogue
import Events
import Foundation
import FunctionModel
import HostSystem
import Invoker
import Journal
import NIOCore
import WireText

/// Running functions.
struct InvokeOperation: OperationGroup {
    let services: Lambda.Services

    /// What Lambda takes and gives, in bytes.
    private static let maxAsynchronous = 1 << 20

    /// As clients asked before there was an `InvocationType`.
    func invokeAsync(_ call: LambdaCall) async throws -> LambdaAnswer {
        _ = try await invoke(call, as: "Event")
        return LambdaAnswer(status: 202, ["Status": 202])
    }

    /// - Parameter kind: nil: as the request says.
    func invoke(_ call: LambdaCall, as kind: String? = nil) async throws -> LambdaAnswer {
        let kind = kind ?? call.input.text("InvocationType") ?? "RequestResponse"
        let (invocation, qualifier) = try await prepared(call, kind)
        switch kind {
        case "DryRun": return LambdaAnswer(status: 204)
        case "Event":
            try await services.events.accept(invocation)
            return LambdaAnswer(status: 202)
        default: return try await answer(invocation, call, qualifier)
        }
    }

    /// What is to be run, and how its version was named.
    /// - Throws: `LambdaError`, or `Failure`.
    func prepared(_ call: LambdaCall, _ kind: String) async throws -> (Invocation, qualifier: String?) {
        let request = call.request
        let most = kind == "Event" ? min(Self.maxAsynchronous, services.maxPayload) : services.maxPayload
        guard request.body.readableBytes <= most else {
            throw LambdaError(
                .entityTooLarge,
                "\(request.body.readableBytes) byte payload is too large for the \(kind) invocation type (limit \(most) bytes)"
            )
        }
        return try invocation(call, kind, try await event(of: request))
    }

    /// - Parameter arrived: found to be JSON.
    /// - Throws: `LambdaError`, or `Failure`.
    func invocation(
        _ call: LambdaCall, _ kind: String, _ arrived: ArrivedEvent
    ) throws -> (Invocation, qualifier: String?) {
        let id = call.request.id
        let (version, qualifier) = try resolved(call, key: id)
        guard arrived.charge?.move(to: version.name.text) != false else { throw Failure.crowded }
        var event = arrived
        // A qualifier is out of letters, digits, - , _ and $ alone.
        event.lambda = LambdaAsking(
            arn: call.arn(version.name, try call.named.qualifier), version: qualifier ?? FunctionVersion.latestLabel,
            clientContext: try Self.clientContext(call))
        try services.catalogue.snapshot.require(version)
        let invocation = Invocation(
            id: id, version: version, principal: call.principal, source: kind == "Event" ? .queue : .direct,
            event: event,
            traceparent: nil)
        return (invocation, qualifier)
    }

    /// - Throws: `LambdaError`, for what is no JSON.
    private func event(of request: LambdaRequest) async throws -> ArrivedEvent {
        var body = request.body
        if body.readableBytes == 0 { body = ByteBuffer(string: "{}") }
        @Sendable func problem(_ bytes: ByteBuffer) -> String? {
            bytes.withUnsafeReadableBytes { JSONText.problem(in: $0) }
        }
        let found =
            body.readableBytes <= 64 << 10
            ? problem(body) : try await SlowLane.answers.run { [body] in problem(body) }
        if let found { throw LambdaError(.invalidContent, "Could not parse request body into json: \(found)") }
        return ArrivedEvent(body, charge: request.charge, problem: nil)
    }

    /// - Throws: `LambdaError`.
    private static func clientContext(_ call: LambdaCall) throws -> String? {
        guard let text = call.input.text("ClientContext"), !text.isEmpty else { return nil }
        guard text.utf8.count <= 3583 else {
            throw LambdaError(.invalidContent, "Client context must be no more than 3583 bytes in base64")
        }
        guard let data = Data(base64Encoded: text), let said = String(validating: data, as: UTF8.self),
            ByteBuffer(string: said).withUnsafeReadableBytes({ JSONText.problem(in: $0) }) == nil
        else { throw LambdaError(.invalidContent, "Client context must be a valid Base64-encoded JSON object.") }
        return said
    }

    private func answer(_ invocation: Invocation, _ call: LambdaCall, _ qualifier: String?) async throws -> LambdaAnswer
    {
        let completion = await call.request.watching { cancellation in
            var invocation = invocation
            invocation.cancellation = cancellation
            return await services.invoker.invoke(invocation)
        }
        return try answer(to: completion, of: invocation, call, qualifier)
    }

    /// How an invocation that has ended is answered.
    /// - Throws: `LambdaError`, for what is no function's failure.
    func answer(
        to completion: Completion, of invocation: Invocation, _ call: LambdaCall, _ qualifier: String?
    ) throws -> LambdaAnswer {
        var answer = LambdaAnswer(status: 200, headers: [("content-type", "application/json")])
        answer.headers.append(("x-amz-executed-version", qualifier ?? FunctionVersion.latestLabel))
        switch completion.result {
        case .success(let output) where output.body.readableBytes <= HandlerFailure.maxAnswer:
            answer.body = output.body
            answer.charge = completion.charge
        case .success: set(&answer, HandlerFailure.tooLarge)
        case .failure(let failure):
            set(&answer, try document(failure, invocation))
        }
        if call.input.text("LogType") == "Tail" {
            answer.headers.append(("x-amz-log-result", tail(of: invocation, completion)))
        }
        return answer
    }

    /// How a function's failure is told.
    /// - Throws: `LambdaError`, for what is none.
    func document(_ failure: Failure, _ invocation: Invocation) throws -> LambdaValue {
        if case .throttled(let seconds) = failure.cause, failure.rate == nil,
            services.catalogue.snapshot.settings(of: invocation.version.name).reservedConcurrency != nil
        {
            let reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
            throw LambdaError(.tooManyRequests(reason: reason, retryAfter: seconds), "Rate Exceeded.")
        }
        return try HandlerFailure(failure, invocation).document
    }

    private func set(_ answer: inout LambdaAnswer, _ document: LambdaValue) {
        answer.headers.append(("x-amz-function-error", "Unhandled"))
        answer.body = document.encoded
    }

    /// The last 4 KiB of what was logged, in base64.
    func tail(of invocation: Invocation, _ completion: Completion) -> String {
        let version = invocation.version
        var filter = LogFilter()
        filter.invocation = invocation.id
        var lines = services.journal.logs.lines(of: version.name, limit: 1000, filter).map(\.text)
        if !version.manifest.report {
            lines.insert(ReportLines.start(invocation.id, version: version.label), at: 0)
            lines.append(ReportLines.end(invocation.id))
            lines.append(ReportLines.report(invocation.id, completion, memory: version.manifest.limits.memory))
        }
        let text = Array(lines.map { $0 + "\n" }.joined().utf8.suffix(4096))
        return Data(text).base64EncodedString()
    }
}

/// How an invocation that failed is told: with status 200, and what Lambda's runtime says.
struct HandlerFailure {
    let document: LambdaValue

    /// In bytes.
    static let maxAnswer = 6_291_556
    static let tooLarge: LambdaValue = [
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": .text("Response payload size exceeded maximum allowed payload size (\(maxAnswer) bytes)."),
    ]

    /// - Throws: `LambdaError`, for what is no function's failure.
    init(_ failure: Failure, _ invocation: Invocation) throws {
        let id = invocation.id
        func said(_ type: String, _ message: String) -> LambdaValue {
            ["errorType": .text(type), "errorMessage": .text("RequestId: \(id) Error: \(message)")]
        }
        let isProvided = invocation.version.manifest.runtime == .provided
        switch failure.cause {
        case .error(let raised):
            guard let raised else {
                document = said("Runtime.Unknown", failure.detail)
                return
            }
            document = [
                "errorType": .text(raised.type), "errorMessage": .text(raised.message), "requestId": .text(id),
                "stackTrace": .list(raised.stackTrace.map { .text(isProvided ? $0 : $0 + "\n") }),
            ]
        case .timeout:
            let wall = invocation.version.manifest.limits.wall.milliseconds
            let hundredths = "\(wall / 1000).\(wall % 1000 / 100)\(wall % 100 / 10)"
            document = said("Sandbox.Timedout", "Task timed out after \(hundredths) seconds")
        case .exit(let status):
            document = said(
                "Runtime.ExitError",
                status == 0
                    ? "Runtime exited without providing a reason" : "Runtime exited with error: exit status \(status)")
        case .protocolError where failure.detail.contains("exited without answering"):
            document = said("Runtime.ExitError", "Runtime exited without providing a reason")
        case .signal(let name):
            document = said("Runtime.ExitError", "Runtime exited with error: signal: \(Self.words(name))")
        case .memoryExceeded: document = said("Runtime.ExitError", "Runtime exited with error: signal: killed")
        case .denied, .cpuExceeded, .protocolError: document = said("Runtime.ExitError", failure.detail)
        case .outputExceeded: document = Self.tooLarge
        case .launchFailed(_, let errno) where invocation.version.executable == nil && errno == "ENOENT" && isProvided:
            document = said(
                "Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]")
        case .invalidRequest: throw LambdaError(.invalidContent, failure.detail)
        case .unauthorized, .forbidden, .notFound, .conflict, .payloadTooLarge, .throttled, .overloaded, .cancelled,
            .launchFailed:
            throw LambdaError(failure)
        }
    }

    /// As Go's runtime, which Lambda's own is, calls them.
    private static func words(_ signal: String) -> String {
        switch signal {
        case "SIGSEGV": "segmentation fault"
        case "SIGABRT": "aborted"
        case "SIGKILL": "killed"
        case "SIGTERM": "terminated"
        case "SIGBUS": "bus error"
        case "SIGFPE": "floating point exception"
        case "SIGILL": "illegal instruction"
        default: signal.lowercased()
        }
    }
}
