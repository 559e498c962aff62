import Testing

/// The command line.
@Suite struct OptionTests {
    @Test(arguments: rows + values + decodeValues + intervals) func parses(_ row: Case) throws {
        try row.check()
    }

    private static let three = "data: 1\n\ndata: 2\n\ndata: 3\n\n"

    private static func usage(_ tool: String, _ arguments: String, _ message: String) -> Case {
        Case(
            title: "\(tool) \(arguments)", tool: tool, arguments: arguments, input: "", output: "",
            status: 64, errors: "\(tool): \(message)\n")
    }

    private static let rows: [Case] =
        ["-n2", "-n 2", "--count=2", "--count 2", "--cou 2", "--cou=2", "-n 1 -n 2"].map {
            .decode($0, "-d \($0)", three, output: "1\n2\n")
        }
        + ["-dn2", "-qdn2", "-tqn 2", "-rdqn2 --no-progress", "- -dn2", "-dn2 -", "-dn2 --"].map {
            .decode($0, $0, three, output: "1\n2\n")
        } + [
            usage(
                "sse-decode", "--evnt x", "unknown option '--evnt', did you mean '--event'?"),
            // Nothing is near.
            usage("sse-encode", "--color", "unknown option '--color' (see --help)"),
            usage("sse-encode", "--gzp", "unknown option '--gzp', did you mean '--gzip'?"),
            usage("sse-encode", "--retri=1", "unknown option '--retri', did you mean '--retry'?"),
            usage("sse-decode", "-dY", "unknown option '-Y' (see --help)"),
            usage(
                "sse-decode", "--unti x",
                "option '--unti' is ambiguous: --until, --until-event"),
            usage(
                "sse-encode", "--da", "option '--da' is ambiguous: --data, --data-from"),
            usage("sse-decode", "--data=x", "option '--data' takes no argument"),
            usage("sse-decode", "--count", "option '--count' needs its COUNT"),
            usage("sse-decode", "-n", "option '-n' needs its COUNT"),
            .decode("an exact name is not ambiguous", "-d --until 2", three, output: "1\n"),
            .encode("nor is --data", "--data", "1", output: "data: 1\n\n"),
            .encode("a unique abbreviation", "--data-f . -d", "1", output: "data: 1\n\n"),
        ]

    private static let number = "expected a whole number from"
    private static let size = "expected a size such as 512, 64K, 1M or 5MB, not"
    private static let duration = "expected a duration such as 250ms, 30s, 5m or 1h30m, not"

    private static let intervals =
        ["sse-encode", "sse-decode", "stream-sample", "stream-batch", "stream-serve", "ws-cat"]
        .map {
            usage($0, "--metrics-interval 1s", "--metrics-interval needs --metrics-file")
        }

    private static let values: [Case] = [
        usage("sse-encode", "--retry x", "option '--retry': \(number) 0 to 999999999999, not 'x'"),
        usage(
            "sse-encode", "--retry -1", "option '--retry': \(number) 0 to 999999999999, not '-1'"),
        usage(
            "sse-encode", "--id-seq=1.5",
            "option '--id-seq': \(number) 0 to \(Int.max / 2), not '1.5'"),
        usage("sse-encode", "-z0", "option '-z': \(number) 1 to 9, not '0'"),
        usage("sse-encode", "--gzip=10", "option '--gzip': \(number) 1 to 9, not '10'"),
        usage("sse-encode", "--max-line=1XB", "option '--max-line': \(size) '1XB'"),
        usage("sse-encode", "--max-line=9999999T", "option '--max-line': \(size) '9999999T'"),
        usage(
            "sse-encode", "--max-line=0",
            "option '--max-line': expected a size from 1 to 1099511627776"),
        usage("sse-encode", "--heartbeat 5x", "option '--heartbeat': \(duration) '5x'"),
        usage("sse-encode", "--heartbeat=-1s", "option '--heartbeat': \(duration) '-1s'"),
        usage("sse-encode", "--heartbeat=", "option '--heartbeat': \(duration) ''"),
        usage(
            "sse-encode", "--heartbeat=0.5ms",
            "option '--heartbeat': expected 0, or a duration of at least 1ms"),
        usage(
            "sse-decode", "--max-wait=0",
            "option '--max-wait': expected a duration of at least 1ms"),
        usage(
            "sse-encode", "--on-error=halt",
            "option '--on-error': expected stop or skip, not 'halt'"),
        usage(
            "sse-encode", "--log-format=xml",
            "option '--log-format': expected text or json, not 'xml'"),
    ]

    private static let decodeValues: [Case] = [
        usage("sse-decode", "--get a", "option '--get': path 'a' must begin with '.' or '/'"),
        usage(
            "sse-decode", "-n 18446744073709551616",
            "option '-n': \(number) 0 up, not '18446744073709551616'"),
        usage("sse-decode", "--dedup=0", "option '--dedup': \(number) 1 to 100000000, not '0'"),
        usage("sse-decode", "--window=0", "option '--window': \(number) 1 to 1000000, not '0'"),
        usage("sse-decode", "--all -d", "--all needs --records or --json"),
        usage("sse-decode", "--window 2", "--window needs --reorder"),
        usage("sse-decode", "--join-wait 2s", "--join-wait needs --join-chunks"),
        usage("sse-decode", "--poll ws://h/", "a URL begins with http:// or https://"),
        usage("sse-decode", "--max-wait 2s", "--max-wait needs --reorder"),
        usage("sse-decode", "--late drop", "--late needs --reorder"),
        usage("sse-decode", "--reorder .n --by-keys 2", "--by-keys needs --by"),
        usage("sse-decode", "--idle-timeout 2s", "--idle-timeout needs a URL"),
        usage("sse-decode", "-H A:1 events", "--header needs a URL"),
        usage("sse-encode", "--heartbeat-event a", "--heartbeat-event needs --heartbeat"),
        usage("sse-encode", "--origin *", "--origin needs --http or --cgi"),
        usage(
            "sse-encode", "--http --origin h.example",
            "option '--origin': expected an origin, such as https://h.example, or *"),
        usage(
            "sse-encode", "--done-event end",
            "option '--done-event': expected NAME=DATA, not 'end'"),
        usage(
            "sse-encode", "--done-event end=",
            "option '--done-event': expected NAME=DATA, not 'end='"),
        .decode("durations add up", "-d --reorder .n --max-wait 1h30m", "", output: ""),
        .decode("a bare number is seconds", "-d --reorder .n --max-wait 0.5", "", output: ""),
    ]

    @Test(arguments: ["sse-encode", "sse-decode", "stream-sample", "stream-batch", "ws-cat"])
    func helpAndVersion(_ tool: String) throws {
        for option in ["--help", "-h", "--hel", "-dh"] {
            let help = try run(tool, option)
            #expect(help.ending == .exit(0))
            #expect(help.errors.isEmpty)
            #expect(help.text.hasPrefix("usage: \(tool) ["))
            for name in ["--records", "--max-line", "--rejects=FILE", "-z, --gzip[=LEVEL]"] {
                #expect(help.text.contains(name))
            }
            #expect(help.lines.allSatisfy { $0.count <= 80 })
            #expect(!help.text.contains("--print-"))
        }
        for option in ["--version", "-V"] {
            let version = try run(tool, option)
            #expect(version.text == "\(tool) (streamutils) 0.1.0\n")
            #expect(version.ending == .exit(0))
            #expect(version.errors.isEmpty)
        }
        let full = try shell("\(tool) --help > /dev/full")
        #expect(full.ending == .exit(74))
        #expect(full.errors == "\(tool): standard output: No space left on device\n")
        #expect(try shell("\(tool) --version > /dev/full").ending == .exit(74))
    }

    @Test func hiddenOptionsAreNotOffered() throws {
        let result = try run("sse-decode", "--print-m")
        #expect(result.ending == .exit(64))
        #expect(
            !result.errors.dropFirst("sse-decode: unknown option '--print-m'".count)
                .contains("print"))
    }

    @Test func aUsageErrorReadsAndWritesNothing() throws {
        let session = try start("sse-encode", "-d --http --frob")
        let result = session.finish()
        #expect(result.ending == .exit(64))
        #expect(result.output.isEmpty)
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test func anArgumentThatIsNoUTF8() throws {
        #expect(try shell("sse-decode \"$(printf '\\377')\"").ending == .exit(66))
        let named = try shell(
            "cd \"$(mktemp -d)\" && f=$(printf 'a\\377') && printf 'data: 1\\n\\n' > \"$f\""
                + " && sse-decode -d \"$f\"; s=$?; rm -r \"$PWD\"; exit $s")
        #expect(named.text == "1\n")
    }
}
