import Glibc
import Synchronization

/// The system's random numbers, asked for many at a time: each `SystemRandomNumberGenerator.next()` is a system call, and an
/// invocation needs three numbers that nobody can guess.
package enum BufferedRandom {
    private static let store = Mutex<[UInt64]>([])

    package static func next() -> UInt64 {
        store.withLock { numbers in
            if let number = numbers.popLast() { return number }
            numbers = Array(repeating: 0, count: 32)
            // 256 bytes are what it gives at most, and never less than asked (getentropy(3)).
            let error = numbers.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) }
            precondition(error == 0, "no random numbers from the kernel: errno \(errno)")
            return numbers.removeLast()
        }
    }
}
