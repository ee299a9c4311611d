import FunctionModel

/// The patterns of one host by their segments.
struct RouteTrie: Sendable {
    /// Routes by method, of which there are few; nil: any.
    private typealias Leaf = [(method: String?, entry: RouteTable.Entry)]

    private struct Node: Sendable {
        /// What its literal is, where it is one.
        var label: [UInt8] = []
        /// By the hash of what is written there, so that a request's segment need not be copied for looking it up.
        var literals: [UInt64: Int] = [:]
        /// Another one with the same hash.
        var sibling: Int?
        var parameter: Int?
        var leaf: Leaf = []
        /// Of what ends in a rest here.
        var rest: Leaf = []
    }

    private var nodes = [Node()]
    private var count = 0

    var isEmpty: Bool { count == 0 }

    // MARK: - Changes

    mutating func insert(_ route: Route) {
        var node = 0
        for segment in route.pattern.segments {
            switch segment {
            case .literal(let bytes): node = literal(bytes[...], of: node) ?? grow(bytes, at: node)
            case .parameter:
                let next = nodes[node].parameter ?? grown()
                nodes[node].parameter = next
                node = next
            case .rest: break
            }
        }
        change(route.pattern, at: node) { $0.append((route.pattern.method, RouteTable.Entry(route))) }
        count += 1
    }

    /// What is empty then stays, until the table is made anew.
    mutating func remove(_ pattern: RoutePattern) {
        var node = 0
        for segment in pattern.segments {
            let next: Int?
            switch segment {
            case .literal(let bytes): next = literal(bytes[...], of: node)
            case .parameter: next = nodes[node].parameter
            case .rest: next = node
            }
            guard let next else { return }
            node = next
        }
        change(pattern, at: node) { leaf in leaf.removeAll { $0.method == pattern.method } }
        count -= 1
    }

    private mutating func change(_ pattern: RoutePattern, at node: Int, _ change: (inout Leaf) -> Void) {
        if case .rest? = pattern.segments.last { change(&nodes[node].rest) } else { change(&nodes[node].leaf) }
    }

    private mutating func grown() -> Int {
        nodes.append(Node())
        return nodes.count - 1
    }

    private mutating func grow(_ label: [UInt8], at node: Int) -> Int {
        let new = grown(), hash = Self.hash(label[...])
        nodes[new].label = label
        nodes[new].sibling = nodes[node].literals.updateValue(new, forKey: hash)
        return new
    }

    // MARK: - Looking up

    private func literal(_ bytes: ArraySlice<UInt8>, of node: Int) -> Int? {
        guard !nodes[node].literals.isEmpty else { return nil }
        var next = nodes[node].literals[Self.hash(bytes)]
        while let found = next {
            if nodes[found].label.elementsEqual(bytes) { return found }
            next = nodes[found].sibling
        }
        return nil
    }

    /// FNV-1a. Whoever writes routes is trusted; a request is compared with what it finds.
    private static func hash(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }

    /// The most specific one that takes the method.
    /// - Parameter allowed: gets the methods of all that fit but for that.
    func find(_ method: String, _ path: RequestPath, _ allowed: inout Set<String>) -> RouteTable.Entry? {
        find(method, path, from: 0, at: 0, &allowed)
    }

    /// Each node is at one depth only, and so looked at once at most.
    private func find(
        _ method: String, _ path: RequestPath, from index: Int, at node: Int, _ allowed: inout Set<String>
    ) -> RouteTable.Entry? {
        guard index < path.count else { return Self.pick(method, nodes[node].leaf, &allowed) }
        let first = path[index]
        if let next = literal(first, of: node), let found = find(method, path, from: index + 1, at: next, &allowed) {
            return found
        }
        guard !first.isEmpty || index + 1 < path.count else { return nil }
        if !first.isEmpty, let next = nodes[node].parameter,
            let found = find(method, path, from: index + 1, at: next, &allowed)
        {
            return found
        }
        return Self.pick(method, nodes[node].rest, &allowed)
    }

    /// HEAD is answered wherever GET is (RFC 9110, 9.3.2).
    private static func pick(_ method: String, _ leaf: Leaf, _ allowed: inout Set<String>) -> RouteTable.Entry? {
        guard !leaf.isEmpty else { return nil }
        func taking(_ wanted: String?) -> RouteTable.Entry? { leaf.first { $0.method == wanted }?.entry }
        if let found = taking(method) ?? (method == "HEAD" ? taking("GET") : nil) ?? taking(nil) { return found }
        for case let known? in leaf.map(\.method) {
            allowed.insert(known)
            if known == "GET" { allowed.insert("HEAD") }
        }
        return nil
    }
}
