import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTPTypes
import Testing

@testable import Gateway

@Suite struct HeadDeadlineTests {
    private let request = HTTPRequestPart.head(HTTPRequest(method: .get, scheme: "http", authority: "a", path: "/"))

    private func connected() throws -> (EmbeddedChannel, EmbeddedEventLoop) {
        let loop = EmbeddedEventLoop()
        let channel = EmbeddedChannel(handler: HeadDeadline(), loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return (channel, loop)
    }

    /// Bytes that do not complete a head never come as far as this handler, so nothing is all it sees of them.
    @Test func aHeadThatNeverEnds() throws {
        let (channel, loop) = try connected()
        loop.advanceTime(by: .seconds(60))
        #expect(channel.isActive)
        loop.advanceTime(by: .seconds(60))
        #expect(!channel.isActive)
    }

    /// The second one is still being served when the first one's answer ends.
    @Test func pipelinedRequests() throws {
        let (channel, loop) = try connected()
        for _ in 1...2 {
            try channel.writeInbound(request)
            try channel.writeInbound(HTTPRequestPart.end(nil))
        }
        try channel.writeOutbound(HTTPResponsePart.end(nil))
        loop.advanceTime(by: .minutes(10))
        #expect(channel.isActive)
        try channel.writeOutbound(HTTPResponsePart.end(nil))
        loop.advanceTime(by: .seconds(120))
        #expect(!channel.isActive)
    }

    /// An answer of which the client takes nothing.
    @Test func anAnswerThatIsNotRead() throws {
        let (channel, loop) = try connected()
        try channel.writeInbound(request)
        channel.isWritable = false
        channel.pipeline.fireChannelWritabilityChanged()
        loop.advanceTime(by: .seconds(60))
        #expect(channel.isActive)
        loop.advanceTime(by: .seconds(60))
        #expect(!channel.isActive)
    }

    /// A body that stops halfway. One that goes on may take longer: the body's own limit is another's.
    @Test func aBodyThatNeverEnds() throws {
        let (channel, loop) = try connected()
        try channel.writeInbound(request)
        channel.read()
        for _ in 1...5 {
            loop.advanceTime(by: .seconds(60))
            #expect(channel.isActive)
            try channel.writeInbound(HTTPRequestPart.body(ByteBuffer(string: "x")))
            channel.read()
        }
        loop.advanceTime(by: .seconds(120))
        #expect(!channel.isActive)
    }

    /// Nobody here asks for more of it, since a function has not read what has come: that is not the client's doing.
    @Test func aBodyThatNobodyWaitsFor() throws {
        let (channel, loop) = try connected()
        try channel.writeInbound(request)
        channel.read()
        try channel.writeInbound(HTTPRequestPart.body(ByteBuffer(string: "x")))
        loop.advanceTime(by: .minutes(10))
        #expect(channel.isActive)
        channel.read()
        loop.advanceTime(by: .seconds(60))
        #expect(channel.isActive)
        loop.advanceTime(by: .seconds(60))
        #expect(!channel.isActive)
    }

    @Test func servingMayTakeLong() throws {
        let (channel, loop) = try connected()
        try channel.writeInbound(request)
        try channel.writeInbound(HTTPRequestPart.end(nil))
        loop.advanceTime(by: .minutes(20))
        #expect(channel.isActive)
        try channel.writeOutbound(HTTPResponsePart.end(nil))
        loop.advanceTime(by: .seconds(60))
        #expect(channel.isActive)
        loop.advanceTime(by: .seconds(60))
        #expect(!channel.isActive, "the next one must come in time as well")
    }
}
