import Foundation
import Testing

/// Bad input: nothing is lost silently.
@Suite struct BadInputTests {
    @Test(arguments: rows) func tells(_ row: Case) throws { try row.check() }

    private static let rows: [Case] = [
        .encode(
            "everything before it is written", "-d", "1\n2\n{\"a\" 3}\n4\n",
            output: "data: 1\n\ndata: 2\n\n", status: 65,
            errors: "sse-encode: -:3:6: expected ':' after object key\n"),
        .encode(
            "blank lines and CRLF count as lines", "-d", "1\r\n\r\n\n[1,]\n",
            output: "data: 1\n\n", status: 65,
            errors: "sse-encode: -:4:4: expected a JSON value\n"),
        .encode(
            "the input ends inside a value", "-d", "1\n[1,", output: "data: 1\n\n", status: 65,
            errors: "sse-encode: -:2:4: expected more, the JSON text ends here"
                + " (a value stands on one line, as jq -c writes it)\n"),
        .encode(
            "two values on a line", "-d", "1 2\n", output: "", status: 65,
            errors: "sse-encode: -:1:3: expected the end of the line after the value"
                + " (--text takes any line)\n"),
        .encode(
            "the file is named", "-d page.html", output: "", status: 65,
            errors: "sse-encode: page.html:1:1: expected a JSON value (--text takes any line)\n"),
        .encode(
            "skip", "-d --on-error=skip", "1\nx\n2\n\"\t\"\n3",
            output: "data: 1\n\ndata: 2\n\ndata: 3\n\n", status: 1,
            errors: "sse-encode: -:2:1: expected a JSON value (--text takes any line)\n"
                + "sse-encode: -:4:2: control character in string, expected it escaped\n"
                + "sse-encode: 2 rejected\n"),
        .encode(
            "skip, quietly", "-qd --on-error=skip", "1\nx\n2\n", output: "data: 1\n\ndata: 2\n\n",
            status: 1),
        .encode(
            "skip with nothing to skip", "-d --on-error=skip", "1\n", output: "data: 1\n\n"),
        .encode(
            "rejected lines take no number", "-d --id-seq -q --on-error=skip", "1\nx\n2\n",
            output: "id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n", status: 1),
        .encode(
            "a line of exactly --max-line", "-d --max-line 5", "12345\n123456\n",
            output: "data: 12345\n\n", status: 65,
            errors: "sse-encode: -:2: line longer than 5 bytes (see --max-line)\n"),
        .encode(
            "--max-line at the last line without its end", "-d --max-line 5", "123456", output: "",
            status: 65, errors: "sse-encode: -:1: line longer than 5 bytes (see --max-line)\n"),
        .encode(
            "--max-line, skip", "-d --max-line 5 --on-error=skip", "1\n1234567890123\n2\n",
            output: "data: 1\n\ndata: 2\n\n", status: 1,
            errors: "sse-encode: -:2: line longer than 5 bytes (see --max-line)\n"
                + "sse-encode: 1 rejected\n"),
        .encode(
            "--max-line counts no line end", "-t --max-line 5", "12345\r\n",
            output: "data: 12345\n\n"),
        .encode(
            "--max-depth", "-d --max-depth 2", "[[1]]\n[[[1]]]\n", output: "data: [[1]]\n\n",
            status: 65,
            errors: "sse-encode: -:2:3: nested deeper than 2 levels (see --max-depth)\n"),
        .decode(
            "an event of many lines is too long", "-t --max-line 1K --on-error=skip",
            String(repeating: "data: 123456\n", count: 20_000) + "\ndata: x\n\n", output: "x\n",
            status: 1,
            errors: "sse-decode: -:1: event longer than 1024 bytes (see --max-line)\n"
                + "sse-decode: 1 rejected\n"),
        .decode(
            "an event that is too long stops", "-t --max-line 20",
            "data: 1\n\ndata: 12345678901234567890\n\ndata: 2\n\n", output: "1\n", status: 65,
            errors: "sse-decode: -:3: event longer than 20 bytes (see --max-line)\n"),
        .decode(
            "20,000 lines in one event", "-d", String(repeating: "data: 1\n", count: 20_000) + "\n",
            output: "\"" + String(repeating: "1\\n", count: 19_999) + "1\"\n"),
    ]

    @Test func deepBracketsDoNotOverflowTheStack() throws {
        let line = String(repeating: "[", count: 100_000)
        for arguments in ["-d", "-r", "-d --max-depth=1048576", "-d --data-from .a.b"] {
            #expect(try run("sse-encode", arguments, line).ending == .exit(65))
        }
        let closed = line + String(repeating: "]", count: 100_000)
        let deep = try run("sse-encode", "-d --max-depth=1048576", closed)
        #expect(deep.ending == .exit(0))
        #expect(try run("sse-decode", "-d", deep.text).text.hasPrefix("\"[[["))
        #expect(try run("sse-decode", "-d --max-depth 1M", deep.text).ending == .exit(64))
        #expect(try run("sse-decode", "-d --max-depth 100000", deep.text).text == closed + "\n")
        for arguments in [
            "-p1 --strict", "-n9 --by .a,.[0][0]", "-p1 --keep .a=x --max-depth 1048576",
        ] {
            #expect(try run("stream-sample", arguments, line).ending == .exit(65))
            let sampled = try run("stream-sample", "\(arguments) --max-depth 1048576", closed)
            #expect(sampled.text == closed + "\n")
        }
    }

    // MARK: --rejects

    @Test func rejectsFile() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("rejects")
        let input: [UInt8] = Array("1\n{\"a\" 1}\n\"".utf8) + [0xFF] + Array("\"\n2\n".utf8)
        let result = try run("sse-encode", ["-d", "--rejects", file], input)
        #expect(result.text == "data: 1\n\ndata: 2\n\n")
        #expect(result.ending == .exit(1))
        #expect(
            result.errors == "sse-encode: -:2:6: expected ':' after object key\n"
                + "sse-encode: -:3:2: invalid UTF-8\n")
        let expected =
            #"{"input":"-","line":2,"error":"byte 6: expected ':' after object key","#
            + #""raw":"{\"a\" 1}"}"# + "\n"
            + #"{"input":"-","line":3,"error":"byte 2: invalid UTF-8","raw_base64":"Iv8i"}"# + "\n"
        #expect(try folder.read("rejects") == expected)
        // Appended, never replaced.
        _ = try run("sse-encode", ["-d", "--rejects", file], "x".utf8)
        let more = #"{"input":"-","line":1,"error":"byte 1: expected a JSON value","raw":"x"}"#
        #expect(try folder.read("rejects") == expected + more + "\n")
    }

    @Test func rejectsOfALineThatIsTooLong() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("rejects")
        let result = try run("sse-encode", "-d --max-line 5 --rejects=\(file)", "12345678\n1\n")
        #expect(result.text == "data: 1\n\n")
        #expect(result.ending == .exit(1))
        let reason = "line longer than 5 bytes (see --max-line)"
        #expect(
            try folder.read("rejects")
                == #"{"input":"-","line":1,"error":"\#(reason)","raw":"12345"}"# + "\n")
    }

    @Test func rejectsOfSSEDecode() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("rejects")
        let chunk = #"{"type":"chunk","id":1,"seq":3,"total":2,"data":""}"#
        let input = "data: 1\n\ndata: \(chunk)\n\ndata: 2\n\n"
        let result = try run("sse-decode", "-d --join-chunks --rejects \(file)", input)
        #expect(result.text == "1\n2\n")
        #expect(result.ending == .exit(1))
        let line = object(try folder.read("rejects"))
        #expect(line["raw"] as? String == chunk)
        #expect(line["line"] as? Int == 3)
    }

    @Test func theRejectsFileCannotBeMade() throws {
        let result = try run("sse-encode", "-d --rejects /nonexistent/x", "1\nx\n2\n")
        #expect(result.ending == .exit(73))
        #expect(result.errors == "sse-encode: /nonexistent/x: No such file or directory\n")
    }

    @Test func theRejectsFileIsFull() throws {
        let result = try run("sse-encode", "-d --rejects /dev/full", "1\nx\n2\n")
        #expect(result.ending == .exit(74))
        #expect(result.text == "data: 1\n\n")
        #expect(result.errors.contains("/dev/full: No space left on device\n"))
    }
}
