import Testing

/// The command line of stream-batch: what goes together, and what is said where it does not.
@Suite struct BatchOptionTests {
    @Test(arguments: values + paths + together + withCommands) func refuses(_ row: Case) throws {
        try row.check()
        #expect(row.errors.split(separator: "\n").count == 1)
    }

    @Test(arguments: accepted) func accepts(_ row: Case) throws { try row.check() }

    private static func usage(_ arguments: String, _ message: String) -> Case {
        .batch(
            arguments, arguments, "1\n", output: "", status: 64,
            errors: "stream-batch: \(message)\n")
    }

    // MARK: Values

    private static func values(
        _ option: String, _ expected: String, _ values: String..., others: String = ""
    ) -> [Case] {
        values.map {
            usage(
                "\(option)=\($0) \(others)", "option '\(option)': expected \(expected), not '\($0)'"
            )
        }
    }

    private static func whole(_ range: String) -> String { "a whole number from \(range)" }

    private static let size = "a size such as 512, 64K, 1M or 5MB"
    private static let duration = "a duration such as 250ms, 30s, 5m or 1h30m"

    private static let values: [Case] =
        values("--count", whole("1 to \(1 << 40)"), "0", "-1", "1.5", "x", "", "+1", "1e3", "10K")
        + values("--max-bytes", size, "x", "", "-1", "1XB", "1.5M", "99999999T")
        + values("--max-memory", size, "x", "1k")
        + values("--max-keys", whole("1 to \(1 << 30)"), "0", "x")
        + values("--max-age", duration, "x", "", "1w", "-1s", "101y")
        + values("--idle", duration, "soon")
        + values("--sliding", duration, "x", others: "-t 1h")
        + values("--late", duration, "x", others: "--time . -t 1")
        + values("--max-gap", duration, "1y", others: "--time . -t 1")
        + values("--offset", duration, "x", "1w", others: "--time . -t 1")
        + values("--idle-close", duration, "x", others: "--time . -t 1")
        + values("--watermark-idle", duration, "x", others: "--time . -t 1 --watermark-by .k")
        + values("--watermark-keys", whole("1 to 1000000"), "0", others: "--time . -t 1")
        + values("--by-keys", whole("1 to 1000000"), "0", others: "--reorder .")
        + values(
            "--time-zone", "a time zone such as UTC, +01:00 or Europe/Berlin", "", "+1", "+24:00",
            "+01:60", "../UTC", "/etc/passwd", "Europe/", "+0१00", others: "--time . -t 1")
        + values("--dedup-for", duration, "x", others: "--dedup .")
        + values("--max-wait", duration, "x", others: "--reorder .")
        + values("--dedup-keys", whole("1 to 100000000"), "0", "x", others: "--dedup .")
        + values("--window", whole("1 to 1000000"), "0", others: "--reorder .")
        + values("--join-chunks", whole("1 to 100000"), "0", "x", "")
        + values("--time-unit", "auto or s or ms or us or ns", "m", "", "S")
        + values("--format", "array or lines or json-seq or object", "json", "", "Array")
        + values("--oversize", "alone or reject", "split", "", others: "-b 1")
        + [
            usage("--max-bytes=0", "option '--max-bytes': expected a size from 1 to \(1 << 40)"),
            usage("--max-memory=0", "option '--max-memory': expected a size from 1 to \(1 << 50)"),
            usage("-t 0", "option '-t': expected a duration of at least 1ms"),
            usage("-i 1us", "option '-i': expected a duration of at least 1ms"),
            usage("-n", "option '-n' needs its COUNT"),
            usage("-b", "option '-b' needs its SIZE"),
            usage("-k", "option '-k' needs its PATH[,PATH...]"),
            usage("--when", "option '--when' needs its PATH=VALUE"),
            usage("--no-validate=1", "option '--no-validate' takes no argument"),
            usage(
                "--quantile-error 0 -a count",
                "option '--quantile-error': expected a share from 0.01% to 50%"),
        ]

    // MARK: Paths

    private static let paths: [Case] =
        ["-k", "--when-changed", "--time", "--dedup", "--reorder"].flatMap {
            [
                usage("\($0) a", "option '\($0)': path 'a' must begin with '.' or '/'"),
                usage("\($0) .a..b", "option '\($0)': expected a key after '.' in path"),
            ]
        } + [
            usage("-k .a,", "option '-k': path '' must begin with '.' or '/'"),
            usage(
                "--when-changed .a,b",
                "option '--when-changed': path 'b' must begin with '.' or '/'"),
            usage("--when a", "option '--when': expected PATH=VALUE, not 'a'"),
            usage("--when .a", "option '--when': expected PATH=VALUE, not '.a'"),
            usage("--when=", "option '--when': expected PATH=VALUE, not ''"),
            usage("--when=a=x", "option '--when': path 'a' must begin with '.' or '/'"),
            usage("--when .\"a=b\"", "option '--when': expected PATH=VALUE, not '.\"a=b\"'"),
        ]

    /// `.status>=500` was the key `status>`, which no line has, and nothing was ended.
    @Test(arguments: [
        (".a>=5", ">="), (".a<=5", "<="), (".a!=5", "!="), (".a==5", "=="), (".a>5", ">"),
        (".a<5", "<"), (".a > 5", ">"), (".a == 5", "=="), (".a!~b", "!~"), (".a~=b", "~="),
        (".a.b>=5", ">="), ("/a>=5", ">="), ("/a!=5", "!="), (".\"x>\".a!=5", "!="),
    ])
    func operators(_ condition: String, _ name: String) throws {
        let result = try run("stream-batch", ["--when", condition], "{\"a\":5}\n".utf8)
        #expect(result.ending == .exit(64))
        #expect(result.output.isEmpty)
        #expect(
            result.errors.hasPrefix(
                "stream-batch: option '--when': expected PATH=VALUE, not '\(condition)': "))
        #expect(result.errors.contains("there are no operators such as \(name)"))
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test func noSpaceBeforeTheSign() throws {
        let result = try run("stream-batch", ["--when", ".a = 5"], "{\"a\":5}\n".utf8)
        #expect(result.ending == .exit(64))
        #expect(result.errors.contains("no space stands before the ="))
    }

    /// Keys and values that look like operators, in quotes or where they can be nothing else.
    @Test(arguments: [
        ".\"a>b\"=1", ".\"a=b\".\"!\"=1", "/a>b=1", ".[\"<=\"]=1", ".a=>", ".a=b==c",
        ".a=!", ".a=<5", ".a=\"==\"", ".\"a \"=1",
    ])
    func oddConditions(_ condition: String) throws {
        let result = try run("stream-batch", ["--when", condition], "{}\n".utf8)
        #expect(result.ending == .exit(0), "\(result.errors)")
    }

    @Test func tooManyPaths() throws {
        let list = { (count: Int) in (0..<count).map { ".a\($0)" }.joined(separator: ",") }
        #expect(try run("stream-batch", "-k \(list(64))", "{}\n").text == "[{}]\n")
        for more in ["--when .b=1", "--when-changed .b", "--dedup .b", "--time . -t 1"] {
            let result = try run("stream-batch", "-k \(list(64)) \(more)", "{}\n")
            #expect(result.ending == .exit(64))
            #expect(result.errors == "stream-batch: more than 64 paths\n")
            #expect(result.output.isEmpty)
        }
    }

    // MARK: What goes together

    private static let noValues =
        "--text has no values to read: '.', the line, is the only path"
    private static let unchecked = "--no-validate excludes options that read values"
    private static let noTime = "--time needs -t, the length of windows, or -i, the gap of sessions"

    private static let together: [Case] =
        [
            usage("--oversize reject", "--oversize needs --max-bytes"),
            usage("--oversize alone -n 1", "--oversize needs --max-bytes"),
            usage("--journal-sync -x cat", "--journal-sync needs --journal"),
            usage("--resume -x cat", "--resume needs --journal"),
            usage("--late 1s", "--late needs --time"),
            usage("--late 1s -t 2s --sliding 1s", "--late needs --time"),
            usage("--time-unit ms -t 1s", "--time-unit needs --time"),
            usage("--time-zone Z -t 1s", "--time-zone needs --time"),
            usage("--idle-close 1s -t 1s", "--idle-close needs --time"),
            usage("--watermark-by .k -t 1s", "--watermark-by needs --time"),
            usage("--watermark-idle 1s --time . -t 1s", "--watermark-idle needs --watermark-by"),
            usage("--watermark-keys 1 --time . -t 1s", "--watermark-keys needs --watermark-by"),
            usage("--offset 1s -t 1s", "--offset needs --time or --sliding"),
            usage("--offset 1s --time . -i 1s", "--offset needs --time or --sliding"),
            usage("--by .k", "--by needs --reorder"),
            usage("--by-keys 1 --reorder .", "--by-keys needs --by"),
            usage(
                "--time . -t 1 --time-zone Europe/Atlantis",
                "option '--time-zone': there is no time zone 'Europe/Atlantis' in"
                    + " /usr/share/zoneinfo"),
            usage("--max-gap 1d -i 1s", "--max-gap needs --time"),
            usage("--separator x", "--separator needs --format=lines"),
            usage("--separator x -f object", "--separator needs --format=lines"),
            usage("--separator x -f lines -f array", "--separator needs --format=lines"),
            usage("--quantile-error 1%", "--quantile-error needs --aggregate"),
            usage("--dedup-keys 1", "--dedup-keys needs --dedup"),
            usage("--dedup-for 1s", "--dedup-for needs --dedup"),
            usage("--window 1", "--window needs --reorder"),
            usage("--max-wait 1s", "--max-wait needs --reorder"),
            usage("--time .t", noTime), usage("--time .t -n 1", noTime),
            usage(
                "--time .t -t 1s -i 1s",
                "with --time, -t and -i exclude each other: windows or sessions"),
            usage(
                "--sliding 1s", "--sliding needs -t, a multiple of it: the length of a window"),
            usage(
                "--sliding 1s --time . -i 1",
                "--sliding needs -t, a multiple of it: the length of a window"),
            usage(
                "--sliding 2s -t 3s", "--sliding needs -t, a multiple of it: the length of a window"
            ),
            usage(
                "--sliding 2s -t 1s", "--sliding needs -t, a multiple of it: the length of a window"
            ),
            usage("--sliding 1s -t 2s -i 1s", "--sliding and -i exclude each other"),
            usage(
                "--sliding 1ms -t 1001ms",
                "a line would be in more than 1000 windows of --sliding"),
            usage("-a count -f lines", "--aggregate writes objects, not --format=lines"),
        ]
        + [
            "-k .a", "-k .,.a", "--when-changed .a", "--when .a=1", "--dedup .a", "--reorder .",
            "--time . -t 1", "--join-chunks",
        ].map { usage("--text \($0)", noValues) }
        + [
            "-k .", "--when-changed .", "--when .=1", "--dedup .", "--reorder .",
            "--time . -t 1", "--join-chunks",
        ].map { usage("--no-validate \($0)", unchecked) }

    private static let deliveries = [
        "--jobs 2", "-j 2", "--keep-order", "--timeout 1s", "--kill-after 1s", "--max-output 1M",
        "--max-queue 1", "--grace 1s", "--retries 1", "--backoff 1s..2s", "--permanent 1",
        "--bisect", "--dead-letter /nonexistent/x", "--spill-dir /tmp", "--breaker 5:30s",
        "--journal /nonexistent/x",
    ]

    private static let withCommands: [Case] =
        deliveries.map { option in
            let name = words(option)[0] == "-j" ? "--jobs" : words(option)[0]
            return usage(option, "\(name) needs a command: -x LINE, or -- COMMAND at the end")
        } + [
            usage("-x cat -- cat", "-x and a command behind -- exclude each other"),
            usage(
                "-x cat -a count --bisect", "--aggregate and --bisect exclude each other"),
        ]
        + ["-t 2s --sliding 1s", "--reorder .", "--join-chunks"].map {
            usage(
                "--journal /nonexistent/x \($0) -- cat",
                "--journal excludes --sliding, --reorder and --join-chunks")
        }

    // MARK: Spelling

    private static let accepted: [Case] =
        [
            "-n5", "-n 5", "--count=5", "--count 5", "--cou=5", "-dn5", "-rdn 5", "-qdn5 -",
            "- -n5 --no-progress", "-n 1 -n 5", "-b1M", "-b 1K -t 1h30m -i 100d",
            "--max-b 1K --max-a 1h", "--when .=5", "--when=.=x=y", "--late 0.001 --time . -t 1h",
            "--time . -i 10 --time-unit auto --max-gap 10", "--dedup .a --dedup-keys 1",
            "--reorder . --window 1 --max-wait 1ms", "--join-chunks --join-chunks=1",
            "-b 1M --oversize=alone", "-k .k --max-keys 1 --max-memory 1T", "--no-valid",
            "-f lines -f array", "--max-line 1 --max-depth 1",
        ].map {
            .batch($0, $0, "1\n2\n3\n4\n5\n", output: "[1,2,3,4,5]\n")
        } + [
            .batch("the last one counts", "-n5 -n2", "1\n2\n3\n", output: "[1,2]\n[3]\n"),
            .batch(
                "several --when", "--when .=1 --when .=2", "1\n2\n3\n", output: "[1]\n[2]\n[3]\n"),
            .batch(
                "--text's only path", "--text -k . --dedup . --when .=x", "b\n", output: "[\"b\"]\n"
            ),
            usage(
                "--forma lines --n 1",
                "option '--n' is ambiguous: --no-newline, --no-validate, --no-progress"),
            usage("--ded .", "option '--ded' is ambiguous: --dedup, --dedup-keys, --dedup-for"),
            usage("--tme .", "unknown option '--tme', did you mean '--time'?"),
            usage("--formt x", "unknown option '--formt', did you mean '--format'?"),
            usage("-dX", "unknown option '-X' (see --help)"),
        ]

    @Test func aUsageErrorReadsAndWritesNothing() throws {
        for arguments in ["--late 1s", "-n x", "--sliding 1s", "--text -k .a"] {
            let session = try start("stream-batch", arguments)
            let result = session.finish()
            #expect(result.ending == .exit(64))
            #expect(result.output.isEmpty)
            #expect(result.errors.split(separator: "\n").count == 1)
        }
    }
}
