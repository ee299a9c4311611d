// Greets whom the event names. FoundationEssentials is Foundation without ICU and without networking: it starts faster
// and asks nothing of /proc, /etc or the zone database, none of which a cell has.
import FoundationEssentials
import Glibc

struct Event: Decodable {
    var name: String?
}

struct Greeting: Encodable {
    var message: String
}

func readAll(_ descriptor: Int32) -> Data {
    var data = Data()
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
        let size = read(descriptor, &buffer, buffer.count)
        if size > 0 {
            data.append(contentsOf: buffer[..<size])
        } else if size == 0 || errno != EINTR {
            return data
        }
    }
}

do {
    // An empty event reaches a function as null, which is nobody in particular.
    let event = try JSONDecoder().decode(Event?.self, from: readAll(0))
    let greeting = Greeting(message: "Hello, \(event?.name ?? "world")!")
    print(String(decoding: try JSONEncoder().encode(greeting), as: UTF8.self))
} catch {
    let line = "hello: the event is not {\"name\": string}: \(error)\n"
    write(2, line, line.utf8.count)
    exit(1)
}
