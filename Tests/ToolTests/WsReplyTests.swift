import Foundation
import Testing

/// How long --one may take, and what it says when there is no reply.
@Suite struct WsReplyTests {
    private static let options = "--connect-timeout 600s --close-timeout 600s -1 --wait"

    /// A server that takes the connection and says nothing.
    @Test(arguments: ["", "--reconnect"]) func noHandshake(_ option: String) throws {
        let peer = try WsPeer()
        let tool = try cat("\(Self.options) 300ms \(option)", peer)
        tool.write("1\n")
        let connection = try peer.acceptRaw()
        let result = tool.finish()
        #expect(result.ending == .exit(69))
        #expect(
            result.errors.hasPrefix("ws-cat: no reply within 300ms (see --wait): there was no"),
            "\(result.errors)")
        connection.hangUp()
    }

    /// Nobody is there, and nobody comes.
    @Test func noServer() throws {
        let result = try run(
            "ws-cat",
            "\(Self.options) 300ms --reconnect --backoff 1ms..20ms -q"
                + " ws://127.0.0.1:\(try unusedPort())/", "1\n")
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("within 300ms (see --wait): cannot connect to 127.0.0.1"))
    }

    /// The closing adds nothing, and the reason stands alone: it is what Nagios shows.
    @Test func noReply() throws {
        let peer = try WsPeer()
        let tool = try cat("\(Self.options) 2s --stats", peer)
        tool.write("1\n")
        let connection = try peer.accept()
        #expect(try connection.next()?.text == "1")
        #expect(try connection.next()?.code == 1000)
        let result = tool.finish()
        #expect(result.ending == .exit(69))
        #expect(result.counter("unconfirmed") == 1)
        #expect(result.errors.contains("ws-cat: no reply within 2s (see --wait)\n"))
        #expect(!result.errors.contains("not confirmed"))
        connection.hangUp()
    }

    @Test(arguments: [true, false]) func theConnectionIsLost(_ isTaken: Bool) throws {
        let peer = try WsPeer()
        let tool = try cat("-1", peer)
        let connection = try isTaken ? peer.accept() : peer.acceptRaw()
        if !isTaken { try connection.readHead() }
        tool.write("1\n")
        if isTaken { #expect(try connection.next()?.text == "1") }
        connection.hangUp()
        let result = tool.finish()
        #expect(result.ending == .exit(69))
        #expect(result.errors.hasPrefix("ws-cat: no reply: "), "\(result.errors)")
        #expect(result.errors.count { $0 == "\n" } == 1)
    }
}
