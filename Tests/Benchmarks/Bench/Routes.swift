import Catalogue
import Foundation
import FunctionModel

/// How long a request's route is looked for, among few and among many; prints JSON, in nanoseconds.
func measureRoutes() throws {
    guard let function = FunctionName("f") else { return }
    var figures: [String: Double] = [:]
    for count in [10, 100, 1000, 10_000] {
        var routes: [Route] = []
        for number in 0..<count {
            let path = "/tenants/t\(number % 100)/things-\(number)/{id}/\(number % 2 == 0 ? "parts/{part}" : "{rest+}")"
            routes.append(
                Route(id: "r\(number)", pattern: try RoutePattern("GET \(path)"), function: function, auth: .none))
        }
        let table = RouteTable(routes)
        let paths = (0..<1000).map { index in
            let number = index * 7919 % count
            return "/tenants/t\(number % 100)/things-\(number)/4711/\(number % 2 == 0 ? "parts/9" : "a/b/c")"
        }
        var best = Double.infinity
        for _ in 0..<20 {
            let began = ContinuousClock.now
            var found = 0
            for path in paths {
                if case .route = table.match(method: "GET", host: "api.example.com", path: path) { found += 1 }
            }
            let elapsed = ContinuousClock.now - began
            guard found == paths.count else {
                throw CocoaError(.featureUnsupported, userInfo: [NSDebugDescriptionErrorKey: "\(found) were found"])
            }
            best = min(best, Double(elapsed.components.attoseconds) / 1e9 / Double(paths.count))
        }
        figures["\(count)"] = (best * 10).rounded() / 10
    }
    FileHandle.standardOutput.write(try JSONEncoder().encode(figures) + Data("\n".utf8))
}
