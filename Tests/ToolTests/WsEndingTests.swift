import Foundation
import Testing

/// When and how the connection is closed.
@Suite struct WsEndingTests {
    /// A library answers pings at once for an application that thinks: its reply was lost, and the
    /// status was 0.
    @Test func slowReplies() throws {
        let peer = try WsPeer()
        let tool = try cat("-t", peer)
        let connection = try peer.accept()
        tool.write("a\n")
        tool.closeInput()
        #expect(try connection.next()?.text == "a")
        connection.send("A")
        // Each comes within 2 s of the one before.
        for number in 1...3 {
            #expect(try connection.frameWithin(seconds: 0.2) == nil)
            connection.send("\(number)")
        }
        let last = now()
        #expect(try connection.drain().close?.code == 1000)
        #expect(now() - last > 1.9)
        let result = tool.finish()
        #expect(result.text == "A\n1\n2\n3\n")
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
    }

    /// The same for what is sent first, for a server, and for a peer that says something unasked.
    @Test(arguments: ["-t -e a", "-t"]) func slowRepliesToOthers(_ options: String) throws {
        let run = try talk(options) { connection in
            let early = try connection.frameWithin(seconds: 0.2, kind: .close)
            #expect(early == nil)
            connection.send("A")
        }
        #expect(run.result.text == "A\n")
        #expect(run.close?.code == 1000)
        #expect(run.result.ending == .exit(0))
    }

    @Test func slowRepliesToAServer() throws {
        let server = try WsServer("-t")
        let connection = try WsConnection.open(server.port)
        server.session.write("a\n")
        server.session.closeInput()
        #expect(try connection.next()?.text == "a")
        #expect(try connection.frameWithin(seconds: 0.2) == nil)
        connection.send("A")
        #expect(try connection.drain().close?.code == 1000)
        #expect(server.session.finish().text == "A\n")
    }

    @Test func silenceIsTold() throws {
        let run = try talk("-t --wait 100ms", "a\n")
        #expect(run.texts == ["a"])
        #expect(run.result.ending == .exit(0))
        #expect(
            run.result.errors
                == "ws-cat: nothing came back within 100ms of the last line (see --wait)\n")
        #expect(try talk("-t --wait 0", "a\n").result.errors.isEmpty)
        #expect(try talk("-t --wait 1ms").result.errors.isEmpty)
    }

    /// A message that takes longer than that to come has begun to come.
    @Test func aLongMessage() throws {
        let run = try talk("-t --wait 2s", "a\n") { connection in
            for letter in ["A", "B", "C", "D"] {
                connection.send(
                    WsFrame(
                        letter == "A" ? .text : .continuation, Array(letter.utf8),
                        isFinal: letter == "D"))
                usleep(700_000)
            }
        }
        #expect(run.result.text == "ABCD\n")
        #expect(run.result.ending == .exit(0))
    }

    @Test func waitZeroWaitsForNothing() throws {
        let run = try talk("-t --wait 0", "a\n") { $0.answersPings = false }
        #expect(run.transcript.frames.map(\.kind) == [.text])
        #expect(run.result.ending == .exit(0))
    }

    @Test func waitWaits() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --wait 1s", peer)
        let connection = try peer.accept()
        tool.write("a\n")
        #expect(try connection.frame()?.text == "a")
        let began = now()
        tool.closeInput()
        connection.send("A")
        #expect(try connection.next()?.kind == .close)
        #expect(now() - began >= 0.9)
        connection.send(.close(1000))
        connection.hangUp()
        #expect(tool.finish().text == "A\n")
    }

    @Test func noCloseReceivesOn() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --no-close", peer)
        let connection = try peer.accept()
        tool.write("a\n")
        tool.closeInput()
        #expect(try connection.next()?.text == "a")
        usleep(200_000)
        connection.send("late")
        #expect(tool.prints("late\n"))
        connection.send(.close(1000))
        #expect(try connection.drain().close?.code == 1000)
        #expect(tool.finish().ending == .exit(0))
    }

    @Test func countedMessages() throws {
        let peer = try WsPeer()
        let tool = try cat("-t -n 2", peer)
        let connection = try peer.accept()
        for text in ["a", "b", "c"] { connection.send(text) }
        // Its input is still open.
        #expect(try connection.drain().close?.code == 1000)
        let result = tool.finish()
        #expect(result.text == "a\nb\n")
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
    }

    @Test func aCountThatIsNotReached() throws {
        let run = try talk("-t -n 3") {
            $0.send("a")
            $0.send(.close(1000))
        }
        #expect(run.result.text == "a\n")
        #expect(run.result.ending == .exit(0))
    }

    // MARK: One

    @Test func oneReply() throws {
        let peer = try WsPeer()
        let tool = try cat("-1", peer)
        let connection = try peer.accept()
        tool.write("\"ping\"\n\"more\"\n")
        #expect(try connection.next()?.text == "\"ping\"")
        connection.send("\"pong\"")
        connection.send("\"another\"")
        let transcript = try connection.drain()
        #expect(transcript.texts == [])
        #expect(transcript.close?.code == 1000)
        let result = tool.finish()
        #expect(result.text == "\"pong\"\n")
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
    }

    @Test(arguments: [WsFrame.close(1000), .close(1011, "sorry"), .close(1008), .close(nil)])
    func noReply(_ frame: WsFrame) throws {
        let peer = try WsPeer()
        let tool = try cat("-1", peer)
        let connection = try peer.accept()
        tool.write("1\n")
        tool.closeInput()
        #expect(try connection.next()?.text == "1")
        connection.send(frame)
        #expect(try connection.drain().close?.code == frame.code)
        let result = tool.finish()
        #expect(result.output.isEmpty)
        #expect(result.ending == .exit(frame.code == 1008 ? 77 : 69))
        #expect(result.errors.contains("ws-cat: no reply: the peer closed with "))
    }

    @Test func noReplyInTime() throws {
        try patiently {
            let run = try talk("-1 --max-time \($0)ms", "1\n")
            if run.texts != ["1"] { return false }
            #expect(run.close?.code == 1000)
            #expect(run.result.ending == .exit(69))
            #expect(run.result.errors.hasSuffix("no reply before --max-time was over\n"))
            return true
        }
    }

    /// It waited for ever: a cron job hung until it was killed.
    @Test func noReplyWithinTheWait() throws {
        let run = try talk("-1 --wait 2s", "1\n") { $0.answersPings = true }
        #expect(run.texts == ["1"])
        #expect(run.close?.code == 1000)
        #expect(run.result.ending == .exit(69))
        #expect(run.result.errors.hasSuffix("no reply within 2s (see --wait)\n"))
    }

    @Test func noWaitForAReply() throws {
        let result = try run("ws-cat", "-1 --wait 0 ws://127.0.0.1:1/", "1\n")
        #expect(result.ending == .exit(64))
        #expect(result.errors == "ws-cat: --one waits for a reply: no --wait 0\n")
    }

    /// That was "no line to send" and 65, and what our clock ended the peer had closed.
    @Test func noHandshakeForOne() throws {
        let peer = try WsPeer()
        let tool = try cat("-1 --max-time 300ms", peer)
        tool.write("1\n")
        tool.closeInput()
        let connection = try peer.acceptRaw()
        let result = tool.finish()
        #expect(result.ending == .exit(69))
        let words = "no reply before --max-time was over: there was no connection\n"
        #expect(result.errors.hasSuffix(words))
        #expect(try connection.ends())
    }

    @Test func noLine() throws {
        let run = try talk("-1", "\n")
        #expect(run.texts == [])
        #expect(run.result.ending == .exit(65))
        #expect(run.result.errors.hasSuffix("no line to send\n"))
    }

    @Test func aBadLine() throws {
        let run = try talk("-1", "nope\n")
        #expect(run.texts == [])
        #expect(run.result.ending == .exit(65))
        #expect(run.result.errors.hasPrefix("ws-cat: -:1:"))
    }

    @Test func oneWithALineOfTheCommand() throws {
        let peer = try WsPeer()
        let tool = try cat(["-1", "-e", "{\"op\": 1}", peer.url])
        tool.closeInput()
        let connection = try peer.accept()
        #expect(try connection.next()?.text == "{\"op\": 1}")
        connection.send("{\"ok\": 1}")
        #expect(try connection.drain().close?.code == 1000)
        let result = tool.finish()
        #expect(result.text == "{\"ok\": 1}\n")
        #expect(result.ending == .exit(0))
    }

    @Test func oneRefused() throws {
        let result = try run("ws-cat", "-1 ws://127.0.0.1:\(try unusedPort())/", "1\n")
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("Connection refused"))
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    // MARK: Time

    @Test func maxTime() throws {
        try patiently {
            let began = now()
            let run = try talk("-t --no-close --max-time \($0)ms", "a\n") { $0.send("b") }
            #expect(now() - began > Double($0) / 1000 - 0.01)
            if run.texts != ["a"] || run.result.text != "b\n" { return false }
            #expect(run.close?.code == 1000)
            #expect(run.result.ending == .exit(0))
            return true
        }
    }

    @Test func maxTimeWithoutAConnection() throws {
        let peer = try WsPeer()
        let tool = try cat("--max-time 300ms", peer)
        let connection = try peer.acceptRaw()
        let result = tool.finish()
        #expect(result.ending != .timeLimit)
        #expect(try connection.ends())
    }

    @Test func aCloseThatIsNeverAnswered() throws {
        let peer = try WsPeer()
        let began = now()
        let tool = try cat("-t --wait 0 --close-timeout 300ms --stats", peer)
        let connection = try peer.accept()
        tool.closeInput()
        let took = now() - began
        #expect(try connection.next()?.kind == .close)
        let result = tool.finish()
        #expect(result.elapsed >= 0.3 && result.elapsed - took < 5)
        #expect(result.ending == .exit(69))
        #expect(result.complaints == "ws-cat: the peer did not answer the close\n")
    }

    /// A peer that keeps sending instead of closing does not keep the tool.
    @Test func messagesInsteadOfAnAnswer() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --wait 0 --close-timeout 300ms", peer)
        let connection = try peer.accept()
        tool.closeInput()
        #expect(try connection.next()?.kind == .close)
        let limit = now() + patience
        while tool.waitForEnd(seconds: 0) == nil, now() < limit {
            connection.send("more")
            usleep(5_000)
        }
        #expect(tool.finish().ending == .exit(69))
    }

    /// A peer that answers the close and keeps the connection is left after a while.
    @Test func aPeerThatDoesNotHangUp() throws {
        let peer = try WsPeer()
        let began = now()
        let tool = try cat("-t --wait 0 --stats", peer)
        let connection = try peer.accept()
        tool.closeInput()
        #expect(try connection.next()?.kind == .close)
        connection.send(.close(1000))
        let took = now() - began
        let result = tool.finish()
        #expect(result.ending == .exit(0))
        #expect(result.elapsed > 0 && result.elapsed - took < 6)
    }

    @Test func theHandshakeNeverEnds() throws {
        let peer = try WsPeer()
        let tool = try cat("--connect-timeout 300ms", peer)
        let connection = try peer.acceptRaw()
        try connection.readHead()
        connection.write("HTTP/1.1 101 Switching")
        let result = tool.finish()
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("(see --connect-timeout)"))
    }

    /// Everything in a file arrives, and in order.
    @Test func aFileArrivesWhole() throws {
        let folder = try TemporaryFolder()
        let text = (0..<200_000).map { "{\"n\":\($0)}\n" }.joined()
        let file = opened(try folder.write(text, to: "lines"))
        defer { close(file) }
        let server = try WsServer()
        let client = try cat(["--stats", server.url], stdin: .descriptor(file))
        let served = server.session.finish()
        #expect(served.output == Array(text.utf8))
        #expect(served.ending == .exit(0))
        let result = client.finish()
        #expect(result.ending == .exit(0))
        #expect(result.counter("sent") == 200_000)
        #expect(result.counter("unconfirmed") == 0)
    }
}
