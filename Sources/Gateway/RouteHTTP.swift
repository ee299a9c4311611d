import Catalogue
import FunctionModel
import HTTPTypes
import Hummingbird
import Journal

/// Paths that are not the host's own: whatever routes there are.
struct RouteHTTP: RouterMiddleware {
    let functions: FunctionHTTP

    @concurrent func handle(
        _ request: Request, context: GatewayContext,
        next: @concurrent (Request, GatewayContext) async throws -> Response
    ) async throws -> Response {
        let path = request.uri.path
        guard !Self.isOfTheHost(path) else { return try await next(request, context) }
        let routes = functions.services.catalogue.snapshot.routes
        let host = HostNames.host(of: request.head.authority ?? "")
        if let asked = Preflight(request),
            case .route(let entry, _) = routes.match(method: asked.method, host: host, path: path),
            let cors = entry.route.cors
        {
            return asked.answer(by: cors, own: entry.route.pattern.method)
        }
        switch routes.match(method: request.method.rawValue, host: host, path: path) {
        case .nothing: return try await next(request, context)
        case .wrongMethod(let methods): return try Problem.wrongMethod(request, methods)
        case .route(let entry, let parameters):
            let route = entry.route
            var response: Response
            do {
                response = try await functions.answer(
                    request, context,
                    at: .init(reference: route.reference, path: path, route: route, parameters: parameters))
            } catch {
                if let failure = error as? Failure {
                    functions.services.journal.refused(failure.outcome, at: route.id)
                }
                // A page can read why only where this, too, says that it may.
                response = try Problem.response(to: error, request, context)
            }
            route.cors?.mark(&response.headers, origin: request.headers[.origin])
            return response
        }
    }

    private static func isOfTheHost(_ path: String) -> Bool {
        let path = path.utf8.drop { $0 == UInt8(ascii: "/") }
        return RoutePattern.isOfTheHost(path.prefix { $0 != UInt8(ascii: "/") })
    }
}
