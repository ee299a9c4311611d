import WireText

/// A name for one of a function's versions, or for two of them in shares.
package struct Alias: Sendable, Hashable, Codable {
    package enum Target: Sendable, Hashable, Codable {
        /// Whatever is the newest version.
        case latest
        case version(Int)
    }

    package var name: String
    /// For people.
    package var about: String?
    package var target: Target
    /// Parts of 1 that go to other versions, by their numbers.
    package var weights: [Int: Double]
    /// Of a request with this header its value decides which version is picked, so that a user stays with one; else the
    /// invocation's id does. In lower case.
    package var header: String?
    /// Of `live`: which version it served before.
    package var previous: Int?
    /// RFC 3339, UTC, milliseconds.
    package var updatedAt: String

    package init(
        name: String, target: Target = .latest, weights: [Int: Double] = [:], header: String? = nil,
        previous: Int? = nil, updatedAt: String
    ) {
        self.name = name
        self.target = target
        self.weights = weights
        self.header = header
        self.previous = previous
        self.updatedAt = updatedAt
    }

    /// What invocations go to that name neither version nor alias.
    package static let live = "live"
    /// Always the newest version; nobody's to change.
    package static let latest = "latest"

    /// As Lambda has it, so that each API can show the other's: https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html
    package static let nameRule = "up to 128 letters, digits, dashes and underscores, not digits alone"

    package static func isName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count) && text.utf8.contains { !(0x30...0x39).contains($0) }
            && text.isMade(of: "-_")
    }

    /// Tells one state of it from another, for `ETag`: whatever changes it changes this.
    package var tag: String {
        let parts = weights.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return String(Self.hash(of: "\(target) \(parts) \(header ?? "") \(about ?? "") \(updatedAt)"), radix: 16)
    }

    /// Which version one invocation goes to.
    /// - Parameter key: what decides, the same for whoever is to stay with one version.
    package func number(for key: String, newest: Int) -> Int {
        guard !weights.isEmpty else { return main(newest: newest) }
        var point = Self.point(of: key)
        for (other, weight) in weights.sorted(by: { $0.key < $1.key }) {
            if point < weight { return other }
            point -= weight
        }
        return main(newest: newest)
    }

    /// The version that it names beside its weights.
    package func main(newest: Int) -> Int {
        if case .version(let pinned) = target { pinned } else { newest }
    }

    /// The versions that it names by their numbers.
    package var named: Set<Int> {
        var named = Set(weights.keys)
        if case .version(let number) = target { named.insert(number) }
        return named
    }

    /// A number from 0 up to 1 that is always the same for `key`: FNV-1a, and a last mixing (of MurmurHash3), since keys differ
    /// little.
    private static func point(of key: String) -> Double { Double(hash(of: key) >> 11) / Double(1 << 53) }

    static func hash(of key: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ hash >> 33) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ hash >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ hash >> 33
    }
}
