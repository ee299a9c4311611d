package import FunctionModel
package import HostSystem

/// What a bundle must hold to run here: asked of who knows runtimes, for a store knows files only.
package protocol BundleRules: Sendable {
    /// Where in its bundle a lone file is to stand; writes it into the manifest where that names it.
    func place(of manifest: inout Manifest, named name: FunctionName) -> String

    /// That what the manifest names is there and can run here; completes the manifest by what the files tell.
    /// - Returns: what is executed; nil where that is not the bundle's own.
    /// - Throws: `UploadRefused`.
    func examine(_ manifest: inout Manifest, in folder: borrowing Folder) throws -> Executable?
}
