import FunctionModel
import HTTPTypes
package import Hummingbird
import NIOCore
import NIOHTTPTypes
import WireText

/// What a request carries on its way through the routes.
package struct GatewayContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    let channel: any Channel
    /// What a balancer has said of the connection: see `ProxyHeader`.
    var announced: String?

    package init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }

    /// The address whose connection it is; empty where it has none.
    var peer: String { announced ?? channel.remoteAddress?.ipAddress ?? "" }

    /// Tells a client that waits for it to send its body (RFC 9110, 10.1.1), now that it is known to be wanted. curl waits a
    /// second otherwise.
    func askForBody(of request: Request) {
        guard let expected = request.headers[.expect], expected.isASCII, expected.lowercased() == "100-continue" else {
            return
        }
        channel.writeAndFlush(HTTPResponsePart.head(HTTPResponse(status: .continue)), promise: nil)
    }
}
