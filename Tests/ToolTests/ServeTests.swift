import Glibc
import Testing

/// sse-encode as the end of a connection: heads, heartbeats and last events.
@Suite(.serialized) struct ServeTests {
    private static let fields =
        "Content-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n"
        + "X-Accel-Buffering: no\r\n"
    private static let http = "HTTP/1.1 200 OK\r\n" + fields + "Connection: close\r\n\r\n"
    private static let cgi = "Status: 200 OK\r\n" + fields + "\r\n"

    @Test(arguments: rows) func heads(_ row: Case) throws { try row.check() }

    private static let rows: [Case] = [
        .encode("--http", "-d --http", "1\n", output: http + "data: 1\n\n"),
        .encode("--cgi", "-d --cgi", "1\n", output: cgi + "data: 1\n\n"),
        .encode(
            "--http with --retry and --done", "-d --http --retry=1 --done=x", "",
            output: http + "retry: 1\n\ndata: x\n\n"),
        .encode(
            "--origin", "-d --http --origin https://app.example.com", "1\n",
            output: http.replacing(
                "X-Accel-Buffering: no\r\n",
                with: "X-Accel-Buffering: no\r\n"
                    + "Access-Control-Allow-Origin: https://app.example.com\r\n")
                + "data: 1\n\n"),
        .encode(
            "--origin of any", "-d --cgi --origin *", "",
            output: cgi.replacing(
                "X-Accel-Buffering: no\r\n",
                with: "X-Accel-Buffering: no\r\nAccess-Control-Allow-Origin: *\r\n")),
        .encode(
            "--done-event", "-d --id-seq --done-event end={\"n\":1}", "1\n",
            output: "id: 1\ndata: 1\n\nevent: end\ndata: {\"n\":1}\n\n"),
        .encode(
            "--done-event with an equals sign", "-d --done-event end=a=b", "",
            output: "event: end\ndata: a=b\n\n"),
    ]

    @Test(arguments: ["--http", "--cgi"]) func compressedBehindAPlainHead(_ option: String) throws {
        let result = try run("sse-encode", "-d -z \(option)", "1\n")
        let end = try #require(result.output.firstRange(of: Array("\r\n\r\n".utf8)))
        let head = String(decoding: result.output[..<end.upperBound], as: UTF8.self)
        let plain = option == "--http" ? Self.http : Self.cgi
        #expect(
            head
                == plain.replacing(
                    "X-Accel-Buffering: no\r\n",
                    with: "X-Accel-Buffering: no\r\nContent-Encoding: gzip\r\n"))
        let body = try run("sse-decode", ["-d"], result.output[end.upperBound...])
        #expect(body.text == "1\n")
        #expect(body.errors.isEmpty)
    }

    @Test func theHeadComesAtOnce() throws {
        for option in ["--http", "--http -z"] {
            let session = try start("sse-encode", "-d \(option)")
            #expect(session.wait { $0.text.hasSuffix("\r\n\r\n") })
            session.closeInput()
            #expect(session.finish().ending == .exit(0))
        }
    }

    @Test func anUnreadRequestResetsNothing() throws {
        var ends: [Int32] = [0, 0]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        #expect(socketpair(AF_UNIX, type, 0, &ends) == 0)
        let request = Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        #expect(write(ends[0], request, request.count) == request.count)
        let session = try start(
            "sse-encode", "-d --http --done metrics.jsonl", stdin: .descriptor(ends[1]),
            stdout: .descriptor(ends[1]))
        close(ends[1])
        #expect(session.isAsleep())
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let size = read(ends[0], &buffer, buffer.count)
            if size <= 0 {
                #expect(size == 0)
                break
            }
            received += buffer[..<size]
        }
        close(ends[0])
        #expect(session.finish().ending == .exit(0))
        let text = String(decoding: received, as: UTF8.self)
        #expect(text.hasPrefix(Self.http + "data: {"))
        #expect(text.hasSuffix("}\n\nevent: done\ndata: \n\n"))
    }

    @Test func aPeerThatStaysIsLeft() throws {
        var ends: [Int32] = [0, 0]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        #expect(socketpair(AF_UNIX, type, 0, &ends) == 0)
        let began = now()
        let session = try start(
            "sse-encode", "-d --http --stats agent.jsonl", stdin: .descriptor(ends[1]),
            stdout: .descriptor(ends[1]))
        close(ends[1])
        let result = session.finish()
        #expect(result.ending == .exit(0))
        #expect(now() - began >= 1)
        #expect((0...6).contains(result.elapsed))
        close(ends[0])
    }

    @Test func heartbeatNeedsNoInput() throws {
        let session = try start("sse-encode", "-d --heartbeat 100ms")
        #expect(session.wait { $0.text.hasPrefix(": heartbeat\n\n") })
        #expect(session.wait { $0.text.hasPrefix(": heartbeat\n\n: heartbeat\n\n") })
        session.write("1\n")
        #expect(session.wait { $0.text.contains("data: 1\n\n: heartbeat\n\n") })
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    /// A page sees it, and it is no place to resume behind.
    @Test func heartbeatThatIsAnEvent() throws {
        let session = try start(
            "sse-encode", "-d --id-seq --heartbeat 100ms --heartbeat-event alive")
        let beat = "event: alive\ndata: {}\n\n"
        #expect(session.wait { $0.text.hasPrefix(beat + beat) })
        session.write("1\n")
        #expect(session.wait { $0.text.contains("id: 1\ndata: 1\n\n" + beat) })
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test func heartbeatThroughGzip() throws {
        let session = try Session(
            "/bin/sh", ["-c", "sse-encode -d -z --heartbeat 100ms | sse-decode --all"])
        #expect(session.wait { $0.text.hasPrefix("{\"comment\":\"heartbeat\"}\n") })
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test func noHeartbeatWhileDataFlows() throws {
        try patiently {
            let session = try start("sse-encode", "-d --heartbeat \($0)ms")
            for _ in 0..<20 {
                session.write("1\n")
                usleep(UInt32($0) * 1000 / 15)
            }
            session.closeInput()
            return session.finish().text == String(repeating: "data: 1\n\n", count: 20)
        }
    }

    @Test func halfALineIsNoData() throws {
        let session = try start("sse-encode", "-d --heartbeat 100ms")
        for byte in "[1,2,3,4,5,6,7,8]".utf8 {
            session.write([byte])
            _ = session.wait(seconds: 0.02) { _ in false }
        }
        session.closeInput()
        let text = session.finish().text
        #expect(text.hasPrefix(": heartbeat\n\n"))
        #expect(text.hasSuffix("data: [1,2,3,4,5,6,7,8]\n\n"))
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
    func noLastEventAfterASignal(_ number: Int32) throws {
        let session = try start("sse-encode", "-d --done")
        session.write("1\n")
        #expect(session.prints("data: 1\n\n"))
        session.send(number)
        let result = session.finish()
        #expect(result.text == "data: 1\n\n")
        #expect(result.ending == .signal(number))
        #expect(result.errors.isEmpty)
    }
}
