import Foundation
import FunctionModel
import Testing

@Suite struct FailureTests {
    private static let causes: [Failure.Cause] = [
        .error(.init(type: "ValueError", message: "no", stackTrace: ["a", "b"])), .error(nil), .exit(3),
        .signal("SIGSEGV"),
        .denied(syscall: "ptrace", arguments: ["0"], grant: nil), .timeout(limit: "init"), .cpuExceeded(limit: "1s"),
        .memoryExceeded(limit: "128MiB"), .outputExceeded(limit: "6MiB"), .protocolError, .invalidRequest,
        .unauthorized,
        .forbidden, .notFound, .conflict, .payloadTooLarge, .throttled(retryAfter: 7), .overloaded(retryAfter: 2),
        .cancelled, .launchFailed(stage: "clone", errno: "EAGAIN"),
    ]

    /// As the store keeps it until it is asked for.
    @Test(arguments: causes) func comesBackAsItWas(_ cause: Failure.Cause) throws {
        var failure = Failure(cause, "why", hasRun: true)
        failure.ends = Failure.Ends(stdout: "out")
        failure.ends?.log = "log"
        let copy = try JSONDecoder().decode(Failure.self, from: try JSONEncoder().encode(failure))
        #expect(copy == failure)
    }

    @Test func eachOutcomeButOKHasOne() {
        let outcomes = Set(Self.causes.map { Failure($0, "").outcome })
        #expect(outcomes == Set(Outcome.allCases).subtracting([.ok]))
    }

    /// Written by a host of before causes were told apart.
    @Test func oldOnesAreRead() throws {
        let old = #"{"outcome":"exit","detail":"d","exitCode":4,"stdout":"s","log":"l","hasRun":false}"#
        let failure = try JSONDecoder().decode(Failure.self, from: Data(old.utf8))
        #expect(failure.cause == .exit(4) && failure.ends?.stdout == "s" && failure.ends?.log == "l")
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(Failure.self, from: Data(#"{"outcome":"ok","detail":""}"#.utf8))
        }
    }

    @Test func wordsOfTheFunctionMakeRoom() {
        var failure = Failure(Self.causes[0], "why", ends: Failure.Ends(stdout: "12345"))
        #expect(failure.wordBytes == 5 + "ValueError".utf8.count + 2 + 2)
        failure.dropWords()
        #expect(failure.wordBytes == 0 && failure.cause == .error(nil) && failure.detail == "why")
    }
}
