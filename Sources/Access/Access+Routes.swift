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
        return try await verifier(rule, for: route).claims(of: token)
    }

    /// Says what is wrong with a rule's keys before it is entered.
    /// - Throws: `Failure` invalid_request.
    package func check(_ rule: JWTRule) async throws {
        guard case .given(let keys) = rule.keys else {
            throw Failure(
                .invalidRequest, "jwt.jwks: this host fetches no keys yet; give the set itself, {\"keys\": […]}")
        }
        _ = try await JWTVerifier(rule, keys: keys, known: KnownTokens())
    }

    private func verifier(_ rule: JWTRule, for route: Route) async throws -> JWTVerifier {
        if let verifier = verifier(of: route, rule) { return verifier }
        guard case .given(let keys) = rule.keys else {
            throw Failure(.overloaded(retryAfter: 5), "the keys of this route's tokens cannot be had")
        }
        let verifier = try await JWTVerifier(rule, keys: keys, known: knownTokens)
        enter(verifier, of: route, rule)
        return verifier
    }
}
