import Foundation
import FunctionModel
import NIOCore
import Testing
import WireText

@Suite struct CronTests {
    private func instants(_ cron: String, _ zone: String = "UTC", from: String, _ count: Int) throws -> [String] {
        let expression = try CronExpression(cron), clock = try #require(WallClock(zone))
        var at = Int(try Date(from, strategy: .iso8601).timeIntervalSince1970) * 1000, found: [String] = []
        for _ in 0..<count {
            guard let next = expression.next(after: at, by: clock) else { break }
            found.append(Date(timeIntervalSince1970: Double(next) / 1000).formatted(.iso8601))
            at = next
        }
        return found
    }

    @Test func fieldsAreReadAsCrontabHasThem() throws {
        #expect(
            try instants("*/20 9-10 * * MON-FRI", from: "2026-11-27T10:30:00Z", 4) == [
                "2026-11-27T10:40:00Z", "2026-11-30T09:00:00Z", "2026-11-30T09:20:00Z", "2026-11-30T09:40:00Z",
            ])
        // Either day will do where both are said.
        #expect(
            try instants("0 0 13 * fri", from: "2026-11-01T00:00:00Z", 3) == [
                "2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z",
            ])
        #expect(
            try instants("0 12 L 2 *", from: "2027-01-01T00:00:00Z", 2) == [
                "2027-02-28T12:00:00Z", "2028-02-29T12:00:00Z",
            ])
        #expect(
            try instants("0 0 * * MON#2", from: "2026-11-01T00:00:00Z", 2) == [
                "2026-11-09T00:00:00Z", "2026-12-14T00:00:00Z",
            ])
        #expect(
            try instants("0 0 * * 5L", from: "2026-11-01T00:00:00Z", 2) == [
                "2026-11-27T00:00:00Z", "2026-12-25T00:00:00Z",
            ])
        #expect(
            try instants("0 0 29 2 *", from: "2026-01-01T00:00:00Z", 2) == [
                "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z",
            ])
        #expect(
            try instants("5/25 0 1 JAN,DEC 7", from: "2026-12-26T00:00:00Z", 2) == [
                "2026-12-27T00:05:00Z", "2026-12-27T00:30:00Z",
            ])
        #expect(try instants("@hourly", from: "2026-11-01T00:00:01Z", 1) == ["2026-11-01T01:00:00Z"])
        #expect(try instants("@weekly", from: "2026-11-28T00:00:00Z", 1) == ["2026-11-29T00:00:00Z"])
    }

    /// A skipped hour once after it, a doubled one once; and what is no hour (Lord Howe), or a day (Samoa).
    @Test func oddHours() throws {
        #expect(
            try instants("30 2 * * *", "Europe/Berlin", from: "2026-03-28T12:00:00Z", 2) == [
                "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z",
            ])
        #expect(
            try instants("*/15 2 * * *", "Europe/Berlin", from: "2026-03-28T12:00:00Z", 2) == [
                "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z",
            ])
        #expect(
            try instants("30 2 * * *", "Europe/Berlin", from: "2026-10-24T12:00:00Z", 2) == [
                "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z",
            ])
        #expect(
            try instants("0 * * * *", "America/New_York", from: "2026-11-01T04:30:00Z", 3) == [
                "2026-11-01T05:00:00Z", "2026-11-01T07:00:00Z", "2026-11-01T08:00:00Z",
            ])
        #expect(
            try instants("10 2 * * *", "Australia/Lord_Howe", from: "2026-10-03T00:00:00Z", 2) == [
                "2026-10-03T15:30:00Z", "2026-10-04T15:10:00Z",
            ])
        #expect(
            try instants("0 12 30 12 *", "Pacific/Apia", from: "2011-12-01T00:00:00Z", 2) == [
                "2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z",
            ])
        #expect(try instants("0 9 * * *", "Asia/Kolkata", from: "2026-01-01T00:00:00Z", 1) == ["2026-01-01T03:30:00Z"])
    }

    @Test(arguments: [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
        "*/0 * * * *", "5-1 * * * *", "a * * * *", "1,,2 * * * *", "-1 * * * *", "1- * * * *", "* * 31 2 *",
        "* * 30 FEB *",
        "@reboot", "@", "* * 15W * *", "* * * * MON#6", "* * * * #1", "* * LL * *", "99999999999999999999 * * * *",
        "* * * * é", "*/99999999999999999999 * * * *", "1/2/3 * * * *", "+1 * * * *",
    ])
    func whatIsNoCronIsRefused(_ text: String) {
        #expect(throws: Failure.self) { try CronExpression(text) }
    }

    @Test func zonesThatDoNotExistAreRefused() {
        for name in [
            "", "Nowhere/City", "Europe/berlin", "../etc/passwd", "GMT+99", String(repeating: "a", count: 100), "é/é",
        ] {
            #expect(WallClock(name) == nil, "\(name)")
        }
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            #expect(WallClock(name) != nil, "\(name)")
        }
    }

    @Test func schedulesAreReadAndWrittenWithTheirEventAsItCame() throws {
        let event = #"{"n":12345678901234567890.123,"a":[1, 2]}"#
        let body = #"{"cron":"@daily","timezone":"Asia/Tokyo","function":"f","overlap":"allow","event":\#(event)}"#
        var schedule = try Schedule(document: ByteBuffer(string: body))
        schedule.id = "s"
        #expect(schedule.event == event && schedule.overlap == .allow && schedule.missed == .skip)
        let again = try Schedule(document: try schedule.document())
        #expect(again == schedule && again.isSame(as: schedule))
        for wrong in [
            "[]", "{}", #"{"function":"f"}"#, #"{"function":"f","cron":"@daily","every":"1s"}"#,
            #"{"function":"f","every":"0s"}"#, #"{"function":"f","every":"999ms"}"#,
            #"{"function":"f","every":"367d"}"#,
            #"{"function":"f","every":"1s","x":1}"#, #"{"function":"f","every":"1s","overlap":"queue"}"#,
            #"{"function":"f","every":"1s","enabled":"yes"}"#, #"{"function":"F","every":"1s"}"#,
            #"{"function":"f","cron":"@daily","timezone":"Mars/Base"}"#,
            #"{"function":"f","every":"1s","event":1,"event":2}"#,
        ] {
            #expect(throws: Failure.self, "\(wrong)") { try Schedule(document: ByteBuffer(string: wrong)) }
        }
    }
}
