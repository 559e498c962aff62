import Foundation
import Testing

/// Options of ws-cat that do not go together, and values that are none.
@Suite struct WsOptionTests {
    private static let url = "ws://127.0.0.1:1/"
    private static let number = "expected a whole number from"
    private static let size = "expected a size from 1 to"
    private static let duration = "expected a duration such as 250ms, 30s, 5m or 1h30m, not"
    private static let least = "expected a duration of at least 1ms"
    private static let server =
        "--keep-listening, --max-connections and --port-file need --listen"
    private static let one = "--one writes one reply and closes: no --count, no --no-close"

    private static let together: [(String, String)] = [
        ("", "expected a URL (see --help)"), ("\(url) \(url)", "expected one URL, not 2"),
        ("--listen 0 \(url)", "--listen takes no URL"),
        ("--listen 0 --reconnect", "--reconnect is for a client (see --keep-listening)"),
        ("--keep-listening \(url)", server), ("--max-connections 2 \(url)", server),
        ("--port-file /nonexistent/x \(url)", server),
        ("--origin a --origin b \(url)", "a client has one --origin"),
        ("-0 \(url)", "--null needs --text"), ("-0r \(url)", "--null needs --text"),
        ("--length-prefix \(url)", "--length-prefix needs --binary"),
        ("-b -d --length-prefix \(url)", "--length-prefix needs --binary"),
        ("--all \(url)", "--all needs --records"),
        (
            "-b --reconnect --overflow=spill:x \(url)",
            "--overflow=spill keeps lines, and --binary has none"
        ),
        ("--overflow=drop-oldest \(url)", "--overflow needs --reconnect"),
        ("-1 -n 2 \(url)", one), ("-1 --no-close \(url)", one),
        ("--close-code 1005 \(url)", "--close-code: 1005 may not be sent (RFC 6455, 7.4)"),
        ("--close-code 1004 \(url)", "--close-code: 1004 may not be sent (RFC 6455, 7.4)"),
        ("--close-code 1015 \(url)", "--close-code: 1015 may not be sent (RFC 6455, 7.4)"),
        ("--close-code 2999 \(url)", "--close-code: 2999 may not be sent (RFC 6455, 7.4)"),
        (
            "--close-reason \(String(repeating: "é", count: 62)) \(url)",
            "--close-reason: longer than 123 bytes"
        ),
        ("ftp://x/", "a URL begins with ws://, wss://, http:// or https://"),
        ("x", "a URL begins with ws://, wss://, http:// or https://"),
        ("ws:///", "the URL has no host"),
        ("ws://x/#a", "a fragment in the URL: write # as %23 (RFC 6455, section 3)"),
        ("ws://x:99999/", "the URL's port is no number from 1 to 65535"),
        ("--listen ::1:80", "--listen: expected [HOST]:PORT, an IPv6 address in brackets"),
        (
            "--listen example.com:80",
            "--listen: 'example.com' is no numeric address (or localhost, or *)"
        ),
        ("-H x \(url)", "--header: expected 'NAME: VALUE' or @FILE"),
    ]

    private static let values: [(String, String)] = [
        ("--overflow=x", "expected block, drop-oldest, drop-newest or spill:FILE, not 'x'"),
        (
            "--overflow=spill:",
            "expected block, drop-oldest, drop-newest or spill:FILE, not 'spill:'"
        ),
        ("--close-code=999", "\(number) 1000 to 4999, not '999'"),
        ("--close-code=5000", "\(number) 1000 to 4999, not '5000'"),
        ("--backoff=5s", "expected MIN..MAX, such as 1s..60s, not '5s'"),
        ("--backoff=5s..1s", "expected MIN..MAX with MIN from 1ms to MAX, not '5s..1s'"),
        ("--backoff=0..1s", "expected MIN..MAX with MIN from 1ms to MAX, not '0..1s'"),
        ("--final-codes=5", "\(number) 1000 to 4999, not '5'"),
        ("--final-codes=2-1", "\(number) 1000 to 4999, not '2'"),
        ("--final-codes=4999-4000", "expected numbers and ranges such as 1,3-5, not '4999-4000'"),
        ("--retry-codes=1008,", "\(number) 1000 to 4999, not ''"),
        ("--retry-statuses=200", "\(number) 400 to 599, not '200'"),
        ("--retries=-1", "\(number) 0 to 1000000000, not '-1'"),
        ("--compress=maybe", "expected off or on or required, not 'maybe'"),
        ("--compress-level=10", "\(number) 1 to 9, not '10'"),
        ("--window-bits=8", "\(number) 9 to 15, not '8'"),
        ("--window-bits=16", "\(number) 9 to 15, not '16'"),
        ("--max-message=0", "\(size) 1099511627776"), ("--chunk=0", "\(size) 1073741824"),
        ("--fragment=0", "\(size) 1099511627776"), ("--buffer-bytes=0", "\(size) 1099511627776"),
        ("--receive-buffer=0", "\(size) 1099511627776"),
        ("--buffer=0", "\(number) 1 to 100000000, not '0'"),
        ("--max-connections=0", "\(number) 1 up, not '0'"),
        ("--count=0", "\(number) 1 up, not '0'"),
        ("--ping=x", "\(duration) 'x'"), ("--ping=-1", "\(duration) '-1'"),
        ("--wait=-1", "\(duration) '-1'"), ("--pong-timeout=0", least),
        ("--rate=0", "expected a rate such as 100/s, 30/m or 1000/h, not '0'"),
        ("--rate=x/s", "expected a rate such as 100/s, 30/m or 1000/h, not 'x/s'"),
    ]

    @Test(arguments: together) func usageErrors(_ arguments: String, _ message: String) throws {
        try check(arguments, "ws-cat: \(message)\n")
    }

    @Test(arguments: values) func badValues(_ option: String, _ message: String) throws {
        let name = option.prefix { $0 != "=" }
        try check("\(option) \(Self.url)", "ws-cat: option '\(name)': \(message)\n")
    }

    private func check(_ arguments: String, _ errors: String) throws {
        let result = try run("ws-cat", arguments)
        #expect(result.ending == .exit(64))
        #expect(result.errors == errors)
        #expect(result.output.isEmpty)
    }

    @Test(arguments: ["x", "65536", "-1", "127.0.0.1:", "localhost:http", ""])
    func badPorts(_ address: String) throws {
        let result = try run("ws-cat", ["--listen=\(address)"], [])
        #expect(result.ending == .exit(64))
        #expect(result.errors.contains("--listen"))
    }

    /// What goes into the request must fit there.
    @Test(arguments: [
        (["--subprotocol", "a,b"], "subprotocol \"a,b\" is not a token"),
        (["--subprotocol", "a", "--subprotocol", "a"], "subprotocol \"a\" is given twice"),
        (["-H", "Sec-WebSocket-Key: a"], "belongs to the opening handshake"),
        (["-H", "a b: c"], ""), (["-H", "a: b\r\nc: d"], ""), (["--origin", "a\nb: c"], ""),
    ])
    func badFields(_ arguments: [String], _ message: String) throws {
        let result = try run("ws-cat", arguments + [Self.url], [])
        #expect(result.ending == .exit(64))
        #expect(message.isEmpty || result.errors.contains(message))
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test(arguments: ["-6 ws://127.0.0.1:1/", "-4 ws://[::1]:1/"])
    func wrongFamily(_ arguments: String) throws {
        let result = try run("ws-cat", arguments)
        #expect(result.ending == .exit(78))
    }

    /// What a client asks for, field by field.
    @Test func theRequest() throws {
        let folder = try TemporaryFolder()
        let token = try folder.write("t0ken\n", to: "token")
        let peer = try WsPeer()
        let tool = try cat([
            "--wait", "0", "-H", "X-One: 1", "--origin", "https://a.example", "--subprotocol", "b",
            "--subprotocol", "a", "--bearer-file", token, "--cookie", "c=d", "--query", "q=a b",
            "ws://127.0.0.1:\(peer.port)/path?x=y",
        ])
        tool.closeInput()
        let connection = try peer.accept("Sec-WebSocket-Protocol: a\r\n")
        #expect(connection.head.hasPrefix("GET /path?x=y&q=a%20b HTTP/1.1\r\n"))
        for (name, value) in [
            ("Host", "127.0.0.1:\(peer.port)"), ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"), ("X-One", "1"), ("Origin", "https://a.example"),
            ("Sec-WebSocket-Protocol", "b, a"), ("Authorization", "Bearer t0ken"),
            ("Cookie", "c=d"),
        ] {
            #expect(connection.field(name) == value, "\(name)")
        }
        #expect(connection.field("Connection")?.lowercased() == "upgrade")
        let key = connection.field("Sec-WebSocket-Key") ?? ""
        #expect(Data(base64Encoded: key)?.count == 16)
        #expect(try connection.drain().close?.code == 1000)
        #expect(tool.finish().ending == .exit(0))
    }

    /// Answers that are no handshake. RFC 6455, section 4.1.
    @Test(arguments: [
        ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Upgrade: websocket\r\nConnection: Upgrade\r\n"),
        ("", "Connection: Upgrade\r\n"), ("", "Upgrade: websocket\r\n"),
        ("", "Upgrade: h2c\r\nConnection: Upgrade\r\n"),
        ("", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: x\r\n"),
    ])
    func answersThatAreNone(_ accept: String, _ fields: String) throws {
        let peer = try WsPeer()
        let tool = try cat("--reconnect", peer)
        let connection = try peer.acceptRaw()
        try connection.readHead()
        var good = "\r\n"
        if let line = connection.response().components(separatedBy: "\r\n").first(where: {
            $0.hasPrefix("Sec-WebSocket-Accept: ")
        }) {
            good = line + "\r\n"
        }
        let value = accept.isEmpty ? good : "Sec-WebSocket-Accept: \(accept)\r\n"
        connection.write("HTTP/1.1 101 Switching Protocols\r\n\(value)\(fields)\r\n")
        let result = tool.finish()
        #expect(result.ending == .exit(76))
        #expect(result.errors.hasPrefix("ws-cat: handshake failed: "))
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test func noHTTPAtAll() throws {
        let peer = try WsPeer()
        let tool = try cat("", peer)
        let connection = try peer.acceptRaw()
        connection.write("SSH-2.0-OpenSSH_9.9\r\n\r\n")
        #expect(tool.finish().ending == .exit(76))
    }

    /// The first frames come in the same packet as the answer.
    @Test func framesBehindTheAnswer() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --no-close", peer)
        let connection = try peer.acceptRaw()
        try connection.readHead()
        connection.write(
            Array(connection.response().utf8) + WsFrame(.text, "a").bytes(masked: false)
                + WsFrame.close(1000).bytes(masked: false))
        let result = tool.finish()
        #expect(result.text == "a\n")
        #expect(result.ending == .exit(0))
    }

    @Test(arguments: [301, 302, 303, 307, 308]) func redirects(_ status: Int) throws {
        let (old, new) = (try WsPeer(), try WsPeer())
        let tool = try cat("-L -t --wait 0", old)
        let first = try old.acceptRaw()
        try first.readHead()
        first.write("HTTP/1.1 \(status) Moved\r\nLocation: \(new.url)there\r\n\r\n")
        tool.write("a\n")
        tool.closeInput()
        let second = try new.accept()
        #expect(second.head.hasPrefix("GET /there HTTP/1.1\r\n"))
        #expect(try second.drain().texts == ["a"])
        #expect(tool.finish().ending == .exit(0))
    }

    @Test func redirectsWithoutEnd() throws {
        let peer = try WsPeer()
        let tool = try cat("-L", peer)
        for _ in 0...10 {
            let connection = try peer.acceptRaw()
            try connection.readHead()
            connection.write("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")
        }
        let result = tool.finish()
        #expect(result.ending == .exit(76))
        #expect(result.errors.contains("more than 10 redirects"))
    }
}
