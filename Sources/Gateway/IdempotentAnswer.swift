import Events
import Foundation
import FunctionModel
import HTTPTypes
import Hummingbird
import NIOCore
import Store

/// An answer as it is kept under an `Idempotency-Key`.
struct IdempotentAnswer {
    let status: Int
    let headers: HTTPFields
    let body: ByteBuffer

    private struct Head: Codable {
        let status: Int
        let headers: [[String]]
    }

    init(status: Int, headers: HTTPFields, body: ByteBuffer) {
        (self.status, self.headers, self.body) = (status, headers, body)
    }

    func kept(as ticket: IdempotencyKeys.Ticket, of invocation: String, by keys: IdempotencyKeys) throws -> KeptAnswer {
        let head = Head(status: status, headers: headers.map { [$0.name.rawName, $0.value] })
        let isKept = body.readableBytes <= IdempotencyKeys.maxBody
        return keys.answer(
            ticket, invocation: invocation, head: try JSONEncoder().encode(head),
            body: isKept ? Data(body.readableBytesView) : nil)
    }

    /// The same again.
    init(_ kept: KeptAnswer, body: Data) throws {
        let head = try JSONDecoder().decode(Head.self, from: kept.head)
        status = head.status
        var headers = HTTPFields()
        for pair in head.headers where pair.count == 2 {
            if let name = HTTPField.Name(pair[0]) { headers.append(HTTPField(name: name, value: pair[1])) }
        }
        headers[.idempotencyReplayed] = "true"
        self.headers = headers
        self.body = ByteBuffer(bytes: body)
    }

    /// - Parameter charge: what the body is charged to until the client has it.
    func response(_ charge: MemoryBudget.Charge?) -> Response {
        Response(status: HTTPResponse.Status(code: status), headers: headers, body: .charged(body, to: charge))
    }
}

extension HTTPField.Name {
    // These are constants that parse.
    static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
    static let idempotencyReplayed = HTTPField.Name("Idempotency-Replayed")!
}
