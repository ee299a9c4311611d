import Crypto
import Foundation
import FunctionModel
import HostSystem
import WireText

/// A request as it was signed.
package struct SignedRequest: Sendable {
    package var method: String
    /// As it came, encoded.
    package var path: String
    package var query: String
    /// In lower case, with `host`; in the order in which they came.
    package var headers: [(name: String, value: String)]
    /// SHA-256 of the body, lower-case hex.
    package var bodyHash: String

    package init(
        method: String, path: String, query: String, headers: [(name: String, value: String)], bodyHash: String
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.bodyHash = bodyHash
    }

    /// Of a body.
    package static func hash(of body: UnsafeRawBufferPointer) -> String { hex(SHA256.hash(data: body)) }

    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Why a signature is not accepted, in AWS's words.
package enum SignatureRefused: Error, Sendable {
    case missing
    case incomplete(String)
    case unknownKey
    case wrong
    case otherService
    case outOfTime(String)
}

/// AWS Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
struct SignatureV4 {
    /// What a signing key is for.
    struct Scope: Hashable {
        let keyID: String
        /// `20261128`
        let date: String
        let region: String
        let service: String
    }

    let scope: Scope
    private let signedHeaders: [String]
    private let signature: String
    /// `20261128T235959Z`
    private let time: String
    /// How long it holds; nil: as long as clocks may differ.
    private let lifetime: Int?
    private let isPresigned: Bool

    static let algorithm = "AWS4-HMAC-SHA256"
    /// By how much clocks may differ, in seconds.
    private static let maxSkew = 300
    /// Of a signed URL, in seconds.
    private static let maxLifetime = 604_800

    init(of request: SignedRequest) throws(SignatureRefused) {
        if let header = request.header("authorization") {
            guard header.utf8.count <= 4096, header.isASCII, header.hasPrefix(Self.algorithm + " ") else {
                throw .incomplete("Authorization header requires '\(Self.algorithm)'")
            }
            var credential: String?, headers: String?, signature: String?
            // By bytes: it is ASCII, and this is on the way of each request.
            for part in header.utf8.dropFirst(Self.algorithm.utf8.count).split(separator: UInt8(ascii: ",")) {
                let pair = part.split(separator: UInt8(ascii: "="), maxSplits: 1).map(Self.withoutBlanks)
                guard pair.count == 2 else { continue }
                switch pair[0] {
                case "Credential": credential = pair[1]
                case "SignedHeaders": headers = pair[1]
                case "Signature": signature = pair[1]
                default: break
                }
            }
            guard let time = request.header("x-amz-date") else {
                throw .incomplete("Authorization header requires existence of 'X-Amz-Date' header")
            }
            try self.init(
                credential: credential, headers: headers, signature: signature, time: time, lifetime: nil)
        } else {
            let query = Dictionary(Self.pairs(request.query).map { ($0.name, $0.value) }) { first, _ in first }
            guard query["X-Amz-Algorithm"] != nil || query["X-Amz-Signature"] != nil else { throw .missing }
            guard query["X-Amz-Algorithm"] == Self.algorithm else {
                throw .incomplete("X-Amz-Algorithm must be '\(Self.algorithm)'")
            }
            guard let lifetime = query["X-Amz-Expires"].flatMap({ Int($0) }), (1...Self.maxLifetime).contains(lifetime)
            else { throw .incomplete("X-Amz-Expires must be between 1 and \(Self.maxLifetime) seconds") }
            try self.init(
                credential: query["X-Amz-Credential"], headers: query["X-Amz-SignedHeaders"],
                signature: query["X-Amz-Signature"], time: query["X-Amz-Date"] ?? "", lifetime: lifetime)
        }
    }

    private static func withoutBlanks(_ part: Substring.UTF8View) -> String {
        var part = part.drop { $0 == UInt8(ascii: " ") }
        while part.last == UInt8(ascii: " ") { part.removeLast() }
        return String(Substring(part))
    }

    private init(
        credential: String?, headers: String?, signature: String?, time: String, lifetime: Int?
    ) throws(SignatureRefused) {
        let parts = (credential ?? "").utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .map { String(Substring($0)) }
        guard parts.count == 5, parts[4] == "aws4_request", parts[1].utf8.count == 8 else {
            throw .incomplete("Credential must have the form KEY/DATE/REGION/SERVICE/aws4_request")
        }
        guard let headers, let signature, signature.utf8.count == 64 else {
            throw .incomplete("SignedHeaders and Signature are required")
        }
        guard time.utf8.count == 16, time.hasPrefix(parts[1] + "T") else {
            throw .incomplete("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date")
        }
        guard parts[3] == "lambda" else {
            throw .otherService
        }
        scope = Scope(keyID: parts[0], date: parts[1], region: parts[2], service: parts[3])
        signedHeaders = headers.utf8.split(separator: UInt8(ascii: ";")).map { String(Substring($0)) }
        guard signedHeaders.contains("host"), signedHeaders.count <= 100,
            Set(signedHeaders.map { MemberName($0) }).count == signedHeaders.count
        else { throw .incomplete("'Host' must be a SignedHeader, and each named once") }
        guard parts[0].utf8.count <= 128, parts[2].utf8.count <= 40, parts[2].isMade(of: "-"),
            parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { throw .incomplete("Credential must have the form KEY/DATE/REGION/SERVICE/aws4_request") }
        self.signature = signature
        self.time = time
        self.lifetime = lifetime
        isPresigned = lifetime != nil
    }

    /// Whether it holds at this time.
    /// - Parameter now: seconds since 1970.
    func check(now: Int) throws(SignatureRefused) {
        guard let signed = Self.seconds(time) else { throw .incomplete("X-Amz-Date is no ISO-8601 basic date") }
        let latest = signed + (lifetime ?? Self.maxSkew), earliest = signed - Self.maxSkew
        if now > latest {
            throw .outOfTime(
                "Signature expired: \(time) is now earlier than \(Self.text(now - (lifetime ?? Self.maxSkew))) (\(Self.text(now)) - 5 min.)"
            )
        }
        if now < earliest {
            throw .outOfTime(
                "Signature not yet current: \(time) is still later than \(Self.text(now + Self.maxSkew)) (\(Self.text(now)) + 5 min.)"
            )
        }
    }

    /// - Parameter now: seconds since 1970.
    func check(_ request: SignedRequest, with key: SymmetricKey, now: Int) throws(SignatureRefused) {
        try check(now: now)
        if isRight(try canonical(request, Self.canonicalPairs), key) { return }
        // Clients write a query in more than one way, and sign it as they have written it: AWS's own, byte for byte.
        guard !request.query.isEmpty, isRight(try canonical(request, Self.asWritten), key) else { throw .wrong }
    }

    private func isRight(_ canonical: String, _ key: SymmetricKey) -> Bool {
        let hash = SHA256.hash(data: Array(canonical.utf8))
        let scope = "\(scope.date)/\(scope.region)/\(scope.service)/aws4_request"
        let toSign = "\(Self.algorithm)\n\(time)\n\(scope)\n\(hex(hash))"
        let expected = hex(HMAC<SHA256>.authenticationCode(for: Array(toSign.utf8), using: key))
        return isSameSecret(signature, expected)
    }

    private func canonical(
        _ request: SignedRequest, _ pairs: (String) -> [(name: String, value: String)]
    ) throws(SignatureRefused) -> String {
        let query = pairs(request.query).filter { !(isPresigned && $0.name == "X-Amz-Signature") }
            .sorted { $0 < $1 }.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
        var headers = ""
        for name in signedHeaders {
            let values = request.headers.filter { $0.name == name }.map(\.value)
            guard !values.isEmpty else {
                throw .incomplete("the signed header '\(printable(name.prefix(bytes: 80)))' is missing")
            }
            headers += name + ":" + values.map(Self.trimmed).joined(separator: ",") + "\n"
        }
        // What changes the meaning of a request is part of what was signed.
        for header in request.headers
        where header.name.hasPrefix("x-amz-") && !Self.checked.contains(header.name)
            && !signedHeaders.contains(header.name)
        {
            throw .incomplete("'\(printable(header.name.prefix(bytes: 80)))' must be a SignedHeader")
        }
        // A body that nobody has looked at is no signed one.
        let declared = request.header("x-amz-content-sha256")
        guard declared == nil || declared == request.bodyHash else { throw .wrong }
        let path = Self.encoded(request.path, leaving: UInt8(ascii: "/"))
        return
            "\(request.method)\n\(path)\n\(query)\n\(headers)\n\(signedHeaders.joined(separator: ";"))\n\(request.bodyHash)"
    }

    /// Headers that are looked at in any case.
    private static let checked: Set<String> = ["x-amz-date", "x-amz-content-sha256"]

    /// Runs of blanks as one, and none at its ends.
    private static func trimmed(_ value: String) -> String {
        var bytes: [UInt8] = []
        for byte in value.utf8 where byte != 0x20 || (bytes.last ?? 0x20) != 0x20 { bytes.append(byte) }
        if bytes.last == 0x20 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func pairs(_ query: String) -> [(name: String, value: String)] {
        query.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            func decoded(_ text: Substring) -> String {
                let spaced = text.replacing("+", with: "%20")
                return String(spaced).removingPercentEncoding ?? String(spaced)
            }
            return (decoded(parts[0]), parts.count > 1 ? decoded(parts[1]) : "")
        }
    }

    /// Written anew, as AWS's documents have it.
    private static func canonicalPairs(_ query: String) -> [(name: String, value: String)] {
        pairs(query).map { (encoded($0.name), encoded($0.value)) }
    }

    private static func asWritten(_ query: String) -> [(name: String, value: String)] {
        query.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
    }

    /// Every byte but letters, digits and -._~ (RFC 3986, 2.3).
    private static func encoded(_ text: String, leaving also: UInt8? = nil) -> String {
        func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }
        var encoded: [UInt8] = []
        encoded.reserveCapacity(text.utf8.count + 16)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.append(byte)
            case also: encoded.append(byte)
            default: encoded += [UInt8(ascii: "%"), digit(byte >> 4), digit(byte & 15)]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    private static let style = Date.ISO8601FormatStyle(dateSeparator: .omitted, timeSeparator: .omitted)

    /// Of `20261129T030405Z`. By hand: this is on the way of each request, twice.
    private static func seconds(_ text: String) -> Int? {
        let bytes = Array(text.utf8)
        guard bytes.count == 16, bytes[8] == UInt8(ascii: "T"), bytes[15] == UInt8(ascii: "Z") else { return nil }
        func number(_ range: Range<Int>) -> Int? {
            bytes[range].reduce(0) { sum, byte in
                guard let sum, (0x30...0x39).contains(byte) else { return nil }
                return sum * 10 + Int(byte - 0x30)
            }
        }
        guard let year = number(0..<4), let month = number(4..<6), let day = number(6..<8), let hour = number(9..<11),
            let minute = number(11..<13), let second = number(13..<15), (1970...9999).contains(year),
            (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61
        else { return nil }
        return ((CivilDay.number(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    }

    private static func text(_ seconds: Int) -> String {
        Date(timeIntervalSince1970: Double(seconds)).formatted(style)
    }
}
