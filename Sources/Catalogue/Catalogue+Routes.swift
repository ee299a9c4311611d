package import FunctionModel
import Store

extension Catalogue {
    package static let maxRoutes = 20_000

    /// - Parameters:
    ///   - route: without its time.
    ///   - precondition: on the route as it is.
    /// - Returns: the route, and whether it is new.
    /// - Throws: `Failure` not_found for its function or alias, conflict with a twin, `PreconditionFailed`, or what the store says.
    package func put(
        _ route: Route, now: String, _ precondition: Precondition? = nil
    ) async throws -> (Route, isNew: Bool) {
        let snapshot = snapshot
        _ = try snapshot.resolve(route.reference)
        guard snapshot.routes[id: route.id] != nil || snapshot.routes.count < Self.maxRoutes else {
            throw Failure(.conflict, "there are \(Self.maxRoutes) routes, this host's limit; delete one first")
        }
        var route = route
        route.updatedAt = now
        let isNew = try await store.put(route, precondition) { [self, route] in change { $0.routes.put(route) } }
        return (route, isNew)
    }

    /// - Returns: false when there was none.
    /// - Throws: `PreconditionFailed`, or what the store says.
    package func removeRoute(_ id: String, _ precondition: Precondition? = nil) async throws -> Bool {
        try await store.removeRoute(id, precondition) { [self] in change { $0.routes.remove(id) } }
    }
}
