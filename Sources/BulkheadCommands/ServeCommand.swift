import Access
import ArgumentParser
import CHostSystem
import CoreMetrics
import Courier
import CourierProgram
import Deployment
import Events
import Foundation
import FunctionModel
import Gateway
import Glibc
import Host
import HostSystem
import Journal
import Logging
import NIOPosix
import Queues
import Secrets
import ServiceLifecycle
import Telemetry
import Tracing
import UnixSignals

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serves functions over HTTP until SIGTERM, which drains and exits 0.")

    @Option(help: "HOST:PORT to listen on, or unix:PATH; port 0 picks one. Default: 127.0.0.1:8080.")
    var listen: String?

    @Option(
        name: .customLong("admin-listen"),
        help: "Serve all that is for admins and deployers there, and only clients' requests on --listen.")
    var adminListen: String?

    @OptionGroup var tls: TLSOptions

    @Option(help: "Data directory. Default: /var/lib/bulkhead as root, else ~/.local/share/bulkhead.")
    var data: String?

    @Option(help: "YAML file; `bulkhead config show` lists its keys.")
    var config: String?

    @Option(
        name: .customLong("allow-degraded"),
        help: "Serve although this layer is missing: memory, processes, cpu or landlock. May be repeated.")
    var allowDegraded: [String] = []

    @Option(
        name: .customLong("secrets-key"),
        help: "File with the key of stored secrets. Default: secrets.key in the data directory.")
    var secretsKey: String?

    @Option(name: .customLong("metrics-token"), help: "Ask those who read /metrics for this bearer token.")
    var metricsToken: String?

    @Option(help: "URL of who collects traces, over OTLP/HTTP, such as http://127.0.0.1:4318.")
    var otlp: String?

    @Option(name: .customLong("log-level"), help: "trace, debug, info, notice, warning or error.")
    var logLevel: String?

    /// Those that were given.
    private var given: [String: String] {
        let all = [
            "listen": listen, "adminListen": adminListen, "tlsCertificate": tls.certificate, "tlsKey": tls.key,
            "insecureHttp": tls.insecureHttp ? "true" : nil, "data": data, "logLevel": logLevel,
            "secretsKey": secretsKey, "metricsToken": metricsToken, "otlp": otlp,
            "allowDegraded": allowDegraded.isEmpty ? nil : allowDegraded.joined(separator: ","),
        ]
        return all.compactMapValues { $0 }
    }

    func run() throws {
        bh_bound_heap()
        let settings = try Configured(options: given, file: config.map(ConfigurationFile.init(path:))).settings
        if let errands = Guardian.errands { return try Self.goOut(errands, settings) }
        let addresses = try [settings.listen, settings.adminListen].compactMap { try $0.map { try ListenAddress($0) } }
        let certificate = try Front.files(settings.tls)
        let degraded = try Set(settings.allowDegraded.map(DegradableLayer.init(named:)))
        guard let level = Logger.Level(rawValue: settings.logLevel) else {
            throw CommandFailure("--log-level \(settings.logLevel) is no level", .usage)
        }
        var hostOptions = settings.host
        hostOptions.traces = settings.outgoing.traces
        let directory = DataDirectory(settings.storage.data)
        guard let guardian = Guardian.own else {
            // Said here, before there is anything to guard.
            try directory.requireOwner(
                geteuid() == 0 ? [0, settings.cells.firstUid] : [geteuid()])
            try Guardian.become(listening: addresses)
        }
        signal(SIGHUP, SIG_IGN)
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        let logger = Logger(label: "bulkhead")
        // Read as whoever has started this: the key may be root's alone.
        let front = try Front(
            addresses, guardian, certificate: certificate, isInsecureAllowed: settings.tls.insecureHttp, logger: logger)
        let secretKey = try Self.secretKey(settings.storage.secretsKey)
        var options = Foundations.Options()
        options.degraded = degraded
        options.confines = true
        options.guardian = guardian.pid
        options.hostMemory = settings.maxHostMemory
        options.totalMemory = hostOptions.deployment.memoryBudget
        options.roots = settings.roots
        options.readable = [certificate?.certificate, certificate?.key].compactMap { $0 }
        options.firstUID = settings.cells.firstUid
        options.readyCells = settings.cells.readyCells
        let foundations = try Foundations(data: directory, options: options, logger: logger)
        try foundations.require(allowing: degraded)
        let courier = guardian.courier.map { Courier(OwnedDescriptor(owning: $0)) }
        let host = try foundations.host(options: hostOptions, courier: courier, secretKey: secretKey, logger: logger)
        MetricsSystem.bootstrap(RegistryMetrics(host.journal.metrics))
        // What libraries would tell joins; none does unasked: Hummingbird's middleware is not in use, and the client whose
        // requests are spans is the courier's, another process.
        if hostOptions.traces != nil { InstrumentationSystem.bootstrap(host.journal.traces.tracer) }
        let inside = DataDirectory(foundations.path)
        do {
            try blocking {
                try await Self.serve(
                    host, logs: foundations.logArchive, for: guardian, front, names: settings.clients.hosts,
                    proxies: settings.clients.proxies,
                    in: inside,
                    logger: logger)
            }
        } catch {
            host.stop()
            throw error
        }
        unlink(inside.endpointFile)
        host.stop()
    }

    private static func secretKey(_ file: String?) throws -> SecretKey? {
        guard let file else { return nil }
        do {
            guard let key = try SecretKey(file: file) else {
                throw CommandFailure("the secrets' key \(file) is missing; `openssl rand -base64 32` makes one", .usage)
            }
            return key
        } catch let unusable as SecretKey.Unusable {
            throw CommandFailure("\(unusable)", .usage)
        }
    }

    /// As the courier, which the guardian starts with the same arguments.
    private static func goOut(_ errands: (socket: Int32, guardian: Int32), _ settings: ServeSettings) throws {
        // Beyond the cells' uids, which follow the host's own.
        var options = CourierProgram.Options(
            socket: errands.socket, guardian: errands.guardian, uid: settings.cells.firstUid + 999_999)
        options.allowed = settings.outgoing.allowed
        options.authorities = settings.outgoing.authorities
        options.traces = settings.outgoing.traces?.text
        do {
            try CourierProgram.run(options)
        } catch {
            throw CommandFailure("the courier cannot run: \(error)")
        }
    }

    private static func serve(
        _ host: Supervisor, logs: LogArchive, for guardian: Guardian, _ front: Front, names: [String], proxies: Proxies,
        in data: DataDirectory, logger: Logger
    ) async throws {
        try await makeAdminToken(for: host, in: data)
        let listeners = front.listeners(for: host, names: names, proxies: proxies, logger: logger) { url, adminURL in
            do {
                try writePrivately(adminURL, to: data.endpointFile)
            } catch {
                logger.warning("clients cannot find this host by its data directory", metadata: ["reason": "\(error)"])
            }
            host.warmUp()
            guardian.tellServing()
            guard guardian.restarts == 0 else {
                return logger.notice("serving again", metadata: ["restarts": "\(guardian.restarts)"])
            }
            // Not print(): a script that waits for this line must get it at once, also through a pipe.
            let admin = adminURL == url ? "" : "bulkhead: for admins on \(adminURL)\n"
            try? FileHandle.standardOutput.write(contentsOf: Data("\(admin)bulkhead: listening on \(url)\n".utf8))
        }
        // Ended in reverse: first nothing new is taken, then what runs is finished, then what waits.
        var configuration = ServiceGroupConfiguration(
            services: [
                .init(service: BundleCollection(host.deployment, logger: logger)),
                .init(service: KeyUseWriter(host.access, logger: logger)),
                .init(service: LogWriter(host.journal.logs, logs, logger: logger)),
                .init(service: TraceWriter(host.journal.traces, logger: logger)),
                .init(service: UsageWriter(host.journal.usage, logger: logger)),
                .init(service: EventRunner(host.events)), .init(service: ScheduleRunner(host.sources.schedules)),
                .init(service: MappingRunner(host.sources.queues)),
            ] + listeners.map { .init(service: $0) } + [.init(service: DrainService(host: host))],
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        // The longest invocation there can be; a client that dawdles over its request must not hold up the end for ever.
        configuration.maximumGracefulShutdownDuration = .seconds(905)
        let group = ServiceGroup(configuration: configuration)
        do {
            try await group.run()
        } catch {
            throw CommandFailure("the server ended: \(error)")
        }
    }

    /// The first start makes the token; later ones read it.
    private static func makeAdminToken(for host: Supervisor, in data: DataDirectory) async throws {
        // A token that is in the file but not in a catalogue that knows others was revoked, and stays so.
        if let token = data.token {
            if host.access.key(for: token) == nil, host.access.hasKeys { return }
            _ = try await host.access.enterAdmin(token)
        } else {
            try writePrivately(try await host.access.enterAdmin(), to: data.tokenFile)
        }
    }
}

/// Tells the host to take nothing new as soon as the end is asked for.
private struct DrainService: Service {
    let host: Supervisor

    func run() async throws {
        try? await gracefulShutdown()  // it throws only when this task is cancelled, which ends the host too
        host.drain()
    }
}
