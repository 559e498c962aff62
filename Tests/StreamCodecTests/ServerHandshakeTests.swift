import StreamCodec
import Testing

@Suite struct ServerHandshakeTests {
    private static let start = "GET /chat HTTP/1.1"
    private static let good = [
        "Host: server.example.com", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
    ]

    private func answer(
        _ lines: [String], start: String = start, subprotocols: [String] = [],
        isCompressed: Bool = false
    ) throws -> ServerHandshake.Answer {
        let text = ([start] + lines + ["", ""]).joined(separator: "\r\n")
        return ServerHandshake.answer(
            try #require(try parseHead(text)).head, subprotocols: subprotocols,
            compress: isCompressed ? (15, false) : nil)
    }

    private func accepted(
        _ answer: ServerHandshake.Answer
    ) throws -> (response: String, agreement: ClientHandshake.Agreement) {
        guard case .accepted(let response, let agreement) = answer else {
            throw HandshakeError("\(answer)")
        }
        return (response, agreement)
    }

    /// The status of a refusal that is a whole response and says why; 101 otherwise.
    private func status(_ answer: ServerHandshake.Answer) throws -> Int {
        guard case .refused(let response, let reason) = answer else { return 101 }
        let (head, size) = try #require(try parseHead(response))
        #expect(head.hasToken("close", in: "Connection"))
        #expect(head.first("Content-Length") == String(response.utf8.count - size))
        #expect(response.hasSuffix("\r\n\r\n\(reason)\n"))
        guard case .response(let status, _, 1) = head.start else { return 0 }
        let isUpgrade = status == 426
        #expect(head.first("Sec-WebSocket-Version") == (isUpgrade ? "13" : nil))
        #expect(head.first("Upgrade") == (isUpgrade ? "websocket" : nil))
        #expect(head.hasToken("upgrade", in: "Connection") == isUpgrade)
        #expect(head.first("Allow") == (status == 405 ? "GET" : nil))
        return status
    }

    /// RFC 6455, section 1.3.
    @Test func wholeResponse() throws {
        let (response, agreement) = try accepted(
            try answer(
                Self.good + [
                    "Origin: http://example.com", "Sec-WebSocket-Protocol: chat, superchat",
                ],
                subprotocols: ["superchat", "chat"]))
        #expect(agreement == ClientHandshake.Agreement(subprotocol: "superchat"))
        #expect(
            response == """
                HTTP/1.1 101 Switching Protocols\r
                Upgrade: websocket\r
                Connection: Upgrade\r
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r
                Sec-WebSocket-Protocol: superchat\r
                \r

                """)
    }

    @Test func listsAndCase() throws {
        let lines = [
            "HOST: h", "upgrade: foo", "Upgrade: h2c , WebSocket", "Connection: keep-alive",
            "connection: x, UPGRADE", "sec-websocket-key:  dGhlIHNhbXBsZSBub25jZQ== ",
            "SEC-WEBSOCKET-VERSION: 13", "Content-Length: 0",
        ]
        for start in [
            "GET / HTTP/1.1", "GET /a?b HTTP/1.2", "GET * HTTP/1.1", "GET http://x/ HTTP/1.1",
        ] {
            #expect(try status(try answer(lines, start: start)) == 101)
        }
    }

    /// Each line in place of the good one; and without any.
    @Test(arguments: [
        (0, ["Host:"], 400), (0, ["Host: a", "Host: a"], 400), (0, ["Host: a b"], 400),
        (1, ["Upgrade: h2c"], 426), (1, ["Upgrade: websockets"], 426),
        (2, ["Connection: keep-alive"], 400), (2, ["Connection: upgraded"], 400),
        (3, ["Sec-WebSocket-Key:"], 400), (3, ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"], 400),
        (3, ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"], 400),
        (3, ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="], 400),
        (3, ["Sec-WebSocket-Key: ??????????????????????=="], 400),
        (3, [good[3], good[3]], 400), (4, ["Sec-WebSocket-Version: 8"], 426),
        (4, ["Sec-WebSocket-Version: 013"], 426), (4, ["Sec-WebSocket-Version: 13, 8"], 426),
        (4, ["Sec-WebSocket-Version:"], 426), (4, [good[4], good[4]], 400),
        (4, [good[4], "Content-Length: 3"], 400),
        (4, [good[4], "Transfer-Encoding: chunked"], 400),
    ])
    func defects(_ index: Int, _ lines: [String], _ expected: Int) throws {
        var all = Self.good
        all.replaceSubrange(index...index, with: lines)
        #expect(try status(try answer(all)) == expected)
        all = Self.good
        all.remove(at: index)
        #expect(try status(try answer(all)) == (index == 1 || index == 4 ? 426 : 400))
    }

    @Test func startLines() throws {
        for (start, expected) in [
            ("POST / HTTP/1.1", 405), ("get / HTTP/1.1", 405), ("HEAD / HTTP/1.0", 405),
            ("GET / HTTP/1.0", 400), ("HTTP/1.1 101 X", 400),
        ] {
            #expect(try status(try answer(Self.good, start: start)) == expected)
        }
        #expect(try status(try answer(["Host: h"])) == 426)
    }

    @Test(arguments: [
        (HTTPHeadError.tooLong(limit: 9), 431), (.tooManyFields(limit: 9), 431), (.badStart, 400),
        (.badVersion, 505), (.folded(line: 2), 400),
    ])
    func noHead(_ error: HTTPHeadError, _ expected: Int) throws {
        #expect(try status(ServerHandshake.answer(error)) == expected)
    }

    /// A log and a response hold nothing of what the client sent.
    @Test func nothingIsRepeated() throws {
        let secret = ["X: hunter2", "Sec-WebSocket-Protocol: hunter2", "hunter2: x"]
        for index in Self.good.indices {
            var lines = Self.good + secret
            lines[index] = lines[index].prefix { $0 != ":" } + ": hunter2"
            let answer = try answer(lines, start: "GET /hunter2 HTTP/1.1")
            #expect(!"\(answer)".contains("hunter2"))
        }
    }

    @Test func subprotocols() throws {
        for (offers, ours, chosen) in [
            (["a, b"], ["b", "a"], "b"), (["a", "b,c"], ["c", "b"], "c"), (["a"], [], nil),
            (["a"], ["b"], nil), (["A"], ["a"], nil), ([], ["a"], nil), ([",, a ,"], ["a"], "a"),
            (["ab"], ["a", "b"], nil),
        ] as [([String], [String], String?)] {
            let lines = Self.good + offers.map { "Sec-WebSocket-Protocol: \($0)" }
            let (response, agreement) = try accepted(try answer(lines, subprotocols: ours))
            #expect(agreement.subprotocol == chosen)
            let head = try #require(try parseHead(response)).head
            #expect(head.first("Sec-WebSocket-Protocol") == chosen)
        }
    }

    @Test func extensions() throws {
        let lines = Self.good + ["Sec-WebSocket-Extensions: permessage-deflate"]
        let (plain, none) = try accepted(try answer(lines))
        #expect(!plain.contains("Extensions") && none == ClientHandshake.Agreement())
        let (response, agreement) = try accepted(try answer(lines, isCompressed: true))
        let head = try #require(try parseHead(response)).head
        #expect(agreement.deflate != nil && agreement.extensions != nil)
        #expect(head.first("Sec-WebSocket-Extensions") == agreement.extensions)
        let (other, nothing) = try accepted(
            try answer(Self.good + ["Sec-WebSocket-Extensions: x"], isCompressed: true))
        #expect(!other.contains("Extensions") && nothing.deflate == nil)
    }

    /// Our client and our server understand each other, in every combination.
    @Test func bothSides() throws {
        var random = SplitMix64("handshakes")
        for _ in 0..<200 {
            let names = ["a", "b", "c"].shuffled(using: &random)
            let offered = Array(names.prefix(random.number(0...3)))
            let ours = Array(names.reversed().prefix(random.number(0...3)))
            let (asks, takes) = (random.chance(1, in: 2), random.chance(1, in: 2))
            let client = try ClientHandshake(
                url: try ClientURL("ws://h/"), fields: [], subprotocols: offered,
                compress: asks ? (15, false) : nil)
            var queue = ByteQueue()
            client.append(to: &queue)
            let head = try #require(try parseHead(Array(queue.bytes))).head
            let (response, agreement) = try accepted(
                ServerHandshake.answer(
                    head, subprotocols: ours, compress: takes ? (15, false) : nil))
            let seen = try client.check(try #require(try parseHead(response)).head)
            check(seen, agreement, "\(offered), \(ours)")
            check(seen.subprotocol, ours.first(where: offered.contains), "\(offered), \(ours)")
            check(seen.deflate != nil, asks && takes)
        }
    }
}
