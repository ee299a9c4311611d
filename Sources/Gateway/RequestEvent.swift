import FunctionModel
import NIOCore

/// An HTTP request as its function's event, in the format that the function wants.
enum RequestEvent: Sendable {
    case v1(HTTPEventV1)
    case v2(HTTPEvent)

    init(_ source: HTTPEvent.Source, as format: PayloadFormat) {
        self =
            switch format {
            case .v1: .v1(HTTPEventV1(source: source))
            case .v2: .v2(HTTPEvent(source))
            }
    }

    /// The event's JSON, with the request's body in it.
    func encoded(body: ByteBuffer, type: String) -> ByteBuffer {
        var event = withoutBody()
        if case .v1 = self, body.readableBytes == 0 { event.writeStaticString(#""body":null,"#) }
        HTTPEventBody.write(body, type: type, to: &event)
        event.writeStaticString("}")
        return event
    }

    /// The event's JSON up to the letters of a body in base64; behind them comes `end`.
    func beginning() -> ByteBuffer {
        var event = withoutBody()
        event.writeStaticString(#""isBase64Encoded":true,"body":""#)
        return event
    }

    static let end = ByteBuffer(string: "\"}")

    private func withoutBody() -> ByteBuffer {
        switch self {
        case .v1(let event): event.withoutBody()
        case .v2(let event): event.withoutBody()
        }
    }
}
