// A snapshot in Swift: what is made before the fork is there in each invocation, as it was.
var table: [Int: Int] = [:]
for number in 0..<100_000 { table[number] = number * number }

let snapshot = Snapshot.fork()
guard let line = readLine(), let id = line.firstMatch(of: /"id":([0-9]+)/)?.1 else { fatalError("no request") }
snapshot.answer(id: String(id), result: #"{"squares":\#(table.count)}"#)
