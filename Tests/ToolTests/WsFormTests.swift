import Foundation
import Testing

/// Lines to messages and messages to lines.
@Suite struct WsFormTests {
    struct Row: CustomTestStringConvertible, Sendable {
        var title: String
        var arguments: String
        var input: String
        /// What the peer gets.
        var sent: [String]
        var kind = WsFrame.Kind.text

        var testDescription: String { title }
    }

    private static let rows: [Row] = [
        Row(title: "data", arguments: "", input: "{\"a\": 1}\n[]\n", sent: ["{\"a\": 1}", "[]"]),
        Row(title: "blank lines", arguments: "-d", input: "\n1\n  \n\n2\n\n", sent: ["1", "2"]),
        Row(title: "CRLF", arguments: "-d", input: "1\r\n\r\n2\r\n", sent: ["1", "2"]),
        Row(title: "a byte order mark", arguments: "-d", input: "\u{FEFF}1\n", sent: ["1"]),
        Row(title: "no last newline", arguments: "-d", input: "1\n2", sent: ["1", "2"]),
        Row(title: "nothing", arguments: "-d", input: "", sent: []),
        Row(title: "text", arguments: "-t", input: "a\n b \nö\n", sent: ["a", " b ", "ö"]),
        Row(title: "empty lines of text", arguments: "-t", input: "\na\n\n", sent: ["", "a", ""]),
        Row(title: "text with CRLF", arguments: "-t", input: "a\r\nb", sent: ["a", "b"]),
        Row(
            title: "text to NUL", arguments: "-t0", input: "a\nb\0\0c\r\n\0d",
            sent: ["a\nb", "", "c\r\n", "d"]),
        Row(
            title: "records", arguments: "-r",
            input: #"{"type":"text","data":"a\nb"}"# + "\n"
                + #"{ "data" : "", "type" : "text" }"# + "\n\n"
                + #"{"type":"text","data":{"a": 1}}"# + "\n",
            sent: ["a\nb", "", "{\"a\": 1}"]),
        Row(
            title: "binary records", arguments: "-r",
            input: #"{"type":"binary","data":"YWI="}"# + "\n"
                + #"{"type":"binary","data":""}"# + "\n",
            sent: ["ab", ""], kind: .binary),
        Row(
            title: "binary", arguments: "-b --chunk 4", input: "123456789",
            sent: ["1234", "5678", "9"], kind: .binary),
        Row(
            title: "lengths", arguments: "-b --length-prefix",
            input: "\0\0\0\u{2}ab\0\0\0\0\0\0\0\u{1}c",
            sent: ["ab", "", "c"], kind: .binary),
    ]

    @Test(arguments: rows) func sends(_ row: Row) throws {
        let run = try talk(row.arguments + " --wait 0", row.input)
        #expect(run.texts == row.sent)
        for frame in run.transcript.frames {
            #expect(frame.kind == row.kind)
            #expect(frame.isMasked)
            #expect(frame.isFinal)
            #expect(!frame.isCompressed)
        }
        #expect(run.close == masked(.close(1000)))
        #expect(run.result.ending == .exit(0))
        #expect(run.result.output.isEmpty)
        #expect(run.result.errors.isEmpty)
    }

    private func masked(_ frame: WsFrame) -> WsFrame {
        var frame = frame
        frame.isMasked = true
        return frame
    }

    private static let received: [(String, [WsFrame], String)] = [
        ("-d", [.init(.text, "{\"a\": 1}")], "{\"a\": 1}\n"),
        ("-d", [.init(.text, "{\n \"a\":\r\n1}")], "{  \"a\":\r 1}\n"),
        ("-d", [.init(.text, "no JSON\n")], "\"no JSON\\n\"\n"),
        ("-d", [.init(.text, "")], "\"\"\n"),
        ("-d", [.init(.binary, "ab")], "{\"binary\":\"YWI=\"}\n"),
        ("-d", [.init(.binary, "")], "{\"binary\":\"\"}\n"),
        ("-d", [.init(.text, "1 2")], "\"1 2\"\n"),
        (
            "-r", [.init(.text, "a\"\n"), .init(.text)],
            "{\"type\":\"text\",\"data\":\"a\\\"\\n\"}\n{\"type\":\"text\",\"data\":\"\"}\n"
        ),
        (
            "-r", [.init(.binary, [0, 255]), .init(.binary)],
            "{\"type\":\"binary\",\"data\":\"AP8=\"}\n{\"type\":\"binary\",\"data\":\"\"}\n"
        ),
        ("-t", [.init(.text, "a"), .init(.text), .init(.binary, "b\nc")], "a\n\nb\nc\n"),
        ("-t0", [.init(.text, "a"), .init(.text), .init(.text, "b\nc")], "a\0\0b\nc\0"),
        ("-b", [.init(.binary, "ab"), .init(.binary), .init(.text, "c\n")], "abc\n"),
        (
            "-b --length-prefix", [.init(.binary, "ab"), .init(.binary), .init(.text, "c")],
            "\0\0\0\u{2}ab\0\0\0\0\0\0\0\u{1}c"
        ),
    ]

    @Test(arguments: received.indices) func writes(_ index: Int) throws {
        let (arguments, frames, output) = Self.received[index]
        let run = try talk("\(arguments) --no-close") { connection in
            for frame in frames { connection.send(frame) }
            connection.send(.close(1000))
        }
        #expect(run.result.text == output)
        #expect(run.result.ending == .exit(0))
        #expect(run.result.errors.isEmpty)
        #expect(run.close?.code == 1000)
    }

    /// Control frames between fragments are told apart from them, and empty fragments are allowed.
    @Test func fragmentsArePutTogether() throws {
        let run = try talk("-t --no-close") {
            $0.send(
                WsFrame(.text, [0xC3], isFinal: false), WsFrame(.ping, "here"),
                WsFrame(.continuation, [0xB6], isFinal: false),
                WsFrame(.continuation, [], isFinal: false), WsFrame(.pong, "unasked"),
                WsFrame(.continuation, [0x21]), .close(nil))
        }
        #expect(run.result.text == "ö!\n")
        #expect(run.result.ending == .exit(0))
        #expect(run.transcript.frames.map(\.kind) == [.pong])
        #expect(run.transcript.frames.map(\.text) == ["here"])
        #expect(run.close?.payload == [])
    }

    @Test func gzipGoesInAndOut() throws {
        let input = try shell("printf '1\\n2\\n' | gzip").output
        let run = try talk(["-z", "--wait", "0"], input) { connection in
            connection.send("3")
            connection.send(WsFrame(.text, "\"4\""))
        }
        #expect(run.texts == ["1", "2"])
        #expect(run.result.ending == .exit(0))
        let output = try gunzip(run.result.output)
        #expect(output == "3\n\"4\"\n")
    }

    private func gunzip(_ bytes: [UInt8]) throws -> String {
        let session = try Session("/bin/sh", ["-c", "gunzip"])
        session.write(bytes)
        session.closeInput()
        return session.finish().text
    }

    /// Random messages of all kinds go from one ws-cat to another and back, and none differs.
    @Test(arguments: ["-r", "-r --compress=off", "-r --fragment 7 --no-context-takeover"])
    func recordsMakeTheRoundTrip(_ options: String) throws {
        var generator = SeededGenerator.announced("recordsMakeTheRoundTrip")
        let forth = (0..<300).map { _ in Self.record(&generator) }
        let back = (0..<300).map { _ in Self.record(&generator) }
        let server = try WsServer(options)
        let client = try cat(words(options) + [server.url])
        client.write(forth.joined())
        server.session.write(back.joined())
        #expect(server.session.printsLines(forth.count))
        #expect(client.printsLines(back.count))
        client.closeInput()
        let result = client.finish()
        let served = server.session.finish()
        #expect(isSame(result.output, back))
        #expect(isSame(served.output, forth))
        #expect(result.ending == .exit(0))
        #expect(served.ending == .exit(0))
        #expect(result.errors.isEmpty)
    }

    /// Apart, so that a failure does not print all of it.
    private func isSame(_ output: [UInt8], _ lines: [String]) -> Bool {
        output == Array(lines.joined().utf8)
    }

    /// A record as ws-cat writes it.
    static func record(_ generator: inout SeededGenerator) -> String {
        let sizes = [0, 1, 2, 125, 126, 127, 300, 65535, 65536]
        let isLarge = Int.random(in: 0..<20, using: &generator) == 0
        let size =
            isLarge
            ? sizes.randomElement(using: &generator) ?? 0
            : Int.random(in: 0..<40, using: &generator)
        if Bool.random(using: &generator) {
            let bytes = (0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let text = Data(bytes).base64EncodedString()
            return "{\"type\":\"binary\",\"data\":\"\(text)\"}\n"
        }
        let scalars = Array("aZ 9{}[],:ö€😀\u{2028}\u{FEFF}é".unicodeScalars)
        var text = String.UnicodeScalarView()
        for _ in 0..<size { text.append(scalars.randomElement(using: &generator) ?? "a") }
        return "{\"type\":\"text\",\"data\":\"\(String(text))\"}\n"
    }

    /// Some feeds put several into one message, which was written as one JSON string.
    @Test(arguments: [
        ("{\"a\":1}\n{\"b\": 2}\n", "{\"a\":1}\n{\"b\": 2}\n"),
        (" [1] [2,\n3]{}", "[1]\n[2, 3]\n{}\n"),
        ("{} 1", "\"{} 1\"\n"), ("1 2", "\"1 2\"\n"), ("{}{", "\"{}{\"\n"), ("", "\"\"\n"),
        ("{\"a\":1}", "{\"a\":1}\n"),
    ])
    func severalValuesInAMessage(_ message: String, _ lines: String) throws {
        let run = try talk("-d -n 1") { $0.send(message) }
        #expect(run.result.text == lines)
        #expect(run.result.ending == .exit(0))
    }

    @Test(arguments: [
        ("{\n\"a\": 1\n}\n", "as jq -c writes it)"), (" [\n1]\n", "as jq -c writes it)"),
        ("hello\n", "(--text sends any line)"), ("\"a\n", "(--text sends any line)"),
        ("{\"a\": nope}\n", "(--text sends any line)"),
    ])
    func aLineThatIsNoJSON(_ line: String, _ advice: String) throws {
        let run = try talk("-d", line)
        #expect(run.result.ending == .exit(65))
        #expect(run.result.errors.hasSuffix(advice + "\n"))
    }

    @Test func aSubprotocolThatWasNotTaken() throws {
        let run = try talk("-t --wait 0 --subprotocol one --subprotocol two")
        let words = "took none of the subprotocols that were offered: one, two\n"
        #expect(run.result.errors.hasSuffix(words))
        #expect(run.result.ending == .exit(0))
        let taken = try talk(
            "-t --wait 0 --subprotocol one", fields: "Sec-WebSocket-Protocol: one\r\n")
        #expect(taken.result.errors.isEmpty)
    }
}
