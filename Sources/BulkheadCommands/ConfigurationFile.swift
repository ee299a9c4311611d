import Deployment
import Foundation
import FunctionModel
import Host
import Yams

/// What `serve --config FILE` reads. Options on the command line win.
struct ConfigurationFile {
    static let keys =
        "listen, adminListen, tlsCertificate, tlsKey, insecureHttp, data, allowDegraded, firstUid, readyCells, maxWorkers, memoryBudget, maxWaiting, maxWait, maxQueued, maxUpload, maxEvent, maxBuffered, maxStored, maxVersions, maxStoredByKey, maxVersionsByKey, maxHostMemory, hosts, roots"

    var listen: String?
    var adminListen: String?
    var tls = TLS()
    var data: String?
    var allowDegraded: [String]?
    var firstUid: UInt32?
    var readyCells: Int?
    var bounds = Bounds()
    var quota = Quota()
    /// Names that requests may come for: see `HostNames`.
    var hosts: [String]?
    /// Paths of roots that the operator has prepared, by name.
    var roots: [String: String]?

    struct TLS {
        var certificate: String?
        var key: String?
        var insecureHttp: Bool?
    }

    /// What the host holds and does at once.
    struct Bounds {
        var maxWorkers: Int?
        var memoryBudget: ByteSize?
        var maxWaiting: Int?
        var maxWait: TimeLimit?
        var maxQueued: Int?
        var maxUpload: ByteSize?
        var maxEvent: ByteSize?
        var maxBuffered: ByteSize?
        /// Bytes that the supervisor itself may use.
        var maxHostMemory: ByteSize?
    }

    /// What may be stored, together and with one key.
    struct Quota {
        var maxStored: ByteSize?
        var maxVersions: Int?
        var maxStoredByKey: ByteSize?
        var maxVersionsByKey: Int?
    }

    init() {}

    /// - Throws: `CommandFailure`, naming file and line.
    init(path: String) throws {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandFailure("--config \(path): it cannot be read", .usage)
        }
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            throw CommandFailure("--config \(path): it is not YAML: \(error)", .usage)
        }
        guard let root else { return }
        guard case .mapping(let mapping) = root else {
            throw CommandFailure("--config \(path): it must be a mapping of keys", .usage)
        }
        for (key, value) in mapping {
            let place = "\(path) line \(key.mark?.line ?? 0)"
            if key.scalar?.string == "roots" {
                roots = try Self.roots(value, place)
                continue
            }
            guard let name = key.scalar?.string, try set(name, value) else {
                throw CommandFailure(
                    "\(place): \"\(key.scalar?.string ?? "?")\" is unknown or its value is not accepted; keys: \(Self.keys)",
                    .usage)
            }
        }
    }

    private static func roots(_ value: Node, _ place: String) throws -> [String: String] {
        guard case .mapping(let mapping) = value else {
            throw CommandFailure("\(place): roots must be a mapping of names to paths", .usage)
        }
        var roots: [String: String] = [:]
        for (key, value) in mapping {
            let name = key.scalar?.string ?? "?", path = value.scalar?.string ?? ""
            guard case .prepared = Manifest.Root(name) else {
                throw CommandFailure(
                    "\(place): roots: \"\(name)\" must be \(Manifest.Root.nameRule), other than \(Manifest.Root.own.joined(separator: ", "))",
                    .usage)
            }
            guard path.isAbsolutePath else {
                throw CommandFailure(
                    "\(place): roots: \(name): \"\(path)\" must be the absolute path of a folder or a tar", .usage)
            }
            roots[name] = path
        }
        return roots
    }

    private mutating func set(_ name: String, _ value: Node) throws -> Bool {
        let text = value.scalar?.string ?? ""
        let number = Int(text).flatMap { $0 >= 0 ? $0 : nil }
        switch name {
        case "listen": listen = text
        case "adminListen": adminListen = text
        case "tlsCertificate": tls.certificate = text
        case "tlsKey": tls.key = text
        case "insecureHttp":
            tls.insecureHttp = text == "true"
            return ["true", "false"].contains(text)
        case "data": data = text
        case "allowDegraded": allowDegraded = value.sequence?.compactMap { $0.scalar?.string } ?? [text]
        case "firstUid":
            firstUid = UInt32(text)
            return firstUid.map { $0 > 0 && $0 < UInt32.max - 1_000_000 } ?? false
        case "readyCells":
            readyCells = number
            return number.map { $0 <= 1000 } ?? false
        case "maxWorkers":
            bounds.maxWorkers = number
            return number.map { (1...8000).contains($0) } ?? false
        case "memoryBudget":
            bounds.memoryBudget = ByteSize(text)
            return bounds.memoryBudget.map { $0.bytes > 0 } ?? false
        case "maxWaiting":
            bounds.maxWaiting = number
            return number != nil
        case "maxWait":
            bounds.maxWait = TimeLimit(text)
            return bounds.maxWait != nil
        case "maxQueued":
            bounds.maxQueued = number
            return number != nil
        case "maxUpload":
            bounds.maxUpload = ByteSize(text)
            return bounds.maxUpload.map { $0.bytes <= 4 << 30 } ?? false
        case "maxEvent":
            // A buffer's length has 32 bits, and an event is written into another one.
            bounds.maxEvent = ByteSize(text)
            return bounds.maxEvent.map { $0.bytes <= 512 << 20 } ?? false
        case "maxBuffered":
            bounds.maxBuffered = ByteSize(text)
            return bounds.maxBuffered.map { $0.bytes >= 1 << 20 } ?? false
        case "maxStored":
            quota.maxStored = ByteSize(text)
            return quota.maxStored != nil
        case "maxVersions":
            quota.maxVersions = number
            return number != nil
        case "maxStoredByKey":
            quota.maxStoredByKey = ByteSize(text)
            return quota.maxStoredByKey != nil
        case "maxVersionsByKey":
            quota.maxVersionsByKey = number
            return number != nil
        case "maxHostMemory":
            bounds.maxHostMemory = ByteSize(text)
            return bounds.maxHostMemory.map { $0.bytes >= 128 << 20 } ?? false
        case "hosts": hosts = value.sequence?.compactMap { $0.scalar?.string } ?? [text]
        default: return false
        }
        return !text.isEmpty || value.sequence != nil
    }

    func hostOptions() throws -> Supervisor.Options {
        var options = Supervisor.Options()
        if let maxWorkers = bounds.maxWorkers { options.maxWorkers = maxWorkers }
        if let memoryBudget = bounds.memoryBudget { options.deployment.memoryBudget = memoryBudget.bytes }
        if let maxWaiting = bounds.maxWaiting { options.maxWaiting = maxWaiting }
        if let maxWait = bounds.maxWait { options.maxWait = maxWait.duration }
        if let maxQueued = bounds.maxQueued { options.maxQueued = maxQueued }
        if let maxUpload = bounds.maxUpload { options.deployment.maxUpload = maxUpload.bytes }
        if let maxEvent = bounds.maxEvent { options.maxEvent = maxEvent.bytes }
        if let maxBuffered = bounds.maxBuffered { options.maxBuffered = maxBuffered.bytes }
        if let maxStored = quota.maxStored { options.deployment.quota.maxBytes = maxStored.bytes }
        if let maxVersions = quota.maxVersions { options.deployment.quota.maxVersions = maxVersions }
        if let maxStoredByKey = quota.maxStoredByKey { options.deployment.quota.maxBytesByKey = maxStoredByKey.bytes }
        if let maxVersionsByKey = quota.maxVersionsByKey {
            options.deployment.quota.maxVersionsByKey = maxVersionsByKey
        }
        return options
    }
}
