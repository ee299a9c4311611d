import Access
import Foundation
import FunctionModel
import Hummingbird
import NIOCore
import Store

private struct KeyDocument: Encodable {
    let id: String
    let name: String
    let scope: Principal.Role
    let createdAt: String
    /// Only in the answer to its making.
    var token: String?

    init(_ key: AccessKey, token: String? = nil) {
        id = key.id
        name = key.name
        scope = key.role
        createdAt = key.createdAt
        self.token = token
    }
}

private struct KeyRequest: Decodable {
    let name: String
    var scope: Principal.Role?
}

/// Who may do what.
struct KeyAPI: Sendable {
    let services: Services
    let intake: EventIntake

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath("/v1/keys"), needs: .role(.admin),
                Operation(
                    id: "listKeys", summary: "List tokens; never their text",
                    answers: [.json("Keys", .record(["keys": .list(of: .schema("Key"))], required: ["keys"]))])
            ) { _ in try Response.json(["keys": services.access.keys.map { KeyDocument($0) }]) },
            Endpoint(
                .post, RoutePath("/v1/keys"), needs: .role(.admin),
                Operation(
                    id: "makeKey", summary: "Make a token; its text is told once",
                    body: [
                        "application/json": .record(
                            [
                                "name": .text,
                                "scope": .words(Principal.Role.allCases.map(\.rawValue)).with(["default": "invoke"]),
                            ], required: ["name"])
                    ], answers: [.json("The key, with its token", .schema("Key"), status: 201)], fails: [400, 413, 503]),
                handle: makeKey),
            Endpoint(
                .delete, RoutePath("/v1/keys/{id}"), needs: .role(.admin),
                Operation(
                    id: "revokeKey", summary: "Revoke a token", answers: [.empty("Revoked")], fails: [404])
            ) { call in
                let id = call.parameter("id")
                guard try await services.access.removeKey(id: id) else {
                    throw Failure(.notFound, "there is no key \"\(id.prefix(bytes: 40))\"")
                }
                return Response(status: .noContent)
            },
        ]
    }

    private func makeKey(_ call: Call) async throws -> Response {
        let body = try await intake.event(of: call.request, call.context, for: nil, isJSON: true).bytes
        guard let wanted = try? JSONDecoder().decode(KeyRequest.self, from: Data(body.readableBytesView)),
            (1...100).contains(wanted.name.count)
        else {
            throw Failure(.invalidRequest, #"a key is made from {"name": "…", "scope": "admin" or "invoke"}"#)
        }
        let (key, token) = try await services.access.makeKey(name: wanted.name, role: wanted.scope ?? .invoke)
        return try Response.json(KeyDocument(key, token: token), status: .created)
    }
}
