import Bundles
import FunctionModel
import Glibc
import HostSystem
import Sandbox

/// `runtime: native`: an ELF file or a `#!` script of the bundle.
struct Native: Runtime {
    var program: String? { nil }
    let holds = ""

    func place(of manifest: inout Manifest, named name: FunctionName) -> String {
        let file = manifest.run ?? name.text
        manifest.run = file
        return file
    }

    func examine(_ manifest: inout Manifest, in folder: borrowing Folder, roots: Roots) throws -> Executable? {
        /// Where the cell will look: in the bundle as well.
        func isThere(_ path: String, _ manifest: Manifest) throws -> Bool {
            guard path.isPath(below: "/function") else { return try roots.show(executable: path, to: manifest) }
            return (try? folder.open(file: String(path.dropFirst("/function/".count))).size()) != nil
        }
        guard let run = manifest.run else {
            throw UploadRefused("run is missing: it names the executable inside the bundle, such as ./thumbnail")
        }
        let executable = try inspect(run, in: folder)
        switch executable {
        case .script(let interpreter, _):
            guard try isThere(interpreter, manifest) else {
                throw UploadRefused(
                    "\(run): its interpreter \(interpreter) does not exist in a cell of \(Self.place(manifest)); one of its own goes into the bundle, as #!/function/NAME"
                )
            }
            manifest.allowPipelines()
        case .dynamicELF(let loader):
            guard try isThere(loader, manifest) else {
                throw UploadRefused(
                    "\(run): its loader \(loader) does not exist in a cell of \(Self.place(manifest)); link it statically"
                )
            }
            if let file = try? folder.open(file: run), packsScript(file) { manifest.allowPipelines() }
        case .staticELF: break
        }
        return executable
    }

    /// Whether it is what PyInstaller makes of a script: a loader that unpacks itself and forks, whatever the script does. By the
    /// cookie behind its archive, which stands near the end (PyInstaller's `pyi_archive.h`).
    private func packsScript(_ file: borrowing OwnedDescriptor) -> Bool {
        guard let size = try? file.size() else { return false }
        let cookie: [UInt8] = [0x4D, 0x45, 0x49, 0x0C, 0x0B, 0x0A, 0x0B, 0x0E], reach = 64 << 10
        return file.read(at: max(size - reach, 0), count: reach).firstRange(of: cookie) != nil
    }

    private static func place(_ manifest: Manifest) -> String {
        if case .prepared(let name) = manifest.root { "the root \(name)" } else { "this host" }
    }

    private func inspect(_ run: String, in folder: borrowing Folder) throws -> Executable {
        let file: OwnedDescriptor
        do {
            file = try folder.open(file: run)
        } catch {
            throw UploadRefused("run: ./\(run) is not in the bundle (a link does not count)")
        }
        do {
            let size = try file.size()
            let number = file.number
            let executable = try Executable.inspect(size: size) { offset, count in
                let view = OwnedDescriptor(owning: dup(number))
                return view.read(at: offset, count: count)
            }
            // Zip files made on other systems carry no mode.
            guard fchmod(number, 0o755) == 0 else { throw SystemError("chmod \(run)") }
            return executable
        } catch let refusal as Executable.Refusal {
            throw UploadRefused("./\(run): \(refusal)")
        }
    }

    func minimalView(for executable: Executable?) -> String {
        switch executable {
        case .dynamicELF: "dynamic"
        case .script: "script"
        case .staticELF, nil: "static"
        }
    }

    func command(of version: FunctionVersion, runtimeBundle: String) -> RuntimeCommand {
        let run = "/function/" + (version.manifest.run ?? "")
        guard case .script(let interpreter, let argument) = version.executable else {
            return RuntimeCommand(executable: run, arguments: [run])
        }
        return RuntimeCommand(
            executable: interpreter, arguments: [interpreter] + (argument.map { [$0] } ?? []) + [run])
    }

    func description(of version: FunctionVersion) -> String {
        let run = version.manifest.run ?? ""
        return switch version.executable {
        case .staticELF: "./\(run), a static program"
        case .dynamicELF: "./\(run), a program that loads \(version.manifest.root.owner) libraries"
        case .script(let interpreter, _): "./\(run), a script for \(interpreter)"
        case nil: "./\(run)"
        }
    }
}
