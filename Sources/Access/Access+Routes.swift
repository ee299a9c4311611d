package import FunctionModel

extension Access {
    /// Takes one of a route's rate.
    /// - Throws: `Failure` throttled.
    package func take(of route: Route) throws(Failure) {
        guard let rate = route.rate, let refused = take(rate, ofRoute: route.id) else { return }
        throw Failure(
            beyond: refused,
            "the route \(route.pattern) takes \(rate) and has; the next one is taken in \(refused.secondsToNext) s")
    }

    /// What the token of a request says.
    /// - Parameters:
    ///   - bearer: nil where the request has none.
    ///   - route: whose tokens these are: its keys are prepared once for each state of it.
    /// - Throws: `Failure` unauthorized, or forbidden for a missing scope.
    package func claims(of bearer: Bearer?, by rule: JWTRule, for route: Route) async throws -> Claims {
        guard let token = bearer?.token else {
            throw Failure(.unauthorized, "this route needs an Authorization: Bearer header with a JSON Web Token")
        }
        switch rule.keys {
        case .given(let keys):
            let verifier = try await verifier(rule, for: route, set: nil) { keys }
            return try verifier.claims(of: token)
        case .url(let url):
            let set = try await keySets.set(at: url)
            let known = try await verifier(rule, for: route, set: set) { set.keys }
            guard known.lacksKey(for: token) else { return try known.claims(of: token) }
            let newer = try await keySets.set(at: url, lacking: set)
            return try await verifier(rule, for: route, set: newer) { newer.keys }.claims(of: token)
        }
    }

    /// Says what is wrong with a rule's keys before it is entered. A set that stands elsewhere is not fetched for it: whoever
    /// publishes it may come up later.
    /// - Throws: `Failure` invalid_request.
    package func check(_ rule: JWTRule) async throws {
        guard case .given(let keys) = rule.keys else { return }
        _ = try await JWTVerifier(rule, keys: keys, known: KnownTokens())
    }

    private func verifier(
        _ rule: JWTRule, for route: Route, set: KeySet?, keys: () -> [JSONWebKey]
    ) async throws -> JWTVerifier {
        if let verifier = verifier(of: route, rule, set) { return verifier }
        let verifier = try await JWTVerifier(rule, keys: keys(), isStrict: set == nil, known: knownTokens)
        enter(verifier, of: route, rule, set)
        return verifier
    }
}
