package import Access
package import Catalogue
package import Deployment
package import Events
package import FunctionModel
package import Invoker
package import Journal
package import Queues
package import Secrets
package import Telemetry

/// What the edges may ask for: each route is decoded, given to one of these, and what comes back is written down.
package struct Services: Sendable {
    let catalogue: Catalogue
    let access: Access
    let deployment: Deployment
    let invoker: Invoker
    let journal: Journal
    let events: Events
    let sources: EventSources
    let secrets: Secrets
    let budget: MemoryBudget
    /// Bytes of an event.
    let maxEvent: Int
    let unreadyReason: @Sendable () -> String?
    let metrics: Metrics

    package struct Metrics: Sendable {
        /// All as of now, as Prometheus reads them.
        let text: @Sendable (MetricFormat) -> String
        /// What who reads them must show; nil: nothing.
        let token: String?

        package init(token: String?, text: @escaping @Sendable (MetricFormat) -> String) {
            (self.token, self.text) = (token, text)
        }
    }

    /// - Parameters:
    ///   - maxEvent: bytes of an event.
    ///   - unreadyReason: why no traffic should come here now; nil when all is well.
    package init(
        catalogue: Catalogue, access: Access, deployment: Deployment, invoker: Invoker, journal: Journal,
        events: Events, sources: EventSources, secrets: Secrets, budget: MemoryBudget, maxEvent: Int,
        unreadyReason: @escaping @Sendable () -> String?,
        metrics: Metrics
    ) {
        self.catalogue = catalogue
        self.access = access
        self.deployment = deployment
        self.invoker = invoker
        self.journal = journal
        self.events = events
        self.sources = sources
        self.secrets = secrets
        self.budget = budget
        self.maxEvent = maxEvent
        self.unreadyReason = unreadyReason
        self.metrics = metrics
    }
}

/// What runs functions of its own accord: by the clock, or because something waits for them.
package struct EventSources: Sendable {
    package let schedules: Schedules
    package let queues: Queues

    package init(schedules: Schedules, queues: Queues) { (self.schedules, self.queues) = (schedules, queues) }
}

extension Services {
    var schedules: Schedules { sources.schedules }
    var queues: Queues { sources.queues }
}
