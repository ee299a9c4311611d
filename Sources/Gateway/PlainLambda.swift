import Access
import FunctionModel
import HTTPTypes
import LambdaAPI
import NIOCore

/// A plain request for Lambda's Invoke, on the fast way: signed in its headers, its body short and whole.
struct PlainLambda {
    /// Of a body: so much is looked at on an event loop.
    static let longest = 64 << 10

    private(set) var request: LambdaRequest
    /// Why it is not to be run; known before its body is there.
    private let refused: LambdaAnswer?

    init(_ head: HTTPRequest, id: String, _ gateway: Gateway) {
        request = LambdaRequest(
            id: id, signed: SignedRequest(head, path: head.path ?? "", query: ""), client: "", body: ByteBuffer(),
            charge: nil, watching: { await $0(Cancellation()) })
        request.scheme = gateway.front.scheme
        refused = gateway.lambda.refusal(of: &request)
    }

    /// - Parameter event: its body.
    mutating func begin(_ event: ArrivedEvent, _ gateway: Gateway) -> PlainInvoke.Begun {
        if let refused { return .answered(refused) }
        request.signed.bodyHash = event.bytes.withUnsafeReadableBytes { SignedRequest.hash(of: $0) }
        request.body = event.bytes
        return gateway.lambda.begin(request, event)
    }
}
