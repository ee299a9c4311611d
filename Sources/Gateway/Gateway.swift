import Access
import Catalogue
import Foundation
import FunctionModel
import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdCore
import LambdaAPI
import Logging
import NIOCore
import WireText

/// The HTTP side of the host.
package struct Gateway: Sendable {
    let services: Services
    let watch = ClientWatch()
    let intake: EventIntake
    let names: HostNames
    let front: Front
    let lambda: Lambda

    /// Who may reach a listener.
    package enum Audience: Sendable {
        /// Everything is served.
        case all
        /// What changes the host, or shows what is in it, is served elsewhere.
        case clients
    }

    /// What a listener is.
    package struct Front: Sendable {
        package var audience = Audience.all
        /// `http` or `https`.
        package var scheme = "http"
        /// The name or address that is listened on.
        package var listener: String
        package var proxies = Proxies.none

        package init(listener: String) { self.listener = listener }
    }

    /// - Parameters:
    ///   - names: further names that requests may come for: see `HostNames`.
    package init(services: Services, front: Front, names: [String]) {
        self.services = services
        self.front = front
        lambda = Lambda(
            Lambda.Services(
                catalogue: services.catalogue, access: services.access, deployment: services.deployment,
                invoker: services.invoker, journal: services.journal, events: services.events,
                queues: services.queues, budget: services.budget, maxEvent: services.maxEvent,
                logger: Logger(label: "bulkhead")))
        intake = EventIntake(budget: services.budget, maxEvent: services.maxEvent)
        self.names = HostNames(listener: front.listener, configured: names)
    }

    var functionHTTP: FunctionHTTP {
        FunctionHTTP(services: services, intake: intake, watch: watch, front: front)
    }

    /// All that there is. A new route is one more of these, in the file that it belongs to.
    var endpoints: [Endpoint] {
        FunctionAPI(services: services).endpoints
            + InvocationAPI(services: services, intake: intake, watch: watch).endpoints
            + LogAPI(services: services).endpoints + KeyAPI(services: services, intake: intake).endpoints
            + AliasAPI(services: services, intake: intake).endpoints
            + DeadLetterAPI(services: services).endpoints
            + ScheduleAPI(services: services, intake: intake).endpoints
            + QueueAPI(services: services, intake: intake).endpoints
            + MappingAPI(services: services, intake: intake).endpoints
            + SecretAPI(services: services, intake: intake).endpoints
            + UsageAPI(services: services, intake: intake).endpoints
            + RouteAPI(services: services, intake: intake).endpoints + AuditAPI(services: services).endpoints
            + functionHTTP.endpoints + MetaAPI(services: services).endpoints
    }

    /// Whether requests for this name are answered: the host's own names, and those that routes ask for.
    func accepts(_ authority: String?) -> Bool {
        // Before anybody looks a name up, or compares it: see `HostileText`.
        if let authority, authority.utf8.count > 300 || !authority.isASCII { return false }
        return names.accepts(authority)
            || authority.map { services.catalogue.snapshot.routes.answers(for: HostNames.host(of: $0)) } ?? false
    }

    // MARK: - What several routes need

    /// Who asks.
    /// - Throws: `Failure` unauthorized or forbidden.
    static func authorize(
        _ request: Request, _ role: Principal.Role, on function: FunctionName? = nil, _ services: Services
    ) throws(Failure) -> Principal {
        try services.access.principal(request.headers[.authorization].map { Bearer($0) }, needing: role, on: function)
    }

    /// - Throws: `Failure` invalid_request.
    static func name(_ text: String) throws(Failure) -> FunctionName {
        guard let name = FunctionName(text) else {
            throw Failure(
                .invalidRequest, "\"\(text.prefix(bytes: 80))\" is no function name; it must be \(FunctionName.rule)")
        }
        return name
    }

    /// The query's parameters in order, decoded as forms encode them: `+` is a space.
    static func decodedQuery(of request: Request) -> [(name: String, value: String)] {
        (request.uri.query ?? "").split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            func decode(_ text: Substring) -> String {
                let spaced = text.replacing("+", with: " ")
                return String(spaced).removingPercentEncoding ?? String(spaced)
            }
            return (decode(parts[0]), parts.count > 1 ? decode(parts[1]) : "")
        }
    }
}
