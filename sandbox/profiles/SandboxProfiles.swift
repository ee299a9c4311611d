/// The policy files beside this one, as they stood when this was built: data, compiled into the program so that nobody
/// can change them under a running host.
package enum SandboxProfiles {
    /// The system calls a cell may make.
    package static var base: String { String(decoding: PackageResources.base_profile, as: UTF8.self) }
    /// Those that are left to it once it is locked.
    package static var locked: String { String(decoding: PackageResources.locked_profile, as: UTF8.self) }
    /// The system calls the supervisor itself may make once it serves.
    package static var supervisor: String { String(decoding: PackageResources.supervisor_profile, as: UTF8.self) }
    /// Those that the courier may make.
    package static var courier: String { String(decoding: PackageResources.courier_profile, as: UTF8.self) }
    /// What stands in a cell's root.
    package static var roots: String { String(decoding: PackageResources.roots_profile, as: UTF8.self) }
}
