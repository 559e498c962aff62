import Testing

/// stream-batch --aggregate: what each function makes of a batch.
@Suite(.serialized) struct AggregateToolTests {
    private static let input = """
        {"k":"a","n":0.1,"s":"x"}
        {"k":"b","n":"0.20","s":"y"}
        {"k":"a","n":3e0,"s":"x"}
        {"k":"a","n":null,"s":null}
        {"k":"b"}
        {"k":"a","n":-4,"s":{"z": 1}}

        """

    /// The aggregates, behind which all lines are one batch, and what comes of them.
    private static let rows: [(String, String)] = [
        ("count", #"{"count":6}"#), ("count(.n)", #"{"count_n":4}"#),
        ("sum(.n)", #"{"sum_n":-0.7}"#), ("mean(.n)", #"{"mean_n":-0.175}"#),
        ("min(.n)", #"{"min_n":-4}"#), ("max(.n)", #"{"max_n":3e0}"#),
        ("first(.s)", #"{"first_s":"x"}"#), ("last(.s)", #"{"last_s":{"z": 1}}"#),
        ("distinct(.s)", #"{"distinct_s":3}"#), ("distinct(.k)", #"{"distinct_k":2}"#),
        ("p0(.n)", #"{"p0_n":-4}"#), ("p100(.n)", #"{"p100_n":3e0}"#),
        ("t=top(.s,1)", #"{"t":[{"value":"x","count":2}]}"#),
        (
            "top(.k)",
            #"{"top_k":[{"value":"a","count":4},{"value":"b","count":2}]}"#
        ),
        (
            "h=histogram(.n,0,1)",
            #"{"h":[{"le":0,"count":1},{"le":1,"count":2},{"le":null,"count":1}]}"#
        ),
        ("sum(.none)", #"{"sum_none":null}"#), ("mean(.none)", #"{"mean_none":null}"#),
        ("median(.none)", #"{"median_none":null}"#), ("stddev(.none)", #"{"stddev_none":null}"#),
        ("first(.none)", #"{"first_none":null}"#), ("count(.none)", #"{"count_none":0}"#),
    ]

    @Test(arguments: rows) func ofOneBatch(_ aggregate: String, _ output: String) throws {
        let result = try run("stream-batch", ["-a", aggregate], Self.input.utf8)
        #expect(result.text == output + "\n")
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
    }

    @Test func escapedNumbers() throws {
        let input = [#"{"n":"\u0032"}"#, #"{"n":"1\u0030"}"#, #"{"n":"\ud800"}"#]
            .map { $0 + "\n" }.joined()
        let result = try run(
            "stream-batch", words("-q -a sum(.n) -a max(.n) -a h=histogram(.n,5)"), input.utf8)
        #expect(
            result.text == #"{"sum_n":12,"max_n":10,"h":[{"le":5,"count":1},"#
                + #"{"le":null,"count":1}]}"# + "\n")
    }

    /// The rate of a window that begins before 1970 was that of the rest of it.
    @Test func rateOfTheFirstWindow() throws {
        let result = try run(
            "stream-batch", "--time . -t 10s --offset=-5s -a rate", "1\n2\n6\n")
        #expect(result.lines.map { $0.hasSuffix("\"rate\":0.2}") } == [true, false])
    }

    @Test func inTheirOrderBehindTheKey() throws {
        let result = try run(
            "stream-batch",
            words("-k .k -a max(.n) -a count -a sum=sum(.n) -a m=min(.n)"), Self.input.utf8)
        #expect(
            result.text == """
                {"key":"a","max_n":3e0,"count":4,"sum":-0.9,"m":-4}
                {"key":"b","max_n":0.20,"count":2,"sum":0.2,"m":0.20}

                """)
    }

    @Test func exactSums() throws {
        let lines = (0..<1000).map { _ in "0.1\n" }.joined() + "1e-18\n123456789012345678\n"
        let result = try run("stream-batch", ["-a", "sum(.)", "-a", "count(.)"], lines.utf8)
        #expect(
            result.text == #"{"sum":123456789012345778.000000000000000001,"count":1002}"# + "\n")
    }

    @Test func quantilesAreAsCloseAsAsked() throws {
        let lines = numbers(1...10_000)
        for (options, share) in [
            ("", 0.01), ("--quantile-error 0.1%", 0.001),
            ("--quantile-error 20%", 0.2),
        ] {
            let result = try run(
                "stream-batch",
                words("-a median(.) -a p90(.) -a p99(.) -a p99.9(.) -a stddev(.) " + options),
                lines.utf8)
            let values = object(result.text)
            for (name, value) in [
                ("median", 5000.0), ("p90", 9000), ("p99", 9900),
                ("p99.9", 9990),
            ] {
                let found = try #require(values[name] as? Double)
                #expect(abs(found - value) <= value * share + 1, "\(name) \(options)")
            }
            let deviation = try #require(values["stddev"] as? Double)
            #expect(abs(deviation - 2886.8956799) < 1e-6)
        }
    }

    @Test func manyDifferentValues() throws {
        let lines = (1...50_000).map { "\"v\($0)\"\n" }.joined()
        let result = try run("stream-batch", ["-a", "distinct(.)"], lines.utf8)
        let count = try #require(object(result.text)["distinct"] as? Int)
        // Five standard errors.
        #expect(abs(count - 50_000) < 2025)
    }

    @Test func theRateOfAWindow() throws {
        let lines = (0..<25).map { "{\"t\":\($0)}\n" }.joined()
        let result = try run(
            "stream-batch", words("--time .t -t 10s -a rate -a n=count"), lines.utf8)
        #expect(result.lines.map { object($0)["rate"] as? Double } == [1, 1, 0.5])
        #expect(result.lines.map { object($0)["n"] as? Int } == [10, 10, 5])
        #expect(
            result.lines[0].hasPrefix(
                #"{"from":"1970-01-01T00:00:00.000Z","to":"1970-01-01T00:00:10.000Z","rate":1,"#))
    }

    // MARK: Forms

    @Test(arguments: [
        ("", #"{"key":1,"count":2}"#), ("-f array", #"{"key":1,"count":2}"#),
        ("-f json-seq", "\u{1E}" + #"{"key":1,"count":2}"#),
        (
            "--time .t -t 10s",
            #"{"key":1,"from":"1970-01-01T00:00:00.000Z","to":"1970-01-01T00:00:10.000Z","#
                + #""count":2}"#
        ),
        (
            "-f object --time .t -t 10s",
            #"{"key":1,"seq":1,"from":"1970-01-01T00:00:00.000Z","#
                + #""to":"1970-01-01T00:00:10.000Z","count":2}"#
        ),
        (
            "--time .t -i 10s",
            #"{"key":1,"from":"1970-01-01T00:00:05.000Z","to":"1970-01-01T00:00:06.000Z","#
                + #""count":2}"#
        ),
    ]) func formats(_ options: String, _ output: String) throws {
        let lines = "{\"k\":1,\"t\":5}\n{\"k\":1,\"t\":6}\n"
        let result = try run("stream-batch", words("-k .k -a count " + options), lines.utf8)
        #expect(result.text == output + "\n")
        #expect(result.ending == .exit(0))
    }

    @Test func slidingWindowsShareLines() throws {
        let lines = (0..<4).map { "{\"t\":\($0)}\n" }.joined()
        let result = try run(
            "stream-batch", words("--time .t -t 2s --sliding 1s -a sum(.t) -a count"), lines.utf8)
        #expect(result.lines.map { object($0)["sum_t"] as? Int } == [0, 1, 3, 5, 3])
        #expect(result.lines.map { object($0)["count"] as? Int } == [1, 2, 2, 2, 1])
    }

    @Test func sessionsThatBecomeOne() throws {
        let lines = [1, 9, 5].map { "{\"t\":\($0)}\n" }.joined()
        let result = try run(
            "stream-batch",
            words("--time .t -i 5s --late 1h -a sum(.t) -a count -a first(.t) -a last(.t)"),
            lines.utf8)
        #expect(result.lines.count == 1)
        let batch = object(result.text)
        #expect(batch["sum_t"] as? Int == 15)
        #expect(batch["count"] as? Int == 3)
    }

    @Test func batchesOfACount() throws {
        let result = try run("stream-batch", words("-n 2 -a sum(.)"), numbers(1...5).utf8)
        #expect(result.text == "{\"sum\":3}\n{\"sum\":7}\n{\"sum\":5}\n")
    }

    @Test func aCommandGetsTheResult() throws {
        let place = try Workplace()
        let result = try place.run(
            "-n 2 -k .k -a count -a sum(.n)", "echo $BATCH_SEQ $BATCH_COUNT $BATCH_KEY; cat",
            "{\"k\":\"x\",\"n\":1}\n{\"k\":\"y\",\"n\":2}\n{\"k\":\"x\",\"n\":3}\n")
        #expect(
            result.text == """
                1 2 x
                {"key":"x","count":2,"sum_n":4}
                2 1 y
                {"key":"y","count":1,"sum_n":2}

                """)
    }

    // MARK: What is no number

    @Test func valuesThatAreNoNumbersAreToldOnce() throws {
        let lines =
            "{\"n\":1}\n{\"n\":\"x\"}\n{\"n\":[]}\n{\"n\":null}\n{}\n{\"n\":true}\n{\"n\":2}\n"
        let result = try run(
            "stream-batch", words("-a sum(.n) -a count(.n) -a first(.n) --stats"), lines.utf8)
        #expect(result.text == #"{"sum_n":3,"count_n":5,"first_n":1}"# + "\n")
        #expect(result.ending == .exit(0))
        #expect(result.counter("not_numbers") == 3)
        let told = result.errors.split(separator: "\n").filter { $0.contains("not a number") }
        #expect(
            told == [
                "stream-batch: -:2:6: not a number at .n, so passed over (the first one)"
            ])
        #expect(result.errors.contains("stream-batch: values that were no numbers: 3\n"))
    }

    @Test func whereNoNumberIsWantedNothingIsTold() throws {
        let result = try run(
            "stream-batch", words("-a count(.) -a first(.) -a distinct(.) -a top(.)"),
            "\"x\"\n[1]\n".utf8)
        #expect(result.errors.isEmpty)
        #expect(result.ending == .exit(0))
    }

    // MARK: Refused

    @Test(arguments: [
        "", "sum", "sum()", "sum(.a", "sum(.a))", "sum(.a,.b)", "sum(a b)", "average(.a)", "=count",
        "rate(.a)", "count(.a,2)", "p(.a)", "p101(.a)", "p-1(.a)", "top(.a,0)", "top(.a,10001)",
        "top(.a,x)", "histogram()", "histogram(.a,2,1)", "histogram(.a,x)", "key=count",
        "seq=count",
        "from=count", "to=count", "median",
    ]) func refused(_ aggregate: String) throws {
        let result = try run("stream-batch", ["-a", aggregate], "1\n".utf8)
        #expect(result.ending == .exit(64), "\(aggregate)")
        #expect(result.output.isEmpty)
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test(arguments: [
        "-a count -a count", "-a sum(.a) -a sum_a=count", "-a count -f lines",
        "--quantile-error 1%",
        "-a count --quantile-error 60%", "-a sum(.) --text", "-a sum(.) --no-validate",
    ]) func refusedTogether(_ options: String) throws {
        let result = try run("stream-batch", words(options), "1\n".utf8)
        #expect(result.ending == .exit(64), "\(options)")
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    /// An exponent without a magnitude ended the tool.
    @Test(arguments: ["sum(.)", "mean(.)", "min(.)", "p99(.)", "histogram(.)", "stddev(.)"])
    func exponents(_ aggregate: String) throws {
        for power in ["-9223372036854775808", "-9223372036854775809", "9223372036854775807"] {
            let result = try run(
                "stream-batch", ["-a", aggregate], "1e\(power)\n0e\(power)\n".utf8)
            #expect(result.ending == .exit(0), "\(power)")
            #expect(isJSONLines(result.text))
        }
    }

    @Test func linesOfTextAreCounted() throws {
        #expect(try run("stream-batch", "--text -a count", "a\n\nb\n").text == "{\"count\":3}\n")
    }
}
