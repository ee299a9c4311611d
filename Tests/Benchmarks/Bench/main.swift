// bulkhead-bench: what can only be measured from inside the host's own code, and the HTTP floor beside it.
//
//   bulkhead-bench cells ECHO REACTOR    starts of cells, from the launcher's socket to the first byte of an answer
//   bulkhead-bench routes                how long a route is looked for among 10 to 10,000
//   bulkhead-bench nio-echo --port N     the smallest HTTP server that SwiftNIO gives: answers with the body
import Foundation

let arguments = CommandLine.arguments
switch arguments.dropFirst().first {
case "cells" where arguments.count == 4: try measureCells(echo: arguments[2], reactor: arguments[3])
case "routes" where arguments.count == 2: try measureRoutes()
case "nio-echo" where arguments.count == 4: try serveEcho(port: Int(arguments[3]) ?? 0)
default:
    FileHandle.standardError.write(Data("usage: bulkhead-bench cells ECHO REACTOR | routes | nio-echo --port N\n".utf8))
    exit(2)
}
