import Foundation
import FunctionModel
import NIOCore

/// Bodies that ask for something to be made or changed.
enum JSONRequest {
    /// - Parameter accepted: what is taken, in a sentence.
    /// - Throws: `Failure` invalid_request.
    static func decode<Wanted: Decodable>(_ body: ByteBuffer, _ accepted: String) throws -> Wanted {
        do {
            return try JSONDecoder().decode(Wanted.self, from: Data(body.readableBytesView))
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(.invalidRequest, accepted)
        }
    }
}
