import Foundation

extension Manifest {
    /// As `function.yaml`, with what differs from the defaults, and the memory, which is always worth saying.
    package var yaml: String {
        func quoted(_ text: String) -> String {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.withoutEscapingSlashes]
            return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
        }
        let standard = Limits()
        var lines = ["name: \(name?.text ?? "function")"]
        if runtime != .native { lines.append("runtime: \(runtime.rawValue)") }
        if let run { lines.append("run: \(quoted("./" + run))") }
        if let handler { lines.append("handler: \(quoted(handler))") }
        if !args.isEmpty { lines.append("args: [\(args.map(quoted).joined(separator: ", "))]") }
        if mode != .command { lines.append("mode: \(mode.rawValue)") }
        if auth != .token { lines.append("auth: \(auth.rawValue)") }
        if !env.isEmpty {
            lines.append("env:")
            lines += env.sorted { $0.key < $1.key }.map { "  \($0.key): \(quoted($0.value))" }
        }
        lines += ["limits:", "  memory: \(limits.memory)"]
        if limits.wall != standard.wall { lines.append("  wall: \(limits.wall)") }
        // Said even at 1: a script's default is 16.
        lines.append("  processes: \(limits.effectiveProcesses)")
        if let threads = limits.threads { lines.append("  threads: \(threads)") }
        if limits.output != standard.output { lines.append("  output: \(limits.output)") }
        if mode != .snapshot { lines.append("  scratch: \(limits.effectiveScratch)") }
        if !allow.filesRead.isEmpty {
            lines.append("allow:")
            lines.append("  files.read: [\(allow.filesRead.map(quoted).joined(separator: ", "))]")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
