import FunctionModel
import Glibc
import HostSystem

@testable import Bundles

/// function.yaml: refused with a reason, or a manifest whose values are within their bounds.
@Sendable func fuzzManifest(_ input: UnsafeRawBufferPointer) {
    let text = String(decoding: input, as: UTF8.self)
    check { () throws(ManifestError) in try Manifest(yaml: text) }
    let pairs = text.split(separator: "&").map { pair in
        let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
        return (name: parts.first ?? "", value: parts.count > 1 ? parts[1] : "")
    }
    check { () throws(ManifestError) in try Manifest(query: pairs) }
}

private func check(_ read: () throws(ManifestError) -> Manifest) {
    let manifest: Manifest
    do {
        manifest = try read()
    } catch {
        require(!"\(error)".isEmpty, "refused without a reason")
        return
    }
    let limits = manifest.limits
    require((1 << 20...1 << 50).contains(limits.memory.bytes), "memory \(limits.memory)")
    require(limits.wall.duration > .zero && limits.wall.duration <= .seconds(900), "wall \(limits.wall)")
    require((1...1 << 20).contains(limits.tasks), "tasks \(limits.tasks)")
    require((0...1 << 50).contains(limits.effectiveScratch.bytes), "scratch \(limits.effectiveScratch)")
    for path in manifest.allow.filesRead { requireAbsolute(path, "grant") }
    if let run = manifest.run { requireAbsolute("/" + run, "run") }
}

/// An uploaded file: what a loader would make of it is decided from its bytes alone.
@Sendable func fuzzExecutable(_ input: UnsafeRawBufferPointer) {
    let kind: Executable
    do {
        kind = try Executable.inspect(size: input.count) { offset, count in
            require(offset >= 0 && count >= 0 && count <= 1 << 20, "a read of \(count) bytes at \(offset)")
            guard offset < input.count else { return [] }
            return Array(input[offset..<min(input.count, offset + count)])
        }
    } catch {
        require(!"\(error)".isEmpty, "refused without a reason")
        return
    }
    if case .script(let interpreter, _) = kind { requireAbsolute(interpreter, "interpreter") }
}

/// By bytes, as the kernel reads it.
private func requireAbsolute(_ path: String, _ what: String) {
    let parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(Array.init)
    require(parts.count > 1 && parts[0].isEmpty, "\(what) \(path) is not absolute")
    let odd = parts.dropFirst().contains { $0.isEmpty || $0 == Array(".".utf8) || $0 == Array("..".utf8) }
    require(!odd, "\(what) \(path) has an odd component")
}

private let place = "/dev/shm/bulkhead-fuzz-\(getpid())"
private let canary: String = {
    mkdir(place, 0o755)
    let path = place + "/canary"
    let file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)
    close(file)
    atexit {
        unlink(canary)
        unlink(place + "/archive")
        rmdir(place)
    }
    return path
}()

/// An archive: whatever it holds, nothing is made outside the folder, and that can be removed again.
@Sendable func fuzzArchive(_ input: UnsafeRawBufferPointer) {
    var before = stat()
    require(stat(canary, &before) == 0, "no canary")
    do {
        let outer = try Folder(path: place)
        try outer.makeFolder("bundle")
        let archive = try OwnedDescriptor(
            returned: open(place + "/archive", O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0o600), by: "open")
        try archive.writeAll(input)
        let unpacker = ArchiveUnpacker(into: try outer.folder("bundle"))
        _ = try? unpacker.unpack(archive)
        try outer.removeTree("bundle")
        let left = try outer.names().filter { $0 != "canary" && $0 != "archive" }
        require(left.isEmpty, "made outside the bundle: \(left)")
    } catch {
        fatalError("\(error)")
    }
    var after = stat()
    require(stat(canary, &after) == 0 && after.st_size == 0 && after.st_nlink == 1, "the file beside it was changed")
}
