import Foundation
import Testing

/// ws-cat as a server.
@Suite struct WsListenTests {
    @Test func twoTalk() throws {
        let server = try WsServer("-t")
        let client = try cat(["-t", server.url])
        client.write("a\n")
        #expect(server.session.prints("a\n"))
        server.session.write("b\n")
        #expect(client.prints("b\n"))
        client.closeInput()
        #expect(client.finish().ending == .exit(0))
        let result = server.session.finish()
        #expect(result.text == "a\n")
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
    }

    /// The end of its input closes the connection, as a client's does.
    @Test func theServerCloses() throws {
        let server = try WsServer("-t --wait 0 --close-code 1012")
        let connection = try WsConnection.open(server.port)
        server.session.write("a\n")
        server.session.closeInput()
        let transcript = try connection.drain()
        #expect(transcript.texts == ["a"])
        #expect(transcript.frames.allSatisfy { !$0.isMasked })
        #expect(transcript.close?.code == 1012)
        #expect(server.session.finish().output.isEmpty)
    }

    /// The server hangs up first: RFC 6455, section 7.1.1.
    @Test func theServerHangsUpFirst() throws {
        let server = try WsServer("-t")
        let connection = try WsConnection.open(server.port)
        connection.send("a")
        connection.send(.close(1000, "bye"))
        #expect(try connection.next()?.code == 1000)
        #expect(try connection.next() == nil)
        connection.hangUp()
        let result = server.session.finish()
        #expect(result.text == "a\n")
        #expect(result.ending == .exit(0))
    }

    @Test func theAnswer() throws {
        let server = try WsServer("-t --subprotocol b --subprotocol a")
        let connection = try WsConnection.open(
            server.port,
            "Sec-WebSocket-Protocol: a, b\r\n"
                + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")
        #expect(connection.head.hasPrefix("HTTP/1.1 101 "))
        // RFC 6455, section 1.3.
        #expect(connection.field("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(connection.field("Upgrade")?.lowercased() == "websocket")
        #expect(connection.field("Sec-WebSocket-Protocol") == "b")
        #expect(
            connection.field("Sec-WebSocket-Extensions")?.hasPrefix("permessage-deflate") == true)
    }

    @Test func oneAfterTheOther() throws {
        let server = try WsServer("-t --keep-listening --max-connections 3 --stats")
        // The end of the input closes none.
        server.session.closeInput()
        for number in 1...3 {
            let client = try cat(["-t", "--wait", "0", server.url])
            client.write("\(number)\n")
            client.closeInput()
            #expect(client.finish().ending == .exit(0))
            #expect(server.session.printsLines(number))
        }
        let result = server.session.finish()
        #expect(result.text == "1\n2\n3\n")
        #expect(result.ending == .exit(0))
        #expect(result.counter("connections") == 3)
    }

    @Test func aPeerThatIsLostDoesNotEndIt() throws {
        let server = try WsServer("-t --keep-listening")
        let lost = try WsConnection.open(server.port)
        lost.send("a")
        #expect(server.session.prints("a\n"))
        lost.hangUp(abruptly: true)
        let bad = try WsConnection.open(server.port)
        bad.write(WsFrame(.text, "no mask").bytes(masked: false))
        #expect(try bad.drain().close?.code == 1002)
        bad.hangUp()
        let good = try WsConnection.open(server.port)
        good.send("b")
        #expect(server.session.prints("a\nb\n"))
        server.session.send(SIGTERM)
        #expect(try good.drain().close?.code == 1001)
        #expect(server.session.finish().ending == .exit(0))
    }

    @Test func echo() throws {
        let server = try WsServer("-t --echo")
        let client = try cat(["-r", server.url])
        let records = [
            #"{"type":"text","data":"ö"}"#, #"{"type":"binary","data":"AP8="}"#,
            #"{"type":"text","data":""}"#,
        ].map { $0 + "\n" }.joined()
        client.write(records)
        client.closeInput()
        let result = client.finish()
        #expect(result.text == records)
        #expect(result.ending == .exit(0))
    }

    // MARK: Requests that are turned away

    @Test(
        arguments: [
            ("", "https://evil.example", false),
            ("--origin https://a.example", "https://a.example", true),
            ("--origin https://a.example", "https://b.example", false),
            ("--origin https://a.example --origin https://b.example", "https://b.example", true),
            ("--origin *", "https://evil.example", true), ("", nil, true),
            ("--origin https://a.example", nil, true), ("", "null", false),
        ] as [(String, String?, Bool)])
    func origins(_ options: String, _ origin: String?, _ isAllowed: Bool) throws {
        let server = try WsServer("-t \(options)")
        let connection = try WsConnection.open(
            server.port, origin.map { "Origin: \($0)\r\n" } ?? "")
        #expect(connection.head.hasPrefix(isAllowed ? "HTTP/1.1 101 " : "HTTP/1.1 403 "))
        if isAllowed { return }
        #expect(try connection.ends())
        #expect(server.session.says("(see --origin)"))
        // And it listens on.
        #expect(try WsConnection.open(server.port).head.hasPrefix("HTTP/1.1 101 "))
    }

    private static let good = WsConnection.request + "\r\n"

    private static let requests: [(String, String)] = [
        (good.replacing("Version: 13", with: "Version: 12"), "426"),
        (good.replacing("Upgrade: websocket\r\n", with: ""), "426"),
        (good.replacing("Connection: Upgrade\r\n", with: ""), "400"),
        (good.replacing("GET /", with: "POST /"), "405"),
        (good.replacing("HTTP/1.1", with: "HTTP/1.0"), "400"),
        (good.replacing("Host: x\r\n", with: ""), "400"),
        (good.replacing("dGhlIHNhbXBsZSBub25jZQ==", with: "dGhl"), "400"),
        (good.replacing("Sec-WebSocket-Key", with: "X-Key"), "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "426"), ("hello\r\n\r\n", "400"),
        ("\u{16}\u{03}\u{01}\r\n\r\n", "400"),
        (good.replacing("\r\n\r\n", with: "\r\nContent-Length: 3\r\n\r\nabc"), "400"),
        (
            good.replacing(
                "\r\n\r\n", with: "\r\nX: \(String(repeating: "x", count: 70_000))\r\n\r\n"),
            "431"
        ),
    ]

    @Test(arguments: requests.indices) func badRequests(_ index: Int) throws {
        let (request, status) = Self.requests[index]
        let server = try WsServer("-t")
        let connection = try WsConnection(to: server.port)
        connection.write(request)
        try connection.readHead()
        #expect(connection.head.hasPrefix("HTTP/1.1 \(status) "))
        if status == "426" { #expect(connection.field("Sec-WebSocket-Version") == "13") }
        if status == "405" { #expect(connection.field("Allow") == "GET") }
        #expect(try connection.ends())
        #expect(server.session.says("a peer was turned away: "))
        let next = try WsConnection.open(server.port)
        next.send("a")
        #expect(server.session.prints("a\n"))
        next.send(.close(1000))
        #expect(try next.drain().close?.code == 1000)
        #expect(server.session.finish().ending == .exit(0))
    }

    @Test func aRequestThatNeverEnds() throws {
        let server = try WsServer("-t --connect-timeout 1s")
        let began = now()
        let slow = try WsConnection(to: server.port)
        slow.write("GET / HTTP/1.1\r\n")
        #expect(try slow.ends())
        #expect(now() - began > 0.9)
        #expect(server.session.says("(see --connect-timeout)"))
        #expect(try WsConnection.open(server.port).head.hasPrefix("HTTP/1.1 101 "))
    }

    /// The head comes byte by byte, and the first frame with its last.
    @Test func aRequestInPieces() throws {
        let server = try WsServer("-t")
        let connection = try WsConnection(to: server.port)
        for byte in Self.good.dropLast(1).utf8 {
            connection.write([byte])
        }
        connection.write(Array("\n".utf8) + WsFrame(.text, "a").bytes(masked: true))
        try connection.readHead()
        #expect(connection.head.hasPrefix("HTTP/1.1 101 "))
        #expect(server.session.prints("a\n"))
    }

    /// A socket that systemd passes. The shell's `exec` keeps its process id for LISTEN_PID.
    @Test func passedSockets() throws {
        let listener = try WsPeer()
        let session = try Session(
            "/bin/sh",
            [
                "-c",
                "export LISTEN_FDS=1 LISTEN_PID=$$; exec ws-cat -t --listen fd: 3<&0 </dev/null",
            ],
            stdin: .descriptor(listener.passed))
        let connection = try WsConnection.open(listener.port)
        #expect(connection.head.hasPrefix("HTTP/1.1 101 "))
        #expect(try connection.drain().close?.code == 1000)
        #expect(session.finish().ending == .exit(0))
    }

    @Test func noPassedSocket() throws {
        let result = try run("ws-cat", "--listen fd:")
        #expect(result.ending == .exit(64))
        #expect(result.errors.contains("LISTEN_FDS"))
    }

    @Test func thePortIsTaken() throws {
        let peer = try WsPeer()
        let result = try run("ws-cat", "--listen \(peer.port)")
        #expect(result.ending == .exit(69))
        #expect(
            result.errors
                == "ws-cat: cannot listen at \(peer.port): Address already in use\n")
    }
}
