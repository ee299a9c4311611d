import Access
import Foundation
import FunctionModel
import HostSystem
import Hummingbird
import NIOCore
import Store
import WireText

private struct KeyDocument: Encodable {
    let id: String
    let name: String
    let role: Principal.Role
    let functions: [String]?
    let rate: String?
    let quota: String?
    let createdAt: String
    let expiresAt: String?
    /// Only in the answer to its making: one or the others.
    var token: String?
    var accessKeyId: String?
    var secretAccessKey: String?

    init(_ key: AccessKey, token: String? = nil) {
        id = key.id
        name = key.name
        role = key.role
        functions = key.functions.isAll ? nil : key.functions.patterns
        rate = key.rate.map { "\($0)" }
        quota = key.quota.map { "\($0)" }
        createdAt = key.createdAt
        expiresAt = key.expiresAt.map { timestamp(milliseconds: $0) }
        self.token = token
    }
}

/// Times as keys have them: RFC 3339, kept as milliseconds since 1970.
enum KeyTime {
    static func milliseconds(_ text: String) -> Int? {
        guard text.utf8.count <= 40, text.isASCII else { return nil }
        let plain = try? Date(text, strategy: .iso8601)
        let fine = try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        guard let date = plain ?? fine, (0..<253_402_300_800).contains(date.timeIntervalSince1970) else { return nil }
        return Int((date.timeIntervalSince1970 * 1000).rounded())
    }
}

private struct KeyRequest: Decodable {
    let draft: KeyDraft
    /// Whether it is to sign requests as AWS has it.
    let isForAWS: Bool

    private enum Keys: String, CodingKey, CaseIterable {
        case name, role, scope, functions, expiresAt, rate, quota, aws
    }

    init(from decoder: any Decoder) throws {
        let members = try decoder.members(
            Keys.self, taken: "a key has name, role, functions, expiresAt, rate, quota and aws")
        guard let name = try? members.decode(String.self, forKey: .name), (1...100).contains(name.count) else {
            throw Failure(.invalidRequest, "name: up to 100 characters by which people know the key")
        }
        var draft = KeyDraft(name: name)
        // Its name before it had three values.
        let role = members.contains(.role) ? Keys.role : .scope
        if let text = try members.text(role) {
            guard let known = Principal.Role(rawValue: text) else {
                throw Failure(
                    .invalidRequest,
                    "role: \(Principal.Role.allCases.map(\.rawValue).joined(separator: ", ")); not \"\(text.prefix(bytes: 40))\""
                )
            }
            draft.role = known
        }
        if members.contains(.functions), try !members.decodeNil(forKey: .functions) {
            guard let patterns = try? members.decode([String].self, forKey: .functions), !patterns.isEmpty,
                let scope = FunctionScope(checking: patterns)
            else {
                throw Failure(
                    .invalidRequest,
                    #"functions: a list of names, in which * stands for any letters, such as ["a-*"]; leave it out for all"#
                )
            }
            guard draft.role != .admin else {
                throw Failure(
                    .invalidRequest, "functions: an admin's key is for all of them; use role deploy or invoke")
            }
            draft.functions = scope
        }
        if let text = try members.text(.rate) {
            guard let rate = Rate(text) else { throw Failure(.invalidRequest, "rate: \(Rate.rule)") }
            draft.rate = rate
        }
        if let text = try members.text(.quota) {
            guard let quota = Rate(text) else { throw Failure(.invalidRequest, "quota: \(Rate.rule)") }
            draft.quota = quota
        }
        if let text = try members.text(.expiresAt) {
            guard let time = KeyTime.milliseconds(text), time > wallClockMilliseconds() else {
                throw Failure(
                    .invalidRequest, "expiresAt: a time to come, as RFC 3339 has it, such as 2030-01-01T00:00:00Z")
            }
            draft.expiresAt = time
        }
        self.draft = draft
        guard let isForAWS = try? members.decodeIfPresent(Bool.self, forKey: .aws) ?? false else {
            throw Failure(.invalidRequest, "aws: true for a key that signs requests as AWS has it, else false")
        }
        self.isForAWS = isForAWS
    }
}

private struct KeyPage: Encodable {
    let keys: [KeyDocument]
    var next: String?
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
                    id: "listKeys", summary: "List tokens, the oldest first; never their text",
                    parameters: [.page(upTo: 1000, standard: 1000), .cursor],
                    answers: [
                        .json(
                            "A page",
                            .record(
                                [
                                    "keys": .list(of: .schema("Key")),
                                    "next": .text.about("Pass as cursor for the next page; absent on the last"),
                                ], required: ["keys"]))
                    ], fails: [400]), handle: list),
            Endpoint(
                .post, RoutePath("/v1/keys"), needs: .role(.admin),
                Operation(
                    id: "makeKey", summary: "Make a token; its text is told once",
                    body: [
                        "application/json": .record(
                            [
                                "name": .text,
                                "role": .words(Principal.Role.allCases.map(\.rawValue)).with(["default": "invoke"]),
                                "functions": .list(of: .text, "Names, in which * stands for any letters"),
                                "rate": .text.about(Rate.rule),
                                "quota": .text.about("\(Rate.rule): in each minute, hour or day of UTC"),
                                "expiresAt": .date,
                                "aws": .flag.with([
                                    "description": "Makes accessKeyId and secretAccessKey in place of a token"
                                ]),
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

    private func list(_ call: Call) async throws -> Response {
        let limit = try call.number("limit", in: 1...1000) ?? 1000
        let parts = (call.query("cursor") ?? "").prefix(bytes: 100).split(separator: " ").map(String.init)
        let (page, isLast) = services.access.keys(after: parts.first ?? "", parts.dropFirst().first ?? "", limit: limit)
        let next = isLast ? nil : page.last.map { "\($0.createdAt) \($0.id)" }
        return try Response.json(KeyPage(keys: page.map { KeyDocument($0) }, next: next))
    }

    private func makeKey(_ call: Call) async throws -> Response {
        let body = try await intake.event(of: call.request, call.context, for: nil, isJSON: true).bytes
        let wanted: KeyRequest = try JSONRequest.decode(body, #"a key is made from {"name": "…", "role": "invoke"}"#)
        if wanted.isForAWS {
            let made = try await services.access.makeAWSKey(wanted.draft)
            var document = KeyDocument(made.key)
            (document.accessKeyId, document.secretAccessKey) = (made.key.id, made.secret)
            return try Response.json(document, status: .created)
        }
        let (key, token) = try await services.access.makeKey(wanted.draft)
        return try Response.json(KeyDocument(key, token: token), status: .created)
    }
}
