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

    private struct NotRead: Error {
        var stamp: [Stamp]
        var reason: String
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
        state = Mutex(State(context: try Self.context(files, evenLate: isRestart), stamp: Self.stamp(files)))
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
        let result: Result<State, any Error>? = try? await offload {
            let stamp = Self.stamp(files)
            guard anyway || stamp != known else { return Result<State, any Error>?.none }
            return Result { try Self.context(files) }.map { State(context: $0, stamp: stamp) }.mapError {
                NotRead(stamp: stamp, reason: "\($0)")
            }
        }
        switch result {
        case .success(let new)?:
            state.withLock { $0 = new }
            logger.notice("the certificate was read again", metadata: ["file": "\(files.certificate)"])
        case .failure(let error)?:
            // Said once: the same files are not looked at again before they change. As they were before they were read: they may
            // be half changed.
            if let failed = error as? NotRead { state.withLock { $0.stamp = failed.stamp } }
            logger.error(
                "the certificate cannot be read again; the old one stays",
                metadata: ["file": "\(files.certificate)", "reason": "\((error as? NotRead)?.reason ?? "\(error)")"])
        case nil: break
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

    private static func context(_ files: Files, evenLate: Bool = false) throws -> NIOSSLContext {
        let chain: [NIOSSLCertificate], key: NIOSSLPrivateKey
        do {
            chain = try NIOSSLCertificate.fromPEMBytes(bytes(of: files.certificate))
        } catch let error as Unusable {
            throw error
        } catch {
            throw Unusable(description: "\(files.certificate) holds no certificate in PEM: \(error)")
        }
        do {
            key = try NIOSSLPrivateKey(bytes: bytes(of: files.key), format: .pem)
        } catch let error as Unusable {
            throw error
        } catch {
            throw Unusable(description: "\(files.key) holds no private key in PEM, or one with a password: \(error)")
        }
        guard let own = chain.first else {
            throw Unusable(description: "\(files.certificate) holds no certificate in PEM")
        }
        let now = Int(time(nil))
        guard now < own.notValidAfter || evenLate else {
            throw Unusable(description: "the certificate in \(files.certificate) has expired")
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

    private static func bytes(of path: String) throws -> [UInt8] {
        do {
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            guard data.count <= 1 << 20 else { throw Unusable(description: "\(path) is larger than 1 MiB") }
            return Array(data)
        } catch let error as Unusable {
            throw error
        } catch {
            throw Unusable(
                description:
                    "\(path) cannot be read by uid \(geteuid()), which serves; make it readable, or start the host again"
            )
        }
    }
}
