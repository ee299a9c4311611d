import Access
import Catalogue
import Foundation
import FunctionModel
import HostSystem
import Hummingbird
import NIOCore
import WireText

private struct RoutePage: Encodable {
    let routes: [Route]
    var next: String?
}

/// Paths that functions answer beside `/fn/`.
struct RouteAPI: Sendable {
    let services: Services
    let intake: EventIntake

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath("/v1/routes"), needs: .role(.admin),
                Operation(
                    id: "listRoutes", summary: "List routes, by their ids",
                    parameters: [.page(upTo: 1000), .cursor],
                    answers: [
                        .json(
                            "A page",
                            .record(
                                [
                                    "routes": .list(of: .schema("Route")),
                                    "next": .text.about("Pass as cursor for the next page; absent on the last"),
                                ], required: ["routes"]))
                    ], fails: [400]), handle: list),
            Endpoint(
                .get, RoutePath("/v1/routes/{id}"), needs: .role(.admin),
                Operation(
                    id: "getRoute", summary: "Show a route", answers: [.tagged("The route", .schema("Route"))],
                    fails: [404])
            ) { call in
                guard let route = services.catalogue.snapshot.routes[id: call.parameter("id")] else {
                    throw unknown(call.parameter("id"))
                }
                return try response(route)
            },
            Endpoint(
                .put, RoutePath("/v1/routes/{id}"), needs: .role(.admin),
                Operation(
                    id: "putRoute", summary: "Have a function answer a path",
                    about:
                        "A method or ANY, and a path in which {name} is one segment and {name+} the rest. Of several that fit, the most specific answers: a literal segment before a parameter before a rest, then a method before ANY. HEAD is answered wherever GET is; with cors, preflights are answered by the host. A path with a slash at its end is another than the one without.",
                    parameters: [.ifMatch, .dryRun], body: ["application/json": Self.body],
                    answers: [
                        .tagged("Changed, or the same as before. Or what a dry run would do", .orChange("Route")),
                        .tagged("New", .schema("Route"), status: 201),
                    ], fails: [400, 404, 409, 412, 413, 503]), handle: put),
            Endpoint(
                .delete, RoutePath("/v1/routes/{id}"), needs: .role(.admin),
                Operation(
                    id: "deleteRoute", summary: "Delete a route", parameters: [.ifMatch],
                    answers: [.empty("Deleted")], fails: [404, 412])
            ) { call in
                let id = call.parameter("id")
                guard try await services.catalogue.removeRoute(id, call.precondition) else { throw unknown(id) }
                services.access.forget(route: id)
                return Response(status: .noContent)
            },
        ]
    }

    private func list(_ call: Call) async throws -> Response {
        let limit = try call.number("limit", in: 1...1000) ?? 100
        let after = call.query("cursor") ?? ""
        let page = services.catalogue.snapshot.routes.all.filter { $0.id > after }.prefix(limit + 1)
        let shown = page.prefix(limit).map(\.withoutSecrets)
        return try Response.json(RoutePage(routes: shown, next: page.count > limit ? shown.last?.id : nil))
    }

    private func put(_ call: Call) async throws -> Response {
        let id = call.parameter("id")
        guard Route.isID(id) else {
            throw Failure(
                .invalidRequest, "\"\(printable(id.prefix(bytes: 80)))\" is no route's id: \(Route.idRule)")
        }
        let body = try await intake.event(of: call.request, call.context, for: nil, isJSON: true).bytes
        var route: Route = try JSONRequest.decode(
            body, #"a route is made from {"route": "GET /users/{id}", "function": "users"}"#)
        guard route.id.isEmpty || route.id == id else {
            throw Failure(.invalidRequest, "id: the path says \"\(id)\", the body another one")
        }
        route.id = id
        if case .jwt(let rule) = route.auth { try await services.access.check(rule) }
        if try call.isDryRun { return try Response.json(["change": services.catalogue.change(of: route)]) }
        let (entered, isNew) = try await services.catalogue.put(route, now: timestamp(), call.precondition)
        return try response(entered, isNew: isNew)
    }

    private func unknown(_ id: String) -> Failure {
        Failure(
            .notFound, "there is no route \"\(printable(id.prefix(bytes: 80)))\"; GET /v1/routes lists what there is")
    }

    private func response(_ route: Route, isNew: Bool = false) throws -> Response {
        try Response.json(route.withoutSecrets, status: isNew ? .created : .ok).tagged(route.tag)
    }

    // MARK: - Description

    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let list: JSONValue = .list(of: .text)

    static let members: [String: JSONValue] = [
        "route": .text.about("Such as GET /users/{id}, or ANY /files/{path+}"),
        "host": optionalText.about("Only requests for this name, *.example.com too; null: for any"),
        "function": .text, "alias": .text.about("Default: live"),
        "auth": .object([
            "oneOf": [
                .words(["token", "none"]),
                .record(
                    [
                        "jwt": .record(
                            [
                                "issuer": .text, "audience": list,
                                "jwks": .object(["oneOf": [.text, ["type": "object"]]]), "scopes": list,
                                "algorithms": list,
                            ], required: ["issuer", "audience", "jwks"])
                    ], required: ["jwt"]),
                .record(
                    [
                        "hmac": .record(
                            [
                                "header": .text, "secret": .text, "prefix": .text,
                                "scheme": .words(HMACRule.Scheme.allCases.map(\.rawValue)),
                                "encoding": .words(HMACRule.Encoding.allCases.map(\.rawValue)),
                                "hash": .words(HMACRule.Hash.allCases.map(\.rawValue)),
                                "tolerance": .integer(1...86_400),
                            ], required: ["header"])
                    ], required: ["hmac"]),
            ]
        ]),
        "cors": .object([
            "oneOf": [
                ["type": "null"],
                .record(
                    [
                        "origins": list, "methods": list, "headers": list, "exposeHeaders": list, "credentials": .flag,
                        "maxAge": .integer(0...86_400),
                    ], required: ["origins"]),
            ]
        ]),
        "rate": optionalText.about("Of all requests together, such as 100/s"),
        "timeout": optionalText.about("An invocation's time by this route, where it is shorter than the function's"),
        "payload": .words(PayloadFormat.allCases.map(\.rawValue)).about(
            "API Gateway's format of the event and of its answer; default: 2.0"),
    ]
    private static let body: JSONValue = .record(members, required: ["route", "function"])
}
