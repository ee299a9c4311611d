import Crypto
import Foundation
import Glibc

/// What stored secrets are sealed with: 256 random bits in a file, in base64.
package struct SecretKey: Sendable {
    let key: SymmetricKey

    /// Why there is none.
    package struct Unusable: Error, CustomStringConvertible, Sendable {
        package let description: String
    }

    package init() { key = SymmetricKey(size: .bits256) }

    /// - Throws: `Unusable`, for a file that others than its owner may read, or that holds no key; nil where there is none.
    package init?(file path: String) throws(Unusable) {
        let file = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw Unusable(description: "the secrets' key \(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var info = stat()
        guard fstat(file, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            throw Unusable(description: "the secrets' key \(path) is no regular file")
        }
        guard info.st_mode & 0o077 == 0 else {
            throw Unusable(
                description:
                    "the secrets' key \(path) has mode \(String(info.st_mode & 0o777, radix: 8)): others may read it; chmod 600 \(path)"
            )
        }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(file, &buffer, buffer.count)
        let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        let decoded = Data(base64Encoded: text.filter { !$0.isWhitespace })
        guard let bytes = count == 32 ? Data(buffer.prefix(32)) : decoded, bytes.count == 32 else {
            throw Unusable(
                description:
                    "the secrets' key \(path) is not 32 bytes, as they are or in base64, such as `openssl rand -base64 32` makes"
            )
        }
        key = SymmetricKey(data: bytes)
    }

    /// As its file has it.
    package var text: String { key.withUnsafeBytes { Data($0).base64EncodedString() } }

    /// - Parameter name: the secret's: what is sealed for one name is worth nothing under another.
    func seal(_ bytes: [UInt8], as name: String) throws -> Data {
        let box = try AES.GCM.seal(bytes, using: key, authenticating: Data(name.utf8))
        return box.combined ?? Data()  // it has the usual nonce's size, and so is there
    }

    func open(_ sealed: Data, as name: String) -> [UInt8]? {
        guard let box = try? AES.GCM.SealedBox(combined: sealed) else { return nil }
        return (try? AES.GCM.open(box, using: key, authenticating: Data(name.utf8))).map { Array($0) }
    }
}
