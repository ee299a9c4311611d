package import FunctionModel
import Store
import WireText

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
        if precondition == nil, let old = snapshot.routes[id: route.id], old.isSame(as: route) { return (old, false) }
        guard snapshot.routes[id: route.id] != nil || snapshot.routes.count < Self.maxRoutes else {
            throw Failure(.conflict, "there are \(Self.maxRoutes) routes, this host's limit; delete one first")
        }
        var route = route
        route.updatedAt = now
        let isNew = try await store.put(route, precondition) { [self, route] in change { $0.routes.put(route) } }
        return (route, isNew)
    }

    /// What `put` would do.
    /// - Throws: as `put`, but for what the store says.
    package func change(of route: Route) throws -> Change {
        let snapshot = snapshot
        _ = try snapshot.resolve(route.reference)
        if let twin = snapshot.routes.twin(of: route) {
            throw Failure(.conflict, "the route \"\(twin.id)\" (\(twin.pattern)) answers the same requests")
        }
        guard let old = snapshot.routes[id: route.id] else { return .new }
        return old.isSame(as: route) ? .none : .changed
    }

    /// - Returns: false when there was none.
    /// - Throws: `PreconditionFailed`, or what the store says.
    package func removeRoute(_ id: String, _ precondition: Precondition? = nil) async throws -> Bool {
        try await store.removeRoute(id, precondition) { [self] in change { $0.routes.remove(id) } }
    }
}
