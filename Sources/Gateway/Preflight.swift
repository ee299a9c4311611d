import FunctionModel
import HTTPTypes
import Hummingbird
import WireText

/// A browser's question whether a page may send a request (https://fetch.spec.whatwg.org/#http-cors-protocol), answered for who would
/// take it; no function is asked, and no token either, since browsers send none here.
struct Preflight {
    let origin: String
    /// Of the request that is meant.
    let method: String

    /// Nil for any other request.
    init?(_ request: Request) {
        guard request.method == .options, let origin = request.headers[.origin],
            let method = request.headers[.accessControlRequestMethod], method.utf8.count <= 40
        else { return nil }
        (self.origin, self.method) = (origin, method)
    }

    /// - Parameter own: the method that is served; nil: any.
    func answer(by cors: CORSRule, own: String?) -> Response {
        var headers: HTTPFields = [:]
        cors.mark(&headers, origin: origin)
        if cors.takes(origin), cors.takes(method: method, own: own) {
            headers[.accessControlAllowMethods] = cors.methods.isEmpty ? method : cors.methods.joined(separator: ",")
            if !cors.headers.isEmpty {
                headers[.accessControlAllowHeaders] = cors.headers.joined(separator: ",")
            }
            headers[.accessControlMaxAge] = String(cors.maxAge)
        } else {
            // As API Gateway does: no refusal, but nothing that allows it either.
            headers[.accessControlAllowOrigin] = nil
        }
        return Response(status: .noContent, headers: headers)
    }
}

extension CORSRule {
    /// Says which page may read an answer. Whatever the function says of that does not count.
    func mark(_ headers: inout HTTPFields, origin: String?) {
        for name in Self.own { headers[name] = nil }
        let isForAll = origins.contains("*")
        if !isForAll { headers[values: .vary].append("Origin") }
        guard let origin, origin.utf8.count <= 500, origin.isASCII, takes(origin) else { return }
        headers[.accessControlAllowOrigin] = isForAll ? "*" : origin
        if credentials { headers[.accessControlAllowCredentials] = "true" }
        if !exposeHeaders.isEmpty {
            headers[.accessControlExposeHeaders] = exposeHeaders.joined(separator: ",")
        }
    }

    private static let own: [HTTPField.Name] = [
        .accessControlAllowOrigin, .accessControlAllowCredentials, .accessControlAllowHeaders,
        .accessControlAllowMethods, .accessControlExposeHeaders, .accessControlMaxAge,
    ]
}
