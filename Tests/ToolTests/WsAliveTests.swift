import Foundation
import Testing

/// Pings, and what is said of a connection while it lasts.
@Suite struct WsAliveTests {
    @Test func pings() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --no-close --ping 30ms --stats", peer)
        let connection = try peer.accept()
        var payloads: [String] = []
        while payloads.count < 5 {
            let frame = try #require(try connection.frame())
            #expect(frame.kind == .ping)
            #expect(frame.isMasked)
            payloads.append(frame.text)
            connection.send(WsFrame(.pong, frame.payload))
        }
        #expect(Set(payloads).count == 5)
        connection.send(.close(1000))
        #expect(try connection.drain().close?.code == 1000)
        let result = tool.finish()
        #expect(result.ending == .exit(0))
        #expect(result.counter("pings_sent") >= 5)
        #expect(result.counter("pongs_received") >= 5)
    }

    @Test(arguments: ["--ping 0", ""]) func noPings(_ options: String) throws {
        let peer = try WsPeer()
        let tool = try cat("-t --no-close \(options)", peer)
        let connection = try peer.accept()
        usleep(200_000)
        connection.send(.close(1000))
        #expect(try connection.frame()?.kind == .close)
        connection.hangUp()
        #expect(tool.finish().ending == .exit(0))
    }

    @Test(arguments: ["", "x", String(repeating: "y", count: 125)])
    func pingsAreAnswered(_ payload: String) throws {
        let run = try talk("-t --no-close") {
            $0.send(WsFrame(.ping, payload))
            $0.send(.close(1000))
        }
        #expect(run.transcript.frames.map(\.kind) == [.pong])
        #expect(run.transcript.frames.map(\.text) == [payload])
    }

    /// A peer that holds the connection and is dead.
    @Test func noPong() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --no-close --ping 50ms --pong-timeout 200ms --stats", peer)
        let connection = try peer.accept()
        let result = tool.finish()
        #expect((0.2...8).contains(result.elapsed))
        #expect(result.ending == .exit(69))
        #expect(result.complaints == "ws-cat: the peer is dead: no pong (see --pong-timeout)\n")
        #expect(try connection.ends())
    }

    @Test func noPongThenReconnect() throws {
        let peer = try WsPeer()
        let tool = try cat(
            "-t --no-close --ping 50ms --pong-timeout 200ms --reconnect --backoff 1ms..5ms", peer)
        let dead = try peer.accept()
        // It is soon as dead: with the answer comes the message.
        let alive = try peer.acceptRaw()
        try alive.readHead()
        alive.write(Array(alive.response().utf8) + WsFrame(.text, "back").bytes(masked: false))
        #expect(tool.wait { $0.text == "back\n" })
        #expect(try dead.ends())
        #expect(tool.says("no pong (see --pong-timeout); connecting again"))
    }

    /// Whatever comes shows that the peer is there.
    @Test func messagesInPlaceOfPongs() throws {
        try patiently([400, 2000, 8000]) { timeout in
            let peer = try WsPeer()
            let tool = try cat("-t --no-close --ping 40ms --pong-timeout \(timeout)ms", peer)
            let connection = try peer.accept()
            connection.answersPings = false
            let end = now() + 2 * Double(timeout) / 1000
            while now() < end {
                connection.send("a")
                usleep(25_000)
            }
            connection.send(.close(1000))
            let code = try connection.drain().close?.code
            let ending = tool.finish().ending
            return code == 1000 && ending == .exit(0)
        }
    }

    @Test func idle() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --no-close --ping 10ms --idle-timeout 300ms --stats", peer)
        let connection = try peer.accept()
        connection.send("a")
        #expect(try connection.drain().frames.isEmpty)
        let result = tool.finish()
        #expect((0.3...8).contains(result.elapsed))
        #expect(result.text == "a\n")
        #expect(result.ending == .exit(69))
        #expect(result.complaints == "ws-cat: no message came (see --idle-timeout)\n")
        #expect(connection.pings > 2)
    }

    @Test func idleReconnects() throws {
        let peer = try WsPeer()
        let tool = try cat(
            "-t --no-close --idle-timeout 100ms --reconnect --backoff 1ms..5ms", peer)
        let connections = try (0..<3).map { _ in try peer.accept() }
        #expect(connections.count == 3)
        #expect(tool.says("no message came (see --idle-timeout); connecting again"))
    }

    @Test func latency() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --no-close --latency --ping 10ms --stats", peer)
        let connection = try peer.accept()
        for number in 0..<10 {
            let ping = try #require(try connection.frame())
            // One in ten is slow.
            usleep(number == 5 ? 100_000 : 2_000)
            connection.send(WsFrame(.pong, ping.payload))
        }
        #expect(try connection.frame()?.kind == .ping)
        connection.send(.close(1000))
        #expect(try connection.drain().close?.code == 1000)
        let result = tool.finish()
        #expect(result.ending == .exit(0))
        let stats = object(String(result.errors.split(separator: "\n").last ?? ""))
        let quantiles = ["p50", "p90", "p99"].map { stats["rtt_seconds_\($0)"] as? Double ?? -1 }
        #expect(quantiles[0] >= 0.0019 && quantiles == quantiles.sorted())
        #expect(quantiles[2] > 0.09)
    }

    @Test func rate() throws {
        let run = try talk("-t --wait 0 --rate 50/s --stats", (1...20).map { "\($0)\n" }.joined())
        let took = run.result.elapsed
        #expect(run.texts == (1...20).map { "\($0)" })
        #expect(run.result.ending == .exit(0))
        // 19 intervals of 20 ms, but for a burst of 5.
        #expect((0.25...8).contains(took))
    }

    /// What happens to a connection, in the order in which it does.
    @Test func all() throws {
        let peer = try WsPeer()
        let tool = try cat(
            "-r --all --no-close --ping 50ms --subprotocol chat --reconnect --retries 0", peer)
        let connection = try peer.accept("Sec-WebSocket-Protocol: chat\r\n")
        let ping = try #require(try connection.frame())
        connection.send(WsFrame(.pong, ping.payload))
        connection.send("hello")
        connection.send(WsFrame(.ping, "are you there?"), WsFrame(.pong, [0xFF]))
        connection.send(.close(4001, "reason"))
        #expect(try connection.drain().close?.code == 4001)
        let result = tool.finish()
        #expect(result.ending == .exit(69))
        let records = result.lines.map(object)
        #expect(
            records.map { $0["type"] as? String }
                == ["open", "pong", "text", "ping", "pong", "close"])
        for record in records where record["type"] as? String != "text" {
            let time = record["time"] as? String ?? ""
            #expect(time.wholeMatch(of: /20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/) != nil, "\(time)")
        }
        try #require(records.count == 6)
        #expect(records[0]["url"] as? String == peer.url)
        #expect(records[0]["status"] as? Int == 101)
        #expect(records[0]["subprotocol"] as? String == "chat")
        #expect(records[0]["extensions"] == nil)
        #expect(records[1]["data"] as? String == ping.text)
        #expect((records[1]["rtt_ms"] as? Double ?? -1) > 0)
        #expect(records[3]["data"] as? String == "are you there?")
        #expect((records[4]["data"] as? [String: String])?["base64"] == "/w==")
        #expect(records[4]["rtt_ms"] == nil)
        #expect(records[5]["code"] as? Int == 4001)
        #expect(records[5]["reason"] as? String == "reason")
        #expect(records[5]["clean"] as? Bool == true)
    }

    @Test func reconnectRecords() throws {
        let peer = try WsPeer()
        let tool = try cat("-r --all --no-close --reconnect --backoff 1ms..5ms", peer)
        try peer.accept().hangUp()
        let second = try peer.accept()
        #expect(tool.printsLines(4))
        second.hangUp(abruptly: true)
        let records = tool.text.split(separator: "\n").map { object(String($0)) }
        #expect(
            records.map { $0["type"] as? String }.prefix(4)
                == ["open", "close", "reconnect", "open"])
        try #require(records.count >= 4)
        #expect(records[1]["code"] as? Int == 1006)
        #expect(records[1]["clean"] as? Bool == false)
        #expect(records[2]["attempt"] as? Int == 1)
        #expect((0...5.1).contains(records[2]["wait_ms"] as? Double ?? -1))
    }

    /// Neither password nor query are told.
    @Test func secretsAreNotTold() throws {
        let peer = try WsPeer()
        let tool = try cat([
            "-v", "-r", "--all", "--wait", "0",
            "ws://me:hush@127.0.0.1:\(peer.port)/feed?token=hush",
        ])
        tool.closeInput()
        let connection = try peer.accept()
        #expect(connection.head.contains("token=hush"))
        _ = try connection.drain()
        let result = tool.finish()
        #expect(result.ending == .exit(0))
        #expect(!result.text.contains("hush"))
        #expect(!result.errors.contains("hush"))
        #expect(result.text.contains("/feed"))
    }

    @Test func statsAndMetrics() throws {
        let folder = try TemporaryFolder()
        let run = try talk(
            ["-t", "--stats=\(folder.file("stats"))", "--metrics-file", folder.file("feed.prom")],
            "a\nb\n".utf8
        ) { $0.send("C") }
        #expect(run.result.ending == .exit(0))
        let stats = object(try folder.read("stats"))
        for (name, count) in [
            ("records_in", 2), ("records_out", 1), ("sent", 2), ("connections", 1),
            ("input_bytes", 4), ("output_bytes", 2), ("rejected", 0), ("dropped", 0),
        ] {
            #expect(stats[name] as? Int == count, "\(name)")
        }
        #expect((stats["unconfirmed"] as? Int ?? 0) == 0)
        let metrics = try folder.read("feed.prom")
        #expect(metrics.contains("streamutils_sent_total{tool=\"ws-cat\",name=\"feed\"} 2\n"))
    }

    @Test func countersOnSIGUSR1() throws {
        let peer = try WsPeer()
        let tool = try cat("-t", peer)
        let connection = try peer.accept()
        tool.write("a\n")
        #expect(try connection.next()?.text == "a")
        connection.send("A")
        #expect(tool.prints("A\n"))
        tool.send(SIGUSR1)
        #expect(tool.says("\"sent\":1"))
        tool.closeInput()
        #expect(try connection.drain().close?.code == 1000)
        #expect(tool.finish().ending == .exit(0))
    }
}
