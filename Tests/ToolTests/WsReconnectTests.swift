import Foundation
import Testing

/// Connections that come back.
@Suite struct WsReconnectTests {
    private static let options = "-t --reconnect --backoff 1ms..20ms"

    @Test func refusedAndThenThere() throws {
        let port = try unusedPort()
        let tool = try cat(words("\(Self.options) --wait 0 ws://127.0.0.1:\(port)/"))
        tool.write("a\nb\n")
        tool.closeInput()
        #expect(tool.says("Connection refused; connecting again in "))
        let peer = try WsPeer(port: port)
        #expect(try peer.accept().drain().texts == ["a", "b"])
        #expect(tool.finish().ending == .exit(0))
    }

    @Test func lostAndThenBack() throws {
        let peer = try WsPeer()
        let tool = try cat("\(Self.options) --wait 0 --stats", peer)
        tool.write("a\n")
        let first = try peer.accept()
        #expect(try first.next()?.text == "a")
        first.send("A")
        #expect(tool.prints("A\n"))
        first.hangUp()
        let second = try peer.accept()
        tool.write("b\n")
        #expect(try second.next()?.text == "b")
        second.send("B")
        #expect(tool.prints("A\nB\n"))
        tool.closeInput()
        #expect(try second.drain().close?.code == 1000)
        let result = tool.finish()
        #expect(result.ending == .exit(result.counter("unconfirmed") > 0 ? 1 : 0))
        #expect(result.counter("connections") == 2)
        #expect(result.counter("reconnections") == 1)
        #expect(result.counter("sent") == 2)
        #expect(result.counter("unconfirmed") == 1)
        #expect(result.errors.contains("not confirmed"))
    }

    /// Each connection begins with them, before lines of the input.
    @Test func whatIsSentFirst() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("one\ntwo", to: "first")
        let peer = try WsPeer()
        let tool = try cat(
            words(Self.options) + ["-e", "zero", "--on-open", file, "-e", "three", peer.url])
        tool.write("line\n")
        let expected = ["zero", "one", "two", "three"]
        let first = try peer.accept()
        for text in expected + ["line"] { #expect(try first.next()?.text == text) }
        first.hangUp(abruptly: true)
        _ = try folder.write("new", to: "first")
        let second = try peer.accept()
        for text in ["zero", "new", "three"] { #expect(try second.next()?.text == text) }
        tool.write("again\n")
        #expect(try second.next()?.text == "again")
        second.send(.close(1008))
        #expect(try second.drain().close?.code == 1008)
        #expect(tool.finish().ending == .exit(77))
    }

    @Test(arguments: [
        ("-d", "{", "ws-cat: -e:1"), ("-r", "{\"type\":\"text\"}", "ws-cat: -e:1"),
    ])
    func aBadFirstLine(_ form: String, _ line: String, _ errors: String) throws {
        let result = try run("ws-cat", [form, "-e", line, "ws://127.0.0.1:1/"], [])
        #expect(result.ending == .exit(65))
        #expect(result.errors.hasPrefix(errors))
    }

    @Test func aFirstFileThatIsMissing() throws {
        let result = try run("ws-cat", "--on-open /nonexistent/file ws://127.0.0.1:1/")
        #expect(result.ending == .exit(66))
        #expect(result.errors == "ws-cat: /nonexistent/file: No such file or directory\n")
    }

    @Test(arguments: [0, 1, 3]) func retries(_ count: Int) throws {
        let url = "ws://127.0.0.1:\(try unusedPort())/"
        let result = try run(
            "ws-cat", "\(Self.options) --retries \(count) --stats \(url)", "a\n")
        #expect(result.ending == .exit(69))
        #expect(result.errors.components(separatedBy: "connecting again in").count == count + 1)
        #expect(result.counter("reconnections") == count)
        #expect(result.counter("unsent") == 1 || count == 0)
    }

    /// Statuses that say "not now", and those that say "never".
    @Test(arguments: [
        (408, true), (425, true), (429, true), (500, true), (502, true), (503, true), (504, true),
        (507, true), (520, true), (522, true), (526, true), (529, true), (530, true), (599, true),
        (501, false), (505, false),
        (400, false), (401, false), (403, false), (404, false), (407, false), (410, false),
        (200, false), (301, false),
    ])
    func statuses(_ status: Int, _ comesBack: Bool) throws {
        let peer = try WsPeer()
        let tool = try cat("\(Self.options) --no-close", peer)
        let connection = try peer.acceptRaw()
        try connection.readHead()
        connection.write("HTTP/1.1 \(status) Whatever\r\nContent-Length: 9\r\n\r\nsome\nbody")
        if comesBack {
            #expect(peer.isCalled())
            #expect(tool.says("the server answers \(status) Whatever: some body"))
        } else {
            let result = tool.finish()
            #expect(result.ending == .exit([401, 403, 407].contains(status) ? 77 : 69))
            #expect(
                result.errors == "ws-cat: the server answers \(status) Whatever: some body\n")
            #expect(!peer.isCalled(within: 0))
        }
    }

    @Test(arguments: [
        ("none", 503, false), ("404", 404, true), ("404", 503, false), ("400-499", 410, true),
        ("429,501", 501, true),
    ])
    func retryStatuses(_ list: String, _ status: Int, _ comesBack: Bool) throws {
        let peer = try WsPeer()
        let tool = try cat("\(Self.options) --no-close --retry-statuses \(list)", peer)
        let connection = try peer.acceptRaw()
        try connection.readHead()
        connection.write("HTTP/1.1 \(status) Whatever\r\nContent-Length: 0\r\n\r\n")
        if comesBack {
            #expect(peer.isCalled())
        } else {
            #expect(tool.finish().ending == .exit(69))
            #expect(!peer.isCalled(within: 0))
        }
    }

    @Test func retryAfter() throws {
        let peer = try WsPeer()
        let tool = try cat("\(Self.options) --no-close", peer)
        let connection = try peer.acceptRaw()
        try connection.readHead()
        let began = now()
        connection.write("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        #expect(peer.isCalled())
        #expect(now() - began > 0.9)
        #expect(tool.says("connecting again in 1.0 s"))
    }

    /// The first wait is up to MIN, and each next one up to twice as much, up to MAX.
    @Test func backoff() throws {
        let url = "ws://127.0.0.1:\(try unusedPort())/"
        let result = try run(
            "ws-cat", "-r --all --reconnect --backoff 4ms..32ms --retries 8 \(url)")
        let records = result.lines.map(object).filter { $0["type"] as? String == "reconnect" }
        #expect(records.compactMap { $0["attempt"] as? Int } == Array(1...8))
        let waits = records.compactMap { $0["wait_ms"] as? Double }
        try #require(waits.count == 8)
        for (wait, most) in zip(waits, [4.0, 8, 16, 32, 32, 32, 32, 32]) {
            #expect((0...(most + 0.001)).contains(wait))
        }
        #expect(Set(waits).count > 4)
    }

    /// A connection that lasted begins the count of --retries anew.
    @Test(arguments: [("1ms", 4), ("1h", 2)]) func resetAfter(_ after: String, _ count: Int) throws
    {
        let peer = try WsPeer()
        let tool = try cat("\(Self.options) --no-close --retries 1 --reset-after \(after)", peer)
        for number in 1...count {
            let connection = try peer.accept()
            connection.send("\(number)")
            #expect(tool.printsLines(number))
            usleep(5_000)
            connection.hangUp()
        }
        if after == "1h" {
            #expect(tool.finish().ending == .exit(69))
            #expect(!peer.isCalled(within: 0))
        } else {
            #expect(peer.isCalled())
        }
    }

    @Test func withoutReconnectItEnds() throws {
        let peer = try WsPeer()
        let tool = try cat("-t", peer)
        try peer.accept().hangUp()
        #expect(tool.finish().ending == .exit(69))
        let refused = try run("ws-cat", "ws://127.0.0.1:\(try unusedPort())/")
        #expect(refused.ending == .exit(69))
        #expect(refused.errors.hasSuffix("Connection refused\n"))
    }

    /// Numbered lines, some of them long, to a peer that breaks at random: what came is in order
    /// and nothing comes twice; what is missing was told as unconfirmed.
    @Test(arguments: 0..<4) func nothingIsLostOrDoubled(_ number: Int) throws {
        var generator = SeededGenerator.announced("nothingIsLostOrDoubled \(number)")
        let peer = try WsPeer(receiveBuffer: 4096)
        let tool = try cat("\(Self.options) --stats --wait 0", peer)
        var count = 0
        var came: [Int] = []
        let rounds = 30
        for round in 1...rounds {
            let connection = try peer.accept()
            let batch = Int.random(in: 1...20, using: &generator)
            for _ in 0..<batch {
                count += 1
                let isLong = Int.random(in: 0..<6, using: &generator) == 0
                let size = Int.random(in: 0...(isLong ? 60_000 : 50), using: &generator)
                tool.write("\(count)" + String(repeating: "x", count: size) + "\n")
            }
            if round == rounds {
                tool.closeInput()
                let rest = try connection.drain()
                #expect(rest.close?.code == 1000)
                came += rest.texts.map { Int($0.prefix { $0.isNumber }) ?? -1 }
                continue
            }
            for _ in 0..<Int.random(in: 0...batch, using: &generator) {
                let frame = try #require(try connection.next())
                came.append(Int(frame.text.prefix { $0.isNumber }) ?? -1)
            }
            connection.hangUp(abruptly: Bool.random(using: &generator))
        }
        let result = tool.finish()
        #expect(result.ending == .exit(result.counter("unconfirmed") > 0 ? 1 : 0))
        #expect(came == came.sorted())
        #expect(Set(came).count == came.count)
        #expect(came.last == count)
        #expect(result.counter("sent") == count)
        #expect(count - came.count <= result.counter("unconfirmed"))
        #expect(result.counter("connections") == rounds)
    }

    /// Answers to pings confirm what went before them.
    @Test func pongsConfirm() throws {
        let peer = try WsPeer()
        let tool = try cat("\(Self.options) --ping 20ms --stats", peer)
        let first = try peer.accept()
        tool.write("a\nb\n")
        #expect(try first.next()?.text == "a")
        #expect(try first.next()?.text == "b")
        for _ in 0..<3 {
            let ping = try #require(try first.frame())
            #expect(ping.kind == .ping)
            first.send(WsFrame(.pong, ping.payload))
        }
        // The fourth ping shows that the third pong came.
        #expect(try first.frame()?.kind == .ping)
        first.hangUp()
        let second = try peer.accept()
        tool.closeInput()
        #expect(try second.drain().close?.code == 1000)
        let result = tool.finish()
        #expect(result.ending == .exit(0))
        #expect(result.counter("sent") == 2)
        #expect(result.counter("unconfirmed") == 0)
    }
}
