import Bundles
import Foundation
import FunctionModel
import Glibc
import HTTPTypes
import HostSystem
import Hummingbird
import Journal
import Logging
import NIOCore
import Store

/// A failure as RFC 9457 problem+json.
struct Problem: Encodable {
    private let title: String
    let status: Int
    private let invocationID: String?
    /// Nil where it is nobody's business.
    private let failure: Failure?
    private var retryAfter: Int?
    private var rate: RateState?
    /// What is told of the host's own.
    private var own: String?

    /// - Parameter isHolder: whether it is told to the holder of a token. What went wrong inside a function, or in starting
    ///   it, is nobody else's business.
    init(_ failure: Failure, status: Int? = nil, invocationID: String? = nil, isHolder: Bool = true) {
        let isTold = isHolder || !(failure.outcome.blame == .guest || failure.outcome == .launchFailed)
        title = isTold ? failure.outcome.title : "The function failed"
        self.status = status ?? failure.outcome.httpStatus
        self.invocationID = invocationID
        self.failure = isTold ? failure : nil
        retryAfter = failure.retryAfter
        rate = failure.rate
    }

    /// Of the host's own: no invocation's outcome, and so without one (RFC 9457, 4.2.1).
    static let ofTheHost = Problem(
        ofTheHost: 500, "the host failed in a way of its own; its log has the reason")

    private init(ofTheHost status: Int, _ detail: String) {
        own = detail
        title = "The host failed"
        self.status = status
        invocationID = nil
        failure = nil
    }

    private enum Keys: CodingKey {
        case type, title, status, detail, outcome, blame, retryable, invocationId
    }

    func encode(to encoder: any Encoder) throws {
        var own = encoder.container(keyedBy: Keys.self)
        try own.encode(title, forKey: .title)
        try own.encode(status, forKey: .status)
        try own.encodeIfPresent(invocationID, forKey: .invocationId)
        if let detail = self.own {
            try own.encode("about:blank", forKey: .type)
            try own.encode(detail, forKey: .detail)
            try own.encode(Outcome.Blame.host, forKey: .blame)
        }
        guard let failure else { return }
        let outcome = failure.outcome
        try own.encode("urn:bulkhead:outcome:\(outcome.rawValue)", forKey: .type)
        try own.encode(failure.detail, forKey: .detail)
        try own.encode(outcome, forKey: .outcome)
        try own.encode(outcome.blame, forKey: .blame)
        try own.encode(outcome.isRetryable, forKey: .retryable)
        try failure.members.encode(to: encoder)
    }

    func response() throws -> Response {
        Response(
            status: HTTPResponse.Status(code: status), headers: headers,
            body: ResponseBody(byteBuffer: try encoded()))
    }

    var headers: HTTPFields {
        var headers: HTTPFields = [.contentType: "application/problem+json"]
        if let retryAfter { headers[.retryAfter] = String(retryAfter) }
        if let rate {
            headers[.rateLimit] = rate.limit
            headers[.rateLimitPolicy] = rate.policy
        }
        if status == 401 { headers[.wwwAuthenticate] = "Bearer realm=\"bulkhead\"" }
        return headers
    }

    func encoded() throws -> ByteBuffer { ByteBuffer(bytes: try JSONEncoder.ours.encode(self)) }
}

extension JSONEncoder {
    /// As this API writes JSON.
    static var ours: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}

extension Response {
    /// A value as JSON.
    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let bytes = try JSONEncoder.ours.encode(value)
        return Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    /// With an ETag, which `Precondition` is compared with.
    func tagged(_ tag: String) -> Response {
        var response = self
        response.headers[.eTag] = "\"\(tag)\""
        return response
    }
}

/// Something of the host's own that whoever asks must know of.
struct HostFault: Error {
    let detail: String

    init(_ detail: String) { self.detail = detail }
}

/// Turns whatever a route throws into one kind of answer.
struct ProblemMiddleware: RouterMiddleware {
    let table: EndpointTable
    let journal: Journal

    @concurrent func handle(
        _ request: Request, context: GatewayContext,
        next: @concurrent (Request, GatewayContext) async throws -> Response
    ) async throws -> Response {
        var response = try await answer(request, context, next)
        // RFC 9110: these have no body. One that a function gave would be read as the connection's next response.
        if request.method == .head || [204, 205, 304].contains(response.status.code) { response.body = ResponseBody() }
        return response
    }

    private func answer(
        _ request: Request, _ context: GatewayContext,
        _ next: @concurrent (Request, GatewayContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPError where error.status == .notFound {
            return try unknownRoute(request)
        } catch {
            if let failure = error as? Failure { journal.refused(failure.outcome) }
            return try Problem.response(to: error, request, context)
        }
    }

    private func unknownRoute(_ request: Request) throws -> Response {
        let methods = table.methods(at: request.uri.path)
        guard !methods.isEmpty else {
            let detail = "there is nothing at \(request.uri.path); GET /openapi.json lists the routes"
            return try Problem(Failure(.notFound, detail)).response()
        }
        return try Problem.wrongMethod(request, methods)
    }
}

extension Problem {
    /// What is answered for whatever an endpoint throws.
    static func response(to error: any Error, _ request: Request, _ context: GatewayContext) throws -> Response {
        switch error {
        case let failure as Failure: return try Problem(failure).response()
        case let failed as PreconditionFailed:
            let there = failed.tag.map { "what is there has the ETag \"\($0)\"" } ?? "there is nothing"
            let failure = Failure(.conflict, "If-Match means something else: \(there); read it again, and decide anew")
            return try Problem(failure, status: 412).response()
        case let fault as HostFault: return try Problem(ofTheHost: 500, fault.detail).response()
        case let refused as UploadRefused: return try Problem(Failure(refused.cause, refused.description)).response()
        case let error as HTTPError:
            let cause: Failure.Cause = error.status == .contentTooLarge ? .payloadTooLarge : .invalidRequest
            let failure = Failure(cause, error.body ?? error.status.reasonPhrase)
            return try Problem(failure, status: error.status.code).response()
        default:
            context.logger.error("request failed", metadata: ["reason": "\(error)", "path": "\(request.uri.path)"])
            guard isNoRoom(error) else { return try Problem.ofTheHost.response() }
            return try Problem(.notStored, status: 507).response()
        }
    }

    /// Whether it was the disk that had no place.
    static func isNoRoom(_ error: any Error) -> Bool {
        if let error = error as? SystemError { return error.number == ENOSPC || error.number == EDQUOT }
        return (error as? any NoRoom)?.isNoRoom ?? false
    }

    /// There is something at the path, but not for this method.
    static func wrongMethod(_ request: Request, _ methods: [String]) throws -> Response {
        let failure = Failure(
            .invalidRequest,
            "\(request.method) is not served here; accepted: \(methods.joined(separator: ", "))")
        var response = try Problem(failure, status: 405).response()
        response.headers[.allow] = methods.joined(separator: ", ")
        return response
    }
}

extension Failure {
    /// RFC 4918, 11.5, has a status for it.
    fileprivate static var notStored: Failure {
        Failure(
            .overloaded(retryAfter: 10),
            "this cannot be stored: the disk of the host's data directory is full. Make room there, then send it again; what needs no disk goes on"
        )
    }
}
