import Foundation
import FunctionModel
import HostSystem
import Journal
import Logging
import NIOCore
import Store

/// Who is told how an asynchronous invocation ended, in the words of Lambda's destinations:
/// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
struct Destinations {
    private let events: Events

    init(_ events: Events) { self.events = events }

    /// Functions that tell each other for ever come to an end.
    private static let maxDepth = 16
    /// Of what is told; a longer event or result is left out, which is said.
    private static let maxBytes = 4 << 20

    func followUps(
        _ item: InvocationQueue.Item, _ record: InvocationRecord, _ reason: RetryRules.Reason?
    ) async -> [QueuedInvocation] {
        let rules = events.around.rules(item.version)
        guard let destination = reason == nil ? (record.outcome == .ok ? rules.onSuccess : nil) : rules.onFailure else {
            return []
        }
        func unable(_ why: String) -> [QueuedInvocation] {
            events.logger.warning(
                "a destination was not told",
                metadata: ["fn.name": "\(item.version.name)", "destination": "\(destination.text)", "reason": "\(why)"])
            return []
        }
        guard item.depth < Self.maxDepth else { return unable("\(Self.maxDepth) destinations lie before it") }
        do {
            // Text may be written in six times its bytes, and what is put together is held three times for a moment.
            let result = record.result?.readableBytes ?? 0
            let most = (item.isRaw ? item.size * 6 : item.size) + (record.resultKind == .json ? result : result * 6)
            let charge = most <= Self.maxBytes ? events.charge(most * 3, of: item.version.name) : nil
            defer { withExtendedLifetime(charge) {} }
            let event = charge == nil ? nil : try await events.store.event(ofQueued: item.id)
            let body = Data(try document(item, record, reason, event: event).readableBytesView)
            var target = item.version, url: String?
            switch destination {
            case .function(let name): target = try events.around.resolve(FunctionReference(name))
            case .webhook(let webhook): url = webhook.text
            }
            guard events.queue.hasRoom(for: body.count, of: target.name) else { return unable("the queue is full") }
            var next = QueuedInvocation(
                id: RandomUUID().text, function: target.name, version: target.number, event: body,
                traceparent: item.traceparent ?? Self.trace(of: item.id))
            next.webhook = url
            next.depth = item.depth + 1
            next.key = item.key
            next.acceptedAt = wallClockMilliseconds()
            return [next]
        } catch {
            return unable("\((error as? Failure)?.detail ?? "\(error)")")
        }
    }

    /// The trace that the invocation itself began, where nobody called with one.
    private static func trace(of id: String) -> String? {
        TraceSpan(traceparent: nil, invocation: id, random: .random(in: 1 ... .max))?.traceparent
    }

    private struct Head: Encodable {
        struct Request: Encodable {
            let requestId: String, functionArn: String, function: String, condition: String
            let approximateInvokeCount: Int
        }
        struct Response: Encodable {
            let statusCode: Int, executedVersion: String, outcome: Outcome?, functionError: String?
        }

        let version = "1.0"
        let timestamp: String
        let requestContext: Request
        let responseContext: Response
        var isTruncated: Bool?
    }

    private struct Failed: Encodable {
        let errorType: String, errorMessage: String
    }

    private func document(
        _ item: InvocationQueue.Item, _ record: InvocationRecord, _ reason: RetryRules.Reason?, event: Data?
    ) throws -> ByteBuffer {
        let result = record.result, isLong = event == nil
        let name = record.function.text
        let head = Head(
            timestamp: timestamp(),
            requestContext: .init(
                requestId: record.id,
                functionArn:
                    "arn:aws:lambda:us-east-1:123456789012:function:\(name):\(FunctionVersion.label(record.version))",
                function: name,
                condition: reason?.rawValue ?? "Success", approximateInvokeCount: item.attempts),
            responseContext: .init(
                statusCode: 200, executedVersion: FunctionVersion.label(record.version), outcome: record.outcome,
                functionError: reason == nil ? nil : "Unhandled"), isTruncated: isLong ? true : nil)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        var body = ByteBuffer(bytes: try encoder.encode(head))
        body.moveWriterIndex(to: body.writerIndex - 1)  // its closing brace
        func add(_ name: String, _ bytes: Data, isJSON: Bool) throws {
            body.writeString(",\"\(name)\":")
            if isLong {
                body.writeString("null")
            } else if isJSON {
                body.writeBytes(bytes.isEmpty ? Data("null".utf8) : bytes)
            } else if let text = String(validating: bytes, as: UTF8.self) {
                body.writeBytes(try encoder.encode(text))
            } else {
                body.writeBytes(try encoder.encode(bytes.base64EncodedString()))
            }
        }
        try add("requestPayload", event ?? Data(), isJSON: !item.isRaw)
        if let failure = record.failure {
            var failed = Failed(errorType: failure.outcome.rawValue, errorMessage: failure.detail)
            if case .error(let error?) = failure.cause {
                failed = Failed(errorType: error.type, errorMessage: error.message)
            }
            try add("responsePayload", try encoder.encode(failed), isJSON: true)
        } else if let result {
            try add("responsePayload", Data(result.readableBytesView), isJSON: record.resultKind == .json)
        }
        body.writeString("}")
        return body
    }
}
