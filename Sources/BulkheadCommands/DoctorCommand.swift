import ArgumentParser
import Foundation
import Host

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Builds a real cell and proves each layer by trying what it must stop.",
        discussion: "One line a layer. Exit status 3 when one is missing.")

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let findings = try Examination.perform()
        if json {
            try findings.printJSON()
        } else {
            printTable(findings.map { [$0.layer, $0.verdict.text] })
        }
        if findings.contains(where: { $0.verdict.isMissing }) { throw Ending.host }
    }
}

extension [Finding] {
    func printJSON() throws {
        let list = map { ["layer": $0.layer, "verdict": $0.verdict.text] }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        FileHandle.standardOutput.write(try encoder.encode(list) + Data("\n".utf8))
    }
}
