import Glibc

/// Runs libFuzzer on the target that BULKHEAD_FUZZ_TARGET names. https://llvm.org/docs/LibFuzzer.html
///
/// A target crashes by itself where the code under test would, or by `require` where it answers what it must not.
@main enum Fuzz {
    static func main() {
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        exit(runDriver(&count, &arguments) { fuzzOneInput($0, $1) })
    }
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}

private let targets: [String: @Sendable (UnsafeRawBufferPointer) -> Void] = [
    "archive": fuzzArchive,
    "executable": fuzzExecutable,
    "http-answer": fuzzHTTPAnswer,
    "http-event": fuzzHTTPEvent,
    "lambda": fuzzLambda,
    "log": fuzzLog,
    "manifest": fuzzManifest,
    "protocol": fuzzProtocol,
    "runtime": fuzzRuntime,
]

private let target: @Sendable (UnsafeRawBufferPointer) -> Void = {
    let name = getenv("BULKHEAD_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = targets[name] else {
        fatalError("BULKHEAD_FUZZ_TARGET must be one of: \(targets.keys.sorted().joined(separator: " "))")
    }
    return target
}()

/// What must hold for every input.
func require(_ holds: Bool, _ what: @autoclosure () -> String) {
    if !holds { fatalError(what()) }
}
