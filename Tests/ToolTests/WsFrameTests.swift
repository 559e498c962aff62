import Foundation
import Testing

/// Fragments, compression, limits, and frames that break the protocol.
@Suite struct WsFrameTests {
    @Test func fragments() throws {
        let run = try talk("-t --wait 0 --fragment 4 --compress=off", "123456789\n1234\n\n")
        #expect(run.texts == ["123456789", "1234", ""])
        let frames = run.transcript.frames
        #expect(frames.map(\.kind) == [.text, .continuation, .continuation, .text, .text])
        #expect(frames.map(\.isFinal) == [false, false, true, true, true])
        #expect(frames.map(\.text) == ["1234", "5678", "9", "1234", ""])
        #expect(frames.allSatisfy { $0.isMasked })
    }

    /// Each length is in the shortest form, which the peer's parser does not check.
    @Test(arguments: [0, 1, 125, 126, 127, 65535, 65536, 200_000])
    func lengths(_ count: Int) throws {
        let line = String(repeating: "x", count: count)
        let run = try talk("-t --wait 0", line + "\n") { $0.send(line) }
        #expect(run.transcript.frames.map(\.payload.count) == [count])
        #expect(run.result.output.count == count + 1)
        #expect(run.result.ending == .exit(0))
    }

    private static let deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    /// RFC 7692, section 7.2.3.1.
    private static let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]

    @Test(arguments: ["", "--compress=on", "--compress=required"])
    func compressed(_ options: String) throws {
        let line = String(repeating: "again and ", count: 100)
        let run = try talk(
            "-t --wait 0 \(options)", line + "\n" + line + "\n", fields: Self.deflate
        ) {
            #expect($0.field("Sec-WebSocket-Extensions")?.hasPrefix("permessage-deflate") == true)
            $0.send(WsFrame(.text, Self.hello, isCompressed: true), WsFrame(.text, "plain"))
        }
        #expect(run.result.text == "Hello\nplain\n")
        #expect(run.result.ending == .exit(0))
        let frames = run.transcript.frames
        #expect(frames.map(\.isCompressed) == [true, true])
        #expect((frames.first?.payload.count ?? 999) < 50)
        // The second finds the first in the window.
        #expect((frames.last?.payload.count ?? 999) < (frames.first?.payload.count ?? 0))
    }

    @Test func notCompressed() throws {
        let run = try talk("-t --wait 0 --compress=off", "aaaa\n") {
            #expect($0.field("Sec-WebSocket-Extensions") == nil)
        }
        #expect(run.texts == ["aaaa"])
        let refused = try talk("-t --wait 0", "aaaa\n") { _ in }
        #expect(refused.texts == ["aaaa"])
        #expect(refused.transcript.frames.allSatisfy { !$0.isCompressed })
    }

    @Test func compressionThatIsRequired() throws {
        let peer = try WsPeer()
        let tool = try cat("--compress=required", peer)
        let connection = try peer.accept()
        let result = tool.finish()
        #expect(result.ending == .exit(76))
        #expect(result.errors.contains("the peer does not compress"))
        #expect(try connection.ends())
    }

    @Test(arguments: [
        "permessage-deflate; server_max_window_bits=99", "permessage-foo",
        "permessage-deflate; unknown", "permessage-deflate, permessage-deflate",
    ])
    func extensionsThatWereNotOffered(_ answer: String) throws {
        let peer = try WsPeer()
        let tool = try cat("-t", peer)
        _ = try peer.accept("Sec-WebSocket-Extensions: \(answer)\r\n")
        let result = tool.finish()
        #expect(result.ending == .exit(76))
        #expect(result.errors.contains("handshake failed: "))
    }

    @Test func windowsAreAskedFor() throws {
        let run = try talk("-t --wait 0 --window-bits 10 --no-context-takeover") {
            let offer = $0.field("Sec-WebSocket-Extensions") ?? ""
            #expect(offer.contains("server_max_window_bits=10"))
            #expect(offer.contains("client_max_window_bits=10"))
            #expect(offer.contains("server_no_context_takeover"))
            #expect(offer.contains("client_no_context_takeover"))
        }
        #expect(run.result.ending == .exit(0))
    }

    /// 1009 before the message is taken in, and what came before it is written.
    @Test(arguments: ["", "compressed", "fragments"]) func tooBig(_ how: String) throws {
        let fields = how == "compressed" ? Self.deflate : ""
        let run = try talk("-t --no-close --max-message 4", fields: fields) { connection in
            connection.send("1234")
            switch how {
            case "compressed":
                connection.send(WsFrame(.text, Self.hello, isCompressed: true))
            case "fragments":
                connection.send(
                    WsFrame(.text, Array("123".utf8), isFinal: false), WsFrame(.continuation, "45"))
            default: connection.write([0x81, 127, 0, 0, 0x7F, 255, 255, 255, 255, 255])
            }
        }
        #expect(run.result.text == "1234\n")
        #expect(run.close?.code == 1009)
        #expect(run.result.ending == .exit(76))
        #expect(run.result.errors.contains("4 bytes"))
    }

    struct Row: CustomTestStringConvertible, Sendable {
        var title: String
        var bytes: [UInt8]
        var code = 1002

        var testDescription: String { title }
    }

    private static let violations: [Row] = [
        Row(title: "a masked frame", bytes: WsFrame(.text, "a").bytes(masked: true)),
        Row(title: "reserved bit 1", bytes: [0xC1, 1, 97]),
        Row(title: "reserved bit 2", bytes: [0xA1, 1, 97]),
        Row(title: "reserved bit 3", bytes: [0x91, 1, 97]),
        Row(title: "opcode 3", bytes: [0x83, 0]), Row(title: "opcode 11", bytes: [0x8B, 0]),
        Row(title: "a fragmented ping", bytes: [0x09, 0]),
        Row(title: "a long ping", bytes: [0x89, 126, 0, 126]),
        Row(title: "a stray continuation", bytes: [0x80, 0]),
        Row(title: "a message inside a message", bytes: [0x01, 1, 97, 0x81, 1, 97]),
        Row(title: "a length that is too long", bytes: [0x81, 126, 0, 1, 97]),
        Row(title: "a length with the top bit", bytes: [0x81, 127, 128, 0, 0, 0, 0, 0, 0, 0]),
        Row(title: "text that is not UTF-8", bytes: [0x81, 2, 97, 0xFF], code: 1007),
        Row(title: "half a character at the end", bytes: [0x81, 1, 0xC3], code: 1007),
        Row(title: "not UTF-8 in a fragment", bytes: [0x01, 1, 0xFF], code: 1007),
        Row(title: "a surrogate", bytes: [0x81, 3, 0xED, 0xA0, 0x80], code: 1007),
    ]

    /// The peer is told, before it hangs up, and nothing that came before is lost.
    @Test(arguments: violations) func violated(_ row: Row) throws {
        let run = try talk("-t --no-close --reconnect") { connection in
            connection.send("before")
            connection.write(row.bytes)
        }
        #expect(run.result.text == "before\n")
        #expect(run.close?.code == row.code)
        #expect(run.close?.reason.isEmpty == false)
        #expect(run.result.ending == .exit(76))
        #expect(run.result.errors.hasPrefix("ws-cat: the peer broke the protocol: "))
    }

    /// The man page has 1007 for a message that does not inflate.
    @Test func whatDoesNotInflate() throws {
        let run = try talk("-t --no-close", fields: Self.deflate) {
            $0.send(WsFrame(.text, [0xFF, 0xFF, 0xFF, 0xFF], isCompressed: true))
        }
        #expect(run.close?.code == 1007)
        #expect(run.result.ending == .exit(76))
    }

    @Test func compressedControlFrames() throws {
        let run = try talk("-t --no-close", fields: Self.deflate) {
            $0.send(WsFrame(.ping, [], isCompressed: true))
        }
        #expect(run.close?.code == 1002)
        #expect(run.result.ending == .exit(76))
    }

    /// A server refuses frames that are not masked: RFC 6455, section 5.1.
    @Test func aServerWantsMasks() throws {
        let server = try WsServer("-t")
        let connection = try WsConnection.open(server.port)
        connection.write(WsFrame(.text, "a").bytes(masked: false))
        #expect(try connection.drain().close?.code == 1002)
        connection.hangUp()
        #expect(server.session.finish().ending == .exit(76))
    }

    /// A bomb of a few kilobytes stops at the limit, in little memory.
    @Test func aBomb() throws {
        let server = try WsServer("-t --max-line 1G --compress-level 9")
        let client = try cat(["-t", "--no-close", "--max-message", "1M", server.url])
        server.session.write([UInt8](repeating: 97, count: 20_000_000))
        server.session.closeInput()
        let result = client.finish()
        #expect(result.ending == .exit(76))
        #expect(result.output.isEmpty)
        #expect(server.session.finish().ending == .exit(76))
    }

    /// Masks are not the same twice: RFC 6455, section 5.3.
    @Test func masksAreFresh() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --wait 0 --compress=off", peer)
        let connection = try peer.acceptRaw()
        try connection.readHead()
        connection.write(connection.response())
        tool.write(String(repeating: "aaaaaaaa\n", count: 100))
        connection.answersPings = false
        let raw = try connection.bytes(100 * 14)
        let keys = (0..<100).map { Array(raw[($0 * 14 + 2)..<($0 * 14 + 6)]) }
        #expect(Set(keys).count == 100)
        tool.closeInput()
        #expect(try connection.drain().close?.code == 1000)
        #expect(tool.finish().ending == .exit(0))
    }
}
