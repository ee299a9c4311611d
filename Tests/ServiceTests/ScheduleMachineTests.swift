import Foundation
import FunctionModel
import Testing

@testable import Events

@Suite struct ScheduleMachineTests {
    private func schedule(_ timing: Schedule.Timing, missed: Schedule.Missed = .skip) throws -> Schedule {
        Schedule(id: "s", timing: timing, function: try functionName("f"), missed: missed)
    }

    private func cron(_ text: String, _ zone: String = "UTC") throws -> Schedule.Timing {
        .cron(try CronExpression(text), try #require(WallClock(zone)))
    }

    private func time(_ text: String) throws -> Int {
        Int(try Date(text, strategy: .iso8601).timeIntervalSince1970) * 1000
    }

    /// A week by the clock, looked at now and then, with the host gone now and then: each time once.
    @Test func aWeekOfFires() throws {
        let begin = try time("2026-10-21T00:00:00Z"), end = begin + 7 * 86_400_000
        let timings: [Schedule.Timing] = [
            try cron("*/7 * * * *"), try cron("30 2 * * *", "Europe/Berlin"), .every(.seconds(3600)),
        ]
        for timing in timings {
            var expected: [Int] = [], at = begin
            while let due = try schedule(timing).due(after: at), due <= end {
                expected.append(due)
                at = due
            }
            var machine = ScheduleMachine(), fired: [Int] = [], now = begin, generator = Steps()
            machine.put(try schedule(timing), cursor: begin)
            while now < end {
                now += generator.next()
                for firing in machine.due(now) {
                    fired.append(firing.due)
                    machine.done("s", firing.due)
                }
                // As after a kill: what was entered is what is known.
                if generator.kills { machine.put(try schedule(timing), cursor: fired.last ?? begin) }
            }
            #expect(fired.filter { $0 <= end } == expected)
        }
    }

    /// Steps of up to twenty seconds, the same each time.
    private struct Steps {
        private var state: UInt64 = 7

        mutating func next() -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % 19_999 + 1
        }
        var kills: Bool { state >> 60 == 0 }
    }

    @Test func missedOnesAreLeftOrRunOnce() throws {
        for (missed, count) in [(Schedule.Missed.skip, 0), (.once, 1)] {
            for timing in [Schedule.Timing.every(.seconds(2)), try cron("* * * * *")] {
                var machine = ScheduleMachine()
                machine.put(try schedule(timing, missed: missed), cursor: 0)
                let now = 400 * 86_400_000 + 999
                let first = machine.due(now)
                #expect(first.filter(\.isMissed).count == count)
                for firing in first { machine.done("s", firing.due) }
                #expect(machine.due(now).isEmpty)
                #expect(try #require(machine.next) > now)
            }
        }
    }

    /// Late by less than it takes to start a host anew.
    @Test func whatIsAMomentLateIsOnTime() throws {
        var machine = ScheduleMachine()
        machine.put(try schedule(.every(.seconds(1))), cursor: 10_000)
        let firings = machine.due(12_500)
        #expect(firings.map(\.due) == [11_000, 12_000] && !firings.contains(where: \.isMissed))
    }

    @Test func aClockThatWasSetBackFiresNothingTwice() throws {
        var machine = ScheduleMachine()
        machine.put(try schedule(.every(.seconds(1))), cursor: 0)
        for firing in machine.due(1500) { machine.done("s", firing.due) }
        #expect(machine.due(500).isEmpty && machine.due(1500).isEmpty)
        #expect(machine.due(2000).map(\.due) == [2000])
        // From years ahead it is taken as it is, after a day.
        machine.done("s", 90_000_000)
        #expect(machine.rewind(80_000_000).isEmpty && machine.due(80_000_000).isEmpty)
        #expect(machine.rewind(3000).map(\.id) == ["s"])
        #expect(machine.due(4000).map(\.due) == [4000])
    }

    @Test func switchedOffItIsNeverDue() throws {
        var machine = ScheduleMachine(), off = try schedule(.every(.seconds(1)))
        off.isEnabled = false
        machine.put(off, cursor: 0)
        #expect(machine.due(10_000).isEmpty && machine.next == nil)
    }
}
