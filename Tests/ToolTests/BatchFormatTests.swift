import Foundation
import Testing

/// stream-batch: what is written, byte for byte.
@Suite struct BatchFormatTests {
    @Test(arguments: formats + verbatim + lineEnds + text + unchecked)
    func writes(_ row: Case) throws { try row.check() }

    private static let formats: [Case] = [
        .batch("array", "-n 2 -f array", "1\n2\n3\n", output: "[1,2]\n[3]\n"),
        .batch("lines", "-n 2 -f lines", "1\n2\n3\n", output: "1\n2\n\n3\n\n"),
        .batch(
            "--separator", "-n 2 --format=lines --separator --", "1\n2\n3\n",
            output: "1\n2\n--\n3\n--\n"),
        .batch("an empty one", "-n 1 -f lines --separator=", "1\n2\n", output: "1\n\n2\n\n"),
        .batch(
            "a separator of several bytes per character", "-f lines --separator=é☕", "1\n",
            output: "1\né☕\n"),
        .batch("json-seq", "-n 2 -f json-seq", "1\n2\n3\n", output: "\u{1E}[1,2]\n\u{1E}[3]\n"),
        .batch("the last one counts", "-f object -f array", "1\n", output: "[1]\n"),
        .batch(
            "an object", "--time .t -t 1s -n 2 -f object -k .k",
            "{\"k\":\"a\",\"t\":1}\n{\"k\":\"a\",\"t\":1.5}\n{\"t\":1}\n",
            output: "{\"key\":\"a\",\"seq\":1,\"count\":2,\"from\":\"1970-01-01T00:00:01.000Z\","
                + "\"to\":\"1970-01-01T00:00:02.000Z\",\"items\":[{\"k\":\"a\",\"t\":1},"
                + "{\"k\":\"a\",\"t\":1.5}]}\n{\"key\":null,\"seq\":2,\"count\":1,"
                + "\"from\":\"1970-01-01T00:00:01.000Z\",\"to\":\"1970-01-01T00:00:02.000Z\","
                + "\"items\":[{\"t\":1}]}\n"),
    ]

    /// Without windows they are when the first and the last line came.
    @Test func timesOfAnObject() throws {
        let before = Int(Date().timeIntervalSince1970 * 1000)
        let result = try run("stream-batch", "-n 2 -f object", "{\"i\":1}\n{\"i\":2}\n{\"i\":3}\n")
        let after = Int(Date().timeIntervalSince1970 * 1000) + 1
        let batches = try BatchObject.parse(result.text)
        #expect(batches.map(\.items) == [[1, 2], [3]])
        #expect(
            batches.allSatisfy { before <= $0.from && $0.from <= $0.to && $0.to <= after })
    }

    // MARK: Lines as they are

    private static let odd = [
        "1e999", "-0", "1.0", "1E+2", "0.10", "123456789012345678901234567890.5",
        #"{"a":1,"a":2}"#, #"{"b":1,"a":2}"#, #""\u0061\/\"\ud800""#, #" {"a" : [ 1 ,2] } "#,
        "\"é☕𝄞\u{2028}\u{7F}\"", "[]", "{}", "null", "\"\"", "\t1",
    ]

    private static let verbatim: [Case] = [
        .batch("in an array", "", odd.map { $0 + "\n" }.joined(), output: Batches.array(odd)),
        .batch(
            "one each", "-n 1 -f lines", odd.map { $0 + "\n" }.joined(),
            output: odd.map { $0 + "\n\n" }.joined()),
        .batch(
            "with all that reads values", "-n 99 -k .x --when .y=1 --when-changed .z --dedup .w -r",
            odd.map { $0 + "\n" }.joined(), output: Batches.array(odd)),
        .batch(
            "behind --reorder", "--reorder .n", odd.map { $0 + "\n" }.joined(),
            output: Batches.array(odd)),
        .batch(
            "and --join-chunks", "--join-chunks", odd.map { $0 + "\n" }.joined(),
            output: Batches.array(odd)),
        .batch(
            "without checks", "--no-validate", odd.map { $0 + "\n" }.joined(),
            output: Batches.array(odd)),
    ]

    private static let lineEnds: [Case] = [
        .batch("CR LF", "-f lines", "1\r\n2\r\n3\n", output: "1\n2\n3\n\n"),
        .batch("no last line feed", "-n 2", "1\n2\n3", output: "[1,2]\n[3]\n"),
        .batch("nor its CR", "", "1\r\n2\r", output: "[1,2]\n"),
        .batch("a byte order mark", "", "\u{FEFF}1\n2\n", output: "[1,2]\n"),
        .batch(
            "one in a line is none", "", "1\n\u{FEFF}2\n", output: "[1]\n", status: 65,
            errors: "stream-batch: -:2:1: expected a JSON value (--text takes any line)\n"),
        .batch("blank lines", "-n 2", "\n1\n \n\t\r\n\n2\n\n3\n\n", output: "[1,2]\n[3]\n"),
        .batch("nothing but a mark", "", "\u{FEFF}", output: ""),
        .batch("white space at the end", "", "1 \n2\t\n", output: "[1 ,2\t]\n"),
    ]

    // MARK: --text

    private static let text: [Case] = [
        .batch(
            "strings in an array", "--text -n 3", "a \"b\"\n\n\\\t{\n\u{1}\n",
            output: #"["a \"b\"","","\\\t{"]"# + "\n[\"\\u0001\"]\n"),
        .batch(
            "as they are in lines", "--text -f lines --separator ==", "a \"b\"\n\n\\\t{\n",
            output: "a \"b\"\n\n\\\t{\n==\n"),
        .batch("blank lines count", "--text -n 2", "\n\n \n", output: "[\"\",\"\"]\n[\" \"]\n"),
        .batch("json-seq", "--text -f json-seq", "a\nb", output: "\u{1E}[\"a\",\"b\"]\n"),
        .batch("CR LF", "--text", "a\r\nb\r\n", output: "[\"a\",\"b\"]\n"),
        .batch("-d takes it back", "--text -d", "1\n", output: "[1]\n"),
        .batch("and --text takes -r back", "-r --text", "x\n", output: "[\"x\"]\n"),
        .batch("no JSON is asked for", "--text --no-validate", "{\n", output: "[\"{\"]\n"),
    ]

    @Test func textThatIsNoUTF8() throws {
        let input: [UInt8] = [0x61, 0x0A, 0x62, 0xFF, 0x0A, 0x63, 0x0A]
        let lines = try run("stream-batch", ["--text", "-f", "lines"], input)
        #expect(lines.output == input + [0x0A])
        #expect(lines.ending == .exit(0))
        for format in ["array", "object", "json-seq"] {
            let result = try run("stream-batch", ["--text", "-f", format], input)
            #expect(result.ending == .exit(65))
            #expect(result.text.contains("[\"a\"]"))
            #expect(
                result.errors
                    == "stream-batch: -:2:1: invalid UTF-8 (--format=lines passes any bytes)\n")
        }
        let folder = try TemporaryFolder()
        let rejecting = try run(
            "stream-batch", ["--text", "--rejects", folder.file("r")], input)
        #expect(rejecting.text == "[\"a\",\"c\"]\n")
        #expect(rejecting.ending == .exit(1))
        #expect(try folder.read("r").contains("\"raw_base64\":\"Yv8=\""))
    }

    /// Whatever a line of text is, its array is JSON that says it again.
    @Test func arraysOfTextAreJSON() throws {
        var random = SeededGenerator.announced("arraysOfTextAreJSON")
        for _ in 0..<100 {
            let lines = (0..<Int.random(in: 1...9, using: &random)).map { _ in
                String(
                    randomText(&random).unicodeScalars.filter {
                        !"\n\r\u{FEFF}".unicodeScalars.contains($0)
                    }
                    .map(Character.init))
            }
            let result = try run("stream-batch", ["--text"], lines.map { $0 + "\n" }.joined().utf8)
            #expect(json(String(result.text.dropLast())) as? [String] == lines, "\(lines)")
        }
    }

    // MARK: --no-validate

    private static let unchecked: [Case] = [
        .batch("what is no JSON passes", "--no-validate -n 2", "{\nx\n1\n", output: "[{,x]\n[1]\n"),
        .batch("blank lines do not", "--no-validate", "\n1\n \n2", output: "[1,2]\n"),
        .batch(
            "--max-bytes", "--no-validate -b 6", "x\ny\nz\n", output: "[x,y]\n[z]\n"),
    ]

    // MARK: --gzip

    @Test func compressedOutputInflates() throws {
        for form in ["-n 2", "-n 3 -f lines", "-b 1K -f json-seq", "--max-keys 3 -k .remote -q"] {
            for level in ["-z", "--gzip=1", "-z9"] {
                let result = try shell("stream-batch \(level) \(form) access.jsonl | gzip -dc")
                #expect(try result.text == run("stream-batch", "\(form) access.jsonl").text)
                #expect(!result.output.isEmpty)
            }
        }
        #expect(try shell("stream-batch -z </dev/null | gzip -t").ending == .exit(0))
    }

    /// Members and their order.
    @Test func anObjectIsJSON() throws {
        let result = try run("stream-batch", "-f object -n 7 -k .remote access.jsonl")
        #expect(result.ending == .exit(0))
        let pattern = #/\{"key":.*,"seq":\d+,"count":[1-7],"from":"[-\d]+T[:.\d]+Z","to":".*Z",/#
        for line in result.lines {
            #expect(try pattern.prefixMatch(in: line) != nil)
            #expect(object(line).keys.sorted() == ["count", "from", "items", "key", "seq", "to"])
        }
        let items = result.lines.flatMap { (object($0)["items"] as? [Any]) ?? [] }
        #expect(try items.count == Files.sample("access.jsonl").split(separator: "\n").count)
    }
}
