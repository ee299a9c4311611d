import Bundles
import Catalogue
import Deployment
import Foundation
import FunctionModel
import HTTPTypes
import HostSystem
import Hummingbird
import Journal
import NIOCore
import WireText

/// A version as the API shows it.
struct FunctionDocument: Encodable {
    let name: String
    let version: ShownVersion
    let sha256: String
    let size: Int
    let createdAt: String
    let manifest: Manifest
    /// Only where one function is asked for.
    var refused: [Refusal]?
    /// Likewise: who may come by its URLs, which win over what the manifest says of `/fn/`.
    var urls: [String: String]?

    init(_ version: FunctionVersion) {
        name = version.name.text
        self.version = ShownVersion(version.shownNumber)
        sha256 = version.sha256
        size = version.size
        createdAt = version.createdAt
        manifest = version.manifest
    }
}

private struct FunctionPage: Encodable {
    let functions: [FunctionDocument]
    var next: String?
}

private struct VersionPage: Encodable {
    let versions: [FunctionDocument]
    var next: String?
}

/// Functions and their versions.
struct FunctionAPI: Sendable {
    let services: Services
    let uploads = Places(16)
    /// Each may be long.
    let lists = Places(4)

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, RoutePath("/v1/functions"), needs: .role(.deploy),
                Operation(
                    id: "listFunctions", summary: "List functions, newest version of each",
                    parameters: [.page(upTo: 1000), .cursor], answers: [Self.page(of: "functions")], fails: [400, 503])
            ) { call in try await lists.holding("lists") { try list(call) } },
            Endpoint(
                .put, RoutePath("/v1/functions/{name}"), needs: .onFunction(.deploy),
                Operation(
                    id: "putFunction", summary: "Upload a function",
                    about:
                        "An executable as it is, with the manifest's fields as query parameters; or an archive with function.yaml at its root.",
                    parameters: OpenAPI.manifestParameters + [Self.keep, .ifMatch, .dryRun],
                    body: ["application/octet-stream": .bytes, "application/zip": .bytes, "application/gzip": .bytes],
                    answers: [
                        .tagged("A new version", .schema("Function"), status: 201),
                        .tagged(
                            "Nothing changed; no new version. Or what a dry run would do", .orChange("Function")),
                    ], fails: [400, 412, 413, 503]), handle: upload),
            Endpoint(
                .get, RoutePath("/v1/functions/{name}"), needs: .onFunction(.deploy),
                Operation(
                    id: "getFunction", summary: "Show the newest version",
                    answers: [.tagged("The function", .schema("Function"))], fails: [400, 404])
            ) { call in
                let reference = try call.reference
                let newest = FunctionReference(reference.name, .alias(Alias.latest))
                let snapshot = services.catalogue.snapshot, name = reference.name
                let version = try snapshot.resolve(newest)
                var document = FunctionDocument(version)
                document.refused = services.journal.refusals.all(of: name)
                let urls = snapshot.settings(of: name).urls.keys.map { alias in
                    (alias, snapshot.url(of: name, alias)?.isOpen == true ? "none" : "token")
                }
                if !urls.isEmpty { document.urls = Dictionary(urls) { $1 } }
                return try Response.json(document).tagged("\(version.revision)")
            },
            Endpoint(
                .delete, RoutePath("/v1/functions/{name}"), needs: .onFunction(.deploy),
                Operation(
                    id: "deleteFunction", summary: "Delete a function with all its versions",
                    parameters: [.ifMatch], answers: [.empty("Deleted")], fails: [400, 404, 412])
            ) { call in
                let name = try call.name
                guard try await services.deployment.remove(name, call.precondition) else {
                    throw Failure(.notFound, "there is no function named \(name)")
                }
                return Response(status: .noContent)
            },
            Endpoint(
                .get, RoutePath("/v1/functions/{name}/versions"), needs: .onFunction(.deploy),
                Operation(
                    id: "listVersions", summary: "List versions, oldest first",
                    parameters: [.page(upTo: 1000), .cursor], answers: [Self.page(of: "versions")],
                    fails: [400, 404, 503])
            ) { call in try await lists.holding("lists") { try versions(call) } },
            Endpoint(
                .get, RoutePath("/v1/functions/{name}/versions/{number}"), needs: .onFunction(.deploy),
                Operation(
                    id: "getVersion", summary: "Show a version", answers: [.json("The version", .schema("Function"))],
                    fails: [400, 404])
            ) { call in
                let number = Int(call.parameter("number")) ?? 0
                let reference = FunctionReference(try call.name, .version(number))
                return try Response.json(FunctionDocument(try services.catalogue.snapshot.resolve(reference)))
            },
            Endpoint(
                .get, RoutePath("/v1/functions/{name}/policy"), needs: .onFunction(.deploy),
                Operation(
                    id: "getPolicy", summary: "Say what a function may do", parameters: [.version],
                    answers: [.json("The policy", .schema("Policy"))], fails: [400, 404, 409])
            ) { call in
                let number = try call.number("version", in: 1...Int.max)
                let version = try services.catalogue.snapshot.resolve(
                    FunctionReference(call.name, version: number, alias: nil))
                return try Response.json(services.deployment.policy(of: version))
            },
        ]
    }

    private static let keep = Operation.Parameter.query(
        "keep", .integer(0...Traffic.maxKeep).with(["default": .number(Traffic.usualKeep)]),
        "How many old versions that no alias names are kept from now on")

    private static func page(of what: String) -> Operation.Answer {
        .json(
            "A page",
            .record(
                [
                    what: .list(of: .schema("Function")),
                    "next": .text.about("Pass as cursor for the next page; absent on the last"),
                ], required: [what]))
    }

    private func list(_ call: Call) throws -> Response {
        let limit = try call.number("limit", in: 1...1000) ?? 100
        let cursor = call.query("cursor") ?? ""
        let snapshot = services.catalogue.snapshot
        let names = snapshot.names.filter { $0.text > cursor && call.principal.functions.includes($0) }
        let page = names.prefix(limit)
        return try Response.json(
            FunctionPage(
                functions: page.compactMap { snapshot.latest($0) }.map(FunctionDocument.init),
                next: page.count < names.count ? page.last?.text : nil))
    }

    private func versions(_ call: Call) throws -> Response {
        let name = try call.name
        let limit = try call.number("limit", in: 1...1000) ?? 100
        let cursor = try call.number("cursor", in: 0...Int.max) ?? 0
        let all = services.catalogue.snapshot.versions(of: name)
        guard !all.isEmpty else { throw Failure(.notFound, "there is no function named \(name)") }
        let rest = all.filter { $0.number > cursor }
        let page = rest.prefix(limit)
        return try Response.json(
            VersionPage(
                versions: page.map(FunctionDocument.init),
                next: page.count < rest.count ? page.last.map { String($0.number) } : nil))
    }

    // MARK: - Upload

    private func upload(_ call: Call) async throws -> Response {
        let name = try call.name, request = call.request
        let format = try format(of: request)
        let keep = try call.number("keep", in: 0...Traffic.maxKeep)
        let query = Gateway.decodedQuery(of: request).filter {
            $0.name != "keep" && $0.name != "dryRun"
        }
        let isDryRun = try call.isDryRun
        let manifest: Manifest
        switch format {
        case .executable:
            do {
                manifest = try Manifest(query: query)
            } catch {
                throw UploadRefused(error.message)
            }
        case .archive, .files:
            guard query.isEmpty else {
                throw UploadRefused(
                    "query parameter \"\(query[0].name)\": an archive brings its manifest as function.yaml; change it there"
                )
            }
            manifest = Manifest()
        }
        if isDryRun {
            let change = try await uploads.holding("uploads") { [manifest] in
                try await services.deployment.examine(
                    try await receive(call), format: format, manifest: manifest, name: name, by: call.principal)
            }
            return try Response.json(["change": change])
        }
        // Each may take the largest upload's room on the disk, and time to unpack.
        let (version, isNew) = try await uploads.holding("uploads") { [manifest] in
            let arrival = try await receive(call)
            return try await services.deployment.deploy(
                arrival, format: format, manifest: manifest, name: name, by: call.principal, keep: keep,
                precondition: call.precondition)
        }
        var response = try Response.json(FunctionDocument(version), status: isNew ? .created : .ok).tagged(
            "\(version.revision)")
        response.headers[.location] = "/v1/functions/\(name)"
        return response
    }

    private func format(of request: Request) throws(Failure) -> BundleStore.Format {
        let type = request.headers[.contentType].map {
            $0.isASCII ? $0.prefix { $0 != ";" }.lowercased() : "of bytes beyond ASCII"
        }
        switch type {
        // curl -T sends none, curl --data-binary the form's: both send a file.
        case nil, "application/octet-stream", "application/x-www-form-urlencoded", "application/x-executable":
            return .executable
        case "application/zip", "application/x-zip-compressed", "application/gzip", "application/x-gzip",
            "application/x-tar", "application/tar", "application/tar+gzip", "application/x-gtar":
            return .archive
        default:
            throw Failure(
                .invalidRequest,
                "Content-Type \(type ?? "") is not taken; accepted: application/octet-stream (one executable),"
                    + " application/zip, application/gzip (a tar)")
        }
    }

    /// Streams the body to disk, and stops at the limit.
    private func receive(_ call: Call) async throws -> BundleStore.Arrival {
        let limit = services.deployment.limits.maxUpload
        let tooLarge = Failure(
            .payloadTooLarge, "the upload is larger than \(ByteSize(bytes: limit)), this host's limit")
        if EventIntake.length(call.request.headers) > limit { throw tooLarge }
        call.context.askForBody(of: call.request)
        let deployment = services.deployment
        let arrival = try await offload { try deployment.beginArrival() }
        do {
            var gathered = ByteBuffer()
            var total = 0
            for try await chunk in call.request.body {
                total += chunk.readableBytes
                guard total <= limit else { throw tooLarge }
                gathered.writeImmutableBuffer(chunk)
                if gathered.readableBytes >= 1 << 20 {
                    try await append(gathered, to: arrival)
                    gathered.clear()
                }
            }
            try await append(gathered, to: arrival)
            return arrival
        } catch {
            deployment.discard(arrival)
            throw error
        }
    }

    private func append(_ bytes: ByteBuffer, to arrival: BundleStore.Arrival) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await offload { try bytes.withUnsafeReadableBytes { try arrival.append($0) } }
    }
}
