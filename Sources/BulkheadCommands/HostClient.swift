import ArgumentParser
import AsyncHTTPClient
import Foundation
import Host
import NIOCore
import NIOFoundationCompat
import NIOHTTP1
import NIOSSL

/// Where the host is and what opens it: the options that all client commands take.
struct HostOptions: ParsableArguments {
    @Option(help: "The host's URL. Default: BULKHEAD_HOST, or the local host's, found by its data directory.")
    var host: String?

    @Option(help: "A token. Default: BULKHEAD_TOKEN, or the local host's admin.token.")
    var token: String?

    @Option(
        name: .customLong("data-dir"), help: "Data directory of the local host. Default: BULKHEAD_DATA, or the user's.")
    var dataDirectory: String?

    @Option(
        name: .customLong("ca"),
        help: "PEM file with the certificates to trust, instead of the system's. Default: BULKHEAD_CA.")
    var authorities: String?

    @Flag(help: "Print JSON.")
    var json = false

    private func trusted(_ standard: String?) throws -> String? {
        guard let file = authorities ?? standard else { return nil }
        guard FileManager.default.isReadableFile(atPath: file) else {
            throw CommandFailure("--ca \(file): it cannot be read", .usage)
        }
        return file
    }

    func client() throws -> HostClient {
        let environment = ProcessInfo.processInfo.environment
        let directory = DataDirectory(dataDirectory)
        guard let url = host ?? environment["BULKHEAD_HOST"] ?? directory.endpoint else {
            throw CommandFailure(
                "no host given and none found: \(directory.endpointFile) is missing or may not be read. Start one with"
                    + " `bulkhead serve`, or name one with --host URL --token TOKEN", .usage)
        }
        guard let token = token ?? environment["BULKHEAD_TOKEN"] ?? directory.token else {
            throw CommandFailure(
                "no token given and \(directory.tokenFile) is missing or may not be read; give one with --token or BULKHEAD_TOKEN",
                .usage)
        }
        return HostClient(
            url: url.hasSuffix("/") ? String(url.dropLast()) : url, token: token,
            authorities: try trusted(environment["BULKHEAD_CA"]))
    }
}

/// One request to a host.
struct HostClient: Sendable {
    let url: String
    let token: String
    /// PEM file; nil: the system's.
    let authorities: String?

    struct Answer: Sendable {
        let status: Int
        let headers: HTTPHeaders
        let body: Data

        /// The problem's sentence, when the answer is one.
        var detail: String? { (try? JSONDecoder().decode(ProblemSummary.self, from: body))?.detail }
    }

    private struct ProblemSummary: Decodable {
        let detail: String
    }

    /// - Throws: `CommandFailure` when the host cannot be reached.
    func send(
        _ method: HTTPMethod, _ path: String, body: [UInt8]? = nil, contentType: String? = nil, accept: String? = nil
    ) throws -> Answer {
        try exchange(method, path) { request in
            if let accept { request.headers.add(name: "Accept", value: accept) }
            if let contentType { request.headers.add(name: "Content-Type", value: contentType) }
            if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        } reading: { response in
            let bytes = try await response.body.collect(upTo: 1 << 30)
            return Answer(status: Int(response.status.code), headers: response.headers, body: Data(buffer: bytes))
        }
    }

    /// Hands on the data of server-sent events as they come, until the host ends.
    /// - Throws: `CommandFailure`, also with what the host says instead.
    func events(_ path: String, _ take: @escaping @Sendable (Data) -> Void) throws {
        let refused: Answer? = try exchange(.GET, path, timeout: .hours(24 * 365)) { request in
            request.headers.add(name: "Accept", value: "text/event-stream")
        } reading: { response in
            guard response.status == .ok else {
                let bytes = try await response.body.collect(upTo: 1 << 20)
                return Answer(status: Int(response.status.code), headers: response.headers, body: Data(buffer: bytes))
            }
            var pending = Data()
            for try await chunk in response.body {
                pending.append(contentsOf: chunk.readableBytesView)
                while let end = pending.firstIndex(of: 0x0A) {
                    let line = pending[..<end]
                    pending = Data(pending[(end + 1)...])
                    if line.starts(with: Data("data: ".utf8)) { take(Data(line.dropFirst(6))) }
                }
            }
            return nil
        }
        if let refused { _ = try accepted(refused) }
    }

    private func exchange<Value: Sendable>(
        _ method: HTTPMethod, _ path: String, timeout: TimeAmount = .minutes(16),
        asking: @escaping @Sendable (inout HTTPClientRequest) -> Void,
        reading: @escaping @Sendable (HTTPClientResponse) async throws -> Value
    ) throws -> Value {
        try blocking {
            var request = HTTPClientRequest(url: url + path)
            request.method = method
            request.headers.add(name: "Authorization", value: "Bearer \(token)")
            asking(&request)
            var configuration = HTTPClient.Configuration()
            configuration.connectionPool.retryConnectionEstablishment = false  // a person waits
            if let authorities {
                var tls = TLSConfiguration.makeClientConfiguration()
                tls.trustRoots = .file(authorities)
                configuration.tlsConfiguration = tls
            }
            let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
            let result: Result<Value, any Error>
            do {
                result = .success(try await reading(try await client.execute(request, timeout: timeout)))
            } catch {
                let isUntrusted = "\(error)".contains("CERTIFICATE_VERIFY_FAILED")
                let advice = isUntrusted ? "; its certificate is not trusted: --ca FILE names one to trust" : ""
                result = .failure(CommandFailure("\(url) cannot be reached: \(error)\(advice)"))
            }
            try await client.shutdown()
            return try result.get()
        }
    }

    /// Sends, and takes nothing but success.
    /// - Throws: `CommandFailure` with the host's own sentence.
    func get(
        _ method: HTTPMethod = .GET, _ path: String, body: [UInt8]? = nil, contentType: String? = nil
    ) throws -> Answer {
        try accepted(send(method, path, body: body, contentType: contentType))
    }

    /// - Throws: `CommandFailure` with the host's own sentence, for all but success.
    func accepted(_ answer: Answer) throws -> Answer {
        guard (200..<300).contains(answer.status) else {
            throw CommandFailure(
                answer.detail ?? "the host answered \(answer.status)", answer.status >= 500 ? .host : .usage)
        }
        return answer
    }

    /// All members of a list that comes in pages.
    func pages(_ path: String, of member: String) throws -> [Any] {
        var all: [Any] = []
        var cursor: String?
        repeat {
            let answer = try get(.GET, "\(path)?limit=1000" + (cursor.map { "&cursor=\(escaped($0))" } ?? ""))
            let page = try JSONSerialization.jsonObject(with: answer.body) as? [String: Any] ?? [:]
            all += page[member] as? [Any] ?? []
            cursor = page["next"] as? String
        } while cursor != nil
        return all
    }
}

/// Text for one segment of a path or one value of a query.
func escaped(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: .alphanumerics.union(CharacterSet(charactersIn: "-._~"))) ?? ""
}

/// Prints what the host answered, as it came.
func printJSON(_ answer: HostClient.Answer) {
    FileHandle.standardOutput.write(answer.body + Data("\n".utf8))
}

/// Prints a document that was put together here, as `printJSON` prints the host's.
func printDocument(_ document: [String: Any]) throws {
    let bytes = try JSONSerialization.data(
        withJSONObject: document, options: [.sortedKeys, .withoutEscapingSlashes])
    FileHandle.standardOutput.write(bytes + Data("\n".utf8))
}
