import Foundation
import Testing

/// stream-sample: what becomes of lines that are held back, and what the counters say of them.
@Suite struct SampleHoldTests {
    private static let expected = "expected the end of the line after the value"

    // MARK: Bad input

    @Test(arguments: SampleMethods.holding + ["-p 1", "--distinct .", "--change ."])
    func badInput(_ method: String) throws {
        let text = "1\n2\n3 x\n4\n"
        let stop = try run("stream-sample", "\(method) --strict --stats", text)
        #expect(stop.text == "1\n2\n")
        #expect(stop.ending == .exit(65))
        #expect(stop.errors.hasSuffix(":3:3: \(Self.expected) (--text takes any line)\n"))
        #expect(stop.addsUp() && stop.stats["rejected"] == 1 && stop.stats["records_in"] == 3)
        let skip = try run("stream-sample", "\(method) --strict --on-error=skip --stats", text)
        #expect(skip.text == "1\n2\n4\n")
        #expect(skip.ending == .exit(1))
        #expect(skip.errors.contains("stream-sample: 1 rejected\n"))
        #expect(skip.addsUp() && skip.stats["rejected"] == 1 && skip.stats["records_in"] == 4)
        let folder = try TemporaryFolder()
        let file = folder.file("rejects")
        let rejects = try run("stream-sample", "\(method) --strict --rejects \(file)", text)
        #expect(rejects.text == "1\n2\n4\n")
        #expect(rejects.ending == .exit(1))
        #expect(
            try folder.read("rejects")
                == #"{"input":"-","line":3,"error":"byte 3: \#(Self.expected)","raw":"3 x"}"# + "\n"
        )
    }

    @Test(arguments: rows) func rejects(_ row: Case) throws { try row.check() }

    private static func rejected(_ place: String, _ reason: String) -> String {
        "stream-sample: -:\(place): \(reason)\n"
    }

    private static let rows: [Case] = [
        .sample(
            "a line that is no JSON, where it is read", "-n 9 --by .k", "{}\nx\n", output: "{}\n",
            status: 65, errors: rejected("2:1", "expected a JSON value (--text takes any line)")),
        .sample("and where it is not", "-n 9", "{}\nx\n{\"\n", output: "{}\nx\n{\"\n"),
        .sample(
            "--keep reads it", "-p 1 --keep .k=1", "{}\n{\"k\":1,}\n", output: "{}\n", status: 65,
            errors: rejected("2:8", "expected '\"' to begin an object key")),
        .sample(
            "behind lines that were skipped unseen", "-p 0 --max-line 9",
            "1\n\n2\r\n\n1234567890\n", output: "", status: 65,
            errors: rejected("5", "line longer than 9 bytes (see --max-line)")),
        .sample(
            "a line that is too long is rejected unsampled", "-n 1 --max-line 3 --on-error=skip",
            "1\n2222\n", output: "1\n", status: 1,
            errors: rejected("2", "line longer than 3 bytes (see --max-line)")
                + "stream-sample: 1 rejected\n"),
        .sample(
            "a point without a number", "--lttb 9 -y .y", "{\"y\":1}\n{\"y\":\"a\"}\n",
            output: "{\"y\":1}\n", status: 65, errors: rejected("2:6", "expected a number at .y")),
        .sample(
            "a point without a value", "--m4 9 -y .y", "{\"y\":1}\n{\"x\":1}\n",
            output: "{\"y\":1}\n", status: 65, errors: rejected("2:1", "expected a number at .y")),
        .sample(
            "a point beyond all numbers", "--m4 9 -y .", "1\n1e999\n", output: "1\n", status: 65,
            errors: rejected("2:1", "expected a number at .")),
        .sample(
            "a coordinate that is none", "--m4 9 -x .x -y .y", "{\"x\":\"now\",\"y\":2}\n",
            output: "", status: 65,
            errors: rejected("1:6", "expected a number or a time as in RFC 3339 at .x")),
        .sample(
            "no weight", "-n 9 --weight .w --on-error=skip", "{\"w\":1}\n{}\n{\"w\":true}\n",
            output: "{\"w\":1}\n", status: 1,
            errors: rejected("2:1", "expected a number at .w")
                + rejected("3:6", "expected a number at .w") + "stream-sample: 2 rejected\n"),
        .sample(
            "a negative weight", "-n 9 --weight .", "1\n-0\n-1e-9\n", output: "1\n", status: 65,
            errors: rejected("3:1", "expected a weight of at least 0 at .")),
        .sample(
            "--max-depth", "-n 9 --strict --max-depth 1", "[]\n[[]]\n", output: "[]\n", status: 65,
            errors: rejected("2:2", "nested deeper than 1 levels (see --max-depth)")),
    ]

    /// Of what was skipped unseen, and a long line that came in pieces.
    @Test func theLineNumberBehindManyLines() throws {
        let session = try start("stream-sample", "--nth 1000000 --max-line 1000")
        session.write(String(repeating: "1\n\n", count: 200))
        #expect(session.prints("1\n"))
        for _ in 0..<6 {
            session.write(String(repeating: "2", count: 200))
            usleep(300)
        }
        let result = session.finish()
        #expect(result.ending == .exit(65))
        #expect(
            result.errors == Self.rejected("401", "line longer than 1000 bytes (see --max-line)"))
    }

    /// When the last of many files could not be opened or read, nothing was written.
    @Test(arguments: [("none", 66), (".", 66)])
    func anInputThatCannotBeRead(_ operand: String, _ status: Int32) throws {
        for method in SampleMethods.holding + ["-p 1"] {
            let result = try run("stream-sample", "\(method) - \(operand)", "1\n2\n")
            #expect(result.text == "1\n2\n", "\(method)")
            #expect(result.ending == .exit(status))
            let skip = try run("stream-sample", "\(method) - none -", "1\n2\n")
            #expect(skip.ending == .exit(66))
        }
    }

    @Test func truncatedGzip() throws {
        for method in SampleMethods.holding {
            let result = try shell("gzip | head -c -8 | stream-sample \(method)", "1\n2\n")
            #expect(result.text == "1\n2\n")
            #expect(result.ending == .exit(65))
        }
    }

    // MARK: Too many keys

    private static let keys = "{\"k\":1}\n{\"k\":2}\n{\"k\":1}\n{\"k\":3}\n{\"k\":1}\n{\"k\":2}\n"

    /// Key 2 goes for 3, and 3 goes for the new 2; what was held of them is written at once.
    @Test(arguments: [
        ("-n 1 --by .k", [2, 3, 1, 2]), ("-n 1 --by .k --weight .k", [2, 3, 1, 2]),
        ("--latest .k", [2, 3, 1, 2]), ("--m4 4 -y .k --by .k", [2, 3, 1, 1, 1, 2]),
        ("--lttb 2 -y .k --by .k", [2, 3, 1, 1, 2]), ("--distinct .k", [1, 2, 3, 2]),
        ("--first .k", [1, 2, 3, 2]), ("--change .x --by .k", [1, 2, 3, 2]),
        ("--nth 9 --by .k", [1, 2, 3, 2]), ("--rate 1/h --by .k", [1, 2, 3, 2]),
        ("--rate 1000 --pace --by .k", [1, 2, 1, 3, 1, 2]), ("-p 1 --by .k", [1, 2, 1, 3, 1, 2]),
        ("--adapt 1000000000 --by .k", [1, 2, 1, 3, 1, 2]),
    ])
    func theKeyThatDidNotComeForTheLongestTimeGoes(_ method: String, _ keys: [Int]) throws {
        let result = try run("stream-sample", "\(method) --max-keys 2 --stats", Self.keys)
        #expect(result.text == keys.map { "{\"k\":\($0)}\n" }.joined())
        #expect(result.ending == .exit(0))
        #expect(result.addsUp() && result.stats["evicted_keys"] == 2)
        #expect(result.errors.contains("keys that were forgotten for others: 2\n"))
        let quiet = try run("stream-sample", "\(method) --max-keys 2 -q", Self.keys)
        #expect(quiet.text == result.text && quiet.errors.isEmpty)
        let enough = try run("stream-sample", "\(method) --max-keys 3 --stats", Self.keys)
        #expect(enough.stats["evicted_keys"] == 0 && !enough.errors.contains("forgotten"))
    }

    // MARK: Too much to hold

    private static let numbers = (1...100).map { "\($0)\n" }.joined()

    @Test(arguments: ["-n 99", "-n 99 --weight .", "-n 2 --by .", "--lttb 9 -y .", "--m4 8 -y ."])
    func maxMemory(_ method: String) throws {
        let result = try run("stream-sample", "\(method) --max-memory 2K", Self.numbers)
        #expect(result.ending == .exit(65))
        #expect(result.errors.hasPrefix("stream-sample: -:"))
        #expect(result.errors.hasSuffix(": more than 2048 bytes to hold (see --max-memory)\n"))
        #expect(result.lines.first == "1")
        #expect(
            Set(result.lines).isSubset(of: Self.numbers.split(separator: "\n").map(String.init)))
        let enough = try run("stream-sample", "\(method) --max-memory 1M", Self.numbers)
        #expect(enough.ending == .exit(0))
        // What was written is held no longer.
        let often = try run(
            "stream-sample", "\(method) --max-memory 2K --every 5s --time .", Self.numbers)
        #expect(often.ending == .exit(0))
        #expect(often.lines.count > 50)
        let few = try run("stream-sample", "-n 9 --seed 1 --max-memory 2K", Self.numbers)
        #expect(few.lines.count == 9)
    }

    @Test func latestIsWrittenEarly() throws {
        let result = try run("stream-sample", "--latest . --max-memory 2K --stats", Self.numbers)
        #expect(result.text == Self.numbers)
        #expect(result.ending == .exit(0))
        #expect(result.addsUp() && result.stats["evicted_keys"] ?? 0 > 50)
        #expect(result.errors.contains("keys that were forgotten for others"))
        // A line that is too much alone.
        let large = "[\"\(String(repeating: "x", count: 300))\"]\n"
        let alone = try run("stream-sample", "--latest .k --max-memory 200", "1\n" + large)
        #expect(alone.ending == .exit(65))
        #expect(alone.errors.contains("--max-memory"))
    }

    /// The line for which there was no room was in records_in and nowhere else.
    @Test func theLineThatIsTooMuchIsCounted() throws {
        let result = try run("stream-sample", "-n 99 --max-memory 2K --stats", Self.numbers)
        #expect(result.ending == .exit(65))
        #expect(result.addsUp())
    }

    /// A line that was to give way to it was written both as sampled and as not sampled.
    @Test func theLineThatIsTooMuchTakesNoPlace() throws {
        let text = "1\n\(String(repeating: "2", count: 50))\n"
        for seed in 1...4 {
            let arguments = "-n 1 --max-memory 100 --seed \(seed)"
            let sampled = try run("stream-sample", arguments, text)
            let others = try run("stream-sample", "\(arguments) --invert", text)
            #expect(sampled.ending == others.ending)
            #expect(Set(sampled.lines).isDisjoint(with: others.lines), "\(seed)")
        }
    }
}
