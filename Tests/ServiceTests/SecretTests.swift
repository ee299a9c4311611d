import Foundation
import FunctionModel
import Secrets
import Store
import StoreSQLite
import Synchronization
import Testing

@Suite final class SecretTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "secrets-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: folder) }

    private var place: Secrets.KeyPlace {
        Secrets.KeyPlace(path: folder.path + "/secrets.key", given: nil) { text, path in
            let made = FileManager.default.createFile(
                atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
            guard made else { throw CocoaError(.fileWriteUnknown) }
        }
    }

    private func secrets(_ place: Secrets.KeyPlace? = nil) throws -> Secrets {
        try Secrets(
            store: try SQLiteStore(path: folder.path + "/catalogue.db").stores.secrets, place: place ?? self.place)
    }

    private func inFiles(_ text: String) throws -> Bool {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).contains { name in
            try Data(contentsOf: folder.appending(path: name)).range(of: Data(text.utf8)) != nil
        }
    }

    @Test func storedOnesAreSealedAndThereAgain() async throws {
        let secrets = try secrets(), told = Mutex<[String]>([])
        secrets.tell { name in told.withLock { $0.append(name) } }
        #expect(try await secrets.put("db", Array("hunter2-and-more".utf8), now: "t").isNew)
        #expect(try await !secrets.put("db", Array("hunter2-and-more".utf8), now: "u").isNew)
        #expect(told.withLock { $0 } == ["db"])
        #expect(try !inFiles("hunter2"))
        let again = try self.secrets()
        #expect(again.environment(["DB": "db"]) == ["DB=hunter2-and-more"] && again.all.map(\.updatedAt) == ["t"])
        #expect(again.environment(["DB": "db", "X": "none"]) == nil && again.missing(of: ["X": "none"]) == ["none"])
        #expect(try await again.remove("db"))
        #expect(try await !again.remove("db"))
        for (name, bytes) in [("", "x"), ("-a", "x"), ("0.5", "x"), ("a/b", "x"), ("é", "x"), ("a", "")] {
            await #expect(throws: Failure.self) { try await again.put(name, Array(bytes.utf8), now: "t") }
        }
        // Bytes are bytes; a variable is text.
        for bytes: [UInt8] in [[0xFF], [65, 0]] {
            #expect(try await again.put("bytes", bytes, now: "t").0.name == "bytes")
            #expect(again.bytes(of: "bytes") == bytes && again.environment(["X": "bytes"]) == nil)
        }
        await #expect(throws: Failure.self) {
            try await again.put("a", [UInt8](repeating: 65, count: 65_537), now: "t")
        }
    }

    /// One object of all of them, whatever their bytes are.
    @Test func aDocumentHoldsWhatNoVariableCan() async throws {
        let secrets = try secrets()
        for (name, bytes) in [
            ("text", Array("a/\"b\"\nü".utf8)), ("nul", [65, 0, 66]), ("bytes", [0xFF, 0]),
        ] as [(String, [UInt8])] {
            _ = try await secrets.put(name, bytes, now: "t")
        }
        let document = try #require(secrets.document(["T": "text", "N": "nul", "B": "bytes"]))
        #expect(
            String(decoding: document, as: UTF8.self)
                == #"{"B":{"base64":"/wA="},"N":"A\u0000B","T":"a/\"b\"\nü"}"#)
        #expect(secrets.document(["T": "text", "X": "none"]) == nil)
        #expect(secrets.document([:]).map { String(decoding: $0, as: UTF8.self) } == "{}")
    }

    @Test func anotherKeyOpensNothing() async throws {
        _ = try await secrets().put("db", Array("hunter2".utf8), now: "t")
        let path = folder.path + "/secrets.key", moved = path + ".away"
        try FileManager.default.moveItem(atPath: path, toPath: moved)
        #expect(throws: SecretKey.Unusable.self) { try self.secrets() }
        #expect(!FileManager.default.fileExists(atPath: path))
        try place.write(SecretKey().text, path)
        #expect(throws: SecretKey.Unusable.self) { try self.secrets() }
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: moved, toPath: path)
        #expect(try secrets().bytes(of: "db") == Array("hunter2".utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        #expect(throws: SecretKey.Unusable.self) { try self.secrets() }
    }

    @Test func rotationIsWholeOrNotAtAll() async throws {
        let secrets = try secrets(), path = folder.path + "/secrets.key"
        _ = try await secrets.put("db", Array("hunter2".utf8), now: "t")
        let before = try String(contentsOfFile: path, encoding: .utf8)
        #expect(try secrets.rotate() == 1)
        let after = try String(contentsOfFile: path, encoding: .utf8)
        #expect(before != after)
        #expect(try self.secrets().bytes(of: "db") == Array("hunter2".utf8))
        // Killed before the file was put in its place: the next one finds the other.
        try place.write(before, path)
        try place.write(after, path + ".next")
        #expect(try self.secrets().bytes(of: "db") == Array("hunter2".utf8))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == after)
        // And before the store was changed.
        try place.write(SecretKey().text, path + ".next")
        #expect(try self.secrets().bytes(of: "db") == Array("hunter2".utf8))
    }

    @Test func whatIsSaidIsRedacted() {
        let redactor = Redactor([Array("hunter2!".utf8), Array("line one here\nline two here".utf8), Array("abc".utf8)])
        #expect(redactor.redacted("password=hunter2!;") == "password=[secret];")
        #expect(redactor.redacted("hunter2!hunter2!") == "[secret][secret]")
        #expect(redactor.redacted("only line two here is said") == "only [secret] is said")
        #expect(redactor.redacted("abc is too short to be one") == "abc is too short to be one")
        for prefix in ["", "a", "ab", "abc:", "user:"] {
            let text = Data("\(prefix)hunter2!tail".utf8).base64EncodedString()
            #expect(redactor.redacted("Basic \(text)").contains("[secret]"), "\(prefix)")
            let end = redactor.redacted(Data("\(prefix)hunter2!".utf8).base64EncodedString())
            #expect(end.hasSuffix("[secret]"), "\(end)")
        }
        // As the function reads it from its descriptor.
        let quoted = Redactor([Array("say \"hunter2\"\n".utf8)])
        #expect(quoted.redacted(#"{"DB":"say \"hunter2\"\n"}"#) == #"{"DB":"[secret]"}"#)
        // Its own mark's word does not go round and round.
        #expect(Redactor([Array("secret".utf8)]).redacted("secret secret") == "[secret] [secret]")
    }
}
