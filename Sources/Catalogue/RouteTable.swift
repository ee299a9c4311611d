package import FunctionModel

/// All routes, compiled: how long a request's is looked for depends on its path, not on how many there are. Of those that fit, a
/// literal segment comes before a parameter and that before a rest; then a method before ANY.
package struct RouteTable: Sendable {
    /// What a request comes to.
    package enum Match: Sendable {
        case route(Route, parameters: [String: String])
        /// The path is there, with these methods.
        case wrongMethod([String])
        case nothing
    }

    private var routes: [String: Route] = [:]
    /// By host; the empty one: any.
    private var tries: [String: RouteTrie] = [:]

    init() {}

    package var count: Int { routes.count }
    /// By id.
    package var all: [Route] { routes.values.sorted { $0.id < $1.id } }
    package subscript(id id: String) -> Route? { routes[id] }

    mutating func put(_ route: Route) {
        remove(route.id)
        routes[route.id] = route
        tries[route.host ?? "", default: RouteTrie()].insert(route.pattern, id: route.id)
    }

    mutating func remove(_ id: String) {
        guard let old = routes.removeValue(forKey: id) else { return }
        let host = old.host ?? ""
        tries[host]?.remove(old.pattern)
        if tries[host]?.isEmpty ?? false { tries[host] = nil }
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
        guard !routes.isEmpty, let segments = Self.segments(path) else { return .nothing }
        var allowed: Set<String> = []
        for key in [host, Self.wildcard(host), ""] {
            guard let key, let trie = tries[key], let found = trie.find(method, segments, &allowed),
                let route = routes[found]
            else { continue }
            return .route(route, parameters: Self.parameters(of: route.pattern, segments))
        }
        return allowed.isEmpty ? .nothing : .wrongMethod(allowed.sorted())
    }

    private static func wildcard(_ host: String) -> String? {
        host.firstIndex(of: ".").map { "*" + host[$0...] }
    }

    /// Nil for what no pattern can fit: too many, or such as lead elsewhere (`..`), which a function might follow.
    private static func segments(_ path: String) -> [[UInt8]]? {
        guard path.utf8.first == UInt8(ascii: "/") else { return nil }
        var segments: [[UInt8]] = []
        for part in path.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            let decoded = PathSegment.decoded(part)
            guard segments.count < maxSegments, !PathSegment.isDots(decoded) else { return nil }
            segments.append(decoded)
        }
        return segments
    }

    /// Of a request; a rest may take many.
    private static let maxSegments = 1000

    private static func parameters(of pattern: RoutePattern, _ segments: [[UInt8]]) -> [String: String] {
        var parameters: [String: String] = [:]
        for (index, segment) in pattern.segments.enumerated() {
            switch segment {
            case .literal: break
            case .parameter(let name): parameters[name] = String(decoding: segments[index], as: UTF8.self)
            case .rest(let name):
                let rest = segments[index...].joined(separator: [UInt8(ascii: "/")])
                parameters[name] = String(decoding: Array(rest), as: UTF8.self)
            }
        }
        return parameters
    }
}

/// The patterns of one host by their segments.
struct RouteTrie: Sendable {
    /// Ids by method; under the empty one: any.
    private typealias Leaf = [String: String]

    private struct Node: Sendable {
        var literals: [[UInt8]: Int] = [:]
        var parameter: Int?
        var leaf: Leaf = [:]
        /// Of what ends in a rest here.
        var rest: Leaf = [:]
    }

    private var nodes = [Node()]
    private var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func insert(_ pattern: RoutePattern, id: String) {
        var node = 0
        for segment in pattern.segments {
            switch segment {
            case .literal(let bytes):
                if nodes[node].literals[bytes] == nil { nodes[node].literals[bytes] = grown() }
                node = nodes[node].literals[bytes] ?? node
            case .parameter:
                if nodes[node].parameter == nil { nodes[node].parameter = grown() }
                node = nodes[node].parameter ?? node
            case .rest:
                nodes[node].rest[pattern.method ?? ""] = id
                count += 1
                return
            }
        }
        nodes[node].leaf[pattern.method ?? ""] = id
        count += 1
    }

    private mutating func grown() -> Int {
        nodes.append(Node())
        return nodes.count - 1
    }

    /// What is empty then stays: the table is made anew with each start.
    mutating func remove(_ pattern: RoutePattern) {
        var node = 0
        for segment in pattern.segments {
            switch segment {
            case .literal(let bytes):
                guard let next = nodes[node].literals[bytes] else { return }
                node = next
            case .parameter:
                guard let next = nodes[node].parameter else { return }
                node = next
            case .rest:
                if nodes[node].rest.removeValue(forKey: pattern.method ?? "") != nil { count -= 1 }
                return
            }
        }
        if nodes[node].leaf.removeValue(forKey: pattern.method ?? "") != nil { count -= 1 }
    }

    /// The id of the most specific one that takes the method.
    /// - Parameter allowed: gets the methods of all that fit but for that.
    func find(_ method: String, _ segments: [[UInt8]], _ allowed: inout Set<String>) -> String? {
        find(method, segments[...], at: 0, &allowed)
    }

    /// Each node is at one depth only, and so looked at once at most.
    private func find(
        _ method: String, _ segments: ArraySlice<[UInt8]>, at index: Int, _ allowed: inout Set<String>
    ) -> String? {
        let node = nodes[index]
        guard let first = segments.first else { return Self.pick(method, node.leaf, &allowed) }
        let rest = segments.dropFirst()
        if let next = node.literals[first], let found = find(method, rest, at: next, &allowed) { return found }
        guard !first.isEmpty || !rest.isEmpty else { return nil }
        if !first.isEmpty, let next = node.parameter, let found = find(method, rest, at: next, &allowed) {
            return found
        }
        return Self.pick(method, node.rest, &allowed)
    }

    /// HEAD is answered wherever GET is (RFC 9110, 9.3.2).
    private static func pick(_ method: String, _ leaf: Leaf, _ allowed: inout Set<String>) -> String? {
        guard !leaf.isEmpty else { return nil }
        if let id = leaf[method] ?? (method == "HEAD" ? leaf["GET"] : nil) ?? leaf[""] { return id }
        for known in leaf.keys {
            allowed.insert(known)
            if known == "GET" { allowed.insert("HEAD") }
        }
        return nil
    }
}
