/// Values that can be made anew, as many as there is room for. Who is asked for stays: what nobody wanted while `each` others
/// were wanted goes, and never all at once what is in use.
package struct Generations<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let each: Int
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]

    /// - Parameter each: twice as many are kept at most.
    package init(each: Int) { self.each = max(each, 1) }

    package var count: Int { young.count + old.count }

    /// The value, which somebody wants; nil where it is not kept any more.
    package mutating func use(_ key: Key) -> Value? {
        if let value = young[key] { return value }
        guard let value = old.removeValue(forKey: key) else { return nil }
        keep(value, for: key)
        return value
    }

    package mutating func keep(_ value: Value, for key: Key) {
        old[key] = nil
        if young[key] == nil, young.count >= each { (old, young) = (young, [:]) }
        young[key] = value
    }

    package mutating func forget(where isGone: (Value) -> Bool) {
        young = young.filter { !isGone($0.value) }
        old = old.filter { !isGone($0.value) }
    }
}
