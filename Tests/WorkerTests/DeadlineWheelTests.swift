import Testing

@testable import WorkerPool

@Suite struct DeadlineWheelTests {
    private let origin = ContinuousClock.now

    /// None is late by more than a grain, whatever the order; and each is called once.
    @Test func callsInTime() {
        var wheel = DeadlineWheel(origin: origin, grain: .milliseconds(10), slots: 64)
        let delays = [0, 1, 9, 10, 11, 15, 99, 100, 250, 639]
        for (id, delay) in delays.enumerated() { wheel.add(id, at: origin + .milliseconds(delay)) }
        var calls: [Int: Int] = [:]
        for step in 1...70 {
            for id in wheel.advance(to: origin + .milliseconds(step * 10)) {
                #expect(calls[id] == nil)
                calls[id] = step * 10
            }
        }
        #expect(calls.count == delays.count && wheel.isEmpty)
        for (id, called) in calls { #expect(called > delays[id] && called <= delays[id] + 20) }
    }

    /// A thread that slept for long, or a deadline beyond the wheel's reach: called all the same.
    @Test func losesNobody() {
        var wheel = DeadlineWheel(origin: origin, grain: .milliseconds(10), slots: 8)
        for id in 0..<20 { wheel.add(id, at: origin + .milliseconds(id * 7)) }
        wheel.add(99, at: origin + .seconds(3600))
        let called = wheel.advance(to: origin + .seconds(10))
        #expect(Set(called) == Set(0..<20).union([99]) && called.count == 21)
        wheel.add(1, at: origin)
        let early = wheel.advance(to: origin + .seconds(10))
        let inTime = wheel.advance(to: origin + .seconds(10) + .milliseconds(10))
        #expect(early.isEmpty && inTime == [1])
    }

    /// Whoever asks when to advance next never comes late, nor for nothing.
    @Test func tellsWhenToAdvanceNext() {
        let origin = ContinuousClock.now
        var wheel = DeadlineWheel(origin: origin, grain: .milliseconds(10), slots: 8)
        #expect(wheel.next == nil)
        wheel.add(1, at: origin + .milliseconds(45))
        wheel.add(2, at: origin + .milliseconds(15))
        wheel.add(3, at: origin + .seconds(9))  // beyond its reach: in its last slot
        for (id, slot) in [(2, 2), (1, 5), (3, 8)] {
            #expect(wheel.next == origin + .milliseconds(slot * 10))
            #expect(wheel.advance(to: origin + .milliseconds(slot * 10) - .nanoseconds(1)).isEmpty)
            #expect(wheel.advance(to: origin + .milliseconds(slot * 10)) == [id])
        }
        #expect(wheel.next == nil)
    }
}
