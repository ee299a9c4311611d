import WireText

/// A function's versions and what names them: how they may change, decided on numbers alone. Whoever stores it does so whole.
package struct Traffic: Sendable, Hashable {
    /// Numbers of the versions, ascending.
    package private(set) var numbers: [Int]
    /// Of the newest, if that is not published: a number that nobody can name yet.
    package private(set) var unpublished: Int?
    /// By name; `live` is always there.
    package private(set) var aliases: [String: Alias]
    package var settings: FunctionSettings
    /// So many old versions that no alias names are kept.
    package private(set) var keep: Int

    package static let usualKeep = 20
    package static let maxAliases = 100
    package static let maxKeep = 1000

    /// - Parameters:
    ///   - aliases: as far as somebody has changed them.
    ///   - keep: nil: nobody has said.
    ///   - createdAt: of the newest version.
    package init(
        numbers: [Int], unpublished: Int? = nil, aliases: [Alias] = [], keep: Int? = nil,
        settings: FunctionSettings = FunctionSettings(),
        createdAt: String = ""
    ) {
        self.settings = settings
        self.unpublished = unpublished
        self.numbers = numbers.sorted()
        self.keep = keep ?? Self.usualKeep
        self.aliases = Dictionary(aliases.map { ($0.name, $0) }) { $1 }
        if self.aliases[Alias.live] == nil {
            let previous = self.numbers.dropLast().last
            self.aliases[Alias.live] = Alias(name: Alias.live, previous: previous, updatedAt: createdAt)
        }
    }

    package var newest: Int? { numbers.last }
    package var live: Alias { aliases[Alias.live] ?? Alias(name: Alias.live, updatedAt: "") }

    /// Versions that some alias can send somebody to, the newest among them.
    package var served: Set<Int> {
        settings.provisioned.isEmpty
            ? named.union(numbers.suffix(1)) : named.union(numbers.suffix(1)).union(provisioned.keys)
    }

    /// Workers that are kept started beyond what the manifest says, by the version's number.
    package var provisioned: [Int: Int] {
        var counts: [Int: Int] = [:]
        for (qualifier, workers) in settings.provisioned {
            let number = aliases[qualifier].map { $0.main(newest: newest ?? 0) } ?? Int(qualifier) ?? 0
            counts[number] = max(counts[number] ?? 0, workers.count)
        }
        return counts
    }

    /// Those that an alias names by number.
    private var named: Set<Int> {
        var named: Set<Int> = []
        for alias in aliases.values { named.formUnion(alias.named) }
        return named
    }

    // MARK: - Versions

    /// A new version is there.
    /// - Parameters:
    ///   - keep: nil: as before.
    ///   - awaited: versions for which accepted invocations wait.
    /// - Returns: versions that are to go.
    package mutating func add(
        _ number: Int, isPublished: Bool = true, keep: Int? = nil, awaited: Set<Int> = [], now: String
    ) -> [Int] {
        unpublished = isPublished ? nil : number
        if let keep { self.keep = keep }
        guard number != newest else {
            // It comes in the place of one that was not published.
            if live.target == .latest { aliases[Alias.live]?.updatedAt = now }
            return []
        }
        if live.target == .latest {
            let before = newest
            aliases[Alias.live]?.previous = before
            aliases[Alias.live]?.updatedAt = now
        }
        numbers.append(number)
        let needed = named.union(awaited)
        let unnamed = numbers.dropLast().filter { !needed.contains($0) }
        let surplus = unnamed.dropLast(max(0, self.keep))
        numbers.removeAll { surplus.contains($0) }
        for number in surplus { settings.drop("\(number)") }
        return Array(surplus)
    }

    /// - Parameter awaited: versions for which accepted invocations wait.
    /// - Throws: `Failure` not_found, or conflict while something names it or waits for it.
    package mutating func remove(_ number: Int, of name: FunctionName, awaited: Set<Int> = []) throws(Failure) {
        guard isNamed(number) else { throw missing(number, name) }
        guard !awaited.contains(number) else {
            throw Failure(
                .conflict, "accepted invocations wait for version \(number) of \(name): try again once they have run")
        }
        let naming = aliases.values.filter { alias in
            alias.named.contains(number) || (alias.target == .latest && number == newest)
        }
        if let alias = naming.map(\.name).min() {
            throw Failure(
                .conflict,
                "the alias \"\(alias)\" of \(name) names version \(number): point it elsewhere first (PUT /v1/functions/\(name)/aliases/\(alias)), or delete the function"
            )
        }
        numbers.removeAll { $0 == number }
        settings.drop("\(number)")
    }

    // MARK: - Aliases

    /// - Parameter alias: checked as text already.
    /// - Returns: whether it is new.
    /// - Throws: `Failure` invalid_request or conflict.
    package mutating func put(_ alias: Alias, of name: FunctionName) throws(Failure) -> Bool {
        guard alias.name != Alias.latest else {
            throw Failure(.conflict, "latest always names the newest version; give the alias another name")
        }
        let isNew = aliases[alias.name] == nil
        if isNew, aliases.count > Self.maxAliases {
            throw Failure(
                .conflict, "\(name) has \(Self.maxAliases) aliases already, which is the most; delete one first")
        }
        for number in alias.named.sorted() where !isNamed(number) {
            throw Failure(.invalidRequest, missing(number, name).detail)
        }
        let main = alias.main(newest: newest ?? 0)
        if alias.weights[main] != nil {
            throw Failure(
                .invalidRequest,
                "weights: version \(main) is what the alias names already; weights are parts that go to other versions")
        }
        guard alias.weights.values.allSatisfy({ $0 > 0 && $0 <= 1 }), alias.weights.values.reduce(0, +) <= 1 + 1e-9
        else {
            throw Failure(
                .invalidRequest,
                #"weights: each is a part of 1, such as {"4": 0.1}, and together they are 1 at most; the rest goes to version"#
            )
        }
        var entered = alias
        entered.previous = aliases[alias.name].flatMap { old in
            let before = old.main(newest: newest ?? 0)
            return before == main ? old.previous : before
        }
        aliases[alias.name] = entered
        return isNew
    }

    /// - Throws: `Failure` not_found, or conflict for `live`.
    package mutating func remove(_ alias: String, of name: FunctionName) throws(Failure) {
        guard alias != Alias.live, alias != Alias.latest else {
            throw Failure(
                .conflict,
                #"\#(alias) cannot be deleted; PUT {"version": "latest"} has live follow the newest version again"#)
        }
        guard aliases.removeValue(forKey: alias) != nil else { throw Self.unknown(alias, of: name) }
        settings.drop(alias)
    }

    /// Pins `live` to the version that it served before.
    /// - Parameter number: to this one instead.
    /// - Throws: `Failure` not_found or conflict.
    package mutating func rollBack(to number: Int?, of name: FunctionName, now: String) throws(Failure) {
        guard let number = number ?? live.previous else {
            throw Failure(
                .conflict, "live of \(name) has served no other version before: there is nothing to go back to")
        }
        guard isNamed(number) else { throw missing(number, name) }
        let alias = Alias(name: Alias.live, target: .version(number), header: live.header, updatedAt: now)
        _ = try put(alias, of: name)
    }

    /// - Parameter qualifier: an alias, a version's number, or `FunctionVersion.latestLabel`.
    /// - Throws: `Failure` not_found, where there is none.
    package func require(_ qualifier: String, of name: FunctionName) throws(Failure) {
        guard qualifier != FunctionVersion.latestLabel, aliases[qualifier] == nil else { return }
        guard let number = Int(qualifier) else { throw Self.unknown(qualifier, of: name) }
        guard isNamed(number), "\(number)" == qualifier else { throw missing(number, name) }
    }

    package static func unknown(_ alias: String, of name: FunctionName) -> Failure {
        Failure(
            .notFound,
            "\(name) has no alias \"\(alias.prefix(bytes: 80))\"; GET /v1/functions/\(name)/aliases lists what there is, and \"latest\" always names the newest version"
        )
    }

    private func missing(_ number: Int, _ name: FunctionName) -> Failure {
        let newest = numbers.last { $0 != unpublished } ?? 0
        return Failure(.notFound, "\(name) has no version \(number); the newest is \(newest)")
    }

    /// Whether there is a version that is called so.
    private func isNamed(_ number: Int) -> Bool { numbers.contains(number) && number != unpublished }
}
