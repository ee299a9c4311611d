import Synchronization

/// One observation, and the trace that it is of.
package struct Exemplar: Sendable {
    package let value: Double
    /// 32 hexadecimal digits.
    package let trace: String
    /// Since 1970.
    package let milliseconds: Int

    package init(_ value: Double, trace: String, milliseconds: Int) {
        (self.value, self.trace, self.milliseconds) = (value, trace, milliseconds)
    }
}

/// One series of a family, in atomics: whoever counts something on a hot path keeps the series and needs no lock.
package final class MetricSeries: Sendable {
    /// An atomic in an object of its own, for arrays.
    private final class Count: Sendable {
        let value = Atomic<UInt64>(0)
    }

    /// The bits of a Double: a counter's or gauge's value, a histogram's sum.
    private let bits = Atomic<UInt64>(Double(0).bitPattern)
    private let total = Atomic<UInt64>(0)
    private let buckets: [Double]
    private let counts: [Count]
    private let newest = Mutex<Exemplar?>(nil)

    init(buckets: [Double]) {
        self.buckets = buckets
        counts = buckets.map { _ in Count() }
    }

    package func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    package func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    /// Adds one observation to a histogram.
    package func observe(_ value: Double) {
        add(value)
        total.wrappingAdd(1, ordering: .relaxed)
        // Only the one bucket it falls into: they are added up when the text is made.
        guard let index = buckets.firstIndex(where: { value <= $0 }) else { return }
        counts[index].value.wrappingAdd(1, ordering: .relaxed)
    }

    /// Adds one of which more can be looked up.
    package func observe(_ exemplar: Exemplar) {
        observe(exemplar.value)
        newest.withLock { $0 = exemplar }
    }

    /// The newest.
    var exemplar: Exemplar? { newest.withLock(\.self) }
    var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
    var count: UInt64 { total.load(ordering: .relaxed) }
    var bucketCounts: [UInt64] { counts.map { $0.value.load(ordering: .relaxed) } }
}
