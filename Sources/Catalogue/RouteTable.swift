package import FunctionModel

/// All routes, compiled: how long a request's is looked for depends on its path, not on how many there are. Of those that fit, a
/// literal segment comes before a parameter and that before a rest; then a method before ANY.
package struct RouteTable: Sendable {
    /// What a request comes to.
    package enum Match: Sendable {
        case route(Entry, parameters: [String: String])
        /// The path is there, with these methods.
        case wrongMethod([String])
        case nothing
    }

    /// A route as it is found: by reference, since it has many parts.
    package final class Entry: Sendable {
        package let route: Route

        init(_ route: Route) { self.route = route }
    }

    private var routes: [String: Route] = [:]
    /// By host; the empty one: any.
    private var tries: [String: RouteTrie] = [:]

    /// Who has which shape: see `Route.shape`.
    private var shapes: [String: String] = [:]
    /// Routes that have gone since the tries were made: what they leave in them is not used again.
    private var gone = 0

    package init(_ routes: [Route] = []) {
        for route in routes { put(route) }
    }

    package var count: Int { routes.count }
    /// By id.
    package var all: [Route] { routes.values.sorted { $0.id < $1.id } }
    package subscript(id id: String) -> Route? { routes[id] }

    mutating func put(_ route: Route) {
        remove(route.id)
        routes[route.id] = route
        shapes[route.shape] = route.id
        tries[route.host ?? "", default: RouteTrie()].insert(route)
    }

    mutating func remove(_ id: String) {
        guard let old = routes.removeValue(forKey: id) else { return }
        let host = old.host ?? ""
        tries[host]?.remove(old.pattern)
        if tries[host]?.isEmpty ?? false { tries[host] = nil }
        if shapes[old.shape] == id { shapes[old.shape] = nil }
        gone += 1
        if gone > max(1000, routes.count) { self = RouteTable(Array(routes.values)) }
    }

    /// The one that answers the same requests.
    func twin(of route: Route) -> Route? {
        shapes[route.shape].flatMap { $0 == route.id ? nil : routes[$0] }
    }

    // MARK: - Looking up

    /// Whether a route asks for this name, which is in lower case.
    package func answers(for host: String) -> Bool {
        !host.isEmpty && (tries[host] != nil || Self.wildcard(host).map { tries[$0] != nil } ?? false)
    }

    /// - Parameters:
    ///   - host: of the request, in lower case and without port.
    ///   - path: undecoded, without the query.
    package func match(method: String, host: String, path: String) -> Match {
        guard !tries.isEmpty, let path = RequestPath(path) else { return .nothing }
        var allowed: Set<String> = []
        func found(_ key: String) -> Match? {
            tries[key]?.find(method, path, &allowed).map {
                .route($0, parameters: path.parameters(of: $0.route.pattern))
            }
        }
        let isSome = tries.count > 1 || tries[""] == nil
        if isSome, let match = found(host) ?? Self.wildcard(host).flatMap(found) { return match }
        if let match = found("") { return match }
        return allowed.isEmpty ? .nothing : .wrongMethod(allowed.sorted())
    }

    private static func wildcard(_ host: String) -> String? {
        host.firstIndex(of: ".").map { "*" + host[$0...] }
    }
}

/// A request's path by its segments, decoded.
struct RequestPath {
    private let bytes: [UInt8]
    private let segments: [Range<Int>]

    /// Of a request; a rest may take many.
    private static let maxSegments = 1000

    /// Nil for what no pattern can fit: too many, or such as lead elsewhere (`..`), which a function might follow.
    init?(_ path: String) {
        var bytes = Array(path.utf8)
        guard bytes.first == UInt8(ascii: "/") else { return nil }
        var segments: [Range<Int>] = []
        segments.reserveCapacity(16)
        // Decoded where it stands: it only gets shorter.
        var start = 1, end = 1, next = 1
        while next <= bytes.count {
            if next == bytes.count || bytes[next] == UInt8(ascii: "/") {
                guard segments.count < Self.maxSegments, !PathSegment.isDots(bytes[start..<end]) else { return nil }
                segments.append(start..<end)
                next += 1
                (start, end) = (next, next)
            } else if bytes[next] == UInt8(ascii: "%"), let byte = PathSegment.byte(at: next, of: bytes) {
                bytes[end] = byte
                end += 1
                next += 3
            } else {
                if end != next { bytes[end] = bytes[next] }
                end += 1
                next += 1
            }
        }
        self.bytes = bytes
        self.segments = segments
    }

    var count: Int { segments.count }
    subscript(index: Int) -> ArraySlice<UInt8> { bytes[segments[index]] }

    func parameters(of pattern: RoutePattern) -> [String: String] {
        var parameters: [String: String] = [:]
        for (index, segment) in pattern.segments.enumerated() {
            switch segment {
            case .literal: break
            case .parameter(let name): parameters[name] = String(decoding: self[index], as: UTF8.self)
            case .rest(let name):
                let rest = segments[index...].map { bytes[$0] }.joined(separator: [UInt8(ascii: "/")])
                parameters[name] = String(decoding: Array(rest), as: UTF8.self)
            }
        }
        return parameters
    }
}
