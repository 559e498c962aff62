import Foundation
import Testing

/// stream-sample: what each method makes of a few lines, and that they pass as they came.
@Suite struct SampleTests {
    @Test(arguments: methods + keyed + charts + lines) func samples(_ row: Case) throws {
        try row.check()
    }

    private static let digits = "1\n2\n3\n4\n5\n6\n7\n8\n9\n"

    private static let methods: [Case] = [
        .sample("-n of fewer lines", "-n 10", digits, output: digits),
        .sample("-n of as many lines", "-n 9", digits, output: digits),
        .sample("-n 0", "-n 0", digits, output: ""),
        .sample("-n in the order of the input", "-n 3 --seed 1", digits, output: "4\n5\n9\n"),
        .sample("-p 1", "-p 1", digits, output: digits),
        .sample("-p 0", "-p 0", digits, output: ""),
        .sample("-p 0%", "-p 0%", digits, output: ""),
        .sample("--nth", "--nth 4", digits, output: "1\n5\n9\n"),
        .sample("--nth of all", "--nth 1", digits, output: digits),
        .sample("--nth of more than all", "--nth 10", digits, output: "1\n"),
        .sample("--nth with --offset", "--nth 4 --offset 3", digits, output: "4\n8\n"),
        .sample("--rate", "--rate 1/h", digits, output: "1\n"),
        .sample("--rate with --burst", "--rate 1/h --burst 4", digits, output: "1\n2\n3\n4\n"),
        .sample("--rate by time", "--rate 1/s --time .", digits, output: digits),
        .sample(
            "--rate by time, less", "--rate 20/m --burst 1 --time .", digits,
            output: "1\n4\n7\n"),
        .sample(
            "the burst of --rate is its N", "--rate 2/m --time .", digits, output: "1\n2\n"),
        .sample("--rate with --pace drops nothing", "--rate 1000 --pace", digits, output: digits),
        .sample("--adapt far above the rate", "--adapt 1000000000", digits, output: digits),
        .sample("--distinct", "--distinct .", "1\n2\n1\n3\n2\n1\n", output: "1\n2\n3\n"),
        .sample(
            "--first is --distinct without --every", "--first .", "1\n2\n1\n", output: "1\n2\n"),
        .sample("--latest", "--latest .", "1\n2\n1\n3\n2\n", output: "1\n3\n2\n"),
        .sample("--change", "--change .", "1\n1\n2\n2\n1\n1\n", output: "1\n2\n1\n"),
        .sample(
            "--change is about what is written", "--change . --deadband 1",
            "1\n2\n2.5\n1.6\n4\n", output: "1\n2.5\n4\n"),
        .sample(
            "--change without --deadband", "--change .", "1\n1.0\n1e0\n", output: "1\n1.0\n1e0\n"),
        .sample("--deadband 0", "--change . --deadband 0", "1\n1.0\n1e0\n2\n", output: "1\n2\n"),
        .sample(
            "a weight of 0", "-n 9 --weight .w", "{\"w\":0}\n{\"w\":1e-300}\n{\"w\":2}\n",
            output: "{\"w\":1e-300}\n{\"w\":2}\n"),
    ]

    private static let pairs = [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5), ("a", 6)]

    private static func objects(_ chosen: Int...) -> String {
        pairs.filter { chosen.contains($0.1) }.map { "{\"k\":\"\($0.0)\",\"y\":\($0.1)}\n" }
            .joined()
    }

    private static let all = objects(1, 2, 3, 4, 5, 6)

    private static let keyed: [Case] = [
        .sample("-n 9 --by", "-n 9 --by .k", all, output: all),
        .sample("--nth --by", "--nth 2 --by .k", all, output: objects(1, 2, 4, 6)),
        .sample("-p 1 --by", "-p 1 --by .k", all, output: all),
        .sample("-p 1 --key", "-p 1 --key .k", all, output: all),
        .sample("-p 0 --key", "-p 0 --key .k", all, output: ""),
        .sample("--rate --by", "--rate 1/h --by .k", all, output: objects(1, 2, 4)),
        .sample("--adapt --by", "--adapt 1000000000 --by .k", all, output: all),
        .sample("--latest", "--latest .k", all, output: objects(4, 5, 6)),
        .sample("--latest of two values", "--latest .k,.y", all, output: all),
        .sample("--latest --by", "--latest .y --by .k", all, output: all),
        .sample("--first --by", "--first .z --by .k", all, output: objects(1, 2, 4)),
        .sample("--distinct", "--distinct .k", all, output: objects(1, 2, 4)),
        .sample("a pointer", "--distinct /k", all, output: objects(1, 2, 4)),
        .sample("--distinct of what is not there", "--distinct .z", all, output: objects(1)),
        .sample("--change", "--change .k", all, output: all),
        .sample("--change --by", "--change .z --by .k", all, output: objects(1, 2, 4)),
        .sample("--change of two values", "--change .z,.k", all, output: all),
        .sample("--lttb --by", "--lttb 2 -y .y --by .k", all, output: objects(1, 2, 4, 5, 6)),
        .sample("--minmax --by", "--minmax 2 -y .y --by .k", all, output: objects(1, 2, 4, 5, 6)),
        .sample("--records is --data", "-r --distinct .k", all, output: objects(1, 2, 4)),
        .sample(
            "no value is null", "--distinct .k", "{\"k\":null}\n{}\n3\n{\"k\":\"null\"}\n",
            output: "{\"k\":null}\n{\"k\":\"null\"}\n"),
        .sample(
            "strings are equal however they are written, numbers are not", "--distinct .",
            "\"ab\"\n\"\\u0061b\"\n1\n1.0\n\"1\"\n", output: "\"ab\"\n1\n1.0\n\"1\"\n"),
    ]

    private static let charts: [Case] = [
        .sample("--lttb keeps the ends", "--lttb 2 -y .", digits, output: "1\n9\n"),
        .sample("--lttb of fewer", "--lttb 9 -y .", digits, output: digits),
        .sample("--lttb", "--lttb 3 -y .", "0\n1\n0\n9\n0\n1\n0\n", output: "0\n9\n0\n"),
        .sample("--minmax", "--minmax 2 -y .", "3\n1\n4\n9\n5\n", output: "1\n9\n"),
        .sample("--minmax of a flat line", "--minmax 2 -y .", "3\n3\n3\n", output: "3\n"),
        .sample("--m4", "--m4 4 -y .", "3\n1\n4\n9\n5\n", output: "3\n1\n9\n5\n"),
        .sample(
            "the columns are of -x", "--minmax 4 -x .x -y .y",
            "{\"x\":0,\"y\":1}\n{\"x\":1,\"y\":2}\n{\"x\":2,\"y\":3}\n"
                + "{\"x\":9,\"y\":0}\n{\"x\":8,\"y\":0}\n",
            output: "{\"x\":0,\"y\":1}\n{\"x\":2,\"y\":3}\n{\"x\":9,\"y\":0}\n"),
        .sample(
            "-x may be a time", "--minmax 2 -x .x -y .y",
            "{\"x\":\"2026-01-05T10:00:00Z\",\"y\":\"2\"}\n"
                + "{\"x\":1e9,\"y\":1}\n{\"x\":\"7\",\"y\":3}\n",
            output: "{\"x\":1e9,\"y\":1}\n{\"x\":\"7\",\"y\":3}\n"),
    ]

    private static let lines: [Case] = [
        .sample("blank lines are left out", "-p 1", "1\n\n \t\r\n2\n\r\n", output: "1\n2\n"),
        .sample("with -t they are lines", "-t -p 1", "1\n\n \t\r\n2\n", output: "1\n\n \t\n2\n"),
        .sample("and count as such", "-t --nth 2", "1\n\n2\n\n", output: "1\n2\n"),
        .sample("the last of -d, -r and -t counts", "-td -p 1", "1\n\n2\n", output: "1\n2\n"),
        .sample("CR LF", "--nth 2", "1\r\n2\r\n3\r\n", output: "1\n3\n"),
        .sample("no line feed at the end", "--nth 2 --offset 1", "1\n2", output: "2\n"),
        .sample("a byte order mark", "--distinct .", "\u{FEFF}1\n1\n", output: "1\n"),
        .sample("any text will do", "-p 1", "no {JSON\n\"\n", output: "no {JSON\n\"\n"),
        .sample("but not with --strict", "-p 1 --strict", "[1]\n", output: "[1]\n"),
        .sample("NUL bytes", "-n 2", "\0a\n\0\n", output: "\0a\n\0\n"),
        .sample("options anywhere", "- -dn5 --seed=0", "1\n", output: "1\n"),
    ]

    // MARK: Verbatim

    private static let odd = [
        " {\"y\" :1 ,  \"y\":2, \"n\":123456789012345678901234567890.10 }  ",
        "{\"y\":\"3\",\"e\":\"\\u0041\\/\\ud834\\udd1e\\u0000\",\"e\":1e1000}",
        "\t{\"b\":[ ],\"a\":{ } ,\"y\":0.50}",
        "{\"y\":1,\"s\":\"größe ☕ 𝄞 \u{2028}\u{FEFF}\u{7F}\"}",
        "{\"y\":1,\"l\":\"\(String(repeating: "x", count: 300_000))\"}",
    ]

    @Test(arguments: SampleMethods.takingAll) func linesPassAsTheyCame(_ method: String) throws {
        let text = Self.odd.map { $0 + "\n" }.joined()
        let result = try run("stream-sample", method, text)
        #expect(result.text == text)
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
        let crlf = "\u{FEFF}" + Self.odd.joined(separator: "\r\n\r\n")
        #expect(try run("stream-sample", method + " --strict", crlf).text == text)
        let packed = try shell("gzip | stream-sample -z \(method) | gzip -dc", text)
        #expect(packed.text == text)
    }

    @Test(arguments: SampleMethods.takingAll) func emptyInput(_ method: String) throws {
        for input in ["", "\n", "\u{FEFF}", "\r\n\r\n", "\u{FEFF}\n"] {
            let result = try run("stream-sample", method, input)
            #expect(result.output.isEmpty)
            #expect(result.ending == .exit(0))
            #expect(result.errors.isEmpty)
        }
    }

    @Test func invalidUTF8PassesWhereNothingIsRead() throws {
        let bytes: [UInt8] = [0xC0, 0x80, 0, 0x0A, 0xFF, 0xFE, 0x0A, 0xED, 0xA0, 0x80, 0x0A]
        for method in ["-n 9", "-p 1", "--nth 1", "--rate 1000000", "-tp 1", "-n 0 --invert"] {
            let result = try run("stream-sample", words(method), bytes)
            #expect(result.ending == .exit(0))
            #expect(result.output == bytes)
        }
        let checked = try run("stream-sample", ["--distinct", "."], bytes)
        #expect(checked.ending == .exit(65))
        #expect(checked.errors.hasPrefix("stream-sample: -:1:1: "))
    }

    // MARK: The order and the cut of the input

    @Test func severalOperandsAreOneStream() throws {
        let folder = try TemporaryFolder()
        let first = try folder.write("\u{FEFF}1\n2", to: "a")
        let last = try folder.write("\u{FEFF}6\r\n\n7\n", to: "b")
        #expect(
            try run("stream-sample", "--nth 2 \(first) - \(last)", "3\n4\n5").text == "1\n3\n5\n7\n"
        )
        #expect(try run("stream-sample", "--lttb 2 -y . \(first) \(last)").text == "1\n7\n")
        #expect(try run("stream-sample", "--distinct . \(first) \(first)").text == "1\n2\n")
    }

    /// In pieces that are no lines, and as a file.
    @Test(arguments: SampleMethods.some) func theReadsDoNotMatter(_ method: String) throws {
        let arguments = "\(method) --seed 5"
        let whole = try run("stream-sample", "\(arguments) access.jsonl")
        #expect(whole.ending == .exit(0))
        let session = try start("stream-sample", arguments)
        var rest = Array(try Files.sample("access.jsonl").utf8)[...]
        for size in [1, 130, 2, 700, 131, 5000, 13] {
            session.write(rest.prefix(size))
            rest = rest.dropFirst(size)
            usleep(500)
        }
        session.write(rest)
        session.closeInput()
        #expect(session.finish().text == whole.text)
        #expect(try run("stream-sample", "\(arguments) access.jsonl").text == whole.text)
        #expect(try run("stream-sample", "\(arguments) --strict access.jsonl").text == whole.text)
    }

    /// Lines that are skipped unseen are the ones that would have been passed over.
    @Test(arguments: ["-n 7", "-p 0.003", "--nth 913", "-n 1", "-p 0.9"])
    func skippingChangesNothing(_ method: String) throws {
        let ends = ["\n", "\r\n", "\n\n", "\n \t\r\n", "\n\r\n\n"]
        let text = (0..<20_000).map { "\($0)\(ends[$0 % ends.count])" }.joined()
        let skipped = try run("stream-sample", "\(method) --seed 3 --stats", text)
        let seen = try run("stream-sample", "\(method) --seed 3 --strict", text)
        #expect(skipped.text == seen.text)
        #expect(!skipped.output.isEmpty)
        #expect(skipped.stats["records_in"] == 20_000)
        #expect(skipped.addsUp())
        let plain = try run("stream-sample", "-t \(method) --seed 3", text)
        let inverted = try run("stream-sample", "-t \(method) --seed 3 --invert", text)
        let bytes = text.replacing("\r\n", with: "\n").utf8.count
        #expect(plain.output.count + inverted.output.count == bytes)
    }

    // MARK: The seed

    @Test(arguments: [
        "-n 5", "-n 5 --shuffle", "-n 1 --by .k --shuffle", "-n 5 --weight .n", "-p 0.01",
        "-p 1% --by .k", "--adapt 5/s --time .t", "--adapt 1/s --time .t --by .k",
    ])
    func verboseTellsTheSeed(_ method: String) throws {
        let lines = (1...1000).map { "{\"t\":\($0 / 50),\"k\":\($0 % 10),\"n\":\($0)}\n" }.joined()
        let first = try run("stream-sample", "\(method) -v", lines)
        let seed = first.errors.prefix { $0 != "\n" }.split(separator: " ").last ?? ""
        #expect(first.errors.hasPrefix("stream-sample: seed \(seed)\nstream-sample: reading -\n"))
        let again = try run("stream-sample", "\(method) --seed \(seed)", lines)
        #expect(again.text == first.text)
        #expect(again.errors.isEmpty)
        let others = try (0..<3).map {
            try run("stream-sample", "\(method) --seed \($0)", lines).text
        }
        #expect(Set(others).count == 3)
        let json = try run("stream-sample", "\(method) -v --log-format=json", lines)
        let message = object(String(json.errors.prefix { $0 != "\n" }))["message"] as? String
        #expect(message?.wholeMatch(of: /seed [0-9]+/) != nil)
    }

    /// Some keys in every run; others with another seed.
    @Test func withoutASeedAKeyIsSampledTheSameWay() throws {
        let lines = (1...1000).map { "{\"k\":\($0 % 100)}\n" }.joined()
        let first = try run("stream-sample", "-p 0.3 --key .k", lines)
        #expect(first.lines.count % 10 == 0 && first.lines.count > 0)
        #expect(try run("stream-sample", "-p 0.3 --key .k --seed 0", lines).text == first.text)
        #expect(try run("stream-sample", "-p 0.3 --key .k --seed 1", lines).text != first.text)
    }
}
