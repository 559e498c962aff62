import StreamCodec
import Testing

@Suite struct HandshakeTests {
    /// The key of RFC 6455, section 1.3, and what answers it.
    private static let key = bytes("the sample nonce")
    private static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    private static let good = [
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: \(accept)",
    ]

    private func handshake(
        _ url: String = "ws://server.example.com/chat",
        fields: [(name: String, value: String)] = [],
        subprotocols: [String] = [], isCompressed: Bool = false
    ) throws -> ClientHandshake {
        try ClientHandshake(
            url: try ClientURL(url), fields: fields, subprotocols: subprotocols,
            compress: isCompressed ? (15, false) : nil, key: Self.key)
    }

    private func request(_ handshake: ClientHandshake) -> String {
        var queue = ByteQueue(capacity: 1)
        handshake.append(to: &queue)
        return text(queue.bytes)
    }

    /// What `handshake` makes of a response with these lines.
    private func agreement(
        _ handshake: ClientHandshake, _ lines: [String], status: String = "101 Switching Protocols"
    ) throws -> ClientHandshake.Agreement {
        let text = (["HTTP/1.1 \(status)"] + lines + ["", ""]).joined(separator: "\r\n")
        return try handshake.check(try #require(try parseHead(text)).head)
    }

    private func reason(
        _ handshake: ClientHandshake, _ lines: [String], status: String = "101 OK"
    ) throws -> String? {
        do {
            _ = try agreement(handshake, lines, status: status)
            return nil
        } catch let error as HandshakeError {
            return error.description
        }
    }

    // MARK: The request

    @Test func wholeRequest() throws {
        let handshake = try handshake(
            "wss://u:p@server.example.com/chat?a=b c", subprotocols: ["chat", "superchat"])
        #expect(
            request(handshake) == """
                GET /chat?a=b%20c HTTP/1.1\r
                Host: server.example.com\r
                User-Agent: streamutils/0.1.0\r
                Upgrade: websocket\r
                Connection: Upgrade\r
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
                Sec-WebSocket-Version: 13\r
                Sec-WebSocket-Protocol: chat, superchat\r
                \r

                """)
    }

    @Test func host() throws {
        for (url, host) in [
            ("ws://h:81", "h:81"), ("wss://h:443", "h"), ("ws://[::1]:80", "[::1]"),
            ("ws://[::1]:9", "[::1]:9"),
        ] {
            #expect(request(try handshake(url)).contains("\r\nHost: \(host)\r\n"))
        }
    }

    @Test func offersCompression() throws {
        let offer = DeflateParameters.offer(windowBits: 15, noContextTakeover: false)
        let line = "\r\nSec-WebSocket-Extensions: \(offer)\r\n"
        #expect(request(try handshake(isCompressed: true)).contains(line))
        #expect(!request(try handshake()).contains("Extensions"))
    }

    @Test func fieldsOfTheUser() throws {
        let fields = [
            ("host", " other "), ("USER-AGENT", ""), ("Origin", "https://é.example"),
            ("Cookie", "a=b"), ("cookie", "c=d"),
        ].map { (name: $0.0, value: $0.1) }
        let request = request(try handshake(fields: fields))
        #expect(request.hasPrefix("GET /chat HTTP/1.1\r\nHost: other\r\nUpgrade: "))
        #expect(
            request.hasSuffix(
                "13\r\nUSER-AGENT: \r\nOrigin: https://é.example\r\n"
                    + "Cookie: a=b\r\ncookie: c=d\r\n\r\n"))
    }

    /// Sixteen bytes, and others each time (section 4.1, item 7).
    @Test func keysAreFresh() throws {
        let keys = try (0..<20).map { _ in
            let handshake = try ClientHandshake(
                url: try ClientURL("ws://h"), fields: [], subprotocols: [], compress: nil)
            let head = try #require(try parseHead(request(handshake))).head
            let key = try #require(head.first("Sec-WebSocket-Key"))
            let bytes = bytes(key).withUnsafeBufferPointer { Base64.decode($0) }
            #expect(bytes?.count == 16)
            return key
        }
        #expect(Set(keys).count == 20)
    }

    @Test(arguments: [
        ("Connection", "close"), ("UPGRADE", "h2c"), ("Sec-WebSocket-Key", "x"),
        ("sec-websocket-version", "8"), ("Sec-WebSocket-Extensions", "x"),
        ("Sec-WebSocket-Accept", "x"), ("Sec-WebSocket-Protocol", "x"), ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
    ])
    func reservedFields(_ name: String, _ value: String) {
        let expected = HandshakeError("header \(name): belongs to the opening handshake")
        #expect(throws: expected) { try ClientHandshake.checkField(name: name, value: value) }
        #expect(throws: expected) { _ = try handshake(fields: [(name, value)]) }
    }

    /// A message names the field and never what it was to carry.
    @Test(arguments: [
        ("X", "hunter2\r\nY: z"), ("X", "hunter2\n"), ("X", "\rhunter2"), ("X", "hunter2\0"),
        ("X", "hunter2\u{1B}"), ("X", "hunter2\u{7F}"), ("", "hunter2"), ("X ", "hunter2"),
        ("X:", "hunter2"), ("X\r\nY", "hunter2"), ("hunter2 é", ""), ("Bearer hunter2", ""),
    ])
    func badFields(_ name: String, _ value: String) {
        do throws(HandshakeError) {
            try ClientHandshake.checkField(name: name, value: value)
            Issue.record("accepted")
        } catch {
            #expect(!error.description.contains("hunter2"))
            #expect(error.description.hasPrefix(name == "X" ? "header X: its value" : "header: "))
        }
        #expect(throws: HandshakeError.self) { _ = try handshake(fields: [(name, value)]) }
    }

    @Test func goodFields() throws {
        for value in ["", " ", "a\tb", "é", "a:b, \"c\""] {
            try ClientHandshake.checkField(name: "X-!#$%&'*+.^_`|~9", value: value)
        }
    }

    @Test func whatCannotBeAsked() {
        for names in [["a", "a"], [""], ["a b"], ["a,b"], ["a\r\n"], ["é"]] {
            #expect(throws: HandshakeError.self) { _ = try handshake(subprotocols: names) }
        }
        #expect(throws: HandshakeError("header Host: given twice")) {
            _ = try handshake(fields: [("Host", "a"), ("host", "b")])
        }
    }

    // MARK: The response

    @Test func accepts() throws {
        #expect(try agreement(try handshake(), Self.good) == ClientHandshake.Agreement())
        let spread = [
            "upgrade: foo", "UPGRADE: h2c , WebSocket", "connection: keep-alive",
            "Connection: x,upGRADE", "sec-websocket-accept:\(Self.accept) ",
        ]
        #expect(try agreement(try handshake(), spread) == ClientHandshake.Agreement())
    }

    @Test(arguments: [
        "200 OK", "100 Continue", "102 X", "301 Moved", "401 Unauthorized", "426 Upgrade Required",
    ])
    func otherStatus(_ status: String) throws {
        #expect(
            try reason(try handshake(), Self.good, status: status)
                == "the server answered \(status) instead of 101")
    }

    /// A peer's words cannot command the terminal that shows them, nor fill it.
    @Test func wordsOfThePeerAreHarmless() throws {
        let status = "404 \u{9B}31m" + String(repeating: "x", count: 5000)
        let reason = try #require(try self.reason(try handshake(), [], status: status))
        #expect(reason.utf8.allSatisfy { (0x20...0x7E).contains($0) } && reason.utf8.count < 150)
    }

    @Test func aRequestIsNoAnswer() throws {
        let head = try #require(try parseHead("GET / HTTP/1.1\r\nHost: h\r\n\r\n")).head
        #expect(throws: HandshakeError("the server sent a request instead of a response")) {
            try handshake().check(head)
        }
    }

    @Test(arguments: [
        (0, "Upgrade: web", "no Upgrade"), (0, "X: websocket", "no Upgrade"),
        (0, "Upgrade: websocket2", "no Upgrade"), (1, "Connection: close", "no Connection"),
        (1, "Connection: not-upgrade", "no Connection"), (1, "X: Upgrade", "no Connection"),
        (2, "X: \(accept)", "0 Sec-WebSocket-Accept"),
        (2, "Sec-WebSocket-Accept: \(accept)\r\nSec-WebSocket-Accept: \(accept)", "has 2 Sec"),
        (2, "Sec-WebSocket-Accept: ", "our key"),
        (2, "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=", "our key"),
        (2, "Sec-WebSocket-Accept: \(accept), \(accept)", "our key"),
        (2, "Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ==", "our key"),
    ])
    func defects(_ index: Int, _ line: String, _ expected: String) throws {
        var lines = Self.good
        lines[index] = line
        #expect(try reason(try handshake(), lines)?.contains(expected) == true)
        lines.remove(at: index)
        #expect(try reason(try handshake(), lines) != nil)
    }

    @Test func subprotocols() throws {
        let handshake = try handshake(subprotocols: ["a", "b"])
        let answer = { Self.good + $0 }
        #expect(try agreement(handshake, Self.good).subprotocol == nil)
        #expect(
            try agreement(handshake, answer(["sec-websocket-protocol: b"])).subprotocol == "b")
        for name in ["c", "A", "", "\u{FF}"] {
            #expect(
                try reason(handshake, answer(["Sec-WebSocket-Protocol: \(name)"]))?
                    .hasSuffix("which was not offered") == true)
        }
        for lines in [
            ["Sec-WebSocket-Protocol: a, b"], ["Sec-WebSocket-Protocol: a,"],
            ["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"],
            ["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"],
        ] {
            #expect(
                try reason(handshake, answer(lines)) == "the server took several subprotocols")
        }
        #expect(
            try reason(try self.handshake(), answer(["Sec-WebSocket-Protocol: a"])) != nil)
    }

    @Test func extensions() throws {
        let deflate = Self.good + ["Sec-WebSocket-Extensions: permessage-deflate"]
        let agreement = try agreement(try handshake(isCompressed: true), deflate)
        #expect(agreement.deflate != nil)
        #expect(agreement.extensions == "permessage-deflate")
        #expect(
            try reason(try handshake(), deflate)
                == "the server took an extension that was not offered")
        for name in ["x-webkit-deflate-frame", "permessage-deflate, permessage-deflate", "\u{FF}"] {
            let lines = Self.good + ["Sec-WebSocket-Extensions: \(name)"]
            #expect(try reason(try handshake(), lines) != nil)
            #expect(try reason(try handshake(isCompressed: true), lines) != nil)
        }
        for isCompressed in [false, true] {
            let lines = Self.good + ["Sec-WebSocket-Extensions: ,"]
            let handshake = try handshake(isCompressed: isCompressed)
            #expect(try self.agreement(handshake, lines) == ClientHandshake.Agreement())
        }
    }
}
