import Access
import Catalogue
import FunctionModel
import HTTPTypes
import Hummingbird
import NIOCore
import WireText

/// Who may come to a function by HTTP, and by which of its names: `/fn/NAME/`, `/fn/NAME:ALIAS/` where that alias has a URL, or a route.
struct HTTPAdmission: Sendable {
    let services: Services

    /// Where a request has come to.
    struct Place {
        let reference: FunctionReference
        /// As the event tells it.
        let path: String
        var route: Route?
        var parameters: [String: String] = [:]

        var format: PayloadFormat { route?.payload ?? .v2 }
    }

    /// One that may come in.
    struct Admitted {
        var principal = Principal.anonymous
        var claims: Claims?
        /// What the body must still be found to be.
        var signature: HMACRule?
        /// The same, where it is signed as AWS does: then it is known whose it is.
        var claim: SignatureClaim?

        var isSigned: Bool { signature != nil || claim != nil }
    }

    /// A request at its place, and what was there at one moment: what says who may call it, and what is called, belong together.
    struct Visit: Sendable {
        let place: Place
        /// The invocation's.
        let id: String
        /// Nil where there is none.
        let served: FunctionVersion?
        /// What is said of who may come in beside the function's manifest.
        var url: FunctionURL?
    }

    func visit(_ request: Request, _ place: Place) -> Visit {
        let id = InvocationID.make(), snapshot = services.catalogue.snapshot
        let served = try? snapshot.resolve(place.reference) { Gateway.shareKey($0, request.headers, id) }
        guard place.route == nil else { return Visit(place: place, id: id, served: served) }
        let name = place.reference.name
        guard case .alias(let alias) = place.reference.qualifier else {
            let url = snapshot.url(of: name, FunctionVersion.latestLabel)
            return Visit(place: place, id: id, served: served, url: url)
        }
        // There is no other way to an alias than its URL.
        let url = snapshot.url(of: name, alias)
        return Visit(place: place, id: id, served: url == nil ? nil : served, url: url)
    }

    /// What a path names: `NAME`, or `NAME:ALIAS`.
    /// - Throws: `Failure` invalid_request.
    static func reference(_ text: String) throws(Failure) -> FunctionReference {
        let parts = text.utf8.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return FunctionReference(try Gateway.name(text)) }
        let alias = String(Substring(parts[1]))
        guard Alias.isName(alias) else {
            throw Failure(
                .invalidRequest, "\"\(printable(alias.prefix(bytes: 80)))\" is no alias; it must be \(Alias.nameRule)")
        }
        return FunctionReference(try Gateway.name(String(Substring(parts[0]))), .alias(alias))
    }

    static func nothing(at place: Place) -> Failure {
        guard place.route == nil else {
            return Failure(.notFound, "this route leads to a function or an alias that is not there any more")
        }
        let name = place.reference.name
        guard case .alias(let alias) = place.reference.qualifier else { return Snapshot.unknown(name) }
        return Failure(
            .notFound,
            "there is no function named \(name) with a URL for \"\(alias)\"; Lambda's CreateFunctionUrlConfig makes one"
        )
    }

    /// - Throws: `Failure` unauthorized, forbidden or throttled; `SignatureRefused`.
    func admit(_ request: Request, _ visit: Visit) async throws -> Admitted {
        let name = visit.place.reference.name
        // Open to all: an Authorization that is not this host's is the function's affair.
        func anybody() -> Admitted {
            Admitted(principal: (try? Gateway.authorize(request, .invoke, on: name, services)) ?? .anonymous)
        }
        // Without a token a caller does not even learn which functions there are.
        func holder() throws -> Admitted {
            Admitted(principal: try Gateway.authorize(request, .invoke, on: name, services))
        }
        guard let route = visit.place.route else {
            // What was said of the URL later wins over what an upload has said.
            let isOpen = visit.url?.isOpen ?? (visit.served?.manifest.auth == Manifest.Auth.none)
            if isOpen { return anybody() }
            if visit.url != nil, let claim = try claim(of: request) { return Admitted(claim: claim) }
            return try holder()
        }
        switch route.auth {
        case .none: return anybody()
        case .token: return try holder()
        case .jwt(let rule):
            let bearer = request.headers[.authorization].map { Bearer($0, longest: 9 << 10) }
            return Admitted(claims: try await services.access.claims(of: bearer, by: rule, for: route))
        case .hmac(let rule):
            try rule.require(HTTPField.Name(rule.header).flatMap { request.headers[$0] })
            return Admitted(signature: rule)
        }
    }

    // MARK: - Signed requests

    /// What a request says of its signature (AWS Signature Version 4); nil where it has none.
    /// - Throws: `SignatureRefused`.
    func claim(of request: Request) throws(SignatureRefused) -> SignatureClaim? {
        // In a header alone: an address that opens by itself would be the function's to see.
        guard let header = request.headers[.authorization], header.utf8.starts(with: "AWS4-HMAC-SHA256 ".utf8) else {
            return nil
        }
        return try services.access.claim(of: SignedRequest(request))
    }

    /// Who has signed a request, now that its body is there.
    /// - Throws: `SignatureRefused`; `Failure` unauthorized, forbidden or throttled.
    func principal(
        signing request: Request, _ claim: SignatureClaim, _ body: ByteBuffer, for name: FunctionName
    ) async throws -> Principal {
        let signed = try await SignedRequest(request).with(body: body)
        return try services.access.principal(services.access.key(signing: signed, claim), needing: .invoke, on: name)
    }
}
