import Bundles
import FunctionModel
import HostSystem

/// `runtime: provided`: a Lambda custom runtime. Known by name only, so far.
struct Provided: Runtime {
    var program: String? { nil }
    let holds = ""

    func place(of manifest: inout Manifest, named name: FunctionName) -> String {
        Native().place(of: &manifest, named: name)
    }

    func examine(_ manifest: inout Manifest, in folder: borrowing Folder, roots: Roots) throws -> Executable? {
        throw UploadRefused("runtime: provided is not served yet; accepted today: native, python")
    }

    func minimalView(for executable: Executable?) -> String { Native().minimalView(for: executable) }

    func command(of version: FunctionVersion, runtimeBundle: String) -> RuntimeCommand {
        Native().command(of: version, runtimeBundle: runtimeBundle)
    }

    func description(of version: FunctionVersion) -> String { Native().description(of: version) }
}
