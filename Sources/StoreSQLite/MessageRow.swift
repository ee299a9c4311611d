import Foundation
import FunctionModel
import GRDB

extension QueueMessage {
    /// A row of the table `message`.
    init(_ row: Row) {
        // Bytes: as text, it would end with its first NUL.
        self.init(
            position: row["position"], id: row["id"], body: String(decoding: row["body"] as Data, as: UTF8.self),
            sentAt: row["sentAt"], visibleAt: row["visibleAt"], receives: row["receives"],
            firstReceivedAt: row["firstReceivedAt"])
    }
}
