import Catalogue
import Foundation
import FunctionModel
import HTTPTypes
import Hummingbird
import NIOCore
import Supervisor
import WorkerPool
import WorkerProtocol

extension Gateway {
    func addHTTPEventRoutes(to router: Router<GatewayContext>) {
        for method in [HTTPRequest.Method.get, .post, .put, .patch, .delete, .head, .options] {
            router.on("/fn/:name", method: method) { request, context in try await answer(request, context) }
            router.on("/fn/:name/**", method: method) { request, context in try await answer(request, context) }
        }
    }

    private func answer(_ request: Request, _ context: GatewayContext) async throws -> Response {
        let name = try name(context)
        var headers = request.headers
        if let served = host.catalogue.snapshot.latest(name), served.manifest.auth == .none {
            // Open to all: whatever Authorization says is the function's affair.
        } else {
            // Without a token a caller does not even learn which functions there are.
            try authorize(request, .invoke)
            headers[.authorization] = nil  // the host's token is not the function's to see
        }
        let version = try host.version(of: name, number: nil, alias: nil)
        let id = Self.makeID()
        let body = try await body(of: request)
        let prefix = "/fn/\(name)"
        let path = request.uri.path.hasPrefix(prefix) ? String(request.uri.path.dropFirst(prefix.count)) : ""
        let event = HTTPEvent(
            .init(
                method: request.method.rawValue, path: path.isEmpty ? "/" : path, query: request.uri.query ?? "",
                parameters: decodedQuery(of: request),
                authority: request.head.authority ?? "", headers: headers, body: body,
                clientAddress: context.channel.remoteAddress?.ipAddress ?? "", invocationID: id, function: name,
                now: Date()))
        let encoded = ByteBuffer(bytes: try JSONEncoder().encode(event))
        let completion = await watch.watching(context.channel) { cancellation in
            await host.invoke(
                version, id: id, event: encoded, traceparent: traceparent(request), cancellation: cancellation)
        }
        var response: Response
        var outcome = completion.outcome
        switch Self.answer(of: completion) {
        case .success(let answer):
            response = Response(
                status: HTTPResponse.Status(code: answer.status), body: ResponseBody(byteBuffer: answer.body))
            for (name, value) in answer.headers { response.headers.append(HTTPField(name: name, value: value)) }
        case .failure(let failure):
            outcome = failure.outcome
            response = try Problem(failure, invocationID: id).response(retryAfter: failure.retryAfter)
        }
        Self.describe(completion, id: id, version: version, in: &response.headers)
        response.headers[.bulkheadOutcome] = outcome.rawValue
        return response
    }

    private static func answer(of completion: Completion) -> Result<HTTPEventAnswer, Failure> {
        completion.result.flatMap { output in
            Result { () throws(Failure) in try HTTPEventAnswer(result: output.body, kind: output.kind) }
        }
    }
}
