import Testing

/// stream-batch: what happens to lines before they come into a batch.
@Suite struct BatchStageTests {
    @Test(arguments: dedup + reorder + joined) func passes(_ row: Case) throws { try row.check() }

    // MARK: --dedup

    private static let dedup: [Case] = [
        .batch("the first one stays", "--dedup .", "1\n2\n1\n3\n2\n", output: "[1,2,3]\n"),
        .batch(
            "by a value", "--dedup .id -n 2",
            "{\"id\":1,\"v\":1}\n{\"id\":1,\"v\":2}\n{\"id\":\"1\"}\n{\"id\":1.0}\n",
            output: "[{\"id\":1,\"v\":1},{\"id\":\"1\"}]\n[{\"id\":1.0}]\n"),
        .batch(
            "lines without it pass", "--dedup .id", "{}\n{}\n{\"id\":null}\n{\"id\":null}\n1\n1\n",
            output: "[{},{},{\"id\":null},{\"id\":null},1,1]\n"),
        .batch(
            "strings that are escaped differently are equal", "--dedup .",
            "\"a\"\n\"\\u0061\"\n\"b\"\n", output: "[\"a\",\"b\"]\n"),
        .batch(
            "the last values are remembered", "--dedup . --dedup-keys 2", "1\n2\n1\n3\n1\n",
            output: "[1,2,3,1]\n"),
        .batch("text", "--text --dedup .", "a\n\n\na\nb\n", output: "[\"a\",\"\",\"b\"]\n"),
        .batch(
            "before keys", "--dedup .i -k .k -n 2",
            "{\"i\":1,\"k\":1}\n{\"i\":1,\"k\":2}\n{\"i\":2,\"k\":1}\n",
            output: "[{\"i\":1,\"k\":1},{\"i\":2,\"k\":1}]\n"),
    ]

    @Test func duplicatesAreCounted() throws {
        let result = try run(
            "stream-batch", "--dedup . --dedup-keys 2 --stats", "1\n2\n1\n3\n1\nnull\nnull\n")
        #expect(result.text == "[1,2,3,1,null,null]\n")
        #expect(result.ending == .exit(0))
        #expect(result.stats["duplicates"] == 1)
        #expect(result.stats["forgotten_keys"] == 2)
        #expect(result.stats["dropped"] == 1)
        #expect(result.addsUp())
    }

    // MARK: --reorder

    private static func missing(_ what: String, _ line: Int) -> String {
        "stream-batch: -:\(line): \(what) missing\n"
    }

    private static let reorder: [Case] = [
        .batch("in order", "--reorder . -n 2", "1\n2\n3\n", output: "[1,2]\n[3]\n"),
        .batch(
            "a late line passes when it comes", "--reorder . -n 2", "3\n1\n2\n0\n4\n",
            output: "[1,2]\n[3,0]\n[4]\n", errors: "stream-batch: -:4: number 0 came late\n"),
        .batch(
            "by a value", "--reorder .n", "{\"n\":2}\n{\"n\":1}\n{\"n\":3}\n",
            output: "[{\"n\":1},{\"n\":2},{\"n\":3}]\n"),
        .batch(
            "a gap at the end", "--reorder .", "1\n2\n5\n4\n", output: "[1,2,4,5]\n",
            errors: missing("number 3 is", 4)),
        .batch(
            "a gap that the window is too small for", "--reorder . --window 2",
            "1\n4\n5\n6\n2\n", output: "[1,4,5,6,2]\n",
            errors: missing("numbers 2 to 3 are", 2) + "stream-batch: -:5: number 2 came late\n"),
        .batch(
            "lines without a number pass at once", "--reorder .n",
            "1\n{\"n\":2}\n{\"n\":1.5}\n"
                + "{\"n\":\"1\"}\n{\"n\":1}\n",
            output: "[1,{\"n\":1.5},{\"n\":\"1\"},{\"n\":1},{\"n\":2}]\n"),
        .batch(
            "equal numbers as they came", "--reorder .[0]", "[1,1]\n[3,0]\n[3,1]\n[2,1]\n[3,2]\n",
            output: "[[1,1],[2,1],[3,0],[3,1],[3,2]]\n",
            errors: "stream-batch: -:5: number 3 came late\n"),
    ]

    @Test(arguments: ["--window 2", "--window 2 --by .k"])
    func aSenderThatBeginsAnew(_ options: String) throws {
        let numbers = Array(1...6) + [1, 2, 3, 5, 4, 6]
        let result = try run(
            "stream-batch", words("--stats --reorder .n \(options)"),
            numbers.map { "{\"n\":\($0)}\n" }.joined().utf8)
        #expect(result.ending == .exit(0))
        #expect(
            result.text
                == Batches.array((Array(1...6) + Array(1...6)).map { "{\"n\":\($0)}" }))
        #expect(result.errors.contains("-:9: the numbers begin anew at 1\n"))
        #expect(result.stats["late"] == 0)
        #expect(result.stats["restarts"] == 1)
        #expect(result.stats["gaps"] == 0)
    }

    /// Each key counted for itself, and all but the first came late.
    @Test func keysHaveOrdersOfTheirOwn() throws {
        let lines = ["a1", "b1", "b3", "a3", "a2", "b2", "a4", "b4"]
        let input = lines.map { "{\"k\":\"\($0.first!)\",\"n\":\($0.last!)}" }
        let result = try run(
            "stream-batch", "--stats --reorder .n --by .k -k .k",
            input.map { $0 + "\n" }.joined())
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty || !result.errors.contains("stream-batch:"))
        let sorted = ["a", "b"].map { key in
            Batches.array((1...4).map { "{\"k\":\"\(key)\",\"n\":\($0)}" })
        }
        #expect(result.text == sorted.joined())
        #expect(result.stats["late"] == 0)
    }

    /// The count of late lines was set to 0 by that of --late.
    @Test func gapsAndLateLinesAreCounted() throws {
        let result = try run(
            "stream-batch", "-q --stats --reorder . --window 1", "1\n2\n5\n6\n3\n9\n10\n11\n4\n")
        #expect(result.text == "[1,2,5,6,3,9,10,11,4]\n")
        #expect(result.stats["gaps"] == 2)
        #expect(result.stats["missing"] == 4)
        #expect(result.stats["late"] == 2)
        #expect(result.addsUp())
    }

    /// Both are late, in another way.
    @Test func lateNumbersAndLateTimes() throws {
        let result = try run(
            "stream-batch", "-q --stats --reorder .n --window 1 --time .t -t 10s",
            "{\"n\":1,\"t\":1}\n{\"n\":2,\"t\":20}\n{\"n\":3,\"t\":2}\n")
        #expect(result.lines.count == 2)
        #expect(result.stats["late"] == 1)
        #expect(result.addsUp())
    }

    @Test func aShuffledStreamIsRestored() throws {
        var random = SeededGenerator.announced("aShuffledStreamIsRestored")
        for _ in 0..<20 {
            // No number comes more than 20 places from where it belongs.
            let order = (1...300).map {
                (number: $0, place: $0 + Int.random(in: 0...20, using: &random))
            }.sorted { $0.place < $1.place }.map(\.number)
            let lines = order.map { "{\"n\":\($0)}\n" }.joined()
            let batches = try Batches.of("--reorder .n --max-wait 1h -n 7", lines)
            #expect(batches.joined().elementsEqual((1...300).map { "{\"n\":\($0)}" }))
            #expect(batches.dropLast().allSatisfy { $0.count == 7 })
        }
    }

    /// A line that was rejected made the good one that was sent after it a duplicate.
    @Test(arguments: [
        (
            "--time .t -t 10s --dedup .id",
            ["{\"t\":100,\"id\":1}", "{\"t\":50,\"id\":2}", "{\"t\":110,\"id\":2}"],
            "[{\"t\":100,\"id\":1}]\n[{\"t\":110,\"id\":2}]\n"
        ),
        (
            "--dedup .id -b 40 --oversize reject --on-error=skip",
            ["{\"id\":1,\"x\":\"\(String(repeating: "a", count: 40))\"}", "{\"id\":1}"],
            "[{\"id\":1}]\n"
        ),
        (
            "--reorder .n --dedup .n -b 40 --oversize reject --on-error=skip",
            ["{\"n\":1,\"x\":\"\(String(repeating: "a", count: 40))\"}", "{\"n\":1}"],
            "[{\"n\":1}]\n"
        ),
    ])
    func rejectedLinesAreNotRemembered(
        _ options: String, _ lines: [String], _ expected: String
    ) throws {
        let input = lines.map { $0 + "\n" }.joined()
        let result = try run("stream-batch", "-q --stats \(options)", input)
        #expect(result.ending == .exit(1))
        #expect(result.text == expected)
        #expect(result.stats["duplicates"] == 0)
    }

    // MARK: --join-chunks

    private static func chunk(_ id: String, _ seq: Int, _ total: Int, _ data: String) -> String {
        "{\"type\":\"chunk\",\"id\":\"\(id)\",\"seq\":\(seq),\"total\":\(total),"
            + "\"data\":\"\(data)\"}\n"
    }

    private static let chunksMissing = "chunks of a message are missing\n"

    private static let joined: [Case] = [
        .batch(
            "among others", "--join-chunks -n 2",
            "1\n" + chunk("a", 0, 2, "[2,") + "3\n" + chunk("a", 1, 2, "4]") + "5\n",
            output: "[1,3]\n[[2,4],5]\n"),
        .batch(
            "what is no JSON is a string", "--join-chunks",
            chunk("a", 1, 2, "b\\\"") + chunk("a", 0, 2, "a "), output: "[\"a b\\\"\"]\n"),
        .batch(
            "the members of the whole count", "--join-chunks -k .k --dedup .i",
            chunk("a", 0, 2, "{\\\"k\\\":1,") + "{\"k\":1,\"i\":2}\n"
                + chunk("a", 1, 2, "\\\"i\\\":2}")
                + "{\"k\":2,\"i\":1}\n",
            output: "[{\"k\":1,\"i\":2}]\n[{\"k\":2,\"i\":1}]\n"),
        .batch(
            "missing at the end, everything before is written", "--join-chunks",
            "1\n2\n" + chunk("a", 0, 2, "x"), output: "[1,2]\n", status: 65,
            errors: "stream-batch: -:3: \(chunksMissing)"),
        .batch(
            "missing at the end, skipped", "--join-chunks --on-error=skip",
            "1\n" + chunk("a", 0, 2, "x") + "2\n", output: "[1,2]\n", status: 1,
            errors: "stream-batch: -:2: \(chunksMissing)stream-batch: 1 rejected\n"),
        .batch(
            "the oldest of too many gives way", "--join-chunks=1 --on-error=skip",
            chunk("a", 0, 2, "x") + chunk("b", 0, 2, "y") + chunk("b", 1, 2, "z"),
            output: "[\"yz\"]\n", status: 1,
            errors: "stream-batch: -:1: \(chunksMissing)stream-batch: 1 rejected\n"),
        .batch(
            "a chunk that cannot be", "--join-chunks", "1\n" + chunk("a", 2, 2, "x"),
            output: "[1]\n", status: 65, errors: "stream-batch: -:2:1: chunk 2 of 2 cannot be\n"),
        .batch(
            "without the option it is a line", "", chunk("a", 0, 2, "x"),
            output: "[" + chunk("a", 0, 2, "x").dropLast() + "]\n"),
    ]

    /// They were rejected as an empty text.
    @Test func missingChunksAreRejectedAsTheyCame() throws {
        let folder = try TemporaryFolder()
        let lines = Self.chunk("a", 2, 3, "z") + Self.chunk("a", 0, 3, "x\\n")
        let result = try run(
            "stream-batch", "-q --join-chunks --rejects \(folder.file("r"))", lines)
        #expect(result.ending == .exit(1))
        let raw = try shell("jq -r .raw \(folder.file("r"))")
        #expect(raw.lines.sorted() == lines.split(separator: "\n").map(String.init).sorted())
    }

    /// The diagnostic named the file that was read last.
    @Test func missingChunksAreThoseOfTheirFile() throws {
        let folder = try TemporaryFolder()
        let one = try folder.write(Self.chunk("a", 0, 2, "x"), to: "a")
        let two = try folder.write("1\n", to: "b")
        let result = try run("stream-batch", "--join-chunks --on-error=skip \(one) \(two)")
        #expect(result.text == "[1]\n")
        #expect(result.errors.hasPrefix("stream-batch: \(one):1: \(Self.chunksMissing)"))
    }

    @Test(arguments: [4, 7, 20, 1000]) func chunksRoundTrip(_ size: Int) throws {
        let lines = [
            #""größe ☕ 𝄞𝄞𝄞 \ud834\udd1e \"quoted\" \\ back\nnew line and so on""#,
            #"{"k":"größe ☕ 𝄞","n":[1.00,null,9007199254740993]}"#, "1", "[1e999,{}]",
        ]
        let chunks = try Batches.chunks(lines.map { $0 + "\n" }.joined(), size: size)
        let result = try run("stream-batch", "--join-chunks -n 3 --stats", chunks)
        #expect(result.text == Batches.array(Array(lines[..<3])) + Batches.array([lines[3]]))
        #expect(result.ending == .exit(0))
        #expect((result.stats["messages_joined"] ?? 0 > 0) == (size < 1000))
    }

    /// A failure at the end of the input lost all batches that were open.
    @Test func aHeldLineThatIsRejectedAtTheEnd() throws {
        let result = try run(
            "stream-batch", "-q -b 20 --oversize=reject --reorder .n",
            "{\"n\":1}\n{\"n\":4,\"x\":\"a long line\"}\n")
        #expect(result.ending == .exit(65))
        #expect(result.text == "[{\"n\":1}]\n")
        let skipped = try run(
            "stream-batch", "-q -b 20 --oversize=reject --reorder .n --on-error=skip",
            "{\"n\":1}\n{\"n\":4,\"x\":\"a long line\"}\n{\"n\":5}\n")
        #expect(skipped.ending == .exit(1))
        #expect(skipped.text == "[{\"n\":1},{\"n\":5}]\n")
    }
}

extension Batches {
    /// Lines as sse-encode --chunk cuts them and sse-decode shows them.
    static func chunks(_ lines: String, size: Int) throws -> String {
        let result = try shell("sse-encode -d --chunk \(size) | sse-decode -d", lines)
        try #require(result.ending == .exit(0))
        return result.text
    }
}
