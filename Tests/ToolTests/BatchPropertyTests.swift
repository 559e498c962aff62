import Foundation
import Testing

/// stream-batch: of every line that comes in it is known what became of it, and every batch keeps
/// what the options promise.
@Suite(.serialized) struct BatchPropertyTests {
    private static let rounds = 250

    /// One thing that options say of batches, in random words.
    private struct Choice {
        var options: [String] = []
        var count: Int?
        var size: Int?
        var endsAt: String?
        var isChanging = false
        var keys: [String] = []
        var isReordered = false
        var sharesLines = false

        init(_ random: inout SeededGenerator) {
            addLimits(&random)
            addKeys(&random)
            addTimes(&random)
            addStages(&random)
        }

        private mutating func addLimits(_ random: inout SeededGenerator) {
            if Int.random(in: 0..<2, using: &random) == 0 {
                count = Int.random(in: 1...7, using: &random)
                options += ["-n", "\(count ?? 0)"]
            }
            if Int.random(in: 0..<3, using: &random) == 0 {
                size = Int.random(in: 1...300, using: &random)
                options += ["-b", "\(size ?? 0)"]
                if Bool.random(using: &random) { options += ["--oversize=reject"] }
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                endsAt = "\"e\":1"
                options += ["--when", ".e=1"]
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                isChanging = true
                options += ["--when-changed", ".c"]
            }
        }

        private mutating func addKeys(_ random: inout SeededGenerator) {
            keys = [[], ["k"], ["k", "c"]].randomElement(using: &random) ?? []
            if !keys.isEmpty {
                options += ["-k", keys.map { "." + $0 }.joined(separator: ",")]
            }
            let limits = [[], [], ["--max-keys", "2"], ["--max-memory", "2K"]]
            options += limits.randomElement(using: &random) ?? []
        }

        private mutating func addTimes(_ random: inout SeededGenerator) {
            let times = [
                [], ["-t", "1h"], ["-i", "1h"], ["--time", ".t", "-t", "5s"],
                ["--time", ".t", "-t", "5s", "--late", "7s"],
                ["--time", ".t", "-i", "2s", "--late", "4s"], ["--time", ".t", "-i", "3s"],
                ["--time", ".t", "-t", "6s", "--sliding", "2s", "--late", "3s"],
                ["--time", ".t", "-t", "6s", "--max-gap", "3s"],
            ].randomElement(using: &random)
            options += times ?? []
            sharesLines = times?.contains("--sliding") == true
            // Batches of several windows are open at once, and lines of one in any order.
            isReordered = times?.contains("--time") == true
        }

        private mutating func addStages(_ random: inout SeededGenerator) {
            let stages = [
                [], [], ["--dedup", ".d"], ["--dedup", ".d", "--dedup-keys", "2"],
                ["--reorder", ".n", "--max-wait", "1h"],
                ["--reorder", ".n", "--window", "2", "--max-wait", "1h", "--dedup", ".d"],
                ["--join-chunks"],
            ].randomElement(using: &random)
            options += stages ?? []
            if stages?.contains("--reorder") == true { isReordered = true }
        }
    }

    /// A line that no other is like, spoilt now and then.
    private func randomLine(_ index: Int, _ random: inout SeededGenerator) -> [UInt8] {
        var members = ["\"i\":\(index)"]
        for (name, values) in [
            ("k", ["1", "\"1\"", "\"a\"", "\"\\u0061\"", "null"]), ("c", ["1", "1", "1", "2"]),
            ("d", ["1", "2", "3", "4", "5", "\"1\""]), ("e", ["0", "0", "0", "1"]),
        ] where Int.random(in: 0..<5, using: &random) > 0 {
            members.append("\"\(name)\":\(values.randomElement(using: &random) ?? "")")
        }
        members.append("\"n\":\(index + Int.random(in: -3...3, using: &random))")
        members.append("\"t\":\(100 + index / 3 + Int.random(in: -4...0, using: &random))")
        if Bool.random(using: &random) {
            // Foundation takes no number that is too large for a Double.
            let value = randomJSON(&random, depth: 2).replacing("1e1000", with: "1e100")
            members.append("\"x\":" + value)
        }
        var line = Array("{\(members.joined(separator: ","))}".utf8)
        if Int.random(in: 0..<12, using: &random) == 0,
            let place = line.indices.randomElement(using: &random)
        {
            let byte = UInt8.random(in: 0...255, using: &random)
            // Letters would make a member another one, there twice.
            if !"\r\nabcdefghijklmnopqrstuvwxyz".utf8.contains(byte) { line[place] = byte }
        }
        return line
    }

    @Test func everyLineGoesSomewhere() throws {
        var random = SeededGenerator.announced("everyLineGoesSomewhere")
        for _ in 0..<Self.rounds {
            let choice = Choice(&random)
            let lines = (0..<Int.random(in: 0...80, using: &random)).map {
                randomLine($0, &random)
            }
            try check(choice, lines)
        }
    }

    private func check(_ choice: Choice, _ lines: [[UInt8]]) throws {
        let input: [UInt8] = lines.flatMap { (line: [UInt8]) in line + [0x0A] }
        let folder = try TemporaryFolder()
        let options = choice.options + ["-q", "--stats", "--rejects", folder.file("r")]
        let what: Comment = "\(choice.options) \(Data(input).base64EncodedString())"
        let form = ["-f", "lines", "--separator", Batches.separator]
        let result = try run("stream-batch", options + form, input)
        let rejected = try rejects(folder.read("r"))
        #expect(result.ending == .exit(rejected.isEmpty ? 0 : 1), what)
        let batches = try cut(result.output)
        let out = batches.flatMap { $0 }
        let stats = result.stats
        #expect(stats["records_in"] == lines.count, what)
        #expect(stats["rejected"] == rejected.count, what)
        #expect(stats["records_out"] == out.count && stats["batches"] ?? 0 == batches.count, what)
        // Nothing is in two places, and what is nowhere was a duplicate.
        let written = Set(out)
        if !choice.sharesLines { #expect(written.count == out.count, what) }
        #expect(written.isDisjoint(with: rejected), what)
        #expect(written.union(rejected).isSubset(of: lines), what)
        let gone = Set(lines).count - written.count - Set(rejected).count
        #expect(gone == stats["duplicates"] ?? 0, what)
        if choice.keys.isEmpty && !choice.isReordered {
            #expect(out == lines.filter(written.contains), what)
        }
        for batch in batches { check(batch, choice, what) }
        try checkArrays(choice, options, input, batches, what)
    }

    /// What was rejected, as it came in.
    private func rejects(_ text: String) throws -> [[UInt8]] {
        try text.split(separator: "\n").map { line in
            let entry = object(String(line))
            if let raw = entry["raw"] as? String { return Array(raw.utf8) }
            let raw = try #require(entry["raw_base64"] as? String)
            return Array(try #require(Data(base64Encoded: raw)))
        }
    }

    private func cut(_ output: [UInt8]) throws -> [[[UInt8]]] {
        var batches: [[[UInt8]]] = [[]]
        for line in output.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast() {
            if line.elementsEqual(Batches.separator.utf8) {
                #expect(batches.last?.isEmpty == false)
                batches.append([])
            } else {
                batches[batches.count - 1].append(Array(line))
            }
        }
        #expect(batches.removeLast().isEmpty)
        return batches
    }

    private func check(_ batch: [[UInt8]], _ choice: Choice, _ what: Comment) {
        if let count = choice.count { #expect(batch.count <= count, what) }
        if let size = choice.size, batch.count > 1 {
            #expect(batch.reduce(3) { $0 + $1.count + 1 } <= size, what)
        }
        // Foundation does not read all that is JSON: half a surrogate pair, for one.
        let lines = batch.compactMap { json(String(decoding: $0, as: UTF8.self)) as? [String: Any] }
        let value = { (line: [String: Any], name: String) in
            line[name].map { "\(type(of: $0)) \($0)" } ?? "\(NSNull.self) \(NSNull())"
        }
        if choice.endsAt != nil {
            #expect(lines.dropLast().allSatisfy { $0["e"] as? Int != 1 }, what)
        }
        for name in choice.keys + (choice.isChanging ? ["c"] : []) {
            #expect(Set(lines.map { value($0, name) }).count <= 1, what)
        }
    }

    /// With another format the same batches come, unless their sizes count.
    private func checkArrays(
        _ choice: Choice, _ options: [String], _ input: [UInt8], _ batches: [[[UInt8]]],
        _ what: Comment
    ) throws {
        if choice.size != nil { return }
        for (format, head) in [("array", []), ("json-seq", [0x1E])] as [(String, [UInt8])] {
            let result = try run("stream-batch", options + ["-f", format], input)
            var expected: [UInt8] = []
            for batch in batches {
                expected += head + Array("[".utf8) + batch.joined(separator: Array(",".utf8))
                expected += Array("]\n".utf8)
            }
            #expect(result.output == expected, what)
        }
        let objects = try run("stream-batch", options + ["-f", "object"], input)
        let counts = objects.lines.map { $0.firstMatch(of: #/"seq":\d+,"count":(\d+),/#)?.1 }
        #expect(counts == batches.map { Substring("\($0.count)") }, what)
    }

    // MARK: Tumbling

    /// What is neither keyed nor late is written in the order in which it came.
    @Test func theConcatenationIsTheInput() throws {
        var random = SeededGenerator.announced("theConcatenationIsTheInput")
        let forms = [
            "", "-n 1", "-n 3", "-b 60", "-b 200 -n 4", "-t 1h", "-i 1h -n 2", "--when .k=a",
            "--when-changed .k", "--time .t -t 1s", "--time .t -t 10s --late 3s",
            "--time .t -i 2s", "--time .t -i 5s -n 3", "--max-memory 200", "--text",
            "--no-validate",
            "--join-chunks", "--dedup .none", "--reorder .i", "--time .t -t 3s --sliding 3s -b 90",
            "--time .t -t 4s --when .k=a",
            "--time .t -t 2s -n 1 --late 5s", "--time .t -i 2s --when .k=b",
        ]
        for round in 0..<(3 * forms.count) {
            let lines = TimedLine.random(
                Int.random(in: 0...200, using: &random), step: 4, disorder: 0, &random)
            let input = lines.map(\.text)
            let batches = try Batches.of(forms[round % forms.count] + " -q", input.joined())
            #expect(
                batches.joined().map { $0 + "\n" } == input, "\(forms[round % forms.count])")
            #expect(batches.allSatisfy { !$0.isEmpty })
        }
    }

    /// Any bytes at all: no crash, and what goes out is well-formed.
    @Test func anyBytes() throws {
        var random = SeededGenerator.announced("anyBytes")
        for _ in 0..<100 {
            var input = randomBytes(&random)
            if input.first == 0x1F || input.first == 0xEF { input[0] = 0 }
            let text = try run(
                "stream-batch", ["--text", "-f", "lines", "-n", "3", "--separator="], input)
            #expect(text.ending == .exit(0))
            for options in ["", "-k .a -n 2", "--text", "--reorder . --dedup .", "--join-chunks"] {
                let result = try run(
                    "stream-batch", words(options) + ["--on-error=skip", "-q"], input)
                #expect(
                    [.exit(0), .exit(1)].contains(result.ending),
                    "\(options) \(Data(input).base64EncodedString())")
                #expect(isJSONLines(result.text))
            }
        }
    }
}
