import CHostSystem
package import Foundation
import FunctionModel
import Glibc
package import HostSystem
import Synchronization

/// The supervisor's side of the courier: hands it errands, and their answers to whoever waits.
///
/// The socket is the guardian's, and lives longer than either side: what another courier or supervisor has left in it is nobody's
/// here, and passed by.
package final class Courier: Sendable {
    private typealias Waiting = CheckedContinuation<Result<Errand.Answer, Errand.Failed>, Never>
    private struct State {
        var waiting: [UInt64: Waiting] = [:]
    }

    private let socket: OwnedDescriptor
    private let state = Mutex(State())
    /// Errands that are out at once.
    private static let maxWaiting = 256
    /// How much longer than it takes an errand to fail its answer may take.
    private static let grace: Duration = .seconds(2)

    /// Starts a thread that waits for answers: recvmsg with descriptors is nothing NIO offers.
    /// - Parameter socket: a SOCK_SEQPACKET one.
    package init(_ socket: consuming OwnedDescriptor) {
        self.socket = socket
        let courier = self
        Thread.detachNewThread { courier.readForEver() }
    }

    /// - Throws: `Errand.Failed`, saying why there is no answer.
    package func run(_ errand: Errand) async throws(Errand.Failed) -> Errand.Answer {
        let id = UInt64.random(in: .min ... .max)
        let expiry = Task { [self] in
            try await Task.sleep(for: errand.timeout + Self.grace)
            settle(id, .failure(Errand.Failed("the courier has not answered within \(errand.timeout)")))
        }
        defer { expiry.cancel() }
        return try await withCheckedContinuation { (waiting: Waiting) in
            let hasRoom = state.withLock { state in
                guard state.waiting.count < Self.maxWaiting else { return false }
                state.waiting[id] = waiting
                return true
            }
            guard hasRoom else {
                return waiting.resume(returning: .failure(Errand.Failed("too many requests are going out already")))
            }
            if let refused = send(ErrandPacket(id: id, errand), body: errand.body) { settle(id, .failure(refused)) }
        }.get()
    }

    private func send(_ packet: ErrandPacket, body: [UInt8]) -> Errand.Failed? {
        do {
            let head = try JSONEncoder().encode(packet)
            guard head.count <= ErrandPacket.maxSize, body.count <= ErrandPacket.maxBody else {
                return Errand.Failed("the request is too large")
            }
            let file = body.isEmpty ? nil : try SealedFile(name: "bulkhead-errand", bytes: body)
            let error = sendPacket(head, file, over: socket.number)
            return error == 0 ? nil : Errand.Failed("the courier takes nothing now: \(errnoName(error))")
        } catch {
            return Errand.Failed("\(error)")
        }
    }

    private func settle(_ id: UInt64, _ result: Result<Errand.Answer, Errand.Failed>) {
        state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: result)
    }

    private func readForEver() {
        while let (head, body) = receivePacket(from: socket.number) {
            // The courier reads what strangers send: what it says is bounded, and believed no further.
            guard let packet = try? JSONDecoder().decode(AnswerPacket.self, from: head) else { continue }
            settle(packet.id, packet.result(body: body))
        }
    }
}

/// - Returns: 0, or an errno; EAGAIN when there is no room.
package func sendPacket(_ head: Data, _ body: SealedFile?, over socket: Int32) -> Int32 {
    let descriptors = [body?.number].compactMap { $0 }
    return head.withUnsafeBytes { bytes in
        guard let start = bytes.baseAddress else { return EINVAL }
        return bh_send_packet(socket, start, bytes.count, descriptors, Int32(descriptors.count), false)
    }
}

/// Waits for a packet; nil at the end. One that is too long is empty, one with a body that cannot be read has none.
package func receivePacket(from socket: Int32) -> (head: Data, body: [UInt8])? {
    var head = [UInt8](repeating: 0, count: ErrandPacket.maxSize)
    var descriptors = [Int32](repeating: -1, count: 8)
    var count: Int32 = 0
    let size = bh_receive_packet(socket, &head, head.count, &descriptors, &count)
    if size < 0, errno == EMSGSIZE || errno == EINTR || errno == EPROTO { return (Data(), []) }
    // A packet without bytes is none; the end looks the same, but stays.
    if size == 0, !hasEnded(socket) { return (Data(), []) }
    guard size > 0 else { return nil }
    let received = descriptors.prefix(Int(count))
    defer { for number in received { close(number) } }
    return (Data(head.prefix(size)), received.first.flatMap(contents(of:)) ?? [])
}

private func hasEnded(_ socket: Int32) -> Bool {
    let halfClosed: Int16 = 0x2000  // POLLRDHUP, which Swift's Glibc module leaves out
    var state = pollfd(fd: socket, events: halfClosed, revents: 0)
    return poll(&state, 1, 0) > 0 && state.revents & (Int16(POLLHUP | POLLERR) | halfClosed) != 0
}

/// Of a regular file no larger than a body may be: reading anything else might take for ever.
private func contents(of file: Int32) -> [UInt8]? {
    var info = stat()
    guard fstat(file, &info) == 0, info.st_mode & S_IFMT == S_IFREG, info.st_size <= ErrandPacket.maxBody else {
        return nil
    }
    var bytes = [UInt8](repeating: 0, count: Int(info.st_size)), done = 0
    while done < bytes.count {
        let count = bytes.withUnsafeMutableBytes { buffer in
            pread(file, buffer.baseAddress?.advanced(by: done), buffer.count - done, off_t(done))
        }
        guard count > 0 else { return nil }
        done += count
    }
    return bytes
}
