import Foundation
import Testing

/// stream-batch: bad input, and inputs one after the other.
@Suite struct BatchInputTests {
    @Test(arguments: bad + places) func tells(_ row: Case) throws { try row.check() }

    private static let noKey = "expected '\"' to begin an object key"

    private static let bad: [Case] = [
        .batch(
            "what came before is written", "-n 2", "1\n2\n3\n{]\n5\n", output: "[1,2]\n[3]\n",
            status: 65, errors: "stream-batch: -:4:2: \(noKey)\n"),
        .batch(
            "of every key", "-k .", "1\n2\n1\n{]\n", output: "[1,1]\n[2]\n", status: 65,
            errors: "stream-batch: -:4:2: \(noKey)\n"),
        .batch(
            "of every window", "--time . -t 5s --late 1h", "1\n7\n2\n\"\"\n3\n",
            output: "[1,2]\n[7]\n", status: 65,
            errors: "stream-batch: -:4:1: expected a time, a number or a string as in RFC 3339,"
                + " at .\n"),
        .batch(
            "also what waited for its turn", "--reorder . -q", "1\n3\n2\n5\n{]\n4\n",
            output: "[1,2,3,5]\n", status: 65, errors: "stream-batch: -:5:2: \(noKey)\n"),
        .batch(
            "a bad first line", "-f object", "x\n", output: "", status: 65,
            errors: "stream-batch: -:1:1: expected a JSON value (--text takes any line)\n"),
        .batch(
            "skip, and the batch goes on", "-n 2 --on-error=skip", "1\n{]\n2\nx\n3\n",
            output: "[1,2]\n[3]\n", status: 1,
            errors: "stream-batch: -:2:2: \(noKey)\nstream-batch: -:4:1: expected a JSON value"
                + " (--text takes any line)\n"
                + "stream-batch: 2 rejected\n"),
        .batch(
            "skip, quietly", "-q --on-error=skip", "1\nx\n2\n", output: "[1,2]\n", status: 1),
        .batch(
            "nothing to skip", "--on-error=skip", "1\n", output: "[1]\n"),
        .batch(
            "two values on a line", "", "1 2\n", output: "", status: 65,
            errors: "stream-batch: -:1:3: expected the end of the line after the value"
                + " (--text takes any line)\n"),
        .batch(
            "half a value at the end", "", "1\n[1,", output: "[1]\n", status: 65,
            errors: "stream-batch: -:2:4: expected more, the JSON text ends here"
                + " (a value stands on one line, as jq -c writes it)\n"),
        .batch(
            "--max-line", "--max-line 5 --on-error=skip", "12345\n123456\n1\n",
            output: "[12345,1]\n", status: 1,
            errors: "stream-batch: -:2: line longer than 5 bytes (see --max-line)\n"
                + "stream-batch: 1 rejected\n"),
        .batch(
            "--max-line stops", "--max-line 5", "1\n123456\n", output: "[1]\n", status: 65,
            errors: "stream-batch: -:2: line longer than 5 bytes (see --max-line)\n"),
        .batch(
            "--max-depth", "--max-depth 2 -k .a", "[[1]]\n[[[1]]]\n", output: "[[[1]]]\n",
            status: 65,
            errors: "stream-batch: -:2:3: nested deeper than 2 levels (see --max-depth)\n"),
    ]

    private static let places: [Case] = [
        .batch(
            "blank lines and CR LF count", "", "1\r\n\r\n\n[1,]\n", output: "[1]\n", status: 65,
            errors: "stream-batch: -:4:4: expected a JSON value\n"),
        .batch(
            "the file is named", "page.html", output: "", status: 65,
            errors: "stream-batch: page.html:1:1: expected a JSON value (--text takes any line)\n"),
    ]

    @Test func rejects() throws {
        let folder = try TemporaryFolder()
        let input: [UInt8] = Array("1\n{\"a\" 1}\n\"".utf8) + [0xFF] + Array("\"\n2\n".utf8)
        let options = ["-n", "2", "--stats", "--rejects", folder.file("rejects")]
        let result = try run("stream-batch", options, input)
        #expect(result.text == "[1,2]\n")
        #expect(result.ending == .exit(1))
        #expect(result.stats["rejected"] == 2)
        #expect(result.addsUp())
        #expect(
            try folder.read("rejects")
                == #"{"input":"-","line":2,"error":"byte 6: expected ':' after object key","#
                + #""raw":"{\"a\" 1}"}"# + "\n"
                + #"{"input":"-","line":3,"error":"byte 2: invalid UTF-8","raw_base64":"Iv8i"}"#
                + "\n")
    }

    /// Only the chunk that came last was there; the rest of the message was lost.
    @Test func rejectsOfAJoinedMessage() throws {
        let folder = try TemporaryFolder()
        let chunks = try Batches.chunks("{\"id\":\"12345678\"}\n", size: 6)
        let result = try run(
            "stream-batch", "--join-chunks --time .t -t 1s -q --rejects \(folder.file("r"))", chunks
        )
        #expect(result.ending == .exit(1))
        let raws = try folder.read("r").split(separator: "\n").compactMap {
            object(String($0))["raw"] as? String
        }
        #expect(raws.joined(separator: "\n").contains("12345678"), "\(raws)")
    }

    @Test func theRejectsFileCannotBeMade() throws {
        let result = try run("stream-batch", "--rejects /nonexistent/x", "1\nx\n2\n")
        #expect(result.ending == .exit(73))
        #expect(result.errors == "stream-batch: /nonexistent/x: No such file or directory\n")
    }

    @Test func deepBrackets() throws {
        let line = String(repeating: "[", count: 100_000)
        for options in ["", "-k .a,.[0][0]", "--dedup .", "--time .t -t 1s", "--join-chunks"] {
            #expect(try run("stream-batch", options, line).ending == .exit(65))
        }
        let closed = line + String(repeating: "]", count: 100_000)
        let deep = try run("stream-batch", "--max-depth 1048576 -k .[0]", closed)
        #expect(deep.text == "[\(closed)]\n")
    }

    // MARK: Several inputs

    @Test func batchesGoOverTheEndsOfFiles() throws {
        let folder = try TemporaryFolder()
        let one = try folder.write("\u{FEFF}1\r\n\n2", to: "a")
        let two = try folder.write("\u{FEFF}3\n4\n5", to: "b")
        let result = try run("stream-batch", "-n 3 \(one) - \(two)", "9")
        #expect(result.text == "[1,2,9]\n[3,4,5]\n")
        #expect(result.ending == .exit(0))
        let changed = try run("stream-batch", "--when-changed . \(one) \(one)")
        #expect(changed.text == "[1]\n[2]\n[1]\n[2]\n")
    }

    @Test func everyFileHasItsLineNumbers() throws {
        let folder = try TemporaryFolder()
        let one = try folder.write("1\n2\n", to: "a")
        let two = try folder.write("3\n{]\n4\n", to: "b")
        let result = try run("stream-batch", "\(one) \(two) \(one)")
        #expect(result.text == "[1,2,3]\n")
        #expect(result.ending == .exit(65))
        #expect(result.errors == "stream-batch: \(two):2:2: \(Self.noKey)\n")
    }

    @Test func aMissingFileComesAfterWhatIsBeforeIt() throws {
        let result = try run("stream-batch", "-n 2 - none -", "1\n2\n3\n")
        #expect(result.text == "[1,2]\n[3]\n")
        #expect(result.ending == .exit(66))
        #expect(result.errors == "stream-batch: none: No such file or directory\n")
        let skipped = try run("stream-batch", "--on-error=skip none -", "1\n")
        #expect(skipped.text == "[1]\n")
        #expect(skipped.ending == .exit(1))
    }

    @Test func gzip() throws {
        let members =
            "d=$(mktemp -d) && trap 'rm -r \"$d\"' EXIT;"
            + " { printf '1\\n2' | gzip; printf '3\\n4\\n' | gzip; } > \"$d/a.gz\";"
        let result = try shell(
            members + "printf '5\\n' | stream-batch -n 3 \"$d/a.gz\" - \"$d/a.gz\"")
        #expect(result.text == "[1,23,4]\n[5,1,23]\n[4]\n")
        #expect(result.ending == .exit(0))
        let cut = try shell(members + "head -c -12 \"$d/a.gz\" | stream-batch -n 9")
        #expect(cut.text.hasPrefix("[1"))
        #expect(cut.ending == .exit(65))
        #expect(cut.errors.hasPrefix("stream-batch: -: "))
    }

    /// The same lines come in one read or in many.
    @Test func nothingDependsOnTheReads() throws {
        let text = "\u{FEFF}{\"a\":1}\r\n\n\"é☕\"\n[1,\t2]\n\"end\"\nx\n3"
        let options = "-n 2 --when .=end --on-error=skip -q"
        let expected = "[{\"a\":1},\"é☕\"]\n[[1,\t2],\"end\"]\n[3]\n"
        #expect(try run("stream-batch", options, text).text == expected)
        let session = try start("stream-batch", options)
        for byte in text.utf8 {
            session.write([byte])
            usleep(500)
        }
        session.closeInput()
        #expect(session.finish().text == expected)
    }
}
