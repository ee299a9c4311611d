import Crypto
import Foundation
import FunctionModel
import HostSystem
import NIOCore
import WireText

/// Messages as a function gets them: as Lambda hands over those of SQS.
/// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
enum MessageBatch {
    /// The event.
    static func event(_ messages: [QueueMessage], of queue: String, region: String) -> ByteBuffer {
        var json = ByteBuffer()
        json.reserveCapacity(messages.reduce(16) { $0 + $1.body.utf8.count + 512 })
        json.writeString(#"{"Records":["#)
        for (index, message) in messages.enumerated() {
            if index > 0 { json.writeString(",") }
            json.writeString(
                #"{"messageId":"\#(message.id)","receiptHandle":"\#(message.position)-\#(message.receives)","body":"#)
            JSONString.write(message.body, to: &json)
            json.writeString(
                #","attributes":{"ApproximateReceiveCount":"\#(message.receives)","SentTimestamp":"\#(message.sentAt)","#
                    + #""SenderId":"\#(LambdaLabel.account)","#
                    + #""ApproximateFirstReceiveTimestamp":"\#(message.firstReceivedAt ?? message.sentAt)"},"#
                    + #""messageAttributes":{},"md5OfBody":"\#(hex(Insecure.MD5.hash(data: Data(message.body.utf8))))","#
                    + #""eventSource":"aws:sqs","eventSourceARN":"\#(LambdaLabel.queueARN(queue, region))","awsRegion":"\#(region)"}"#
            )
        }
        json.writeString("]}")
        return json
    }

    private struct Item: Decodable { let itemIdentifier: String }

    /// Of a report, in bytes: ten thousand ids and what is around them.
    private static let longestReport = 1 << 20

    /// The ids of those that the function could not do, as its answer says; nil: that it cannot be told, and all are to come again.
    static func failures(in answer: ByteBuffer, of messages: [QueueMessage]) -> Set<String>? {
        guard answer.withUnsafeReadableBytes({ JSONText.problem(in: $0) }) == nil else { return nil }
        let first = answer.readableBytesView.first { ![0x20, 0x09, 0x0a, 0x0d].contains($0) }
        // Who answers null, or a word, has done all.
        guard first == UInt8(ascii: "{") else { return [] }
        // One with a key twice says two things.
        guard let members = answer.withUnsafeReadableBytes({ JSONText.members(of: $0, most: 1000) }) else { return nil }
        guard let range = members["batchItemFailures"],
            let slice = answer.getSlice(at: answer.readerIndex + range.lowerBound, length: range.count),
            !slice.readableBytesView.elementsEqual("null".utf8)
        else { return [] }
        guard slice.readableBytes <= longestReport,
            let items = try? JSONDecoder().decode([Item].self, from: Data(slice.readableBytesView))
        else { return nil }
        let failed = Set(items.map(\.itemIdentifier))
        return failed.isSubset(of: messages.map(\.id)) ? failed : nil
    }
}
