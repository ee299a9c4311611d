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
        if let answer = Self.preflight(request, routes, host, path) { return answer }
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

    /// A browser's question whether a page may send a request, answered for the route that would take it; no function is asked, and
    /// no token either, since browsers send none here.
    private static func preflight(_ request: Request, _ routes: RouteTable, _ host: String, _ path: String) -> Response?
    {
        guard request.method == .options, let origin = request.headers[.origin],
            let method = request.headers[.accessControlRequestMethod], method.utf8.count <= 40,
            case .route(let entry, _) = routes.match(method: method, host: host, path: path),
            let cors = entry.route.cors
        else { return nil }
        var headers: HTTPFields = [:]
        cors.mark(&headers, origin: origin)
        if cors.takes(origin), cors.takes(method: method, own: entry.route.pattern.method) {
            headers[.accessControlAllowMethods] = cors.methods.isEmpty ? method : cors.methods.joined(separator: ",")
            if !cors.headers.isEmpty {
                headers[.accessControlAllowHeaders] = cors.headers.joined(separator: ",")
            }
            headers[.accessControlMaxAge] = String(cors.maxAge)
        } else {
            // As API Gateway does: no refusal, but nothing that allows it either.
            headers[.accessControlAllowOrigin] = nil
        }
        return Response(status: .noContent, headers: headers)
    }
}

extension CORSRule {
    /// Says which page may read an answer. Whatever the function says of that does not count.
    fileprivate func mark(_ headers: inout HTTPFields, origin: String?) {
        for name in Self.own { headers[name] = nil }
        let isForAll = origins.contains("*")
        if !isForAll { headers[values: .vary].append("Origin") }
        guard let origin, origin.utf8.count <= 500, origin.isASCII, takes(origin) else { return }
        headers[.accessControlAllowOrigin] = isForAll ? "*" : origin
        if credentials { headers[.accessControlAllowCredentials] = "true" }
        if !exposeHeaders.isEmpty {
            headers[.accessControlExposeHeaders] = exposeHeaders.joined(separator: ",")
        }
    }

    private static let own: [HTTPField.Name] = [
        .accessControlAllowOrigin, .accessControlAllowCredentials, .accessControlAllowHeaders,
        .accessControlAllowMethods, .accessControlExposeHeaders, .accessControlMaxAge,
    ]
}
