import Crypto
import Foundation
package import FunctionModel
import HostSystem
import WireText

extension HMACRule {
    /// Checks a body against what its sender has signed.
    /// - Parameters:
    ///   - header: the signature's; nil where the request has none.
    ///   - now: seconds since 1970.
    /// - Throws: `Failure` unauthorized.
    package func check(
        _ header: String?, body: some Sequence<UInt8>, now: Int = wallClockMilliseconds() / 1000
    ) throws(Failure) {
        let header = try require(header)
        switch scheme {
        case .body:
            guard header.hasPrefix(prefix), isSame(String(header.dropFirst(prefix.count)), code(of: Data(body))) else {
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
            let code = code(of: Data("\(stamp).".utf8) + Data(body))
            guard parts.contains(where: { $0[0] == "v1" && isSame($0[1], code) }) else {
                throw Self.refused("the body's signature in \(self.header) is wrong")
            }
        }
    }

    /// Refuses a request without a signature, before its body is read.
    /// - Throws: `Failure` unauthorized.
    @discardableResult
    package func require(_ header: String?) throws(Failure) -> String {
        guard let header, header.utf8.count <= 4096, header.isASCII else {
            throw Self.refused("the header \(self.header) with the body's signature is missing")
        }
        return header
    }

    private static func refused(_ why: String) -> Failure { Failure(.unauthorized, why) }

    /// In equal time for right and wrong ones.
    private func isSame(_ text: String, _ code: [UInt8]) -> Bool {
        let given = encoding == .base64 ? Data(base64Encoded: text) : Self.bytes(hex: text)
        guard let given, given.count == code.count else { return false }
        return zip(given, code).reduce(UInt8(0)) { $0 | $1.0 ^ $1.1 } == 0
    }

    private func code(of signed: Data) -> [UInt8] {
        let key = SymmetricKey(data: Data(secret.utf8))
        return switch hash {
        case .sha1: Array(HMAC<Insecure.SHA1>.authenticationCode(for: signed, using: key))
        case .sha256: Array(HMAC<SHA256>.authenticationCode(for: signed, using: key))
        case .sha512: Array(HMAC<SHA512>.authenticationCode(for: signed, using: key))
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
