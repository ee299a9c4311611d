import FunctionModel
import HTTPTypes
import HostSystem
import Hummingbird
import NIOCore
import Telemetry
import WireText

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
                    about:
                        "Open to all, unless the host was told a metricsToken: then a bearer token. With Accept: application/openmetrics-text in that format, with exemplars.",
                    answers: [
                        Operation.Answer(
                            status: 200, about: "Metrics",
                            content: ["text/plain": .text, "application/openmetrics-text": .text])
                    ],
                    fails: [401])
            ) { call in
                try authorize(call)
                let format = MetricFormat(accept: call.request.headers[.accept] ?? "")
                return Response(
                    status: .ok, headers: [.contentType: format.contentType],
                    body: ResponseBody(byteBuffer: ByteBuffer(string: services.metrics.text(format))))
            },
        ]
    }

    private func authorize(_ call: Call) throws(Failure) {
        guard let token = services.metrics.token else { return }
        let shown = call.request.headers[.authorization] ?? ""
        guard isSameSecret(String(shown.prefix(bytes: 4096)), "Bearer \(token)") else {
            throw Failure(
                .unauthorized,
                "metrics take Authorization: Bearer and the token that the host was started with (metricsToken)")
        }
    }
}
