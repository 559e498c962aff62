import Testing

/// stream-batch: when a batch is closed.
@Suite struct BatchClosingTests {
    @Test(arguments: counts + sizes + ends + changes + together)
    func closes(_ row: Case) throws { try row.check() }

    private static let five = "1\n2\n3\n4\n5\n"

    private static let counts: [Case] = [
        .batch("nothing comes of nothing", "-n 2", "", output: ""),
        .batch("nor of blank lines", "-n 2 -f object", "\n \n\r\n", output: ""),
        .batch("without an option all is one batch", "", five, output: "[1,2,3,4,5]\n"),
        .batch("the rest at the end", "-n 2", five, output: "[1,2]\n[3,4]\n[5]\n"),
        .batch("no rest", "-n 5", five, output: "[1,2,3,4,5]\n"),
        .batch("one each", "-n 1", five, output: "[1]\n[2]\n[3]\n[4]\n[5]\n"),
        .batch("more than there are", "-n 1099511627776", five, output: "[1,2,3,4,5]\n"),
        .batch("the last -n counts", "-n 1 -n 3", five, output: "[1,2,3]\n[4,5]\n"),
    ]

    // MARK: --max-bytes

    /// `[1,2,3]` and its line feed are 8 bytes.
    private static let sizes: [Case] = [
        .batch("-b, exactly", "-b 8", five, output: "[1,2,3]\n[4,5]\n"),
        .batch("a byte less", "-b 7", five, output: "[1,2]\n[3,4]\n[5]\n"),
        .batch("a byte more", "-b 9", five, output: "[1,2,3]\n[4,5]\n"),
        .batch("-b 1K", "-b 1K", five, output: "[1,2,3,4,5]\n"),
        .batch("lines", "-b 7 -f lines", five, output: "1\n2\n3\n\n4\n5\n\n"),
        .batch(
            "a separator", "-b 8 -f lines --separator ==", five,
            output: "1\n2\n==\n3\n4\n==\n5\n==\n"),
        .batch(
            "json-seq", "-b 9 -f json-seq", five, output: "\u{1E}[1,2,3]\n\u{1E}[4,5]\n"),
        .batch(
            "bytes are counted, not characters", "-b 11", "\"é\"\n\"é\"\n\"e\"\n",
            output: "[\"é\"]\n[\"é\",\"e\"]\n"),
        .batch(
            "text as it is quoted", "--text -b 12", "a\"b\n\tc\nd\n",
            output: "[\"a\\\"b\"]\n[\"\\tc\",\"d\"]\n"),
        .batch(
            "a blank line has room where one byte is left", "--text -f lines -b 6 --separator=%",
            "ab\n\n\n", output: "ab\n\n%\n\n%\n"),
        .batch(
            "a line that is too large goes alone", "-b 8", "1\n2\n\"large line\"\n3\n4\n",
            output: "[1,2]\n[\"large line\"]\n[3,4]\n"),
        .batch(
            "several of them", "-b 8 --oversize=alone", "\"large one\"\n\"large two\"\n3\n",
            output: "[\"large one\"]\n[\"large two\"]\n[3]\n"),
        .batch("all are too large", "-b 1", "1\n2\n", output: "[1]\n[2]\n"),
        .batch(
            "one that just fits", "-b 8 --oversize=reject", "12345\n1\n2\n",
            output: "[12345]\n[1,2]\n"),
        .batch(
            "or is rejected, and its batch goes on", "-b 8 --oversize=reject --on-error=skip",
            "1\n123456\n2\n3\n123456\n4\n", output: "[1,2,3]\n[4]\n", status: 1,
            errors: "stream-batch: -:2:1: larger than 8 bytes (see --max-bytes)\n"
                + "stream-batch: -:5:1: larger than 8 bytes (see --max-bytes)\n"
                + "stream-batch: 2 rejected\n"),
        .batch(
            "or stops", "-b 8 --oversize=reject", "1\n123456\n2\n", output: "[1]\n", status: 65,
            errors: "stream-batch: -:2:1: larger than 8 bytes (see --max-bytes)\n"),
    ]

    /// Its key was counted where it is not written: batches were smaller than they had to be, and
    /// lines that fit were rejected.
    @Test(arguments: ["array", "lines", "json-seq"])
    func aKeyTakesRoomOnlyWhereItIsWritten(_ format: String) throws {
        let line = #"{"k":"abcdefgh"}"#
        let result = try run(
            "stream-batch", "-k .k -b 20 -f \(format) --oversize=reject", line + "\n")
        #expect(result.ending == .exit(0))
        #expect(result.text.contains(line))
        let two = try run("stream-batch", "-k .k -b 37 -f \(format)", "\(line)\n\(line)\n")
        #expect(two.text.contains(line + (format == "lines" ? "\n" : ",") + line))
    }

    @Test func noBatchIsTooLarge() throws {
        var random = SeededGenerator.announced("noBatchIsTooLarge")
        let pieces = ["a", "é", "☕", "𝄞", "\\n", "\\u00e9", "\\\"", " "]
        for _ in 0..<60 {
            let lines = (0..<Int.random(in: 1...60, using: &random)).map { index in
                let text = (0..<Int.random(in: 0...20, using: &random)).map { _ in
                    pieces.randomElement(using: &random) ?? ""
                }.joined()
                let key = ["\"é\"", "1", "null", "[1,2]"].randomElement(using: &random) ?? ""
                return "{\"k\":\(key),\"i\":\(index),\"x\":\"\(text)\"}"
            }
            let size = Int.random(in: 1...400, using: &random)
            for format in ["array", "json-seq", "object", "lines --separator ="] {
                for key in ["", "-k .k", "-k .k,.i"] {
                    try checkSizes(lines, size, "-b \(size) -f \(format) \(key)")
                }
            }
        }
    }

    private func checkSizes(_ lines: [String], _ size: Int, _ options: String) throws {
        let result = try run("stream-batch", options, lines.map { $0 + "\n" }.joined())
        #expect(result.ending == .exit(0), "\(options)")
        let isLines = options.contains("separator")
        var batches = result.text.split(separator: isLines ? "\n=\n" : "\n").map { $0 + "\n" }
        if isLines { batches = batches.map { $0 + "=\n" } }
        for batch in batches {
            let count = batch.ranges(of: "{\"k\"").count
            #expect(batch.utf8.count <= size || count == 1, "\(options): \(batch)")
        }
        #expect(batches.reduce(0) { $0 + $1.ranges(of: "{\"k\"").count } == lines.count)
        guard !options.contains("-k") && !options.contains("object") else { return }
        // Nor is one smaller than it must be.
        let frame = isLines || options.contains("array") ? 2 : 3
        var sizes: [Int] = []
        for line in lines.map(\.utf8.count) {
            if let last = sizes.last, last + line + 1 <= size {
                sizes[sizes.count - 1] += line + 1
            } else {
                sizes.append(line + 1 + frame)
            }
        }
        #expect(batches.map { $0.utf8.count } == sizes, "\(options)")
    }

    // MARK: --when

    private static let ends: [Case] = [
        .batch(
            "the line is the last of its batch", "--when .end=true",
            "1\n{\"end\":true}\n2\n{\"end\":false}\n{\"end\":\"true\"}\n3\n",
            output: "[1,{\"end\":true}]\n[2,{\"end\":false},{\"end\":\"true\"}]\n[3]\n"),
        .batch(
            "several", "--when .=2 --when .=x", "1\n2\n\"x\"\n3\n",
            output: "[1,2]\n[\"x\"]\n[3]\n"),
        .batch(
            "escaped strings", "--when .=aé", #""a\u00e9""# + "\n\"aé\"\n\"ae\"\n",
            output: #"["a\u00e9"]"# + "\n[\"aé\"]\n[\"ae\"]\n"),
        .batch(
            "the value is a JSON string", #"--when .="\u0061""#, "\"a\"\n1\n\"\\u0061\"\n2\n",
            output: "[\"a\"]\n[1,\"\\u0061\"]\n[2]\n"),
        .batch(
            "a number is what stands there", "--when .=1", "1.0\n1\n2\n\"1\"\n3\n",
            output: "[1.0,1]\n[2,\"1\"]\n[3]\n"),
        .batch(
            "no value is null", "--when .a=null", "1\n{\"a\":0}\n{\"a\":null}\n2\n",
            output: "[1]\n[{\"a\":0},{\"a\":null}]\n[2]\n"),
        .batch(
            "an array", "--when .[0]=[1,2]", "[1]\n[[1,2]]\n3\n", output: "[[1],[[1,2]]]\n[3]\n"),
        .batch(
            "cut at the first = outside quotes", #"--when ."a=b"=c=d"#,
            "1\n{\"a=b\":\"c=d\"}\n2\n", output: "[1,{\"a=b\":\"c=d\"}]\n[2]\n"),
        .batch(
            "text", "--text --when .=END", "a\nEND\nEND \nb\n",
            output: "[\"a\",\"END\"]\n[\"END \",\"b\"]\n"),
        .batch(
            "text as lines", "--text -f lines --when .=END", "a\nEND\nb\n",
            output: "a\nEND\n\nb\n\n"),
        .batch(
            "the only line", "--when .=1", "1\n1\n", output: "[1]\n[1]\n"),
        .batch(
            "per key", "-k .k --when .end=1",
            "{\"k\":1}\n{\"k\":2}\n{\"k\":1,\"end\":1}\n{\"k\":2,\"x\":0}\n",
            output: "[{\"k\":1},{\"k\":1,\"end\":1}]\n[{\"k\":2},{\"k\":2,\"x\":0}]\n"),
    ]

    // MARK: --when-changed

    private static let changes: [Case] = [
        .batch("a change", "--when-changed .", "1\n1\n2\n1\n", output: "[1,1]\n[2]\n[1]\n"),
        .batch(
            "of several values", "--when-changed .a,.b",
            "{\"a\":1,\"b\":1}\n{\"b\":1,\"a\":1}\n{\"a\":1,\"b\":2}\n{\"a\":2,\"b\":2}\n",
            output: "[{\"a\":1,\"b\":1},{\"b\":1,\"a\":1}]\n[{\"a\":1,\"b\":2}]\n"
                + "[{\"a\":2,\"b\":2}]\n"),
        .batch(
            "values do not flow into each other", "--when-changed .[0],.[1]",
            "[1,23]\n[12,3]\n", output: "[[1,23]]\n[[12,3]]\n"),
        .batch(
            "strings that are escaped differently are equal", "--when-changed .",
            "\"a\"\n\"\\u0061\"\n\"b\"\n", output: "[\"a\",\"\\u0061\"]\n[\"b\"]\n"),
        .batch(
            "missing and null are equal, \"null\" is not", "--when-changed .a",
            "{}\n{\"a\":null}\n{\"a\":\"null\"}\n{\"a\":\"\"}\n",
            output: "[{},{\"a\":null}]\n[{\"a\":\"null\"}]\n[{\"a\":\"\"}]\n"),
        .batch(
            "1 and \"1\" differ", "--when-changed .", "1\n\"1\"\n", output: "[1]\n[\"1\"]\n"),
        .batch(
            "for each key", "-k .k --when-changed .v",
            "{\"k\":1,\"v\":1}\n{\"k\":2,\"v\":2}\n{\"k\":1,\"v\":1}\n{\"k\":2,\"v\":3}\n",
            output: "[{\"k\":2,\"v\":2}]\n[{\"k\":1,\"v\":1},{\"k\":1,\"v\":1}]\n"
                + "[{\"k\":2,\"v\":3}]\n"),
        .batch(
            "text", "--text --when-changed . -f lines", "a\na\nb\n\n\na\n",
            output: "a\na\n\nb\n\n\n\n\na\n\n"),
    ]

    // MARK: The first that holds

    private static let together: [Case] = [
        .batch("-n before -b", "-n 2 -b 8", "1\n2\n3\n", output: "[1,2]\n[3]\n"),
        .batch("-b before -n", "-n 3 -b 6", "1\n2\n3\n", output: "[1,2]\n[3]\n"),
        .batch(
            "--when, then -n from there", "-n 2 --when .=1", "1\n2\n3\n4\n1\n",
            output: "[1]\n[2,3]\n[4,1]\n"),
        .batch(
            "--when-changed and -n", "-n 2 --when-changed .", "1\n1\n1\n2\n",
            output: "[1,1]\n[1]\n[2]\n"),
        .batch(
            "--when-changed and --when at one line", "--when .=2 --when-changed .", "1\n2\n2\n3\n",
            output: "[1]\n[2]\n[2]\n[3]\n"),
        .batch(
            "all of them", "-n 3 -b 12 -t 1h -i 1h --when .=0 --when-changed .a",
            "1\n0\n2\n3\n4\n{\"a\":1}\n\"long enough\"\n5\n",
            output: "[1,0]\n[2,3,4]\n[{\"a\":1}]\n[\"long enough\"]\n[5]\n"),
    ]
}
