import FunctionModel
import HTTPTypes
import Hummingbird
import NIOCore

/// The host itself.
struct MetaAPI: Sendable {
    let services: Services

    /// What watches a host asks for; no token.
    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath("/healthz"), needs: .nothing,
                Operation(id: "healthz", summary: "Liveness", answers: [.json("Alive", ["type": "object"])])
            ) { _ in try Response.json(["status": "ok"]) },
            Endpoint(
                .get, RoutePath("/readyz"), needs: .nothing,
                Operation(
                    id: "readyz", summary: "Readiness", answers: [.json("Ready", ["type": "object"])], fails: [503])
            ) { _ in
                guard let reason = services.unreadyReason() else { return try Response.json(["status": "ready"]) }
                return try Problem(Failure(.overloaded(retryAfter: 1), reason)).response()
            },
            Endpoint(
                .get, RoutePath("/metrics"), needs: .nothing,
                Operation(
                    id: "metrics", summary: "Prometheus text",
                    answers: [Operation.Answer(status: 200, about: "Metrics", content: ["text/plain": .text])])
            ) { _ in
                Response(
                    status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                    body: ResponseBody(byteBuffer: ByteBuffer(string: services.metricsText())))
            },
        ]
    }
}
