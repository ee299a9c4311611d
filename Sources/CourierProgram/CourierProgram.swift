import CHostSystem
import Courier
import Dispatch
import Foundation
package import FunctionModel
import Glibc
import HostSystem
import NIOSSL
import Sandbox
import Synchronization
import WireText

/// The process that makes the host's outgoing requests. It is handed bounded errands by the supervisor, reads what strangers answer,
/// and has nothing that is worth taking: no data directory, no key, no right.
///
/// Started by the guardian when there is an errand; leaves when there was none for a minute.
package final class CourierProgram: Sendable {
    package struct Options: Sendable {
        /// Where errands come from.
        package var socket: Int32
        /// Whose death is its own.
        package var guardian: Int32
        /// Whom it becomes where it is root: nobody else's uid.
        package var uid: UInt32
        /// Addresses that may be connected to although they are not the world's.
        package var allowed = AddressRanges.none
        /// A PEM file of certificates to be trusted beside the machine's own.
        package var authorities: String?
        /// Where traces go: one URL that may be anywhere.
        package var traces: String?

        package init(socket: Int32, guardian: Int32, uid: UInt32) {
            self.socket = socket
            self.guardian = guardian
            self.uid = uid
        }
    }

    package struct CannotRun: Error, CustomStringConvertible {
        package let description: String
    }

    /// Errands at once; others are told so.
    private static let maxRunning = 64
    private static let idle: Duration = .seconds(60)

    private let exchange: Exchange
    private let socket: Int32
    private let running = Atomic(0)
    private let room = DispatchSemaphore(value: maxRunning)

    /// Serves until it is idle. Call while this process has one thread.
    /// - Throws: `CannotRun`.
    package static func run(_ options: Options) throws {
        // What ends the host ends this with it: the guardian sees to that.
        for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_IGN) }
        _ = fcntl(options.socket, F_SETFD, FD_CLOEXEC)
        // Read as whoever has started the host.
        let authorities: [NIOSSLCertificate]
        do {
            authorities = try options.authorities.map { try NIOSSLCertificate.fromPEMFile($0) } ?? []
        } catch {
            throw CannotRun(description: "outgoingCA: \(options.authorities ?? "") cannot be read: \(error)")
        }
        let exchange = Exchange(
            rules: AddressRules(allowing: options.allowed), authorities: authorities, named: options.traces)
        try confine(options)
        let program = CourierProgram(exchange: exchange, socket: options.socket)
        program.serve()
    }

    private init(exchange: Exchange, socket: Int32) {
        self.exchange = exchange
        self.socket = socket
    }

    // MARK: - Confinement

    /// Read for what libraries load late: name services and where they are configured, certificates, the number of cores.
    private static let readable = [
        "/usr", "/lib", "/lib64", "/etc", "/proc", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/run/systemd/resolve",
        "/run/resolvconf", "/run/NetworkManager", "/dev/urandom",
    ]

    private static func confine(_ options: Options) throws {
        if geteuid() == 0 {
            let error = bh_become(options.uid, options.uid)
            guard error == 0 else { throw CannotRun(description: "root cannot be given up: \(errnoName(error))") }
        }
        // A change of identity has undone what the guardian set, prctl(2).
        guard bh_die_with_parent(options.guardian) == 0 else { throw CannotRun(description: "the guardian has gone") }
        guard bh_thread_count() == 1 else { throw CannotRun(description: "it has more than one thread already") }
        let names = readable.map { strdup($0) }
        defer { for name in names { free(name) } }
        let reach = names.compactMap { name in name.map { bh_reach(path: $0, writes: 0) } }
        let error = bh_restrict_reach(reach, Int32(reach.count), true)
        // Without Landlock the host itself has said what to do about it.
        guard [0, ENOSYS, EOPNOTSUPP].contains(error) else {
            throw CannotRun(description: "its files cannot be restricted: \(errnoName(error))")
        }
        let filter = try SeccompFilter.courier().program
        let installed = filter.withUnsafeBytes {
            $0.baseAddress.map { bh_install_filter($0, UInt16(filter.count / 8)) }
        }
        guard installed == 0 else {
            throw CannotRun(description: "its system call filter is refused: \(errnoName(installed ?? EINVAL))")
        }
    }

    // MARK: - Errands

    private func serve() {
        while true {
            var waiting = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            let count = poll(&waiting, 1, Int32(Self.idle / .milliseconds(1)))
            // What comes in the meantime waits in the socket, for another.
            if count == 0, running.load(ordering: .acquiring) == 0 { return }
            guard count > 0 else { continue }
            guard let (head, body) = receivePacket(from: socket) else { return }
            guard let packet = try? JSONDecoder().decode(ErrandPacket.self, from: head) else { continue }
            guard let errand = packet.errand(body: body) else {
                tell(AnswerPacket(id: packet.id, .failure(Errand.Failed("the errand is none that may be run"))), [])
                continue
            }
            guard room.wait(timeout: .now()) == .success else {
                tell(AnswerPacket(id: packet.id, .failure(Errand.Failed("the courier has its hands full"))), [])
                continue
            }
            running.wrappingAdd(1, ordering: .acquiringAndReleasing)
            Task { [self] in
                let result: Result<Errand.Answer, Errand.Failed>
                do throws(Errand.Failed) {
                    result = .success(try await exchange.answer(to: errand))
                } catch {
                    result = .failure(error)
                }
                var packet = AnswerPacket(id: packet.id, result)
                packet.headers = packet.headers.filter { $0[0].isASCII }
                tell(packet, (try? result.get())?.body ?? [])
                running.wrappingSubtract(1, ordering: .acquiringAndReleasing)
                room.signal()
            }
        }
    }

    /// Does not wait where the supervisor takes nothing: it has given the errand up by then.
    private func tell(_ packet: AnswerPacket, _ body: [UInt8]) {
        do {
            let head = try JSONEncoder().encode(packet)
            let file = body.isEmpty ? nil : try SealedFile(name: "bulkhead-answer", bytes: body)
            _ = sendPacket(head, file, over: socket)
        } catch {
            _ = try? sendPacket(
                JSONEncoder().encode(AnswerPacket(id: packet.id, .failure(Errand.Failed("\(error)")))), nil,
                over: socket)
        }
    }
}
