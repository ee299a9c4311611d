import ArgumentParser
import Gateway
import Host
import Logging
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// Of what `serve` shows to clients: encrypted, or in clear where only this machine hears it.
struct TLSOptions: ParsableArguments {
    @Option(
        name: .customLong("tls-certificate"),
        help: "PEM file with the certificate and those that lead to its root: serve HTTPS, HTTP/2 too.")
    var certificate: String?

    @Option(name: .customLong("tls-key"), help: "PEM file with the certificate's key.")
    var key: String?

    @Flag(
        name: .customLong("insecure-http"),
        help: "Listen beyond this machine without TLS, where something in front encrypts.")
    var insecureHttp = false
}

/// Where clients come in: one listener for all, or one for clients and one for whoever runs the host.
struct Front {
    private struct Entry {
        let address: ListenAddress
        let socket: Int32
        let identity: TLSIdentity?
        let audience: Gateway.Audience

        var scheme: String { identity == nil ? "http" : "https" }
    }

    private let entries: [Entry]
    private let identity: TLSIdentity?

    /// - Throws: `CommandFailure` for one without the other.
    static func files(_ tls: ServeSettings.TLS) throws -> TLSIdentity.Files? {
        switch (tls.certificate, tls.key) {
        case (let certificate?, let key?): return TLSIdentity.Files(certificate: certificate, key: key)
        case (nil, nil): return nil
        default: throw CommandFailure("--tls-certificate and --tls-key go together", .usage)
        }
    }

    /// Blocks.
    /// - Throws: `CommandFailure` for a socket that strangers could listen to, or a certificate that cannot be served.
    init(
        _ addresses: [ListenAddress], _ guardian: Guardian, certificate: TLSIdentity.Files?, isInsecureAllowed: Bool,
        logger: Logger
    ) throws {
        do {
            identity = try certificate.map { try TLSIdentity($0, isRestart: guardian.restarts > 0, logger: logger) }
        } catch let error as TLSIdentity.Unusable {
            throw CommandFailure("TLS: \(error)", .usage)
        }
        var entries: [Entry] = []
        for (index, (address, socket)) in zip(addresses, guardian.sockets).enumerated() {
            let isAdmin = index > 0, isLocal = ListenAddress.isLocal(socket: socket)
            guard isLocal || identity != nil || isInsecureAllowed else {
                throw CommandFailure(
                    "\(isAdmin ? "--admin-listen" : "--listen") \(try address.numeric): other machines reach it, and tokens would go there in clear; give --tls-certificate and --tls-key, or --insecure-http where something in front encrypts",
                    .usage)
            }
            entries.append(
                Entry(
                    address: address, socket: socket, identity: isAdmin && isLocal ? nil : identity,
                    audience: addresses.count > 1 && !isAdmin ? .clients : .all))
        }
        self.entries = entries
    }

    /// - Parameter serving: told both URLs, which may be one, once connections are taken.
    func listeners(
        for host: Supervisor, names: [String], proxies: Proxies, logger: Logger,
        serving: @escaping @Sendable (String, String) -> Void
    ) -> [any Service] {
        let both = Serving(count: entries.count, serving)
        var services: [any Service] = entries.enumerated().map { index, entry in
            var front = Gateway.Front(listener: entry.address.name)
            (front.audience, front.scheme, front.proxies) = (entry.audience, entry.scheme, proxies)
            let gateway = Gateway(services: host.services, front: front, names: names)
            let (address, scheme) = (entry.address, entry.scheme)
            return Listener(
                gateway, socket: entry.socket, identity: entry.identity,
                group: MultiThreadedEventLoopGroup.singleton, logger: logger
            ) { port in
                await both.serves(index, address.url(scheme, port: port))
            }
        }
        if let identity { services.insert(IdentityReload(identity: identity), at: 0) }
        if let identity { services.insert(identity, at: 0) }
        return services
    }

    /// Waits for all.
    private actor Serving {
        private var urls: [Int: String] = [:]
        private let count: Int
        private let told: @Sendable (String, String) -> Void

        init(count: Int, _ told: @escaping @Sendable (String, String) -> Void) {
            self.count = count
            self.told = told
        }

        func serves(_ index: Int, _ url: String) {
            urls[index] = url
            guard urls.count == count, let first = urls[0], let last = urls[count - 1] else { return }
            told(first, last)
        }
    }
}

/// SIGHUP: the certificate is read again.
private struct IdentityReload: Service {
    let identity: TLSIdentity

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await _ in await UnixSignalsSequence(trapping: .sighup) { identity.reload() }
        }
    }
}
