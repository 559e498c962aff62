import Foundation
import Testing

/// Close codes, and what they make of the exit status and of --reconnect.
@Suite struct WsCloseTests {
    struct Row: CustomTestStringConvertible, Sendable {
        /// Nil: a Close without a code; 0: no Close at all.
        var code: Int?
        var status: Int32
        var comesBack: Bool

        var testDescription: String { code.map { "\($0)" } ?? "none" }

        var frame: WsFrame { .close(code, code == nil ? "" : "why") }
    }

    private static let rows: [Row] = [
        Row(code: 1000, status: 0, comesBack: true), Row(code: 1001, status: 0, comesBack: true),
        Row(code: nil, status: 0, comesBack: true), Row(code: 1002, status: 76, comesBack: false),
        Row(code: 1003, status: 76, comesBack: false),
        Row(code: 1007, status: 76, comesBack: false),
        Row(code: 1008, status: 77, comesBack: false),
        Row(code: 1009, status: 76, comesBack: false),
        Row(code: 1010, status: 76, comesBack: false), Row(code: 1011, status: 69, comesBack: true),
        Row(code: 1012, status: 69, comesBack: true), Row(code: 1013, status: 69, comesBack: true),
        Row(code: 1014, status: 69, comesBack: true), Row(code: 3000, status: 69, comesBack: true),
        Row(code: 4000, status: 69, comesBack: true), Row(code: 4999, status: 69, comesBack: true),
        Row(code: 0, status: 69, comesBack: true),
    ]

    @Test(arguments: rows) func endsTheTool(_ row: Row) throws {
        let peer = try WsPeer()
        let tool = try cat("--no-close -r --all", peer)
        let connection = try peer.accept()
        connection.send("last")
        if row.code == 0 {
            connection.hangUp()
        } else {
            connection.send(row.frame)
            let answer = try #require(try connection.next())
            #expect(answer.kind == .close)
            #expect(answer.code == row.code)
            connection.hangUp()
        }
        let result = tool.finish()
        #expect(result.ending == .exit(row.status))
        let records = result.lines.map(object)
        #expect(records.map { $0["type"] as? String } == ["open", "text", "close"])
        let close = records.last ?? [:]
        #expect(close["code"] as? Int == (row.code == 0 ? 1006 : row.code ?? 1005))
        #expect(close["clean"] as? Bool == (row.code != 0))
        #expect(!peer.isCalled(within: 0))
        if row.status == 0 {
            #expect(result.errors.isEmpty)
        } else {
            #expect(result.errors.hasPrefix("ws-cat: "))
            #expect(
                result.errors.contains(
                    row.code == 0 ? "the connection was lost" : "the peer closed with \(row.code!)")
            )
        }
        if let code = row.code, code > 0 { #expect(close["reason"] as? String == "why") }
    }

    @Test(arguments: rows) func orComesBack(_ row: Row) throws {
        let peer = try WsPeer()
        let tool = try cat("-t --no-close --reconnect --backoff 1ms..5ms", peer)
        let connection = try peer.accept()
        if row.code != 0 {
            connection.send(row.frame)
            #expect(try connection.next()?.kind == .close)
        }
        connection.hangUp()
        if row.comesBack {
            let second = try peer.accept()
            second.send("again")
            #expect(tool.prints("again\n"))
            second.send(.close(1008))
            #expect(try second.drain().close?.code == 1008)
            #expect(tool.finish().ending == .exit(77))
        } else {
            #expect(tool.finish().ending == .exit(row.status))
            #expect(!peer.isCalled(within: 0))
        }
    }

    @Test(arguments: [
        ("4000-4999", 4000, true), ("4000-4999", 4999, true), ("4000-4999", 3999, false),
        ("1012,1013", 1013, true), ("1012,1013", 1011, false), ("1000", 1000, true),
    ])
    func finalCodes(_ list: String, _ code: Int, _ isFinal: Bool) throws {
        let peer = try WsPeer()
        let tool = try cat(
            "--no-close --reconnect --backoff 1ms..5ms --final-codes \(list)", peer)
        let connection = try peer.accept()
        connection.send(.close(code))
        #expect(try connection.drain().close?.code == code)
        if isFinal {
            #expect(tool.finish().ending == .exit(code == 1000 ? 0 : 69))
            #expect(!peer.isCalled(within: 0))
        } else {
            #expect(peer.isCalled())
        }
    }

    /// A server that is asked too much has no other code: an exchange said so, and the tool was
    /// gone for good.
    @Test(arguments: [
        ("Too many requests", "", true), ("Rate limit exceeded", "", true),
        ("request throttled", "", true), ("slow down", "", true), ("", "--retry-codes 1008", true),
        ("why", "--retry-codes 1000-1010", true), ("corporate policy", "", false),
        ("Too many requests", "--final-codes 1008", false),
    ])
    func askingForPatience(_ reason: String, _ options: String, _ comesBack: Bool) throws {
        let peer = try WsPeer()
        let tool = try cat("--no-close --reconnect --backoff 1ms..5ms \(options)", peer)
        let connection = try peer.accept()
        connection.send(.close(1008, reason))
        #expect(try connection.drain().close?.code == 1008)
        if comesBack {
            #expect(peer.isCalled())
        } else {
            #expect(tool.finish().ending == .exit(77))
            #expect(!peer.isCalled(within: 0))
        }
    }

    @Test func codeAndReasonOfOurs() throws {
        let arguments = ["--wait", "0", "--close-code", "4001", "--close-reason", "good bye ö"]
        let run = try talk(arguments, "1\n".utf8)
        #expect(run.texts == ["1"])
        #expect(run.close?.code == 4001)
        #expect(run.close?.reason == "good bye ö")
        // What the peer answers is our own code.
        #expect(run.result.ending == .exit(0) || run.result.ending == .exit(69))
    }

    @Test func theLongestReason() throws {
        let reason = String(repeating: "é", count: 61) + "!"
        let run = try talk(["--wait", "0", "--close-reason", reason], "".utf8)
        #expect(run.close?.code == 1000)
        #expect(run.close?.reason == reason)
        #expect(run.result.ending == .exit(0))
    }

    /// RFC 6455, section 7.4: what a Close may not carry.
    @Test(
        arguments: [
            [0], [3, 232, 0xFF], [3, 236], [3, 237], [3, 238], [3, 247], [0, 0], [3, 231],
            [0x07, 0xCF],
            [0x13, 0x88], [0xFF, 0xFF],
        ] as [[UInt8]])
    func aCloseThatBreaksTheRules(_ payload: [UInt8]) throws {
        let run = try talk("--no-close") { $0.send(WsFrame(.close, payload)) }
        #expect(run.close?.code == (payload.count > 2 ? 1007 : 1002))
        #expect(run.result.ending == .exit(76))
        #expect(run.result.errors.contains("the peer broke the protocol: "))
    }

    /// Both close at the same time: each takes the other's Close for the answer.
    @Test func theClosesCross() throws {
        let peer = try WsPeer()
        let tool = try cat("--wait 0", peer)
        let connection = try peer.accept()
        tool.closeInput()
        #expect(try connection.next()?.code == 1000)
        connection.send(.close(1001, "me too"))
        let result = tool.finish()
        #expect(result.ending == .exit(0))
        #expect(try connection.next() == nil)
        #expect(result.errors.isEmpty)
    }

    /// What comes behind our Close is written until the peer's.
    @Test func messagesBehindOurClose() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --wait 0", peer)
        let connection = try peer.accept()
        tool.closeInput()
        #expect(try connection.next()?.code == 1000)
        connection.send("late")
        connection.send(WsFrame(.ping, "x"), WsFrame(.text, "later"), .close(1000))
        connection.send("too late")
        let result = tool.finish()
        #expect(result.text == "late\nlater\n")
        #expect(result.ending == .exit(0))
        // Nothing may follow our Close, not even a pong.
        #expect(try connection.next() == nil)
    }

    @Test func thePeerHangsUpInsteadOfAnswering() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --wait 0", peer)
        let connection = try peer.accept()
        tool.write("a\n")
        tool.closeInput()
        #expect(try connection.drain(answersClose: false).texts == ["a"])
        connection.hangUp()
        let result = tool.finish()
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("before the peer answered the close"))
    }

    @Test func lostInTheMiddleOfAMessage() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --no-close", peer)
        let connection = try peer.accept()
        connection.send("whole")
        connection.write(WsFrame(.text, "half of it").bytes(masked: false).dropLast(3))
        connection.finishSending()
        let result = tool.finish()
        #expect(result.text == "whole\n")
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("lost in the middle of a message"))
    }

    @Test func aReset() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --no-close", peer)
        let connection = try peer.accept()
        connection.send("a")
        #expect(tool.prints("a\n"))
        connection.hangUp(abruptly: true)
        let result = tool.finish()
        #expect(result.text == "a\n")
        #expect(result.ending == .exit(69))
    }

    /// A client whose server closes early has not sent all of its input.
    @Test func closedBeforeAllWasSent() throws {
        let peer = try WsPeer()
        let tool = try cat("-t", peer)
        let connection = try peer.accept()
        tool.write("a\n")
        #expect(try connection.next()?.text == "a")
        connection.send(.close(1000))
        #expect(try connection.drain().close?.code == 1000)
        let result = tool.finish()
        // Its input is not at its end, and nobody said that what was sent of it arrived.
        #expect(result.ending == .exit(1))
        #expect(result.errors == "ws-cat: 1 sent message was not confirmed\n")
    }
}
