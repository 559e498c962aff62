import StreamCodec
import Testing

/// The head that a text begins with.
func parseHead(
    _ text: String, limit: Int = 65_536
) throws(HTTPHeadError) -> (head: HTTPHead, size: Int)? {
    try parseHead(bytes(text), limit: limit)
}

func parseHead(
    _ bytes: [UInt8], limit: Int = 65_536
) throws(HTTPHeadError) -> (head: HTTPHead, size: Int)? {
    try bytes.withUnsafeBufferPointer { bytes throws(HTTPHeadError) in
        try HTTPHead.parse(bytes, limit: limit)
    }
}

@Suite struct HTTPHeadTests {
    private static let response =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection:Upgrade \t\r\n"
        + "Empty:\r\nX:  a\tb  \r\n\r\n"
    private static let request = "\r\nGET /chat?a=b HTTP/1.1\r\nHost: example.com\n\n"

    private func error(_ text: String, limit: Int = 65_536) -> HTTPHeadError? {
        do throws(HTTPHeadError) {
            _ = try parseHead(text, limit: limit)
            return nil
        } catch {
            return error
        }
    }

    @Test func readsAResponse() throws {
        let (head, size) = try #require(try parseHead(Self.response + "\u{1}frames"))
        #expect(size == Self.response.utf8.count)
        #expect(head.start == .response(status: 101, reason: "Switching Protocols", minor: 1))
        #expect(head.fields.map(\.name) == ["Upgrade", "Connection", "Empty", "X"])
        #expect(head.fields.map(\.value) == ["websocket", "Upgrade", "", "a\tb"])
    }

    @Test func readsARequest() throws {
        let (head, size) = try #require(try parseHead(Self.request))
        #expect(size == Self.request.utf8.count)
        #expect(head.start == .request(method: "GET", target: "/chat?a=b", minor: 1))
        #expect(head.first("HOST") == "example.com")
    }

    /// Nothing before the last byte, and the frames behind the head are not touched.
    @Test(arguments: [Self.response, Self.request]) func cutAtEachPosition(_ text: String) throws {
        let stream = bytes(text)
        for count in 0..<stream.count {
            try check(parseHead(Array(stream[..<count])) == nil, true, "\(count) bytes")
            try check(parseHead(Array(stream[..<count]), limit: stream.count) == nil, true)
        }
        for more in 0...4 {
            let found = try parseHead(stream + [0x81, 0x01, 0x0D, 0x0A].prefix(more))
            check(found?.size, stream.count)
        }
    }

    /// The limit counts the blank line too; one byte less fails in any pieces.
    @Test func limit() throws {
        let stream = bytes(Self.response)
        #expect(try parseHead(stream, limit: stream.count)?.size == stream.count)
        for limit in [0, 1, 40, stream.count - 1] {
            #expect(error(Self.response, limit: limit) == .tooLong(limit: limit))
            for count in 0..<limit {
                try check(parseHead(Array(stream[..<count]), limit: limit) == nil, true)
            }
            for count in limit...stream.count {
                check(error(text(stream[..<count]), limit: limit), .tooLong(limit: limit))
            }
        }
    }

    /// Who speaks first and something else is noticed at once.
    @Test(arguments: [
        "SSH-2.0-OpenSSH_9.6\r\n", "220 mail.example ESMTP\r\n", "HTTP/1.1\r\n", "HTTP/1.1 20\r\n",
        "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 099 X\r\n", "HTTP/1.1 2x0 OK\r\n", "HTTP/1.1  200 OK\r\n",
        "HTTP/1 200 OK\r\n", "HTTP/1.10 200 OK\r\n", "HTTP/1.x 200 OK\r\n", "http/1.1 200 OK\r\n",
        "HTTP/x.1 200 OK\r\n", "ICY 200 OK\r\n", "GET /\r\n", "GET  / HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n", " GET / HTTP/1.1\r\n", "GET / x HTTP/1.1\r\n", "G(T / HTTP/1.1\r\n",
        "GET\t/\tHTTP/1.1\r\n", "GET /\ta HTTP/1.1\r\n", "GET / HTTP/1.\r\n", "GET / HTTP/1,1\r\n",
        "\r\nHTTP/1.1 200 OK\r\n", "\r\n\r\n",
    ])
    func badStart(_ line: String) {
        #expect(error(line) == .badStart)
    }

    @Test(arguments: ["HTTP/2.0 200 OK\r\n", "HTTP/2 200\r\n", "PRI * HTTP/2.0\r\n\r\n"])
    func badVersion(_ line: String) {
        #expect(error(line) == .badVersion)
    }

    @Test func reasonMayBeMissing() throws {
        for (line, reason) in [
            ("HTTP/1.0 404 ", ""), ("HTTP/1.0 404", ""), ("HTTP/1.0 404 Not  here ", "Not  here"),
        ] {
            let head = try parseHead(line + "\r\n\r\n")?.head
            #expect(head?.start == .response(status: 404, reason: reason, minor: 0))
        }
    }

    @Test(arguments: [
        ("A: b\r\n c\r\n", HTTPHeadError.folded(line: 3)), (" A: b\r\n", .folded(line: 2)),
        (" \r\n", .folded(line: 2)), ("A: b\r\n\t\r\n", .folded(line: 3)),
        ("A : b\r\n", .spaceBeforeColon(line: 2)), ("A\t: b\r\n", .spaceBeforeColon(line: 2)),
        ("A b: c\r\n", .badName(line: 2)), (": b\r\n", .badName(line: 2)),
        ("secret\r\n", .badName(line: 2)), ("Ä: b\r\n", .badName(line: 2)),
        ("A: b\rC: d\r\n", .controlCharacter(line: 2)), ("A: b\r\r\n", .controlCharacter(line: 2)),
        ("A: \0\r\n", .controlCharacter(line: 2)),
        ("A: \u{1B}[31m\r\n", .controlCharacter(line: 2)),
        ("\r\r\n", .controlCharacter(line: 2)), ("A: \u{7F}\r\n", .controlCharacter(line: 2)),
    ])
    func badFields(_ lines: String, _ expected: HTTPHeadError) throws {
        let head = "GET / HTTP/1.1\r\n" + lines
        #expect(error(head + "\r\n") == expected)
        #expect(!expected.description.contains("secret"))
        #expect(error("HTTP/1.1 200\0OK\r\n") == .controlCharacter(line: 1))
    }

    /// Of answers, more is taken: what browsers take.
    @Test(arguments: [
        ("A: b\r\n c\r\n", ["b c"]), ("A: b\r\n\t c \r\n  d\r\nB: e\r\n", ["b c d", "e"]),
        ("A:\r\n b\r\n", ["b"]), ("A: b\r\n \r\n", ["b"]), ("A: b\r\n \r\n c\r\n", ["b c"]),
        ("A : b\r\n", ["b"]), ("A\t : b\r\n", ["b"]),
    ])
    func answersAsBrowsersTakeThem(_ lines: String, _ values: [String]) throws {
        let head = try parseHead("HTTP/1.1 200 OK\r\n" + lines + "\r\n")?.head
        #expect(head?.fields.map(\.value) == values)
        #expect(head?.fields.map(\.name) == Array(["A", "B"].prefix(values.count)))
    }

    @Test(arguments: [
        (" A: b\r\n", HTTPHeadError.folded(line: 2)),
        ("A: b\r\n \0\r\n", .controlCharacter(line: 3)),
        ("A b: c\r\n", .badName(line: 2)), (": b\r\n", .badName(line: 2)),
        (" : b\r\n", .folded(line: 2)), ("secret\r\n", .badName(line: 2)),
    ])
    func badFieldsOfAnswers(_ lines: String, _ expected: HTTPHeadError) {
        #expect(error("HTTP/1.1 200 OK\r\n" + lines + "\r\n") == expected)
    }

    @Test func countOfFields() throws {
        let fields = { String(repeating: "A: b\r\n", count: $0) }
        let start = "GET / HTTP/1.1\r\n"
        #expect(try parseHead(start + fields(100) + "\r\n")?.head.fields.count == 100)
        #expect(error(start + fields(101) + "\r\n") == .tooManyFields(limit: 100))
        #expect(error(start + fields(101)) == .tooManyFields(limit: 100))
        let answer = try parseHead("HTTP/1.1 200 OK\r\n" + fields(500) + "\r\n", limit: 10_000)
        #expect(answer?.head.fields.count == 500)
    }

    @Test func bytesThatAreNotUTF8() throws {
        let found = try parseHead(bytes("HTTP/1.1 200 ") + [0xE9, 0x0D, 0x0A, 0x0D, 0x0A])
        #expect(found?.head.start == .response(status: 200, reason: "\u{FFFD}", minor: 1))
    }

    @Test func lists() throws {
        let text =
            "GET / HTTP/1.1\r\nConnection: keep-alive,  UPGRADE\r\nX: 1\r\nconnection: ,foo ,\r\n"
            + "Upgrade: web\u{17F}ocket, \u{212A}\r\n\r\n"
        let head = try #require(try parseHead(text)).head
        #expect(head.joined("CONNECTION") == "keep-alive,  UPGRADE, ,foo ,")
        #expect(head.values("Connection") == ["keep-alive,  UPGRADE", ",foo ,"])
        for token in ["Upgrade", "upgrade", "Keep-Alive", "FOO"] {
            #expect(head.hasToken(token, in: "Connection"))
        }
        for token in ["keep", "alive", "up grade", "", "keep-alive,  UPGRADE"] {
            #expect(!head.hasToken(token, in: "Connection"))
        }
        // Long s and the Kelvin sign are ASCII in lower or upper case, and no ASCII.
        #expect(!head.hasToken("websocket", in: "Upgrade") && !head.hasToken("k", in: "Upgrade"))
        #expect(head.first("Missing") == nil && head.joined("Missing") == nil)
    }
}
