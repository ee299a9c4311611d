import Bundles
import Foundation
import FunctionModel
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// A failure as RFC 9457 problem+json.
struct Problem: Encodable {
    var type: String?
    let title: String
    let status: Int
    var detail: String?
    var outcome: Outcome?
    var blame: Outcome.Blame?
    var retryable: Bool?
    var invocationId: String?
    var error: Failure.HandlerError?
    var exitCode: Int?
    var signal: String?
    var syscall: String?
    var arguments: [String]?
    var grant: String?
    var limit: String?
    var stage: String?
    var errno: String?
    var stdout: String?
    var log: String?

    /// - Parameter isHolder: whether it is told to the holder of a token. What went wrong inside a function, or in starting
    ///   it, is nobody else's business.
    init(_ failure: Failure, status: Int? = nil, invocationID: String? = nil, isHolder: Bool = true) {
        let isTold = isHolder || !(failure.outcome.blame == .guest || failure.outcome == .launchFailed)
        title = isTold ? failure.outcome.title : "The function failed"
        self.status = status ?? failure.outcome.httpStatus
        invocationId = invocationID
        guard isTold else { return }
        type = "urn:bulkhead:outcome:\(failure.outcome.rawValue)"
        detail = failure.detail
        outcome = failure.outcome
        blame = failure.outcome.blame
        retryable = failure.outcome.isRetryable
        error = failure.error
        exitCode = failure.exitCode
        signal = failure.signal
        syscall = failure.syscall
        arguments = failure.arguments
        grant = failure.grant
        limit = failure.limit
        stage = failure.stage
        errno = failure.errno
        stdout = failure.stdout
        log = failure.log
    }

    func response(retryAfter: Int?) throws -> Response {
        Response(
            status: HTTPResponse.Status(code: status), headers: headers(retryAfter: retryAfter),
            body: ResponseBody(byteBuffer: try encoded()))
    }

    func headers(retryAfter: Int?) -> HTTPFields {
        var headers: HTTPFields = [.contentType: "application/problem+json"]
        if let retryAfter { headers[.retryAfter] = String(retryAfter) }
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
}

/// Turns whatever a route throws into one kind of answer.
struct ProblemMiddleware: RouterMiddleware {
    let table: EndpointTable

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
        } catch let failure as Failure {
            return try Problem(failure).response(retryAfter: failure.retryAfter)
        } catch let refused as UploadRefused {
            return try Problem(Failure(refused.outcome, refused.description)).response(retryAfter: nil)
        } catch let error as HTTPError where error.status == .notFound {
            return try unknownRoute(request)
        } catch let error as HTTPError {
            let outcome: Outcome = error.status == .contentTooLarge ? .payloadTooLarge : .invalidRequest
            let failure = Failure(outcome, error.body ?? error.status.reasonPhrase)
            return try Problem(failure, status: error.status.code).response(retryAfter: nil)
        } catch {
            context.logger.error("request failed", metadata: ["reason": "\(error)", "path": "\(request.uri.path)"])
            let failure = Failure(.overloaded, "the host failed in a way of its own; its log has the reason")
            return try Problem(failure, status: 500).response(retryAfter: nil)
        }
    }

    private func unknownRoute(_ request: Request) throws -> Response {
        let methods = table.methods(at: request.uri.path)
        guard !methods.isEmpty else {
            let detail = "there is nothing at \(request.uri.path); GET /openapi.json lists the routes"
            return try Problem(Failure(.notFound, detail)).response(retryAfter: nil)
        }
        let failure = Failure(
            .invalidRequest, "\(request.method) is not served here; accepted: \(methods.joined(separator: ", "))")
        var response = try Problem(failure, status: 405).response(retryAfter: nil)
        response.headers[.allow] = methods.joined(separator: ", ")
        return response
    }
}
