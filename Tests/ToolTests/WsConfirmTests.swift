import Foundation
import Testing

/// What was sent and may not have arrived: told, or sent again; and what a new connection goes on
/// behind.
@Suite struct WsConfirmTests {
    private static let options = "-t --reconnect --backoff 1ms..20ms --stats"

    /// 69 of 100 lines came to a server that closed with 1001, and the status was 0 without a word.
    @Test(arguments: [1000, 1001, 1012, nil]) func behindAProperClose(_ code: Int?) throws {
        let peer = try WsPeer()
        let tool = try cat("\(Self.options) --wait 0", peer)
        let first = try peer.accept()
        // Nothing of it is confirmed.
        first.answersPings = false
        tool.write((1...100).map { "\($0)\n" }.joined())
        for _ in 1...69 { _ = try first.next() }
        first.send(.close(code))
        _ = try first.drain()
        first.hangUp()
        #expect(tool.says("connecting again in"))
        tool.closeInput()
        let second = try peer.accept()
        let rest = try second.drain()
        #expect(rest.close?.code == 1000)
        let result = tool.finish()
        let lost = 31 - rest.texts.count
        #expect(result.counter("unconfirmed") >= lost)
        #expect(result.counter("unconfirmed") == 100 - rest.texts.count)
        #expect(result.ending == .exit(1))
        #expect(
            result.errors.contains("sent messages were not confirmed (see --resend-unconfirmed)"))
    }

    /// A peer that replies to each line and takes leave has them all.
    @Test func aPeerThatRepliesAndCloses() throws {
        let run = try talk("-t --wait 10s", "a\nb\n") { connection in
            connection.answersPings = false
            for _ in 1...2 { _ = try connection.next() }
            connection.send("A")
            connection.send("B")
            connection.send(.close(1000))
        }
        #expect(run.result.text == "A\nB\n")
        #expect(run.result.ending == .exit(0))
        #expect(run.result.errors.isEmpty)
    }

    /// What is told makes the status 1, and what is not makes it 0.
    @Test(arguments: [("-1", 1, 0), ("-n 3", 3, 0), ("-n 3", 2, 0), ("-n 3", 5, 2)])
    func allRepliesCame(_ option: String, _ lines: Int, _ lost: Int) throws {
        let peer = try WsPeer()
        let tool = try cat("-t --stats --close-timeout 200ms \(option)", peer)
        tool.write((1...lines).map { "\($0)\n" }.joined())
        tool.closeInput()
        let connection = try peer.accept()
        for _ in 1...lines { _ = try connection.next() }
        for _ in 1...(option == "-1" ? 1 : 3) { connection.send("reply") }
        let result = tool.finish()
        #expect(result.counter("unconfirmed") == lost)
        #expect(result.errors.contains("not confirmed") == (lost > 0))
        #expect(result.ending == .exit(lost > 0 ? 1 : 0))
        connection.hangUp()
    }

    /// What the peer said before it got a line is no reply to it.
    @Test func aPushIsNoReply() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --wait 10s", peer)
        let connection = try peer.accept()
        connection.answersPings = false
        connection.send("push")
        #expect(tool.prints("push\n"))
        tool.write("a\n")
        tool.closeInput()
        #expect(try connection.next()?.text == "a")
        connection.send(.close(1000))
        let result = tool.finish()
        #expect(result.ending == .exit(1))
        #expect(result.errors == "ws-cat: 1 sent message was not confirmed\n")
    }

    @Test func aPeerThatConfirmsAndCloses() throws {
        let run = try talk("-t --wait 10s --ping 20ms", "a\nb\n") { connection in
            for _ in 1...2 { _ = try connection.next() }
            // The pong to a ping behind them, and another ping shows that it came.
            for _ in 1...3 {
                guard let ping = try connection.frame(), ping.kind == .ping else { break }
                connection.send(WsFrame(.pong, ping.payload))
            }
            _ = try connection.frame()
            connection.send(.close(1001))
        }
        #expect(run.result.ending == .exit(0))
        #expect(run.result.errors.isEmpty)
    }

    /// A Close that crosses ours confirms nothing.
    @Test func closesThatCross() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --wait 0", peer)
        let connection = try peer.accept()
        tool.write("a\n")
        tool.closeInput()
        #expect(try connection.next()?.text == "a")
        #expect(try connection.next()?.kind == .close)
        connection.send(.close(1012))
        connection.hangUp()
        let result = tool.finish()
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("1 sent message was not confirmed"))
    }

    /// Who is stopped and does not know whether its lines came says so, whether the peer answers
    /// or not; what is sent on each connection is none of them.
    @Test(arguments: [true, false], ["SIGTERM", "--max-time"])
    func stopped(_ answers: Bool, _ how: String) throws {
        let peer = try WsPeer()
        let isSignal = how == "SIGTERM"
        let tool = try cat(
            "-t -e first --no-close --close-timeout 200ms --stats"
                + (isSignal ? "" : " --max-time 2s"), peer)
        let connection = try peer.accept()
        connection.answersPings = false
        tool.write("a\n")
        for text in ["first", "a"] { #expect(try connection.next()?.text == text) }
        if isSignal { tool.send(SIGTERM) }
        let close = try connection.frameWithin(seconds: patience, kind: .close)
        #expect(close?.code == (isSignal ? 1001 : 1000))
        if answers { connection.send(.close(close?.code)) }
        let result = tool.finish()
        #expect(result.ending == .exit(answers ? 0 : isSignal ? 1 : 69))
        #expect(result.counter("unconfirmed") == (answers ? 0 : 1))
        #expect(result.errors.contains("1 sent message was not confirmed") == !answers)
    }

    @Test func aSubscriberIsStopped() throws {
        let peer = try WsPeer()
        let tool = try cat("-t -e first --no-close --close-timeout 200ms --stats", peer)
        let connection = try peer.accept()
        #expect(try connection.next()?.text == "first")
        connection.hangUp(abruptly: true)
        let lost = tool.finish()
        #expect(lost.ending == .exit(69))
        #expect(lost.counter("unconfirmed") == 0)
        #expect(lost.counter("sent") == 1)
    }

    // MARK: Again

    /// Each line arrives, whenever the connection breaks and however it ends.
    @Test(arguments: 0..<4) func sentAgain(_ number: Int) throws {
        var generator = SeededGenerator.announced("sentAgain \(number)")
        let peer = try WsPeer(receiveBuffer: 4096)
        let tool = try cat("\(Self.options) --resend-unconfirmed --wait 0 -e hello", peer)
        let count = 400
        tool.write((1...count).map { "\($0) " + String(repeating: "x", count: $0) + "\n" }.joined())
        tool.closeInput()
        var came = Set<Int>()
        var closed = false
        for round in 1... {
            let connection = try peer.accept()
            connection.answersPings = round > 5
            #expect(try connection.next()?.text == "hello")
            var left = round > 5 ? Int.max : Int.random(in: 0...100, using: &generator)
            while left > 0, let frame = try connection.next() {
                if frame.kind == .close {
                    connection.send(.close(frame.code))
                    closed = true
                    break
                }
                if frame.kind == .text {
                    came.insert(Int(frame.text.prefix { $0.isNumber }) ?? -1)
                    left -= 1
                }
            }
            if closed { break }
            if Bool.random(using: &generator) { connection.send(.close(1001)) }
            connection.hangUp(abruptly: Bool.random(using: &generator))
        }
        let result = tool.finish()
        #expect(came == Set(1...count))
        #expect(result.counter("unconfirmed") == 0)
        #expect(result.counter("resent") > 0)
        #expect(result.ending == .exit(0))
    }

    /// What nobody confirms is kept in --buffer-bytes, and no more is sent meanwhile.
    @Test func whatWaitsHasABound() throws {
        let peer = try WsPeer()
        let tool = try cat(
            "\(Self.options) --resend-unconfirmed --buffer-bytes 2K --pong-timeout 1h", peer)
        let connection = try peer.accept()
        connection.answersPings = false
        tool.write(String(repeating: "x", count: 99).appending("\n").repeated(100))
        tool.closeInput()
        var pings: [WsFrame] = []
        var messages = 0
        while let frame = try connection.frameOrSilence(seconds: 0.5) {
            if frame.kind == .ping { pings.append(frame) } else { messages += 1 }
        }
        #expect((10...60).contains(messages), "\(messages)")
        #expect(pings.count == 1)
        // Each answer lets more of them come.
        connection.answersPings = true
        connection.send(WsFrame(.pong, pings[0].payload))
        let rest = try connection.drain()
        #expect(messages + rest.texts.count == 100)
        #expect(tool.finish().ending == .exit(0))
    }

    @Test(arguments: [
        ("--resend-unconfirmed", "--resend-unconfirmed needs --reconnect"),
        ("--reconnect --resend-unconfirmed --ping 0", "--resend-unconfirmed needs pings"),
        ("--reconnect --resume-from .id", "--resume-from and --resume-param need each other"),
        ("--reconnect --resume-param x", "--resume-from and --resume-param need each other"),
        ("--resume-from .id --resume-param x", "--resume-from needs --reconnect"),
    ])
    func misused(_ options: String, _ message: String) throws {
        let result = try run("ws-cat", "\(options) ws://127.0.0.1:1/")
        #expect(result.ending == .exit(64))
        #expect(result.errors.hasPrefix("ws-cat: \(message)"))
    }

    // MARK: Going on behind

    @Test func resuming() throws {
        let peer = try WsPeer()
        let tool = try cat(
            words("-d --no-close --reconnect --backoff 1ms..5ms --resume-from .id")
                + ["--resume-param", "since", "ws://127.0.0.1:\(peer.port)/a?x=1&since=now&y=2"])
        // What was received, and what the next request asks for.
        let steps = [
            (["{\"id\":\"a/7 &\"}"], "/a?x=1&y=2&since=a%2F7%20%26"),
            (
                ["{\"id\":12345678901234567890}", "{\"other\":1}", "no JSON", "{\"id\":null}"],
                "/a?x=1&y=2&since=12345678901234567890"
            ),
            ([], "/a?x=1&y=2&since=12345678901234567890"),
            (
                ["{\"id\":\"\"}", "{\"id\":[1]}", "{\"id\":\"\("x".repeated(2000))\"}"],
                "/a?x=1&y=2&since=12345678901234567890"
            ),
            (["{\"id\":1} {\"id\":\"two\"}\n{\"x\":3}"], "/a?x=1&y=2&since=two"),
        ]
        var target = "/a?x=1&since=now&y=2"
        var count = 0
        for (messages, next) in steps {
            let connection = try peer.accept()
            #expect(connection.head.hasPrefix("GET \(target) HTTP/1.1\r\n"))
            for message in messages { connection.send(message) }
            count += messages.count
            #expect(tool.printsLines(count))
            connection.hangUp()
            target = next
        }
        #expect(try peer.accept().head.hasPrefix("GET \(target) HTTP/1.1\r\n"))
        #expect(tool.says("a value of --resume-from is too long"))
    }

    // MARK: What is sent first

    /// An exchange closed with 1008 after a burst of subscriptions.
    @Test func greetingsKeepThePace() throws {
        let peer = try WsPeer()
        let began = now()
        let tool = try cat(
            words("-t --rate 10/s --wait 0 -e 1 -e 2 -e 3 -e 4 -e 5 -e 6") + [peer.url])
        tool.write("7\n")
        tool.closeInput()
        let transcript = try peer.accept().drain()
        #expect(transcript.texts == ["1", "2", "3", "4", "5", "6", "7"])
        #expect(now() - began >= 0.55)
        #expect(tool.finish().ending == .exit(0))
    }

    /// A message may hold newlines there, too.
    @Test func greetingsThatANullEnds() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("greetings")
        try "a\nb\0\0c".write(toFile: file, atomically: true, encoding: .utf8)
        let run = try talk("-t0 --wait 0 --on-open \(file)", "d\0")
        #expect(run.texts == ["a\nb", "", "c", "d"])
        #expect(run.result.ending == .exit(0))
    }

    /// A line of the command is text, whatever standard input is.
    @Test func greetingsAreText() throws {
        let peer = try WsPeer()
        let tool = try cat(["-b", "--wait", "0", "-e", "{\"rate\":16000}", peer.url])
        tool.write([0, 255])
        tool.closeInput()
        let transcript = try peer.accept().drain()
        #expect(transcript.frames.map(\.kind) == [.text, .binary])
        #expect(transcript.texts[0] == "{\"rate\":16000}")
        #expect(tool.finish().ending == .exit(0))
    }
}

extension String {
    fileprivate func repeated(_ count: Int) -> String { String(repeating: self, count: count) }
}

extension WsConnection {
    /// The next frame of any kind, or nil when none comes for so long.
    fileprivate func frameOrSilence(seconds: Double) throws -> WsFrame? {
        do {
            return try frame(within: seconds)
        } catch is WsTimeout {
            return nil
        }
    }
}
