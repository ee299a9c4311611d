import Bundles
import FunctionModel
import HostSystem
import PythonRuntime
import Sandbox

/// `runtime: python`: a Lambda-style handler, which the host's own runtime loads into the root's python3.
struct Python: Runtime {
    /// Of whichever root.
    static let interpreter = "/usr/bin/python3"

    var program: String? { Self.interpreter }
    let holds = ", Bulkhead's Python runtime at /runtime"

    func place(of manifest: inout Manifest, named name: FunctionName) -> String {
        PythonHandler(manifest.handler ?? "")?.files.first ?? manifest.run ?? name.text
    }

    func examine(_ manifest: inout Manifest, in folder: borrowing Folder, roots: Roots) throws -> Executable? {
        let files = PythonHandler(manifest.handler ?? "")?.files ?? []
        // Lambda takes any, and says so to whoever invokes it.
        guard LambdaLabel.areOf(manifest) || files.contains(where: { (try? folder.open(file: $0).size()) != nil })
        else {
            throw UploadRefused(
                "handler: \(manifest.handler ?? "") needs \(files.first ?? "a module"), which is not in the bundle")
        }
        return nil
    }

    func minimalView(for executable: Executable?) -> String { "python" }

    func command(of version: FunctionVersion, runtimeBundle: String) -> RuntimeCommand {
        RuntimeCommand(
            executable: Self.interpreter,
            arguments: [
                Self.interpreter, "-s", "-B", "/runtime/\(PythonRuntime.fileName)", version.manifest.handler ?? "",
            ],
            mounts: [.init(kind: .bundle, source: runtimeBundle, target: "/runtime")])
    }

    func description(of version: FunctionVersion) -> String {
        "\(version.manifest.handler ?? "") in \(version.manifest.root.owner) python3"
    }
}
