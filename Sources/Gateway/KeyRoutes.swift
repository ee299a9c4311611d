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

extension Gateway {
    func addKeyRoutes(to router: Router<GatewayContext>) {
        router.get("/v1/keys") { request, _ in
            try authorize(request, .admin)
            return try Response.json(["keys": services.access.keys.map { KeyDocument($0) }])
        }
        router.post("/v1/keys") { request, context in
            try authorize(request, .admin)
            let body = try await event(of: request, context, for: nil, isJSON: true).bytes
            guard let wanted = try? JSONDecoder().decode(KeyRequest.self, from: Data(body.readableBytesView)),
                (1...100).contains(wanted.name.count)
            else {
                throw Failure(.invalidRequest, #"a key is made from {"name": "…", "scope": "admin" or "invoke"}"#)
            }
            let (key, token) = try await services.access.makeKey(name: wanted.name, role: wanted.scope ?? .invoke)
            return try Response.json(KeyDocument(key, token: token), status: .created)
        }
        router.delete("/v1/keys/:id") { request, context in
            try authorize(request, .admin)
            let id = context.parameters.get("id") ?? ""
            guard try await services.access.removeKey(id: id) else {
                throw Failure(.notFound, "there is no key \"\(id.prefix(bytes: 40))\"")
            }
            return Response(status: .noContent)
        }
    }
}
