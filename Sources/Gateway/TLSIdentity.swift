import Foundation
import Glibc
import HostSystem
package import Logging
import NIOCore
import NIOSSL
import ServiceLifecycle
import Synchronization

/// The certificate and key that a listener shows. They are read again when their files change, or when somebody asks; what cannot be
/// served leaves the old ones where they are, and is told.
package final class TLSIdentity: Service {
    package struct Files: Sendable {
        /// PEM: the certificate, and those that lead from it to a root.
        package var certificate: String
        /// PEM.
        package var key: String

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// Why an identity cannot be served.
    package struct Unusable: Error, CustomStringConvertible {
        package let description: String
    }

    private struct State {
        var context: NIOSSLContext
        var stamp: [Stamp]
    }
    private struct Stamp: Equatable {
        /// Where a link leads.
        var path: String
        var inode: Int?
        var changed: Date?
    }

    private let files: Files
    private let state: Mutex<State>
    private let logger: Logger
    private let asked: AsyncStream<Void>
    private let ask: AsyncStream<Void>.Continuation

    private static let grain = Duration.seconds(10)

    /// Blocks.
    /// - Parameter isRestart: whether it has been served before: then also when it has expired since.
    /// - Throws: `Unusable`.
    package init(_ files: Files, isRestart: Bool, logger: Logger) throws {
        self.files = files
        self.logger = logger
        let late = { (what: String) in logger.error("\(what); clients will refuse it") }
        state = Mutex(
            State(context: try Self.context(files, late: isRestart ? late : nil), stamp: Self.stamp(files)))
        (asked, ask) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// For the next connection.
    var context: NIOSSLContext { state.withLock { $0.context } }

    /// Has the files read again, changed or not.
    package func reload() { ask.yield() }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withDiscardingTaskGroup { tasks in
                tasks.addTask { for await _ in self.asked { await self.read(anyway: true) } }
                tasks.addTask {
                    while (try? await Task.sleep(for: Self.grain)) != nil { await self.read(anyway: false) }
                }
            }
        }
    }

    private func read(anyway: Bool) async {
        let (files, known) = (files, state.withLock { $0.stamp })
        // As the files were before they were read: they may be half changed.
        let found = try? await offload { () -> (stamp: [Stamp], context: Result<NIOSSLContext, any Error>)? in
            let stamp = Self.stamp(files)
            return anyway || stamp != known ? (stamp, Result { try Self.context(files) }) : nil
        }
        guard let (stamp, context) = found ?? nil else { return }
        switch context {
        case .success(let context):
            state.withLock { $0 = State(context: context, stamp: stamp) }
            logger.notice("the certificate was read again", metadata: ["file": "\(files.certificate)"])
        case .failure(let error):
            // Said once: the same files are not looked at again before they change.
            state.withLock { $0.stamp = stamp }
            logger.error(
                "the certificate cannot be read again; the old one stays",
                metadata: ["file": "\(files.certificate)", "reason": "\(error)"])
        }
    }

    private static func stamp(_ files: Files) -> [Stamp] {
        [files.certificate, files.key].map { path in
            let path = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
            let found = try? FileManager.default.attributesOfItem(atPath: path)
            return Stamp(
                path: path, inode: found?[.systemFileNumber] as? Int, changed: found?[.modificationDate] as? Date)
        }
    }

    /// - Parameter late: told that it has expired, and is served all the same; nil: then it is not.
    private static func context(_ files: Files, late: ((String) -> Void)? = nil) throws -> NIOSSLContext {
        let chain: [NIOSSLCertificate], key: NIOSSLPrivateKey
        let (certificateBytes, keyBytes) = (try bytes(of: files.certificate), try bytes(of: files.key))
        do {
            chain = try NIOSSLCertificate.fromPEMBytes(certificateBytes)
        } catch {
            throw Unusable(description: "\(files.certificate) holds no certificate in PEM: \(error)")
        }
        do {
            key = try NIOSSLPrivateKey(bytes: keyBytes, format: .pem)
        } catch {
            throw Unusable(description: "\(files.key) holds no private key in PEM, or one with a password: \(error)")
        }
        guard let own = chain.first else {
            throw Unusable(description: "\(files.certificate) holds no certificate in PEM")
        }
        let now = Int(time(nil))
        if now >= own.notValidAfter {
            let what = "the certificate in \(files.certificate) has expired"
            guard let late else { throw Unusable(description: what) }
            late(what)
        }
        guard now >= own.notValidBefore else {
            throw Unusable(description: "the certificate in \(files.certificate) is not valid yet")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.cipherSuiteValues = [
            .TLS_AES_128_GCM_SHA256, .TLS_AES_256_GCM_SHA384, .TLS_CHACHA20_POLY1305_SHA256,
            .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ]
        configuration.applicationProtocols = ["h2", "http/1.1"]
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw Unusable(
                description:
                    "the certificate in \(files.certificate) and the key in \(files.key) do not belong together: \(error)"
            )
        }
    }

    private static func bytes(of path: String) throws(Unusable) -> [UInt8] {
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path)) else {
            throw Unusable(
                description:
                    "\(path) cannot be read by uid \(geteuid()), which serves; make it readable, or start the host again"
            )
        }
        guard data.count <= 1 << 20 else { throw Unusable(description: "\(path) is larger than 1 MiB") }
        return Array(data)
    }
}
