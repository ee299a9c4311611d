import Catalogue
import Deployment
import Foundation
import FunctionModel
import HTTPTypes
import HostSystem
import Hummingbird
import NIOCore
import WireText

/// An alias as the API shows it.
struct AliasDocument: Encodable {
    let alias: String
    let version: Version
    let weights: [String: Double]
    let header: String?
    let updatedAt: String

    enum Version: Encodable {
        case number(Int)
        case latest

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .number(let number): try container.encode(number)
            case .latest: try container.encode(Alias.latest)
            }
        }
    }

    init(_ alias: Alias) {
        self.alias = alias.name
        version = if case .version(let number) = alias.target { .number(number) } else { .latest }
        weights = Dictionary(alias.weights.map { (String($0.key), $0.value) }) { $1 }
        header = alias.header
        updatedAt = alias.updatedAt
    }
}

/// What is asked for: `{"version": 3, "weights": {"4": 0.1}}`.
private struct AliasRequest: Decodable {
    let target: Alias.Target
    let weights: [Int: Double]
    let header: String?

    private enum Keys: String, CodingKey, CaseIterable { case version, weights, header, alias, updatedAt }

    init(from decoder: any Decoder) throws {
        let members = try decoder.members(Keys.self, taken: "an alias has version, weights and header")
        if let number = try? members.decode(Int.self, forKey: .version), number > 0 {
            target = .version(number)
        } else if let text = try? members.decode(String.self, forKey: .version), text == Alias.latest {
            target = .latest
        } else {
            throw Failure(.invalidRequest, #"version: a version's number, or "latest""#)
        }
        var weights: [Int: Double] = [:]
        if members.contains(.weights), try !members.decodeNil(forKey: .weights) {
            guard let given = try? members.decode([String: Double].self, forKey: .weights), given.count <= 10 else {
                throw Failure(.invalidRequest, #"weights: up to ten versions and their parts of 1, such as {"4": 0.1}"#)
            }
            for (key, weight) in given {
                guard let number = Int(key), number > 0, String(number) == key else {
                    throw Failure(.invalidRequest, "weights: \"\(key.prefix(bytes: 40))\" is no version's number")
                }
                weights[number] = weight
            }
        }
        self.weights = weights
        header = try members.decodeIfPresent(String.self, forKey: .header)?.lowercased()
        guard header.map({ HTTPField.Name($0) != nil && $0.utf8.count <= 100 }) ?? true else {
            throw Failure(.invalidRequest, "header: the name of a request's header, such as x-user-id")
        }
    }
}

/// Which version invocations go to: aliases, shares, and the way back.
struct AliasAPI: Sendable {
    let services: Services
    let intake: EventIntake

    private static let aliases = "/v1/functions/{name}/aliases"
    private static let body: JSONValue = .record(
        [
            "version": .object(["oneOf": [["type": "integer", "minimum": 1], ["const": "latest"]]]),
            "weights": .object([
                "type": "object",
                "additionalProperties": ["type": "number", "exclusiveMinimum": 0, "maximum": 1],
                "description": "Parts of 1 that go to other versions",
            ]),
            "header": .object(["type": ["string", "null"]]).about(
                "Its value decides between two versions, instead of the invocation's id"),
        ], required: ["version"])

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath(Self.aliases), needs: .onFunction(.deploy),
                Operation(
                    id: "listAliases", summary: "List aliases",
                    answers: [
                        .json(
                            "Aliases",
                            .record(["aliases": .list(of: .schema("Alias"))], required: ["aliases"]))
                    ], fails: [400, 404])
            ) { call in
                let name = try call.name
                _ = try services.catalogue.snapshot.resolve(FunctionReference(name))
                return try Response.json([
                    "aliases": services.catalogue.snapshot.aliases(of: name).map(AliasDocument.init)
                ])
            },
            Endpoint(
                .get, RoutePath(Self.aliases + "/{alias}"), needs: .onFunction(.deploy),
                Operation(
                    id: "getAlias", summary: "Show an alias", answers: [.tagged("The alias", .schema("Alias"))],
                    fails: [400, 404])
            ) { call in
                let name = try call.name, text = call.parameter("alias")
                _ = try services.catalogue.snapshot.resolve(FunctionReference(name))
                guard let alias = services.catalogue.snapshot.alias(text, of: name) else {
                    throw Traffic.unknown(text, of: name)
                }
                return try response(alias)
            },
            Endpoint(
                .put, RoutePath(Self.aliases + "/{alias}"), needs: .onFunction(.deploy),
                Operation(
                    id: "putAlias", summary: "Point an alias to a version, or to two in shares",
                    about:
                        "live is what invocations go to that name neither version nor alias; \"latest\" follows the newest version. Where it is live's, traffic moves once the workers are there that the version keeps warm.",
                    parameters: [.ifMatch], body: ["application/json": Self.body],
                    answers: [
                        .tagged("Changed", .schema("Alias")), .tagged("New", .schema("Alias"), status: 201),
                    ], fails: [400, 404, 409, 412, 413, 503]), handle: put),
            Endpoint(
                .delete, RoutePath(Self.aliases + "/{alias}"), needs: .onFunction(.deploy),
                Operation(
                    id: "deleteAlias", summary: "Delete an alias", parameters: [.ifMatch],
                    answers: [.empty("Deleted")], fails: [400, 404, 409, 412])
            ) { call in
                try await services.deployment.removeAlias(call.parameter("alias"), of: call.name, call.precondition)
                return Response(status: .noContent)
            },
            Endpoint(
                .post, RoutePath("/v1/functions/{name}/rollback"), needs: .onFunction(.deploy),
                Operation(
                    id: "rollback", summary: "Pin live to the version that it served before",
                    parameters: [.ifMatch],
                    body: [
                        "application/json": [
                            "oneOf": [["type": "null"], .record(["to": ["type": ["integer", "null"], "minimum": 1]])]
                        ]
                    ], isBodyRequired: false, answers: [.tagged("live", .schema("Alias"))],
                    fails: [400, 404, 409, 412, 413, 503]), handle: rollBack),
            Endpoint(
                .delete, RoutePath("/v1/functions/{name}/versions/{number}"), needs: .onFunction(.deploy),
                Operation(
                    id: "deleteVersion", summary: "Delete a version that no alias names",
                    answers: [.empty("Deleted")], fails: [400, 404, 409])
            ) { call in
                try await services.deployment.removeVersion(Int(call.parameter("number")) ?? 0, of: call.name)
                return Response(status: .noContent)
            },
        ]
    }

    private func put(_ call: Call) async throws -> Response {
        let name = try call.name, text = call.parameter("alias")
        let body = try await intake.event(of: call.request, call.context, for: nil, isJSON: true).bytes
        let wanted: AliasRequest = try JSONRequest.decode(
            body, #"an alias is made from {"version": 3, "weights": {"4": 0.1}}"#)
        guard text == Alias.latest || Alias.isName(text) else {
            throw Failure(.invalidRequest, "\"\(text.prefix(bytes: 80))\" is no alias: it takes \(Alias.nameRule)")
        }
        let alias = Alias(
            name: text, target: wanted.target, weights: wanted.weights, header: wanted.header, updatedAt: timestamp())
        let (entered, isNew) = try await services.deployment.put(alias, of: name, call.precondition)
        return try response(entered, isNew: isNew)
    }

    private struct RollbackRequest: Decodable { var to: Int? }

    private func rollBack(_ call: Call) async throws -> Response {
        let name = try call.name
        let body = try await intake.event(of: call.request, call.context, for: nil, isJSON: true).bytes
        let isEmpty = body.readableBytes == 0 || body.readableBytesView.elementsEqual("null".utf8)
        let wanted: RollbackRequest =
            isEmpty ? RollbackRequest() : try JSONRequest.decode(body, #"the body is empty or {"to": 3}"#)
        let alias = try await services.deployment.rollBack(name, to: wanted.to, call.precondition)
        return try response(alias)
    }

    private func response(_ alias: Alias, isNew: Bool = false) throws -> Response {
        try Response.json(AliasDocument(alias), status: isNew ? .created : .ok).tagged(alias.tag)
    }
}

extension Gateway {
    /// What decides between two versions of an alias: see `Snapshot.resolve`.
    static func shareKey(_ header: String?, _ headers: HTTPFields, _ id: String) -> String {
        guard let header, let name = HTTPField.Name(header) else { return id }
        return headers[name] ?? id
    }
}
