import CHostSystem
import Glibc

/// Starts a program with exactly the descriptors given: no fork of this process, no Swift in the child.
/// - Parameter descriptors: numbers of this process, which become 3, 4, … of the child. 0 to 2 are passed on.
/// - Returns: the child's pid.
/// - Throws: `SystemError`.
package func spawn(
    _ program: String, arguments: [String], environment: [String: String], descriptors: [Int32]
) throws(SystemError) -> Int32 {
    let argv = CStrings([program] + arguments)
    let envp = CStrings(environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    var pid: pid_t = 0
    let error = bh_spawn(&pid, program, argv.pointers, envp.pointers, descriptors, Int32(descriptors.count))
    try SystemError.check(error, "start \(program)")
    return pid
}

/// A NULL-terminated array of C strings that lives as long as this value.
private final class CStrings {
    var pointers: [UnsafeMutablePointer<CChar>?]

    init(_ strings: [String]) { pointers = strings.map { strdup($0) } + [nil] }

    deinit { for pointer in pointers { free(pointer) } }
}
