import Foundation
import Testing

/// Signals, and a standard output that fails.
@Suite struct WsSignalTests {
    @Test(arguments: [SIGTERM, SIGINT, SIGHUP]) func closesWith1001(_ number: Int32) throws {
        let peer = try WsPeer()
        let tool = try cat("-t --close-reason x", peer)
        let connection = try peer.accept()
        tool.write("a\n")
        #expect(try connection.next()?.text == "a")
        connection.send("A")
        #expect(tool.prints("A\n"))
        tool.send(number)
        let transcript = try connection.drain()
        #expect(transcript.texts == [])
        #expect(transcript.close?.code == 1001)
        let result = tool.finish()
        #expect(result.text == "A\n")
        #expect(result.ending == .exit(0))
    }

    @Test func whatComesBeforeTheAnswerIsWritten() throws {
        let peer = try WsPeer()
        let tool = try cat("-t", peer)
        let connection = try peer.accept()
        tool.send(SIGTERM)
        #expect(try connection.next()?.code == 1001)
        connection.send("late")
        connection.send(.close(1001))
        let result = tool.finish()
        #expect(result.text == "late\n")
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP]) func unsentLines(_ number: Int32) throws {
        let peer = try WsPeer(receiveBuffer: 4096)
        let tool = try cat("-t --stats --close-timeout 200ms", peer)
        let connection = try peer.accept()
        // More than the sockets and the tool take.
        let line = [UInt8](repeating: 120, count: 99_999) + [10]
        var count = 0
        while count < 400, !tool.stalls(with: line) { count += 1 }
        #expect(count < 400)
        tool.send(number)
        let result = tool.finish()
        #expect(result.ending == .signal(number))
        #expect(result.counter("unsent") > 0)
        #expect(result.errors.contains("not sent"))
        connection.hangUp()
    }

    /// A peer that is stopped itself keeps the tool for three seconds.
    @Test func aPeerThatDoesNotAnswer() throws {
        let peer = try WsPeer()
        let began = now()
        let tool = try cat("-t --stats", peer)
        let connection = try peer.accept()
        let asked = now()
        tool.send(SIGTERM)
        let sent = now()
        #expect(try connection.next()?.code == 1001)
        let result = tool.finish()
        #expect(now() - asked >= 1)
        #expect(result.elapsed >= 1 && result.elapsed - (sent - began) < 8)
        #expect(result.ending == .exit(0))
    }

    /// Who is in a hurry hears what may be lost, too.
    @Test func aSecondSignal() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --stats", peer)
        let connection = try peer.accept()
        connection.answersPings = false
        tool.write("a\n")
        #expect(try connection.next()?.text == "a")
        tool.send(SIGTERM)
        #expect(try connection.next()?.code == 1001)
        // Within half a second it would pass for the first, as timeout(1) sends it twice.
        usleep(600_000)
        tool.send(SIGTERM)
        let result = tool.finish()
        #expect(result.ending == .signal(SIGTERM))
        #expect(result.errors.contains("ws-cat: 1 sent message was not confirmed\n"))
        #expect(result.counter("unconfirmed") == 1)
    }

    @Test func whileConnecting() throws {
        let peer = try WsPeer()
        let tool = try cat("-t", peer)
        let connection = try peer.acceptRaw()
        try connection.readHead()
        tool.send(SIGTERM)
        let result = tool.finish()
        #expect(result.ending == .exit(0) || result.ending == .signal(SIGTERM))
        #expect(try connection.ends())
    }

    @Test func whileItWaitsToReconnect() throws {
        let url = "ws://127.0.0.1:\(try unusedPort())/"
        let began = now()
        let tool = try cat(words("-t --stats --reconnect --backoff 60s..60s \(url)"))
        #expect(tool.says("connecting again in"))
        tool.send(SIGTERM)
        let sent = now()
        let result = tool.finish()
        #expect(result.elapsed > 0 && result.elapsed - (sent - began) < 5)
        #expect(result.ending == .exit(0) || result.ending == .signal(SIGTERM))
    }

    @Test func whileItListens() throws {
        let server = try WsServer("-t --keep-listening")
        server.session.send(SIGTERM)
        #expect(server.session.finish().ending == .exit(0))
    }

    @Test(arguments: ["", "trap '' PIPE; "]) func theReaderIsGone(_ trap: String) throws {
        let peer = try WsPeer()
        let tool = try Session("/bin/sh", ["-c", "\(trap)exec ws-cat -t --no-close \(peer.url)"])
        tool.closeOutput()
        let connection = try peer.accept()
        let limit = now() + patience
        // Between its fork and its exec another test's child has our end of the pipe too.
        while tool.waitForEnd(seconds: 0.02) == nil, now() < limit { connection.send("a") }
        let result = tool.finish()
        #expect(result.ending == .signal(SIGPIPE))
        #expect(result.errors.isEmpty)
        #expect(try connection.ends())
    }

    /// What it leaves unsent and unconfirmed is told, and a reply confirms a line.
    @Test(arguments: [true, false]) func theReaderLeavesInTheMiddle(_ replies: Bool) throws {
        let peer = try WsPeer()
        let tool = try cat("-t --stats --rate 1/h", peer)
        tool.write("a\nb\nc\n")
        let connection = try peer.accept()
        #expect(try connection.next()?.text == "a")
        if replies {
            connection.send("A")
            #expect(tool.prints("A\n"))
        }
        tool.closeOutput()
        let result = tool.finish()
        #expect(result.ending == .signal(SIGPIPE))
        #expect(result.counter("unconfirmed") == (replies ? 0 : 1))
        #expect(result.counter("unsent") == 2)
        #expect(result.errors.contains("ws-cat: 1 sent message was not confirmed\n") == !replies)
        #expect(result.errors.contains("ws-cat: 2 lines were read and not sent\n"))
    }

    @Test(arguments: ["", "-z"]) func aFullDevice(_ option: String) throws {
        let peer = try WsPeer()
        let full = opened("/dev/full", O_WRONLY)
        defer { close(full) }
        let tool = try cat("-t --no-close \(option)", peer, stdout: .descriptor(full))
        let connection = try peer.accept()
        connection.send("a")
        let result = tool.finish()
        #expect(result.ending == .exit(74))
        #expect(result.errors == "ws-cat: standard output: No space left on device\n")
        #expect(try connection.ends())
    }

    @Test func closedStandardInput() throws {
        let tool = try cat(["ws://127.0.0.1:1/"], stdin: .closed)
        let result = tool.finish()
        #expect(result.ending == .exit(74) || result.ending == .exit(69))
    }

    @Test func compressedOutputIsWholeAfterASignal() throws {
        let peer = try WsPeer()
        let tool = try cat("-t -z", peer)
        let connection = try peer.accept()
        connection.send("a")
        #expect(tool.wait { $0.output.count > 11 })
        tool.send(SIGTERM)
        #expect(try connection.drain().close?.code == 1001)
        let result = tool.finish()
        #expect(result.ending == .exit(0))
        let gunzip = try Session("/bin/sh", ["-c", "gunzip"])
        gunzip.write(result.output)
        gunzip.closeInput()
        let inflated = gunzip.finish()
        #expect(inflated.text == "a\n")
        #expect(inflated.ending == .exit(0))
    }
}
