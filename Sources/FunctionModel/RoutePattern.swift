import WireText

/// What a route answers: a method and a path with parameters, such as `GET /users/{id}`. `{name}` stands for one segment, `{name+}`
/// for all the rest, of which there must be something.
package struct RoutePattern: Sendable, Hashable, CustomStringConvertible {
    package enum Segment: Sendable, Hashable {
        /// Decoded. Empty at the end of a path that ends with a slash: that is another path.
        case literal([UInt8])
        case parameter(String)
        case rest(String)
    }

    /// Nil: any.
    package let method: String?
    package let segments: [Segment]
    package let description: String

    package static let rule =
        "a method or ANY, a space and a path, such as \"GET /users/{id}\" or \"ANY /files/{path+}\""
    private static let maxBytes = 1024, maxSegments = 32

    /// - Throws: `Failure` invalid_request, naming what is wrong.
    package init(_ text: String) throws(Failure) {
        guard text.utf8.count <= Self.maxBytes else {
            throw Self.refused("it is longer than \(Self.maxBytes) bytes")
        }
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, let path = parts.last, path.utf8.first == UInt8(ascii: "/") else {
            throw Self.refused("\"\(Self.shown(text[...]))\" is none")
        }
        method = try Self.method(parts[0])
        segments = try Self.segments(path)
        description = text
    }

    private static func shown(_ text: Substring) -> String { printable(String(text).prefix(bytes: 80)) }

    private static func refused(_ why: String) -> Failure { Failure(.invalidRequest, "route: \(rule); \(why)") }

    private static func method(_ text: Substring) throws(Failure) -> String? {
        guard (1...20).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x41...0x5A).contains($0) || $0 == UInt8(ascii: "-") })
        else {
            throw refused("a method is written in capitals, \"\(shown(text))\" is none")
        }
        return text == "ANY" ? nil : String(text)
    }

    private static func segments(_ path: Substring) throws(Failure) -> [Segment] {
        var segments: [Segment] = [], names: Set<String> = []
        for part in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            if case .rest = segments.last { throw refused("{name+} is the last of a path") }
            guard segments.count < maxSegments else {
                throw refused("it has more than \(maxSegments) segments")
            }
            if segments.last == .literal([]) { throw refused("a segment is empty") }
            let segment = try segment(part)
            switch segment {
            case .literal: break
            case .parameter(let name), .rest(let name):
                guard names.insert(name).inserted else { throw refused("{\(name)} is there twice") }
            }
            segments.append(segment)
        }
        guard case .literal(let first)? = segments.first, isOfTheHost(first) else { return segments }
        throw refused("/\(String(decoding: first, as: UTF8.self)) is the host's own")
    }

    private static func segment(_ part: Substring) throws(Failure) -> Segment {
        if part.hasPrefix("{"), part.hasSuffix("}") {
            let isRest = part.hasSuffix("+}")
            let name = part.dropFirst().dropLast(isRest ? 2 : 1)
            guard (1...64).contains(name.utf8.count), name.isMade(of: "_-.") else {
                throw refused(
                    "\"\(shown(part))\" is no parameter: its name has up to 64 letters, digits, _, - and ."
                )
            }
            return isRest ? .rest(String(name)) : .parameter(String(name))
        }
        let decoded = PathSegment.decoded(part.utf8)
        guard !PathSegment.isDots(decoded[...]), !decoded.contains(UInt8(ascii: "/")),
            part.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && !#"{}?#"\"#.utf8.contains($0) })
        else { throw refused("\"\(shown(part))\" cannot be a segment of a path") }
        return .literal(decoded)
    }

    /// Whether a path that begins so is never a route's: the host's own, and the dates of Lambda's API.
    package static func isOfTheHost(_ first: some Collection<UInt8>) -> Bool {
        if first.count == 10 {
            let shape = first.map { (0x30...0x39).contains($0) ? UInt8(ascii: "0") : $0 }
            if shape.elementsEqual("0000-00-00".utf8) { return true }
        }
        return hostsOwn.contains { $0.utf8.elementsEqual(first) }
    }

    private static let hostsOwn = ["v1", "fn", "healthz", "readyz", "metrics", "openapi.json"]

    /// The same for patterns between which no request could decide.
    package var shape: String {
        let path = segments.map { segment in
            switch segment {
            case .literal(let bytes): "/" + bytes.map(Self.letter).joined()
            case .parameter: "/{}"
            case .rest: "/{+}"
            }
        }
        return (method ?? "ANY") + " " + path.joined()
    }

    /// Always two digits: else what follows could be taken for one.
    private static func letter(_ byte: UInt8) -> String {
        if (0x21...0x7E).contains(byte), byte != UInt8(ascii: "%"), byte != UInt8(ascii: "{") {
            return String(UnicodeScalar(byte))
        }
        return (byte < 0x10 ? "%0" : "%") + String(byte, radix: 16)
    }
}

/// What stands between two slashes of a path.
package enum PathSegment {
    /// Its `%XX` as bytes; what is none stays as it is.
    package static func decoded(_ text: some Collection<UInt8>) -> [UInt8] {
        guard text.contains(UInt8(ascii: "%")) else { return Array(text) }
        let text = Array(text)
        var decoded: [UInt8] = []
        decoded.reserveCapacity(text.count)
        var next = 0
        while next < text.count {
            if text[next] == UInt8(ascii: "%"), let byte = byte(at: next, of: text) {
                decoded.append(byte)
                next += 3
            } else {
                decoded.append(text[next])
                next += 1
            }
        }
        return decoded
    }

    /// What the `%XX` at an index stands for; nil where it is none.
    package static func byte(at index: Int, of text: [UInt8]) -> UInt8? {
        guard index + 2 < text.count, let high = digit(text[index + 1]), let low = digit(text[index + 2]) else {
            return nil
        }
        return high << 4 | low
    }

    /// Whether it would lead elsewhere where it were followed; also behind a slash that was written otherwise, which a function may
    /// take for one.
    package static func isDots(_ decoded: ArraySlice<UInt8>) -> Bool {
        guard decoded.contains(UInt8(ascii: ".")) else { return false }
        return decoded.split { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }.contains { part in
            part.count <= 2 && part.allSatisfy { $0 == UInt8(ascii: ".") }
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
