package import Access
package import Catalogue
package import Deployment
package import Events
package import FunctionModel
package import Invoker
package import Journal

/// What the edges may ask for: each route is decoded, given to one of these, and what comes back is written down.
package struct Services: Sendable {
    let catalogue: Catalogue
    let access: Access
    let deployment: Deployment
    let invoker: Invoker
    let journal: Journal
    let events: Events
    let budget: MemoryBudget
    /// Bytes of an event.
    let maxEvent: Int
    let unreadyReason: @Sendable () -> String?
    let metricsText: @Sendable () -> String

    /// - Parameters:
    ///   - maxEvent: bytes of an event.
    ///   - unreadyReason: why no traffic should come here now; nil when all is well.
    ///   - metricsText: all metrics as of now, as Prometheus reads them.
    package init(
        catalogue: Catalogue, access: Access, deployment: Deployment, invoker: Invoker, journal: Journal,
        events: Events, budget: MemoryBudget, maxEvent: Int, unreadyReason: @escaping @Sendable () -> String?,
        metricsText: @escaping @Sendable () -> String
    ) {
        self.catalogue = catalogue
        self.access = access
        self.deployment = deployment
        self.invoker = invoker
        self.journal = journal
        self.events = events
        self.budget = budget
        self.maxEvent = maxEvent
        self.unreadyReason = unreadyReason
        self.metricsText = metricsText
    }
}
