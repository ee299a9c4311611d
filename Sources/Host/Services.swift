package import Gateway

extension Supervisor {
    /// What the edges may ask for.
    package var services: Services {
        Services(
            catalogue: catalogue, access: access, deployment: deployment, invoker: invoker, journal: journal,
            events: events, sources: sources, secrets: secrets, budget: budget, maxEvent: options.maxEvent,
            unreadyReason: { self.unreadyReason },
            metrics: .init(token: options.metricsToken) { self.metricsText($0) })
    }
}
