import Access
import Catalogue
import FunctionModel
import HTTPTypes
import Hummingbird
import Journal
import LambdaAPI
import NIOCore

/// A function's URL, as Lambda's API makes them: `/fn/NAME/`, and `/fn/NAME:ALIAS/` for an alias.
extension FunctionHTTP {
    /// Answers as the function does, and what the host answers itself as URLs of AWS's do.
    func answer(_ request: Request, _ context: GatewayContext, atURL visit: Visit) async throws -> Response {
        guard let url = visit.url else { return try await answer(request, context, visit) }
        // As AWS has it: methods that nobody names are not allowed; what needs no asking is not asked for.
        if let cors = url.cors, let asked = Preflight(request) { return asked.answer(by: cors, own: "") }
        var response: Response
        do {
            response = try await answer(request, context, visit)
        } catch {
            response = try self.response(to: error, request, context, visit)
        }
        url.cors?.mark(&response.headers, origin: request.headers[.origin])
        return response
    }

    /// Whoever signs expects AWS's words, and so does whoever asks for a function that came by its API.
    private func response(
        to error: any Error, _ request: Request, _ context: GatewayContext, _ visit: Visit
    ) throws -> Response {
        if let refused = error as? SignatureRefused {
            services.journal.refused(.forbidden)
            return Response(LambdaAnswer(refusing: refused, id: visit.id))
        }
        guard let failure = error as? Failure else { return try Problem.response(to: error, request, context) }
        services.journal.refused(failure.outcome)
        let isAWS = visit.served.map { LambdaLabel.areOf($0.manifest) } ?? false
        if isAWS, visit.url?.isOpen == false, [.unauthorized, .forbidden].contains(failure.outcome) {
            return Response(LambdaAnswer(refusing: nil, id: visit.id))
        }
        return try Problem.response(to: error, request, context)
    }
}
