import Bundles
import FunctionModel
import HostSystem
import Sandbox

/// `runtime: provided`: a Lambda custom runtime. A program of the bundle that asks for its events at 127.0.0.1:9001, in a network of
/// its own.
struct Provided: Runtime {
    /// As AWS has it (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html).
    static let program = "bootstrap"
    /// Where it asks.
    static let port: UInt16 = 9001
    /// Where a function's files are on AWS.
    static let taskRoot = "/var/task"

    var program: String? { nil }
    let holds = ", Lambda's Runtime API at 127.0.0.1:\(Self.port)"

    func place(of manifest: inout Manifest, named name: FunctionName) -> String {
        let file = manifest.run ?? Self.program
        manifest.run = file
        return file
    }

    func examine(_ manifest: inout Manifest, in folder: borrowing Folder, roots: Roots) throws -> Executable? {
        let file = manifest.run ?? Self.program
        manifest.run = file
        // Lambda takes any, and says so to whoever invokes it.
        if LambdaLabel.areOf(manifest), (try? folder.open(file: file).size()) == nil { return nil }
        return try Native().examine(&manifest, in: folder, roots: roots)
    }

    func minimalView(for executable: Executable?) -> String { Native().minimalView(for: executable) }

    func command(of version: FunctionVersion, runtimeBundle: String) -> RuntimeCommand {
        var command = Native().command(of: version, runtimeBundle: runtimeBundle)
        command.mounts.append(.init(kind: .link, source: "/function", target: Self.taskRoot))
        return command
    }

    func description(of version: FunctionVersion) -> String {
        Native().description(of: version) + ", which asks for its events as on AWS Lambda"
    }
}
