import Access
import HTTPTypes
import HostSystem
import Hummingbird
import LambdaAPI
import NIOCore

extension SignedRequest {
    /// A request as its sender has signed it; what its body is, is said later.
    init(_ request: Request) {
        self.init(request.head, path: request.uri.path, query: request.uri.query ?? "")
    }

    init(_ head: HTTPRequest, path: String, query: String) {
        var headers = head.headerFields.map { (name: $0.name.canonicalName, value: $0.value) }
        headers.append((name: "host", value: head.authority ?? ""))
        self.init(method: head.method.rawValue, path: path, query: query, headers: headers, bodyHash: "")
    }

    /// With what its body was found to be; of a larger one that is found out elsewhere: see `SlowLane`.
    func with(body: ByteBuffer) async throws -> SignedRequest {
        @Sendable func hash() -> String { body.withUnsafeReadableBytes { Self.hash(of: $0) } }
        var whole = self
        whole.bodyHash = body.readableBytes <= 64 << 10 ? hash() : try await SlowLane.answers.run { hash() }
        return whole
    }
}

extension Response {
    init(_ answer: LambdaAnswer) {
        let headers = HTTPFields(answer)
        let status = HTTPResponse.Status(code: answer.status)
        guard let next = answer.next else {
            self.init(status: status, headers: headers, body: .charged(answer.body, to: answer.charge))
            return
        }
        self.init(
            status: status, headers: headers,
            body: ResponseBody { writer in
                while let bytes = await next() {
                    for slice in AnswerSlices(bytes) { try await writer.write(slice) }
                }
                try await writer.finish(nil)
            })
    }
}

extension HTTPFields {
    init(_ answer: LambdaAnswer) {
        self.init()
        for (name, value) in answer.headers {
            if let name = HTTPField.Name(name) { append(HTTPField(name: name, value: value)) }
        }
    }
}
