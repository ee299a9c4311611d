import Courier
import Crypto
import Foundation
import FunctionModel
import HostSystem
import NIOCore

/// A POST that tells somebody, signed as https://github.com/standard-webhooks/standard-webhooks has it.
struct Webhook {
    let url: OutgoingURL
    let item: InvocationQueue.Item

    /// Also for a function that is not tried again itself.
    static let leastRetries = 5

    /// - Returns: why it was not told; nil when it was.
    func send(_ body: ArrivedEvent, by around: Events.Surroundings) async -> String? {
        guard let courier = around.courier else { return "this process has no courier, which makes outgoing requests" }
        var errand = Errand("POST", url)
        errand.body = Array(body.bytes.readableBytesView)
        errand.maxBytes = 64 << 10  // nobody reads it
        let time = String(wallClockMilliseconds() / 1000)
        errand.headers = [
            ("Content-Type", "application/json"), ("User-Agent", "bulkhead"), ("webhook-id", item.id),
            ("webhook-timestamp", time),
        ]
        if let traceparent = item.traceparent { errand.headers.append(("traceparent", traceparent)) }
        if let name = around.rules(item.version).signedWith {
            guard let secret = around.secret(name) else { return "there is no secret \"\(name)\" to sign it with" }
            errand.headers.append(("webhook-signature", Self.signature(errand.body, id: item.id, time, by: secret)))
        }
        do {
            let answer = try await courier.run(errand)
            return (200..<300).contains(answer.status) ? nil : "it answered with status \(answer.status)"
        } catch {
            return error.description
        }
    }

    static func signature(_ body: [UInt8], id: String, _ time: String, by secret: [UInt8]) -> String {
        var mac = HMAC<SHA256>(key: SymmetricKey(data: secret))
        mac.update(data: Data("\(id).\(time).".utf8))
        mac.update(data: body)
        return "v1," + Data(mac.finalize()).base64EncodedString()
    }
}
