import FunctionModel
import HTTPTypes
import Hummingbird
import WireText

/// One thing that this server does: everything about it. The router, what a wrong method is told, the API's description and the
/// fast transport's match are made from the list of these; see `Gateway.endpoints`.
struct Endpoint: Sendable {
    enum Needs: Sendable, Hashable {
        /// Open to all.
        case nothing
        /// A key with this role.
        case role(Principal.Role)
        /// A key with this role, and for the function that the path names.
        case onFunction(Principal.Role)
        /// What the function's manifest says; the endpoint looks itself.
        case functionsOwn
    }

    /// Nil: any, also those that no router has heard of.
    let method: HTTPRequest.Method?
    let path: RoutePath
    let needs: Needs
    let operation: Operation
    let handle: @Sendable (Call) async throws -> Response

    init(
        _ method: HTTPRequest.Method?, _ path: RoutePath, needs: Needs, _ operation: Operation,
        handle: @escaping @Sendable (Call) async throws -> Response
    ) {
        self.method = method
        self.path = path
        self.needs = needs
        self.operation = operation
        self.handle = handle
    }

    /// Those that are told one by one where an endpoint takes any.
    static let knownMethods: [HTTPRequest.Method] = [.get, .post, .put, .patch, .delete, .head, .options]

    /// Whether it changes what the host is to do: that is noted. Invoking does not.
    var changes: Bool {
        switch needs {
        case .role(let role), .onFunction(let role): method != .get && role != .invoke
        case .nothing, .functionsOwn: false
        }
    }

    /// Whether it can say what it would do.
    var takesDryRun: Bool { operation.parameters.contains { $0.name == Operation.Parameter.dryRun.name } }

    /// Whether it is served also where only clients come: what a key of role invoke is for, functions, and whether all is well.
    var isForClients: Bool {
        switch needs {
        case .role(.invoke), .onFunction(.invoke), .functionsOwn: true
        case .role, .onFunction: false
        case .nothing: operation.id != "metrics"
        }
    }

    var methods: [HTTPRequest.Method] { method.map { [$0] } ?? Self.knownMethods }
}

/// A request that has come to its endpoint.
struct Call: Sendable {
    let request: Request
    let context: GatewayContext
    /// Who asks. Anonymous, where the endpoint needs nothing or looks itself.
    let principal: Principal

    /// The function's name in the path.
    /// - Throws: `Failure` invalid_request.
    var name: FunctionName {
        get throws(Failure) { try Gateway.name(parameter("name")) }
    }

    /// The function in the path: its newest version is meant.
    /// - Throws: `Failure` invalid_request.
    var reference: FunctionReference {
        get throws(Failure) { FunctionReference(try name) }
    }

    /// A parameter of the path; empty where there is none.
    func parameter(_ name: String) -> String { context.parameters.get(name) ?? "" }

    /// What its `If-Match` asks of what is there.
    var precondition: Precondition? { Precondition(ifMatch: request.headers[.ifMatch]) }

    func query(_ key: String) -> String? { request.uri.queryParameters.get(key) }

    /// Whether it is only to be said what would be done.
    /// - Throws: `Failure` invalid_request.
    var isDryRun: Bool {
        get throws(Failure) {
            switch query("dryRun") {
            case nil, "false": return false
            case "true": return true
            case .some: throw Failure(.invalidRequest, "query parameter dryRun: true or false")
            }
        }
    }

    /// A whole number in the query, within bounds.
    /// - Throws: `Failure` invalid_request.
    func number(_ key: String, in range: ClosedRange<Int>) throws(Failure) -> Int? {
        guard let text = query(key) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw Failure(
                .invalidRequest,
                "query parameter \(key): \"\(text.prefix(bytes: 40))\" is not a whole number from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }
}

extension Gateway {
    /// The framework's router for them.
    func router() -> Router<GatewayContext> {
        let served = endpoints.filter { front.audience == .all || $0.isForClients }
        let table = EndpointTable(front.audience == .all ? served + [description(of: served)] : served)
        let router = Router(context: GatewayContext.self, options: [.autoGenerateHeadEndpoints])
        router.add(middleware: ProblemMiddleware(table: table, journal: services.journal))
        router.add(middleware: LambdaHTTP(self))
        router.add(middleware: RouteHTTP(functions: functionHTTP))
        router.add(middleware: UnknownMethods(gateway: self, table: table))
        for endpoint in table.endpoints {
            for method in endpoint.methods {
                router.on(RouterPath(endpoint.path.forRouter), method: method) { request, context in
                    try await serve(endpoint, request, context)
                }
            }
        }
        return router
    }

    fileprivate func serve(
        _ endpoint: Endpoint, _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        var principal = Principal.anonymous
        if endpoint.needs != .nothing, endpoint.needs != .functionsOwn { try Self.requireOwnPage(request) }
        switch endpoint.needs {
        case .nothing, .functionsOwn: break
        case .role(let role): principal = try Self.authorize(request, role, services)
        case .onFunction(let role):
            let name = context.parameters.get("name").flatMap { FunctionName($0) }
            principal = try Self.authorize(request, role, on: name, services)
        }
        let call = Call(request: request, context: context, principal: principal)
        if endpoint.changes, !endpoint.takesDryRun, try call.isDryRun {
            throw Failure(.invalidRequest, "dryRun: this cannot be tried; only uploads and routes can")
        }
        let response = try await endpoint.handle(call)
        await note(endpoint, call, response)
        return response
    }
}

extension Gateway {
    /// A browser says of whose page a request is. Of another site's none has business here: CORS is for routes.
    /// - Throws: `Failure` forbidden.
    fileprivate static func requireOwnPage(_ request: Request) throws(Failure) {
        guard let origin = request.headers[.origin] else { return }
        let own = request.head.authority ?? ""
        guard ["http://\(own)", "https://\(own)"].contains(where: { $0.isSame(as: origin) }) else {
            throw Failure(
                .forbidden,
                "a page of \"\(printable(origin.prefix(bytes: 80)))\" may not do this; pages of other sites use routes with cors"
            )
        }
    }
}

/// The endpoints by path.
struct EndpointTable: Sendable {
    let endpoints: [Endpoint]

    init(_ endpoints: [Endpoint]) { self.endpoints = endpoints }

    /// All at a path.
    func at(_ path: String) -> [Endpoint] {
        let parts = path.split(separator: "/")
        return endpoints.filter { $0.path.matches(parts) }
    }

    /// Which methods a path takes, for telling a wrong method from a wrong path.
    func methods(at path: String) -> [String] {
        let found = at(path), most = found.map(\.path.literals).max()
        // What is named by its own word is not what a parameter stands for.
        let methods = found.filter { $0.path.literals == most }.flatMap(\.methods).map(\.rawValue)
        return methods.contains("GET") && !methods.contains("HEAD") ? methods + ["HEAD"] : methods
    }
}

/// Methods that the router has not heard of (WebDAV has a dozen) are for who takes any.
private struct UnknownMethods: RouterMiddleware {
    let gateway: Gateway
    let table: EndpointTable

    @concurrent func handle(
        _ request: Request, context: GatewayContext,
        next: @concurrent (Request, GatewayContext) async throws -> Response
    ) async throws -> Response {
        guard !Endpoint.knownMethods.contains(request.method),
            let endpoint = table.at(request.uri.path).first(where: { $0.method == nil })
        else { return try await next(request, context) }
        return try await gateway.serve(endpoint, request, context)
    }
}
