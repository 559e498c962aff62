import Foundation
import Testing

/// stream-sample: lines that are no part of the sample, and what becomes of those that are.
@Suite struct SampleLineTests {
    @Test(arguments: headers + kept + annotated) func lines(_ row: Case) throws { try row.check() }

    // MARK: --header

    private static let table = "a,b\n1,2\n3,4\n5,6\n"

    private static let headers: [Case] = [
        .sample("--header", "--header 1 --nth 2", table, output: "a,b\n1,2\n5,6\n"),
        .sample("--header 2", "--header=2 --nth 2", table, output: "a,b\n1,2\n3,4\n"),
        .sample("--header 0", "--header 0 -n 0", table, output: ""),
        .sample("--header of more than there is", "--header 9 -n 0", table, output: table),
        .sample("--header is written at once", "--header 1 -n 0", table, output: "a,b\n"),
        .sample(
            "--header with --invert", "--header 1 --nth 2 --invert", table, output: "a,b\n3,4\n"),
        .sample("--header is not read", "--header 1 --distinct .", "x\n1\n1\n", output: "x\n1\n"),
        .sample("nor checked", "--header 1 -p 1 --strict", "x\n1\n", output: "x\n1\n"),
        .sample(
            "nor annotated", "--header 1 --nth 1 --annotate r", "{}\n{}\n",
            output: "{}\n{\"r\":1}\n"),
        .sample("a blank line is none", "--header 1 -p 0", "\n\r\nx\n1\n", output: "x\n"),
        .sample("with -t it is one", "-t --header 1 -p 0", "\n\r\nx\n1\n", output: "\n"),
        .sample(
            "--header is not sampled", "--header 2 -n 1 --shuffle --seed 1", "a\nb\n1\n",
            output: "a\nb\n1\n"),
        .sample(
            "a charted series begins behind it", "--header 1 --lttb 2 -y .", "y\n1\n2\n3\n",
            output: "y\n1\n3\n"),
    ]

    @Test func theHeaderIsThatOfTheWholeStream() throws {
        let folder = try TemporaryFolder()
        let first = try folder.write("h\n1\n2\n", to: "a")
        let last = try folder.write("h\n3\n4\n", to: "b")
        #expect(try run("stream-sample", "--header 1 --nth 9 \(first) \(last)").text == "h\n1\n")
        #expect(
            try run("stream-sample", "--header 4 --nth 9 \(first) \(last)").text
                == "h\n1\n2\nh\n3\n")
        let empty = try folder.write("", to: "c")
        #expect(try run("stream-sample", "--header 1 -n 0 \(empty) \(last)").text == "h\n")
    }

    // MARK: --keep

    private static let values =
        [
            "\"x\"", "\"5\"", "5", "5.0", "true", "null", "\"\"", "\"a=b\"",
            "\"g\\u0072\\u00f6\\/\"",
            "[1, 2]", "{\"b\":1}", "\"null\"",
        ].map { "{\"v\":\($0)}\n" }

    private static func keeps(_ value: String, _ chosen: Int...) -> Case {
        .sample(
            "--keep .v=\(value)", "-n 0 --keep .v=\(value)", values.joined(),
            output: chosen.map { values[$0] }.joined())
    }

    private static let kept: [Case] = [
        keeps("x", 0), keeps("5", 1, 2), keeps("5.0", 3), keeps("true", 4), keeps("", 6),
        keeps("a=b", 7), keeps("grö/", 8), keeps("{\"b\":1}", 10), keeps("null", 5, 11),
        keeps("X"), keeps("[1,2]"), keeps("\"5\"", 1), keeps("\"\"", 6), keeps("\"null\"", 11),
        keeps("\"grö/\"", 8), keeps("\"gr\\u00F6/\"", 8), keeps("\"x"), keeps("x\""),
        .sample(
            "--keep is no part of the sample", "--nth 2 --keep .k=a",
            "{\"k\":\"a\"}\n{\"n\":1}\n{\"k\":\"a\"}\n{\"n\":2}\n{\"n\":3}\n",
            output: "{\"k\":\"a\"}\n{\"n\":1}\n{\"k\":\"a\"}\n{\"n\":3}\n"),
        .sample(
            "several --keep", "-p 0 --keep .k=a --keep=/k=b --keep .=c",
            "{\"k\":\"a\"}\n\"c\"\n"
                + "{\"k\":\"b\"}\n{\"k\":\"c\"}\n",
            output: "{\"k\":\"a\"}\n\"c\"\n{\"k\":\"b\"}\n"),
        .sample(
            "'=' in a key in quotes", "-p 0 --keep .\"a=b\"=c", "{\"a=b\":\"c\"}\n{\"a\":\"b\"}\n",
            output: "{\"a=b\":\"c\"}\n"),
        .sample(
            "of equal keys the last one", "-p 0 --keep .a=2",
            "{\"a\":2,\"a\":1}\n{\"a\":1,\"a\":2}\n",
            output: "{\"a\":1,\"a\":2}\n"),
        .sample(
            "an escaped key", "-p 0 --keep .a.b=2", "{\"\\u0061\":{\"b\":\"\\u0032\"}}\n",
            output: "{\"\\u0061\":{\"b\":\"\\u0032\"}}\n"),
        .sample(
            "held lines come behind kept ones", "-n 9 --keep .=k", "1\n\"k\"\n2\n",
            output: "\"k\"\n1\n2\n"),
        .sample(
            "kept lines make no points", "--lttb 2 -y . --keep .=k", "1\n\"k\"\n2\n3\n",
            output: "\"k\"\n1\n3\n"),
        .sample("nor keys", "--latest . --keep .=k", "\"k\"\n\"k\"\n", output: "\"k\"\n\"k\"\n"),
        .sample(
            "nor changes", "--change .v --keep .k=1",
            "{\"v\":1}\n{\"k\":1,\"v\":2}\n{\"v\":1}\n", output: "{\"v\":1}\n{\"k\":1,\"v\":2}\n"),
        .sample(
            "nor use up a rate", "--rate 1/h --keep .=k", "\"k\"\n1\n2\n", output: "\"k\"\n1\n"),
        .sample(
            "--invert does not write them", "-p 0 --invert --keep .=k", "1\n\"k\"\n",
            output: "1\n"),
    ]

    /// A pointer has no quotes (RFC 6901), so this one ended nowhere: PATH=VALUE was expected.
    @Test func aQuoteInAPointerIsPartOfAKey() throws {
        let line = "{\"a\\\"b\":1,\"c\":1}\n"
        #expect(try run("stream-sample", "-p 0 --keep /a\"b=1", line).text == line)
        // It was one pointer, to a member `a"b,` of which c was a member.
        let lines = line + line.replacing("c\":1", with: "c\":2")
        #expect(try run("stream-sample", "--distinct /a\"b,/c", lines).text == lines)
    }

    // MARK: --annotate

    private static func annotates(_ line: String, _ output: String) -> Case {
        .sample("--annotate \(line)", "-p 1 --annotate r", line + "\n", output: output + "\n")
    }

    private static let annotated: [Case] = [
        annotates("{}", "{\"r\":1}"), annotates("{\"a\":1}", "{\"a\":1,\"r\":1}"),
        annotates(" \t{ \"a\" : 1 } \t", " \t{ \"a\" : 1 ,\"r\":1} \t"),
        annotates("{ \t }", "{ \t \"r\":1}"), annotates("{\"a\":{}}", "{\"a\":{},\"r\":1}"),
        annotates("{\"r\":2}", "{\"r\":2,\"r\":1}"), annotates("[{}]", "[{}]"),
        annotates("\"{}\"", "\"{}\""), annotates("null", "null"), annotates("}", "}"),
        annotates("{", "{"), annotates("{\"}\":\"{\"}", "{\"}\":\"{\",\"r\":1}"),
        .sample(
            "a name with escapes", "-p 1 --annotate a\"b\\c\u{1}é", "{}\n",
            output: "{\"a\\\"b\\\\c\\u0001é\":1}\n"),
        .sample(
            "-p", "-p 0.25 --seed 3 --annotate r", "{}\n{}\n{}\n{}\n",
            output: "{\"r\":0.25}\n{\"r\":0.25}\n"),
        .sample(
            "--nth", "--nth 2 --annotate r", "{}\n{}\n{}\n", output: "{\"r\":0.5}\n{\"r\":0.5}\n"),
        .sample(
            "-n", "-n 1 --by .a --annotate r", "{\"a\":1}\n{\"a\":2}\n{}\n{}\n{}\n{}\n",
            output: "{\"a\":1,\"r\":1}\n{\"a\":2,\"r\":1}\n{\"r\":0.25}\n"),
        .sample(
            "--latest", "--latest .a --annotate r", "{}\n{\"a\":1}\n{}\n",
            output: "{\"a\":1,\"r\":1}\n{\"r\":0.5}\n"),
        .sample(
            "--change", "--change .a --annotate r", "{}\n{}\n{\"a\":1}\n{\"a\":1}\n{}\n",
            output: "{\"r\":1}\n{\"a\":1,\"r\":0.5}\n{\"r\":0.5}\n"),
        .sample(
            "--rate", "--rate 1/s --time .t --annotate r",
            "{\"t\":0}\n{\"t\":0}\n{\"t\":0.9}\n{\"t\":0.99}\n{\"t\":1}\n",
            output: "{\"t\":0,\"r\":1}\n{\"t\":1,\"r\":0.25}\n"),
        .sample(
            "--first", "--first .a --every 1s --time .t --annotate r",
            "{\"t\":0}\n{\"t\":0}\n{\"t\":1}\n{\"t\":2}\n",
            output: "{\"t\":0,\"r\":1}\n{\"t\":1,\"r\":0.5}\n{\"t\":2,\"r\":1}\n"),
        .sample(
            "--lttb", "--lttb 2 -y .y --annotate r", (1...8).map { "{\"y\":\($0)}\n" }.joined(),
            output: "{\"y\":1,\"r\":0.25}\n{\"y\":8,\"r\":0.25}\n"),
        .sample(
            "--keep", "-n 1 --keep .a=1 --annotate r", "{\"a\":1}\n{}\n{}\n",
            output: "{\"a\":1,\"r\":1}\n{\"r\":0.5}\n"),
    ]

    @Test(arguments: SampleMethods.some) func annotatedLinesAreJSON(_ method: String) throws {
        let plain = try run("stream-sample", "\(method) --seed 5 access.jsonl")
        let result = try run("stream-sample", "\(method) --seed 5 --annotate \"r access.jsonl")
        #expect(isJSONLines(result.text))
        #expect(result.lines.count == plain.lines.count)
        for (line, annotated) in zip(plain.lines, result.lines) {
            #expect(
                annotated.hasPrefix(line.dropLast() + ",\"\\\"r\":") && annotated.hasSuffix("}"))
            let rate = object(annotated)["\"r"] as? Double ?? 0
            #expect(rate > 0 && rate <= 1)
        }
    }

    // MARK: --invert

    @Test(arguments: SampleMethods.some) func invertIsTheComplement(_ method: String) throws {
        let all = try Files.sample("access.jsonl").split(separator: "\n").map(String.init)
        for options in ["", "--keep .host=web-3 --keep .status=404"] {
            let arguments = "\(method) --seed 8 --stats \(options) access.jsonl"
            let sampled = try run("stream-sample", arguments)
            let others = try run("stream-sample", "--invert \(arguments)")
            #expect(sampled.ending == .exit(0) && others.ending == .exit(0))
            #expect(!sampled.lines.isEmpty && !others.lines.isEmpty)
            #expect((sampled.lines + others.lines).sorted() == all.sorted())
            #expect(sampled.addsUp() && others.addsUp())
            #expect(sampled.stats["records_in"] == all.count)
            #expect(sampled.stats["records_out"] == sampled.lines.count)
            #expect(others.stats["records_out"] == others.lines.count)
        }
    }

    @Test(arguments: [
        "--latest .duration --max-keys 3", "--latest .duration --max-memory 1K",
        "-n 1 --by .duration --max-keys 3", "--nth 2 --by .host --max-keys 1",
        "-n 1 --by .duration --weight .duration --max-keys 3", "--distinct .host --max-keys 2",
        "--m4 4 -y .duration --by .host --max-keys 2",
    ])
    func invertWithTooManyKeysOrTooMuchToHold(_ method: String) throws {
        let all = try Files.sample("access.jsonl").split(separator: "\n").map(String.init)
        let arguments = "\(method) --seed 8 -q --stats access.jsonl"
        let sampled = try run("stream-sample", arguments)
        let others = try run("stream-sample", "--invert \(arguments)")
        #expect((sampled.lines + others.lines).sorted() == all.sorted())
        #expect(sampled.addsUp() && others.addsUp())
        #expect(sampled.stats["evicted_keys"] ?? 0 > 0)
    }
}
