package import FunctionModel
import WireText

/// A request that is to go out, and its bounds.
package struct Errand: Sendable {
    package var method: String
    package var url: OutgoingURL
    package var headers: [(name: String, value: String)] = []
    package var body: [UInt8] = []
    /// From the first look-up of a name to the last byte of the answer.
    package var timeout: Duration = .seconds(10)
    /// Of the answer's body.
    package var maxBytes = 1 << 20
    /// Each is bound by the same address rules.
    package var maxRedirects = 0
    /// To the place that the operator has named for it, wherever that is: the courier knows it, too.
    package var isOperators = false

    package init(_ method: String, _ url: OutgoingURL) {
        self.method = method
        self.url = url
    }

    package struct Answer: Sendable {
        package let status: Int
        package let headers: [(name: String, value: String)]
        package let body: [UInt8]

        package init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
            (self.status, self.headers, self.body) = (status, headers, body)
        }

        /// The first one of that name.
        package func header(_ name: String) -> String? {
            headers.first { $0.name.lowercased() == name.lowercased() }?.value
        }
    }

    /// Why there is no answer.
    package struct Failed: Error, CustomStringConvertible, Sendable {
        package let description: String

        package init(_ description: String) { self.description = description }
    }
}

/// What goes between supervisor and courier: a packet of JSON, with the body, if there is one, in a sealed memory file beside it.
package struct ErrandPacket: Codable, Sendable {
    package var id: UInt64
    package var method: String
    package var url: String
    package var headers: [[String]]
    package var timeoutMilliseconds: Int
    package var maxBytes: Int
    package var maxRedirects: Int
    package var isOperators: Bool?

    /// Of a packet.
    package static let maxSize = 64 << 10
    /// Of a body, out or back.
    package static let maxBody = 64 << 20

    package init(id: UInt64, _ errand: Errand) {
        self.id = id
        method = errand.method
        url = errand.url.text
        headers = errand.headers.map { [$0.name, $0.value] }
        timeoutMilliseconds = Int(errand.timeout / .milliseconds(1))
        maxBytes = errand.maxBytes
        maxRedirects = errand.maxRedirects
        isOperators = errand.isOperators ? true : nil
    }

    /// - Returns: nil for what no supervisor of ours asks.
    package func errand(body: [UInt8]) -> Errand? {
        guard let url = OutgoingURL(url), (1...600_000).contains(timeoutMilliseconds),
            (0...Self.maxBody).contains(maxBytes), (0...5).contains(maxRedirects),
            ["GET", "POST", "PUT"].contains(method), headers.allSatisfy({ $0.count == 2 })
        else { return nil }
        var errand = Errand(method, url)
        errand.headers = headers.map { ($0[0], $0[1]) }
        errand.body = body
        errand.timeout = .milliseconds(timeoutMilliseconds)
        errand.maxBytes = maxBytes
        errand.maxRedirects = maxRedirects
        errand.isOperators = isOperators ?? false
        return errand
    }
}

package struct AnswerPacket: Codable, Sendable {
    package var id: UInt64
    package var status: Int?
    package var headers: [[String]] = []
    package var failed: String?

    package init(id: UInt64, _ result: Result<Errand.Answer, Errand.Failed>) {
        self.id = id
        switch result {
        case .success(let answer):
            status = answer.status
            headers = answer.headers.map { [$0.name, $0.value] }
        case .failure(let failure): failed = String(printable(failure.description.prefix(bytes: 2000)))
        }
    }

    package func result(body: [UInt8]) -> Result<Errand.Answer, Errand.Failed> {
        guard let status, (100...999).contains(status), headers.allSatisfy({ $0.count == 2 }) else {
            return .failure(Errand.Failed(printable((failed ?? "the courier's answer is none").prefix(bytes: 2000))))
        }
        return .success(Errand.Answer(status: status, headers: headers.map { ($0[0], $0[1]) }, body: body))
    }
}
