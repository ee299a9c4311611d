import Crypto
import Foundation
package import FunctionModel
import HostSystem

extension HMACRule {
    /// Checks a body against what its sender has signed.
    /// - Parameters:
    ///   - header: the signature's; nil where the request has none.
    ///   - now: seconds since 1970.
    /// - Throws: `Failure` unauthorized.
    package func check(
        _ header: String?, body: some Sequence<UInt8>, now: Int = wallClockMilliseconds() / 1000
    ) throws(Failure) {
        guard let header, header.utf8.count <= 4096, header.isASCII else {
            throw Self.refused("the header \(self.header) with the body's signature is missing")
        }
        switch scheme {
        case .body:
            guard header.hasPrefix(prefix), isSound(String(header.dropFirst(prefix.count)), Data(body)) else {
                throw Self.refused("the body's signature in \(self.header) is wrong")
            }
        case .timestamped:
            let parts = header.split(separator: ",").prefix(20).map {
                $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map {
                    $0.trimmingCharacters(in: .whitespaces)
                }
            }.filter { $0.count == 2 }
            guard let stamp = parts.first(where: { $0[0] == "t" })?[1], stamp.utf8.count <= 15, let time = Int(stamp)
            else { throw Self.refused("\(self.header) has no time (t=)") }
            guard abs(now - time) <= tolerance else {
                throw Self.refused("the signature in \(self.header) is older than \(tolerance) s")
            }
            let signed = Data("\(stamp).".utf8) + Data(body)
            guard parts.contains(where: { $0[0] == "v1" && isSound($0[1], signed) }) else {
                throw Self.refused("the body's signature in \(self.header) is wrong")
            }
        }
    }

    private static func refused(_ why: String) -> Failure { Failure(.unauthorized, why) }

    /// In equal time for right and wrong ones.
    private func isSound(_ text: String, _ signed: Data) -> Bool {
        guard let code = encoding == .base64 ? Data(base64Encoded: text) : Self.bytes(hex: text) else { return false }
        let key = SymmetricKey(data: Data(secret.utf8))
        return switch hash {
        case .sha1: HMAC<Insecure.SHA1>.isValidAuthenticationCode(code, authenticating: signed, using: key)
        case .sha256: HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: signed, using: key)
        case .sha512: HMAC<SHA512>.isValidAuthenticationCode(code, authenticating: signed, using: key)
        }
    }

    private static func bytes(hex: String) -> Data? {
        let digits = Array(hex.utf8)
        guard digits.count % 2 == 0, digits.count <= 256 else { return nil }
        var bytes = Data(capacity: digits.count / 2)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index...(index + 1)], as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        return bytes
    }
}
