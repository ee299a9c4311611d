import Glibc

/// Writes a line to stderr: stdout is for results.
package func complain(_ message: String, prefix: String = "bulkhead: ") {
    let line = Array("\(prefix)\(message)\n".utf8)
    _ = write(2, line, line.count)
}
