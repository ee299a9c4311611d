import Dialogues
import FunctionModel
import Sandbox
import WireText

/// What there is to say of why a function failed, beside its status: out of its log's end and of what it was refused.
enum Explanation {
    /// Kinds of refused calls that are told of one invocation; the ledger has them all.
    private static let maxKinds = 8

    /// `calls` with `news` as the latest.
    static func keeping(_ calls: [RefusedCall], _ news: RefusedCall) -> [RefusedCall] {
        calls.filter { ($0.name, $0.errnoText) != (news.name, news.errnoText) }.suffix(maxKinds - 1) + [news]
    }

    static func sentence(for call: RefusedCall, under manifest: Manifest) -> String {
        let grant = SeccompProfile.grant(for: call.name, refusedWith: call.errnoText, under: manifest)
        return "system call \(call.name) was refused: \(call.errnoText)"
            + (grant.map { "; \($0) would allow it" } ?? "; no grant allows it")
    }

    /// - Parameter log: its end.
    /// - Returns: a continuation of the failure's sentence; empty where there is nothing to say.
    static func text(of cause: Failure.Cause, log: String, refused: [RefusedCall], under manifest: Manifest) -> String {
        var exitCode: Int?
        if case .exit(let code) = cause { exitCode = code }
        let hint = hint(exitCode: exitCode, log: log).map { ": \($0)" } ?? ""
        guard let last = refused.last else { return hint }
        return hint + "; before that, the \(sentence(for: last, under: manifest))"
    }

    private static func hint(exitCode: Int?, log: String) -> String? {
        if let library = word(in: log, between: "error while loading shared libraries: ", and: ": cannot open") {
            return
                "the library \(library) is not in the cell; it was looked for where the program says (RUNPATH), in LD_LIBRARY_PATH and in the system's folders: put it into the bundle and name its folder, as in env: { LD_LIBRARY_PATH: /function/lib }"
        }
        if let version = word(in: log, between: "version `", and: "' not found") {
            return
                "it was built against a newer library (\(version)) than this host has: build it on an older system, or link it statically"
        }
        if exitCode == 127, log.utf8.firstRange(of: "not found".utf8) != nil {
            return
                "a command that it calls is not in the cell: put it into the bundle and call it by its path, as in ./tool"
        }
        if exitCode == 126, log.utf8.firstRange(of: "Permission denied".utf8) != nil {
            return "a file that it runs is not executable: set its execute bit before it is packed"
        }
        return nil
    }

    /// A short word of a known message. By bytes: comparing characters takes time that a tenant would choose.
    private static func word(in log: String, between start: String, and end: String) -> String? {
        guard let from = log.utf8.firstRange(of: start.utf8)?.upperBound,
            let to = log.utf8[from...].firstRange(of: end.utf8)?.lowerBound, log.utf8[from..<to].count <= 200
        else { return nil }
        return printable(String(Substring(log.utf8[from..<to])))
    }
}
