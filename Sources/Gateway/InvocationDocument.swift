import Foundation
import FunctionModel
import HTTPTypes
import HostSystem
import Hummingbird
import Invoker
import Journal
import NIOCore
import WireText

/// An invocation as the API shows it.
struct InvocationDocument: Encodable {
    struct UsageDocument: Encodable {
        enum CodingKeys: String, CodingKey {
            case wall = "wall-ms"
            case cpu = "cpu-ms"
            case memory = "memory-bytes"
            case initialization = "init-ms"
        }

        let wall: Double
        let cpu: Double
        let memory: Int
        let initialization: Double?
    }

    let id: String
    let function: String
    let version: ShownVersion
    let status: String
    let outcome: Outcome?
    let start: StartKind?
    let usage: UsageDocument?
    let startedAt: String?
    let attempts: Int?
    let nextAttemptAt: String?
    let problem: Problem?
    let resultEncoding: String?

    private enum CodingKeys: String, CodingKey {
        case id, function, version, status, outcome, start, usage, startedAt, attempts, nextAttemptAt, problem,
            resultEncoding
    }

    init(_ record: InvocationRecord) {
        id = record.id
        function = record.function.text
        version = ShownVersion(record.version)
        status = record.status.rawValue
        outcome = record.outcome
        start = record.start
        usage = record.usage.map {
            UsageDocument(
                wall: $0.wall.inMilliseconds, cpu: $0.cpu.inMilliseconds, memory: $0.memoryBytes,
                initialization: $0.initialization?.inMilliseconds)
        }
        startedAt = record.startedAt.map { timestamp($0) }
        attempts = record.attempts
        nextAttemptAt = record.nextAttemptAt.map { timestamp($0) }
        problem = record.failure.map { Problem($0, invocationID: record.id) }
        switch record.resultKind {
        case _ where record.result == nil: resultEncoding = nil
        case .json: resultEncoding = "json"
        case .text: resultEncoding = "text"
        case .bytes, nil: resultEncoding = "base64"
        }
    }

    /// A large result is put into its document elsewhere than on a thread that others wait for, and charged until the client
    /// has it.
    /// - Throws: `Failure` overloaded.
    static func response(of record: InvocationRecord, budget: MemoryBudget) async throws -> Response {
        let size = record.result?.readableBytes ?? 0
        guard size > 64 << 10 else { return response(with: try Self(record).encoded(with: record.result), nil) }
        let charge = budget.charge(of: record.function.text)
        guard charge.add(record.resultKind == .json ? size : size * 2) else { throw Failure.crowded }
        let body = try await SlowLane.answers.run { try Self(record).encoded(with: record.result) }
        return response(with: body, charge)
    }

    private static func response(with body: ByteBuffer, _ charge: MemoryBudget.Charge?) -> Response {
        Response(status: .ok, headers: [.contentType: "application/json"], body: .charged(body, to: charge))
    }

    /// The document with its result in it: JSON as the function wrote it, text as a string, bytes in base64; each held once.
    private func encoded(with result: ByteBuffer?) throws -> ByteBuffer {
        var body = ByteBuffer(bytes: try JSONEncoder.ours.encode(self))
        guard let result else { return body }
        body.moveWriterIndex(to: body.writerIndex - 1)  // its closing brace
        body.reserveCapacity(body.writerIndex + result.readableBytes / 2 * 3 + 64)
        body.writeString(#","result":"#)
        switch resultEncoding {
        case "json": body.writeImmutableBuffer(result)
        case "text": JSONString.write(result, to: &body)
        default: HTTPEventBody.writeBase64(result, to: &body)
        }
        body.writeString("}")
        return body
    }
}
