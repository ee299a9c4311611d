import FunctionModel
import HTTPTypes
import Hummingbird
import NIOCore

extension Gateway {
    func addMetaRoutes(to router: Router<GatewayContext>) {
        router.get("/healthz") { _, _ in try Response.json(["status": "ok"]) }
        router.get("/readyz") { _, _ in
            guard let reason = services.unreadyReason() else { return try Response.json(["status": "ready"]) }
            return try Problem(Failure(.overloaded, reason)).response(retryAfter: 1)
        }
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: services.metricsText())))
        }
        router.get("/openapi.json") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: PackageResources.openapi_json)))
        }
    }
}
