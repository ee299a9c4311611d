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

/// A version as the API shows it.
struct FunctionDocument: Encodable {
    let name: String
    let version: Int
    let sha256: String
    let size: Int
    let createdAt: String
    let manifest: Manifest
    /// Only where one function is asked for.
    var refused: [Refusal]?

    init(_ version: FunctionVersion) {
        name = version.name.text
        self.version = version.number
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

extension Gateway {
    func addFunctionRoutes(to router: Router<GatewayContext>) {
        router.put("/v1/functions/:name") { request, context in try await upload(request, context) }
        router.get("/v1/functions") { request, _ in try await lists.holding("lists") { try list(request) } }
        router.get("/v1/functions/:name") { request, context in
            try authorize(request, .admin)
            let name = try name(context)
            var document = FunctionDocument(try services.catalogue.snapshot.resolve(FunctionReference(name)))
            document.refused = services.journal.refusals.all(of: name)
            return try Response.json(document)
        }
        router.get("/v1/functions/:name/versions") { request, context in
            try await lists.holding("lists") { try versions(request, context) }
        }
        router.get("/v1/functions/:name/policy") { request, context in
            try authorize(request, .admin)
            let number = try number("version", request, in: 1...Int.max)
            let version = try services.catalogue.snapshot.resolve(
                FunctionReference(name(context), version: number, alias: nil))
            return try Response.json(services.deployment.policy(of: version))
        }
        router.delete("/v1/functions/:name") { request, context in
            try authorize(request, .admin)
            let name = try name(context)
            guard try await services.deployment.remove(name) else {
                throw Failure(.notFound, "there is no function named \(name)")
            }
            return Response(status: .noContent)
        }
    }

    private func list(_ request: Request) throws -> Response {
        try authorize(request, .admin)
        let limit = try number("limit", request, in: 1...1000) ?? 100
        let cursor = request.uri.queryParameters.get("cursor") ?? ""
        let snapshot = services.catalogue.snapshot
        let names = snapshot.names.filter { $0.text > cursor }
        let page = names.prefix(limit)
        return try Response.json(
            FunctionPage(
                functions: page.compactMap { snapshot.latest($0) }.map(FunctionDocument.init),
                next: page.count < names.count ? page.last?.text : nil))
    }

    private func versions(_ request: Request, _ context: GatewayContext) throws -> Response {
        try authorize(request, .admin)
        let name = try name(context)
        let limit = try number("limit", request, in: 1...1000) ?? 100
        let cursor = try number("cursor", request, in: 0...Int.max) ?? 0
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

    private func upload(_ request: Request, _ context: GatewayContext) async throws -> Response {
        let principal = try authorize(request, .admin)
        let name = try name(context)
        let format = try format(of: request)
        let query = decodedQuery(of: request)
        let manifest: Manifest
        switch format {
        case .executable:
            do {
                manifest = try Manifest(query: query)
            } catch {
                throw UploadRefused(error.message)
            }
        case .archive:
            guard query.isEmpty else {
                throw UploadRefused(
                    "query parameter \"\(query[0].name)\": an archive brings its manifest as function.yaml; change it there"
                )
            }
            manifest = Manifest()
        }
        // Each may take the largest upload's room on the disk, and time to unpack.
        let (version, isNew) = try await uploads.holding("uploads") { [manifest] in
            let arrival = try await receive(request, context)
            return try await services.deployment.deploy(
                arrival, format: format, manifest: manifest, name: name, key: principal.keyID)
        }
        var response = try Response.json(FunctionDocument(version), status: isNew ? .created : .ok)
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
    private func receive(_ request: Request, _ context: GatewayContext) async throws -> BundleStore.Arrival {
        let limit = services.deployment.limits.maxUpload
        let tooLarge = Failure(
            .payloadTooLarge, "the upload is larger than \(ByteSize(bytes: limit)), this host's limit")
        if Self.length(request.headers) > limit { throw tooLarge }
        context.askForBody(of: request)
        let deployment = services.deployment
        let arrival = try await offload { try deployment.beginArrival() }
        do {
            var gathered = ByteBuffer()
            var total = 0
            for try await chunk in request.body {
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
