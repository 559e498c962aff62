import Testing

/// stream-batch: a batch for each key, and how many there may be.
@Suite struct BatchKeyTests {
    @Test(arguments: keys + limits) func groups(_ row: Case) throws { try row.check() }

    private static let keys: [Case] = [
        .batch(
            "at the end in the order in which they were opened", "-k .k",
            "{\"k\":2,\"i\":1}\n{\"k\":1,\"i\":2}\n{\"k\":2,\"i\":3}\n",
            output: "[{\"k\":2,\"i\":1},{\"k\":2,\"i\":3}]\n[{\"k\":1,\"i\":2}]\n"),
        .batch(
            "a limit holds for each", "-k .[0] -n 2", "[1,1]\n[2,1]\n[2,2]\n[1,2]\n[1,3]\n",
            output: "[[2,1],[2,2]]\n[[1,1],[1,2]]\n[[1,3]]\n"),
        .batch(
            "no value is null", "-k .k", "{}\n{\"k\":\"\"}\n{\"k\":null}\n7\n{\"k\":\"null\"}\n",
            output: "[{},{\"k\":null},7]\n[{\"k\":\"\"}]\n[{\"k\":\"null\"}]\n"),
        .batch("1 and \"1\" differ", "-k .", "1\n\"1\"\n1\n", output: "[1,1]\n[\"1\"]\n"),
        .batch(
            "equal strings that are escaped differently", "-k .",
            #""a/""# + "\n" + #""\u0061\/""# + "\n\"b\"\n",
            output: #"["a/","\u0061\/"]"# + "\n[\"b\"]\n"),
        .batch(
            "half a surrogate pair is as it is written", "-k .", "\"\\ud800\"\n\"\\ud801\"\n",
            output: "[\"\\ud800\"]\n[\"\\ud801\"]\n"),
        .batch(
            "a member's name may be escaped", "-k .id", "{\"id\":1}\n{\"\\u0069d\":1}\n",
            output: "[{\"id\":1},{\"\\u0069d\":1}]\n"),
        .batch(
            "objects as they are written", "-k .k", "{\"k\":{\"a\":1}}\n{\"k\":{\"a\" :1}}\n",
            output: "[{\"k\":{\"a\":1}}]\n[{\"k\":{\"a\" :1}}]\n"),
        .batch(
            "several paths", "-k .[0],.[1]", "[1,23]\n[12,3]\n[1,23,0]\n[1]\n[1,null]\n",
            output: "[[1,23],[1,23,0]]\n[[12,3]]\n[[1],[1,null]]\n"),
        .batch(
            "a pointer", "-k /a~1b/0", "{\"a/b\":[1]}\n{\"a/b\":[2]}\n{\"a/b\":[1,0]}\n",
            output: "[{\"a/b\":[1]},{\"a/b\":[1,0]}]\n[{\"a/b\":[2]}]\n"),
        .batch(
            "text", "--text -k . -f lines", "a\n\nb\na\n\n", output: "a\na\n\n\n\n\nb\n\n"),
        .batch(
            "text in an array", "--text -k .", "a\"\nb\na\"\n",
            output: "[\"a\\\"\",\"a\\\"\"]\n[\"b\"]\n"),
    ]

    private static func early(_ count: Int) -> String {
        "stream-batch: batches that were closed early, to make room: \(count)"
            + " (see --max-keys, --max-memory)\n"
    }

    private static let limits: [Case] = [
        .batch(
            "the batch that was opened first is closed", "-k . --max-keys 2", "1\n2\n1\n3\n2\n1\n",
            output: "[1,1]\n[2,2]\n[3]\n[1]\n", errors: early(2)),
        .batch(
            "as many as there are", "-k . --max-keys 2", "1\n2\n1\n2\n", output: "[1,1]\n[2,2]\n"),
        .batch(
            "one", "-k . --max-keys 1", "1\n1\n2\n1\n", output: "[1,1]\n[2]\n[1]\n",
            errors: early(2)),
        .batch(
            "a closed batch makes room", "-k . --max-keys 2 -n 2", "1\n1\n2\n3\n",
            output: "[1,1]\n[2]\n[3]\n"),
        .batch(
            "quietly", "-q -k . --max-keys 1", "1\n2\n", output: "[1]\n[2]\n"),
        .batch(
            "without keys there is one", "--max-keys 1 -n 2", "1\n2\n3\n", output: "[1,2]\n[3]\n"),
        .batch(
            "windows are batches, too", "--time . -t 10s --late 1h --max-keys 2", "1\n11\n21\n2\n",
            output: "[1]\n[11]\n[2]\n[21]\n", errors: early(2)),
    ]

    @Test func earlyBatchesAreCounted() throws {
        let result = try run("stream-batch", "-k . --max-keys 2 --stats -q", "1\n2\n3\n4\n3\n")
        #expect(result.text == "[1]\n[2]\n[3,3]\n[4]\n")
        #expect(result.ending == .exit(0))
        #expect(result.stats["closed_early"] == 2)
        #expect(result.stats["batches"] == 4)
        #expect(result.stats["records_in"] == 5)
        #expect(result.stats["records_out"] == 5)
    }

    @Test func keysOfObjects() throws {
        let lines = "{\"k\":\"\\u0061\"}\n{\"k\":1.0}\n{}\n{\"k\":\"a\"}\n"
        let one = try run("stream-batch", "-f object -k .k", lines)
        #expect(one.lines.map { $0.prefix(14) }.sorted().first?.hasPrefix("{\"key\":\"") == true)
        #expect(one.lines.count == 3)
        #expect(one.lines[0].hasPrefix(#"{"key":"\u0061","seq":1,"count":2,"from":""#))
        #expect(one.lines[1].hasPrefix(#"{"key":1.0,"seq":2,"count":1,"from":""#))
        #expect(one.lines[2].hasPrefix(#"{"key":null,"seq":3,"count":1,"from":""#))
        let two = try run("stream-batch", "-f object -k .k,.j", "{\"j\":[2]}\n")
        #expect(two.text.hasPrefix(#"{"key":[null,[2]],"seq":1,"#))
        let text = try run("stream-batch", "-f object --text -k .", "a\"b\n")
        #expect(text.text.hasPrefix(#"{"key":"a\"b","seq":1,"#))
        let none = try run("stream-batch", "-f object", "1\n")
        #expect(none.text.hasPrefix(#"{"seq":1,"count":1,"from":""#))
    }

    // MARK: --max-memory

    /// 100 batches of 10 kB each, of which 64K hold a few.
    @Test func memoryIsBounded() throws {
        let word = String(repeating: "x", count: 1000)
        let lines = (0..<1000).map { "{\"k\":\($0 % 100),\"i\":\($0),\"x\":\"\(word)\"}" }
        let options = ["-k", ".k", "--max-memory", "64K", "--stats", "-f", "lines"]
        let result = try run(
            "stream-batch", options + ["--separator", Batches.separator],
            lines.map { $0 + "\n" }.joined().utf8)
        #expect(result.ending == .exit(0))
        let batches = try Batches.split(result.output)
        #expect(batches.joined().sorted() == lines.sorted())
        let early = try #require(result.stats["closed_early"])
        #expect(early > 900 && early < batches.count)
        #expect(result.errors.contains("closed early, to make room: \(early) (see"))
    }

    @Test func aBatchLargerThanTheMemoryIsClosed() throws {
        let result = try run("stream-batch", "--max-memory 1 --stats -q", "1\n2\n")
        #expect(result.text == "[1]\n[2]\n")
        #expect(result.stats["closed_early"] == 2)
        let enough = try run("stream-batch", "--max-memory 1K", "1\n2\n")
        #expect(enough.text == "[1,2]\n" && enough.errors.isEmpty)
    }

    /// A key that comes and goes takes no memory.
    @Test func manyKeysOneAfterTheOther() throws {
        let lines = (0..<20_000).flatMap { ["\($0)\n", "\($0)\n"] }
        let result = try run("stream-batch", "-k . -n 2 --max-keys 1", lines.joined())
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
        #expect(result.lines == (0..<20_000).map { "[\($0),\($0)]" })
    }
}
