import AsyncHTTPClient
package import Courier
import Foundation
import FunctionModel
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
package import NIOSSL
import Synchronization

/// One errand's way to its answer: look-up, address rules, connection, redirects.
package struct Exchange: Sendable {
    private let rules: AddressRules
    private let tls: TLSConfiguration
    /// This machine's addresses, as they were at the start.
    private let own: Set<IPAddress>
    /// Where the operator has traces sent.
    private let named: String?

    /// Addresses of one name that are tried.
    private static let maxTried = 3
    private static let maxHeaderBytes = 16 << 10

    /// - Parameter authorities: trusted beside the machine's own.
    package init(rules: AddressRules, authorities: [NIOSSLCertificate], named: String? = nil) {
        self.rules = rules
        self.named = named
        own = Self.interfaceAddresses()
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        if !authorities.isEmpty { tls.additionalTrustRoots = [.certificates(authorities)] }
        self.tls = tls
    }

    /// - Throws: `Errand.Failed`.
    package func answer(to errand: Errand) async throws(Errand.Failed) -> Errand.Answer {
        let deadline = NIODeadline.now() + .nanoseconds(Int64(clamping: Int(errand.timeout / .nanoseconds(1))))
        do {
            return try await withThrowingTaskGroup { group in
                group.addTask { try await follow(errand, until: deadline) }
                group.addTask {
                    try await Task.sleep(for: errand.timeout)
                    throw Self.late(errand)
                }
                defer { group.cancelAll() }
                return try await group.next() ?? { throw Errand.Failed("no answer") }()
            }
        } catch let failed as Errand.Failed {
            throw failed
        } catch let error as HTTPClientError where error == .deadlineExceeded {
            throw Self.late(errand)
        } catch {
            throw Errand.Failed("\(error)")
        }
    }

    private static func late(_ errand: Errand) -> Errand.Failed {
        Errand.Failed("no whole answer came within \(errand.timeout)")
    }

    private func follow(_ errand: Errand, until deadline: NIODeadline) async throws -> Errand.Answer {
        var at = errand.url
        for redirects in 0...errand.maxRedirects {
            let answer = try await ask(errand, at: at, until: deadline)
            guard [301, 302, 303, 307, 308].contains(answer.status), errand.maxRedirects > 0,
                let location = answer.header("location")
            else { return answer }
            guard redirects < errand.maxRedirects else { break }
            guard let next = URL(string: location, relativeTo: at.url).flatMap({ OutgoingURL($0.absoluteString) }),
                next.isEncrypted || !at.isEncrypted
            else { throw Errand.Failed("\(at.host) redirects to where no request may go") }
            at = next
        }
        throw Errand.Failed("there were more than \(errand.maxRedirects) redirects")
    }

    private func ask(_ errand: Errand, at place: OutgoingURL, until deadline: NIODeadline) async throws -> Errand.Answer
    {
        let addresses = try await Self.addresses(of: place)
        var refused: [String] = []
        var allowed: [IPAddress] = []
        let isNamed = errand.isOperators && place.text == named
        for address in addresses {
            if isNamed {
                allowed.append(address)
                continue
            }
            switch rules.verdict(on: address) {
            case .refused(let kind): refused.append("\(address) is \(kind)")
            case .anybodys where own.contains(address) || Self.isOwn(address):
                // What listens here may count on a firewall in front.
                refused.append("\(address) is this machine's own")
            case .anybodys where !place.isEncrypted:
                refused.append("\(address) is asked without encryption (http), which takes its name in outgoingAllow")
            case .anybodys, .named: allowed.append(address)
            }
        }
        guard !allowed.isEmpty else {
            let why = refused.prefix(3).joined(separator: "; ")
            throw Errand.Failed("\(place.host) may not be connected to: \(why); outgoingAllow names exceptions")
        }
        var failure: any Error = Errand.Failed("\(place.host) has no address")
        for address in allowed.prefix(Self.maxTried) {
            do {
                return try await ask(errand, at: place, on: address, until: deadline)
            } catch let error as NotConnected {
                failure = Errand.Failed("\(place.host) (\(address)) cannot be connected to: \(error.reason)")
            }
        }
        throw failure
    }

    private struct NotConnected: Error {
        let reason: String
    }

    /// By a client of its own: where it connects to is a client's setting.
    private func ask(
        _ errand: Errand, at place: OutgoingURL, on address: IPAddress, until deadline: NIODeadline
    ) async throws -> Errand.Answer {
        var configuration = HTTPClient.Configuration(tlsConfiguration: tls, redirectConfiguration: .disallow)
        configuration.httpVersion = .http1Only
        configuration.timeout.connect = .seconds(5)
        configuration.connectionPool.retryConnectionEstablishment = false
        if place.address == nil, let host = place.url.host {
            configuration.dnsOverride = [host: address.description]
        }
        // Whatever the library has made of the URL: nothing is written to anybody else.
        configuration.http1_1ConnectionDebugInitializer = { channel in
            let peer = channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) }
            guard peer == address else { return channel.close() }
            return channel.eventLoop.makeSucceededVoidFuture()
        }
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let result: Result<Errand.Answer, any Error>
        do {
            result = .success(try await Self.execute(errand, at: place, by: client, until: deadline))
        } catch {
            result = .failure(error)
        }
        // A peer that has stopped reading holds up the end of TLS for seconds; nobody waits for that.
        Task { try? await client.shutdown() }
        return try result.get()
    }

    private static func execute(
        _ errand: Errand, at place: OutgoingURL, by client: HTTPClient, until deadline: NIODeadline
    ) async throws -> Errand.Answer {
        var request = HTTPClientRequest(url: place.text)
        request.method = HTTPMethod(rawValue: errand.method)
        for header in errand.headers { request.headers.add(name: header.name, value: header.value) }
        if !errand.body.isEmpty { request.body = .bytes(errand.body) }
        let response: HTTPClientResponse
        do {
            response = try await client.execute(request, deadline: deadline)
        } catch let error as NIOConnectionError {
            throw NotConnected(reason: error.connectionErrors.first.map { "\($0.error)" } ?? "no connection")
        } catch let error as HTTPClientError where error == .connectTimeout {
            throw NotConnected(reason: "no connection within 5 s")
        }
        var headers: [(name: String, value: String)] = [], size = 0
        for (name, value) in response.headers {
            size += name.utf8.count + value.utf8.count
            guard size <= maxHeaderBytes else { break }
            headers.append((name, value))
        }
        do {
            let body = try await response.body.collect(upTo: errand.maxBytes)
            return Errand.Answer(
                status: Int(response.status.code), headers: headers, body: Array(body.readableBytesView))
        } catch is NIOTooManyBytesError {
            throw Errand.Failed("the answer of \(place.host) is larger than \(errand.maxBytes) bytes")
        }
    }

    /// Whether packets to it would come from it: this machine has it. Asked of the routes; nothing is sent.
    private static func isOwn(_ address: IPAddress) -> Bool {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address.description, "443", &hints, &list) == 0, let entry = list?.pointee else {
            return false
        }
        defer { freeaddrinfo(list) }
        let probe = socket(entry.ai_family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { return false }
        defer { close(probe) }
        guard connect(probe, entry.ai_addr, entry.ai_addrlen) == 0 else { return false }
        var own = sockaddr_storage(), size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let found = withUnsafeMutablePointer(to: &own) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { place in
                getsockname(probe, place, &size) == 0 ? Self.address(in: place) : nil
            }
        }
        return found == address
    }

    /// getifaddrs(3); it asks over a socket that a confined process cannot have.
    private static func interfaceAddresses() -> Set<IPAddress> {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: Set<IPAddress> = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            if let place = entry.ifa_addr, let address = address(in: place) { found.insert(address) }
        }
        return found
    }

    /// Nil for what is no IP address.
    private static func address(in place: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
        switch Int32(place.pointee.sa_family) {
        case AF_INET:
            place.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { found in
                IPAddress(bytes: withUnsafeBytes(of: found.pointee.sin_addr) { Array($0) })
            }
        case AF_INET6:
            place.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { found in
                IPAddress(bytes: withUnsafeBytes(of: found.pointee.sin6_addr) { Array($0) })
            }
        default: nil
        }
    }

    // MARK: - Names

    /// getaddrinfo(3) blocks; a thread of Dispatch's does it. So many at once.
    private static func addresses(of place: OutgoingURL) async throws -> [IPAddress] {
        if let address = place.address { return [address] }
        // It cannot be broken off: who has no time left does not wait for it.
        let answer = Once()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                answer.wait(continuation)
                lookups.async { answer.resume(Result { try look(up: place.host) }) }
            }
        } onCancel: {
            answer.resume(.failure(CancellationError()))
        }
    }

    /// The first answer counts.
    private final class Once: Sendable {
        private typealias Waiting = CheckedContinuation<[IPAddress], any Error>
        private struct State {
            var waiting: Waiting?
            var early: Result<[IPAddress], any Error>?
        }
        private let state = Mutex(State())

        func wait(_ continuation: CheckedContinuation<[IPAddress], any Error>) {
            let early = state.withLock { state in
                if state.early == nil { state.waiting = continuation }
                return state.early
            }
            if let early { continuation.resume(with: early) }
        }

        func resume(_ result: Result<[IPAddress], any Error>) {
            let waiting = state.withLock { state in
                if state.early == nil { state.early = result }
                defer { state.waiting = nil }
                return state.waiting
            }
            waiting?.resume(with: result)
        }
    }

    private static let lookups = DispatchQueue(label: "lookups", attributes: .concurrent)

    private static func look(up host: String) throws -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let error = getaddrinfo(host, nil, &hints, &list)
        guard error == 0 else {
            throw Errand.Failed("\(host) is not known: \(String(cString: gai_strerror(error)))")
        }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ai_next
            guard let place = entry.ai_addr, addresses.count < 50 else { continue }
            if let address = address(in: place) { addresses.append(address) }
        }
        return addresses
    }
}
