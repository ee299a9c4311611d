import CHostSystem
import Glibc

/// A system call that failed: which one, on what, and why.
package struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
    package let call: String
    package let number: Int32

    package init(_ call: String, _ number: Int32 = errno) {
        self.call = call
        self.number = number
    }

    package var description: String { "\(call): \(String(cString: strerror(number)))" }

    /// Throws when `number`, a returned errno, is not 0.
    package static func check(_ number: Int32, _ call: @autoclosure () -> String) throws(SystemError) {
        if number != 0 { throw SystemError(call(), number) }
    }
}

/// The symbolic name of an errno, such as `ENOENT`; the number where there is none.
package func errnoName(_ number: Int32) -> String {
    guard let name = bh_errno_name(number) else { return "errno \(number)" }
    return String(cString: name)
}
