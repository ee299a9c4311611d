import Foundation
import FunctionModel
import HostSystem
import Hummingbird
import NIOCore
import Secrets
import WireText

private struct SecretDocument: Encodable {
    let name: String
    let createdAt: String
    let updatedAt: String

    init(_ secret: Secrets.Listed) { (name, createdAt, updatedAt) = (secret.name, secret.createdAt, secret.updatedAt) }
}

private struct SecretPage: Encodable {
    let secrets: [SecretDocument]
    var next: String?
}

/// What functions are given and nobody is told.
struct SecretAPI: Sendable {
    let services: Services
    let intake: EventIntake

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath("/v1/secrets"), needs: .role(.admin),
                Operation(
                    id: "listSecrets", summary: "List secrets: their names and dates, never what they are",
                    parameters: [.page(upTo: 1000), .cursor],
                    answers: [
                        .json(
                            "A page",
                            .record(
                                [
                                    "secrets": .list(of: .schema("Secret")),
                                    "next": .text.about("Pass as cursor for the next page; absent on the last"),
                                ], required: ["secrets"]))
                    ], fails: [400])
            ) { call in
                let limit = try call.number("limit", in: 1...1000) ?? 100
                let after = call.query("cursor") ?? ""
                let page = services.secrets.all.filter { $0.name > after }.prefix(limit + 1)
                let shown = page.prefix(limit)
                return try Response.json(
                    SecretPage(
                        secrets: shown.map(SecretDocument.init), next: page.count > limit ? shown.last?.name : nil))
            },
            Endpoint(
                .put, RoutePath("/v1/secrets/{name}"), needs: .role(.admin),
                Operation(
                    id: "putSecret", summary: "Store a secret",
                    about:
                        "The body is the secret, 64 KiB at most. Functions that name it in secrets: get it as a variable; a changed one retires their warm workers.",
                    body: ["application/octet-stream": .bytes],
                    answers: [
                        .json("Changed, or the same as before", .schema("Secret")),
                        .json("New", .schema("Secret"), status: 201),
                    ], fails: [400, 409, 413])
            ) { call in
                // Whatever it is told to be, it is bytes.
                let body = try await intake.event(of: call.request, call.context, for: nil, isJSON: false).bytes
                let (secret, isNew) = try await services.secrets.put(
                    call.parameter("name"), Array(body.readableBytesView), now: timestamp())
                return try Response.json(SecretDocument(secret), status: isNew ? .created : .ok)
            },
            Endpoint(
                .delete, RoutePath("/v1/secrets/{name}"), needs: .role(.admin),
                Operation(
                    id: "deleteSecret", summary: "Delete a secret",
                    about: "Functions that name it cannot be started any more: launch_failed, stage secrets.",
                    answers: [.empty("Deleted")], fails: [404, 409])
            ) { call in
                let name = call.parameter("name")
                guard try await services.secrets.remove(name) else {
                    throw Failure(.notFound, "there is no secret \"\(printable(name.prefix(bytes: 80)))\"")
                }
                return Response(status: .noContent)
            },
            Endpoint(
                .post, RoutePath("/v1/secret-key/rotate"), needs: .role(.admin),
                Operation(
                    id: "rotateSecrets", summary: "Seal all secrets with a new key",
                    about: "The key's file in the data directory is replaced; secrets stay what they are.",
                    answers: [.json("How many", .record(["rotated": .whole], required: ["rotated"]))], fails: [409])
            ) { _ in
                let secrets = services.secrets
                return try Response.json(["rotated": try await offload { try secrets.rotate() }])
            },
        ]
    }

    static let schema: JSONValue = .record(
        ["name": .text, "createdAt": .date, "updatedAt": .date], required: ["name", "createdAt", "updatedAt"])
}
