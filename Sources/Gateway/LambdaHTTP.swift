import Access
import Deployment
import FunctionModel
import HTTPTypes
import HostSystem
import Hummingbird
import LambdaAPI
import NIOCore

/// The paths of AWS Lambda's REST API.
struct LambdaHTTP: RouterMiddleware {
    let lambda: Lambda
    let front: Gateway.Front
    let watch: ClientWatch
    /// Of events, and of functions, whose code comes in base64.
    let events: EventIntake
    let uploads: EventIntake

    /// All together have the share of one function, whose name it cannot be.
    private static let unverified = "Lambda's API"

    init(_ gateway: Gateway) {
        let services = gateway.services
        (front, watch, lambda) = (gateway.front, gateway.watch, gateway.lambda)
        // Lambda tells by how much one is too large.
        events = EventIntake(budget: services.budget, maxEvent: lambda.maxPayload + (64 << 10))
        let code = services.deployment.limits.maxUpload
        uploads = EventIntake(budget: services.budget, maxEvent: code / 3 * 4 + (1 << 20))
    }

    @concurrent func handle(
        _ request: Request, context: GatewayContext,
        next: @concurrent (Request, GatewayContext) async throws -> Response
    ) async throws -> Response {
        let path = request.uri.path
        // Where only clients come, functions are invoked and nothing else.
        guard Lambda.isPath(path), front.audience == .all || Lambda.isEvent(request.method.rawValue, path) else {
            return try await next(request, context)
        }
        let signed = SignedRequest(request)
        let id = InvocationID.make()
        var unread = LambdaRequest(
            id: id, signed: signed, client: front.proxies.client(context.peer, request.headers), body: ByteBuffer(),
            charge: nil, watching: { await $0(Cancellation()) })
        unread.scheme = front.scheme
        // Whoever has no key does not get to send 64 MiB.
        if let refused = lambda.refusal(of: &unread) { return Response(refused) }
        let isEvent = Lambda.isEvent(signed.method, path)
        let body: ArrivedEvent
        do {
            // Until the body is there nobody knows who has signed it, and so whose functions it may be for.
            body = try await (isEvent ? events : uploads).event(
                of: request, context, for: isEvent ? Self.unverified : nil, isJSON: false)
        } catch let failure as Failure {
            return Response(lambda.answer(to: failure, unread))
        }
        var whole = unread
        (whole.signed, whole.body, whole.charge) = (try await signed.with(body: body.bytes), body.bytes, body.charge)
        whole.watching = { [watch] run in await watch.watching(context.channel) { await run($0) } }
        return Response(await lambda.answer(whole))
    }
}
