import Foundation
import Testing

/// Lines that are no messages.
@Suite struct WsInputTests {
    private static let hint = "(--text sends any line)"

    struct Row: CustomTestStringConvertible, Sendable {
        var form: String
        var line: String
        var complaint: String

        var testDescription: String { "\(form) \(line)" }
    }

    private static let rows: [Row] = [
        Row(form: "-d", line: "{", complaint: "as jq -c writes it"),
        Row(form: "-d", line: "1 2", complaint: hint),
        Row(form: "-d", line: "hello", complaint: hint),
        Row(form: "-r", line: "1", complaint: "expected a message record"),
        Row(form: "-r", line: "{}", complaint: "no 'type' in message record"),
        Row(
            form: "-r", line: #"{"type":"text"}"#, complaint: "no 'data' in message record"),
        Row(
            form: "-r", line: #"{"type":"text","data":"","id":1}"#,
            complaint: "unknown key 'id' in message record"),
        Row(
            form: "-r", line: #"{"type":"text","data":"","data":""}"#,
            complaint: "key 'data' stands twice"),
        Row(
            form: "-r", line: #"{"type":"ping","data":""}"#,
            complaint: "'type' must be \"text\" or \"binary\""),
        Row(
            form: "-r", line: #"{"type":1,"data":""}"#,
            complaint: "'type' must be \"text\" or \"binary\""),
        Row(
            form: "-r", line: #"{"type":"binary","data":1}"#,
            complaint: "'data' of a binary message must be a string in base64"),
        Row(
            form: "-r", line: #"{"type":"binary","data":"a"}"#, complaint: "'data' is no base64"),
        Row(
            form: "-r", line: #"{"type":"binary","data":"YW#="}"#,
            complaint: "'data' is no base64"),
        Row(
            form: "-r", line: #"{"type":"text","data":"x\ud800y"}"#,
            complaint: "'data' holds half a surrogate pair"),
        Row(form: "-r", line: #"{"type":"text","data":"#, complaint: "the JSON text ends here"),
    ]

    /// What comes before is sent, and the connection is closed in order.
    @Test(arguments: rows) func stops(_ row: Row) throws {
        let good = row.form == "-r" ? #"{"type":"text","data":"1"}"# : "1"
        let run = try talk("\(row.form) --wait 0", "\(good)\n\(row.line)\n\(good)\n")
        #expect(run.texts == ["1"])
        #expect(run.close?.code == 1000)
        #expect(run.result.ending == .exit(65))
        #expect(run.result.errors.hasPrefix("ws-cat: -:2:"))
        #expect(run.result.errors.contains(row.complaint))
        #expect(run.result.errors.split(separator: "\n").count == 1)
    }

    @Test(arguments: rows) func skips(_ row: Row) throws {
        let good = row.form == "-r" ? #"{"type":"text","data":"1"}"# : "1"
        let run = try talk(
            "\(row.form) --wait 0 --on-error=skip", "\(good)\n\(row.line)\n\(good)\n")
        #expect(run.texts == ["1", "1"])
        #expect(run.result.ending == .exit(1))
        #expect(run.result.errors.contains(row.complaint))
        #expect(run.result.errors.hasSuffix("ws-cat: 1 rejected\n"))
    }

    @Test func whereItIs() throws {
        let run = try talk("-d --wait 0", "{\"a\":x}\n")
        #expect(run.texts == [])
        #expect(run.result.ending == .exit(65))
        #expect(run.result.errors.hasPrefix("ws-cat: -:1:6: "))
    }

    @Test func rejectsAreKept() throws {
        let folder = try TemporaryFolder()
        let run = try talk(
            ["--wait", "0", "--rejects", folder.file("rejects")], "1\nx\n2\n{\n3".utf8)
        #expect(run.texts == ["1", "2", "3"])
        #expect(run.result.ending == .exit(1))
        let lines = try folder.read("rejects").split(separator: "\n").map { object(String($0)) }
        #expect(lines.map { $0["raw"] as? String } == ["x", "{"])
        #expect(lines.map { $0["line"] as? Int } == [2, 4])
        #expect(lines.map { $0["input"] as? String } == ["-", "-"])
    }

    @Test(arguments: [("-t", "\n"), ("-t0", "\0"), ("-d", "\n"), ("-r", "\n")])
    func notUTF8(_ form: String, _ end: String) throws {
        let open = form == "-r" ? #"{"type":"text","data":""# : form == "-d" ? "\"" : ""
        let close = form == "-r" ? #""}"# : form == "-d" ? "\"" : ""
        let good = Array("\(open)a\(close)\(end)".utf8)
        let bad = Array(open.utf8) + [0x61, 0xFF] + Array((close + end).utf8)
        let run = try talk([form, "--wait", "0"], good + bad + good)
        #expect(run.texts.count == 1)
        #expect(run.result.ending == .exit(65))
        #expect(run.result.errors.hasPrefix("ws-cat: -:2:"))
        #expect(run.result.errors.contains("UTF-8"))
        let skipped = try talk([form, "--wait", "0", "--on-error=skip"], good + bad + good)
        #expect(skipped.texts.count == 2)
        #expect(skipped.result.ending == .exit(1))
    }

    @Test(arguments: [
        ("-d", "12", "12345678901", "\n"), ("-t", "ab", "abcdefghijk", "\n"),
        ("-t0", "a\n", "abcdefghijk", "\0"),
    ])
    func tooLong(_ form: String, _ good: String, _ long: String, _ end: String) throws {
        let input = good + end + long + end + good + end
        let stopped = try talk("\(form) --wait 0 --max-line 10", input)
        #expect(stopped.texts == [good])
        #expect(stopped.result.ending == .exit(65))
        #expect(
            stopped.result.errors
                == "ws-cat: -:2: line longer than 10 bytes (see --max-line)\n")
        let skipped = try talk("\(form) --wait 0 --max-line 10 --on-error=skip", input)
        #expect(skipped.texts == [good, good])
        #expect(skipped.result.ending == .exit(1))
    }

    @Test func tooLongALength() throws {
        let input: [UInt8] = [0, 0, 0, 1, 97, 0, 0, 0, 11] + [UInt8](repeating: 98, count: 11)
        let arguments = words("-b --length-prefix --wait 0 --max-line 10")
        let stopped = try talk(arguments, input + [0, 0, 0, 1, 99])
        #expect(stopped.texts == ["a"])
        #expect(stopped.result.ending == .exit(65))
        let skipped = try talk(arguments + ["--on-error=skip"], input + [0, 0, 0, 1, 99])
        #expect(skipped.texts == ["a", "c"])
        #expect(skipped.result.ending == .exit(1))
    }

    @Test(arguments: [[0, 0], [0, 0, 0, 3, 97]] as [[UInt8]])
    func cutShort(_ rest: [UInt8]) throws {
        let run = try talk(
            words("-b --length-prefix --wait 0"), [0, 0, 0, 2, 97, 98] as [UInt8] + rest)
        #expect(run.texts == ["ab"])
        #expect(run.close?.code == 1000)
        #expect(run.result.ending == .exit(65))
        #expect(
            run.result.errors
                == "ws-cat: -:2: the input ends inside a message that its length announces\n")
    }

    @Test func tooDeep() throws {
        let run = try talk("-d --wait 0 --max-depth 2", "[[1]]\n[[[1]]]\n")
        #expect(run.texts == ["[[1]]"])
        #expect(run.result.ending == .exit(65))
    }

    @Test func brokenGzip() throws {
        let whole = try shell("seq 1000 | gzip").output
        let run = try talk(words("--wait 0"), whole.dropLast(12))
        #expect(run.close?.code == 1000)
        #expect(run.result.ending == .exit(65))
        #expect(run.texts.first == "1")
    }

    @Test func aLineOfManyMegabytesIsSkippedInLittleMemory() throws {
        let server = try WsServer("-t --max-line 1M --on-error=skip")
        let client = try cat(words("-t --max-line 1M --on-error=skip") + [server.url])
        let block = [UInt8](repeating: 120, count: 1 << 20)
        for _ in 0..<64 { client.write(block) }
        client.write("\ny\n")
        #expect(server.session.prints("y\n"))
        #expect(try client.peakKiB() < 16 << 10)
        client.closeInput()
        let result = client.finish()
        #expect(result.ending == .exit(1))
        #expect(result.errors.contains(":1: line longer than 1048576 bytes"))
    }
}
