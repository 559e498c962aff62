import Testing

/// The command line of stream-sample: what goes together, and what is said where it does not.
@Suite struct SampleOptionTests {
    @Test(arguments: values + paths + together + methodErrors) func refuses(_ row: Case) throws {
        try row.check()
        #expect(row.errors.split(separator: "\n").count == 1)
    }

    @Test(arguments: accepted) func accepts(_ row: Case) throws { try row.check() }

    private static func usage(_ arguments: String, _ message: String) -> Case {
        .sample(
            arguments, arguments, "1\n", output: "", status: 64,
            errors: "stream-sample: \(message)\n")
    }

    // MARK: Values

    private static func values(
        _ option: String, _ expected: String, _ values: String..., method: String = ""
    ) -> [Case] {
        values.map {
            usage(
                "\(option)=\($0) \(method)", "option '\(option)': expected \(expected), not '\($0)'"
            )
        }
    }

    private static let rate = "a rate such as 100/s, 30/m or 1000/h"
    private static let share = "a number from 0 to 1, or 1%"
    private static let number = "a number of at least 0"

    private static func whole(_ range: String) -> String { "a whole number from \(range)" }

    private static let values: [Case] =
        values(
            "--probability", share, "2", "nan", "inf", "-0.1", "0x1p-3", "101%", "", "%", "1%%",
            "0,5", ".", "1e", "1.0000001", "½", "--")
        + values(
            "--rate", rate, "0", "10/x", "10/", "/s", "1/2/s", "1e10", "-1", "inf", "0x10", "",
            "0/s", "10s", "2000000000", "0.000000001/d", "10/S")
        + values("--adapt", rate, "0", "x", "1/w")
        + values("--count", whole("0 to \(1 << 40)"), "-1", "1.5", "x", "", "+1", "1e3", "10K")
        + values("--nth", whole("1 to \(1 << 60)"), "0", "-1", "x", "99999999999999999999")
        + values("--offset", whole("0 to \(1 << 60)"), "-1", "x", method: "--nth 3")
        + values("--burst", whole("1 to \(1 << 32)"), "0", "-1", "1.5", method: "--rate 1")
        + values("--lttb", whole("2 to \(1 << 32)"), "1", "0", "x")
        + values("--minmax", whole("2 to \(1 << 32)"), "1")
        + values("--m4", whole("4 to \(1 << 32)"), "3")
        + values("--seed", whole("0 up"), "-1", "x", "9223372036854775808", "")
        + values("--max-keys", whole("1 to \(1 << 30)"), "0", "x")
        + values("--header", whole("0 to \(1 << 32)"), "-1", "x")
        + values("--deadband", number, "-1", "nan", "inf", "x", "", "1e400", "--")
        + values("--time-unit", "auto or s or ms or us or ns", "m", "", "S")
        + values(
            "--every", "a duration such as 250ms, 30s, 5m or 1h30m", "x", "", "1w", "-1s", "101y")
        + [
            usage("--every=0 -n1", "option '--every': expected a duration of at least 1ms"),
            usage("--smoothing=1us", "option '--smoothing': expected a duration of at least 1ms"),
            usage("--max-memory=0", "option '--max-memory': expected a size from 1 to \(1 << 50)"),
            usage("-n", "option '-n' needs its COUNT"), usage("-p", "option '-p' needs its P"),
            usage("--latest", "option '--latest' needs its PATH[,PATH...]"),
            usage("--keep", "option '--keep' needs its PATH=VALUE"),
            usage("--invert=1", "option '--invert' takes no argument"),
        ]

    /// Hexadecimal numbers, which every other option refuses, were taken.
    @Test func aDeadbandIsADecimalNumber() throws {
        let result = try run("stream-sample", "--change . --deadband 0x1p-3", "1\n")
        #expect(result.ending == .exit(64))
        #expect(result.output.isEmpty)
    }

    // MARK: Paths

    private static let pathOptions = [
        "--latest", "--first", "--distinct", "--change", "--key", "--by", "--weight", "--x", "--y",
        "--time",
    ]

    private static let paths: [Case] =
        pathOptions.flatMap {
            [
                usage("\($0)=a", "option '\($0)': path 'a' must begin with '.' or '/'"),
                usage("\($0)=", "option '\($0)': path '' must begin with '.' or '/'"),
                usage("\($0)=.a..b", "option '\($0)': expected a key after '.' in path"),
            ]
        }
        + pathOptions.prefix(6).flatMap {
            [
                usage("\($0)=.a,", "option '\($0)': path '' must begin with '.' or '/'"),
                usage("\($0)=.a,b", "option '\($0)': path 'b' must begin with '.' or '/'"),
            ]
        } + [
            usage("--keep=a", "option '--keep': expected PATH=VALUE, not 'a'"),
            usage("--keep=.a", "option '--keep': expected PATH=VALUE, not '.a'"),
            usage("--keep=.\"a=b\"", "option '--keep': expected PATH=VALUE, not '.\"a=b\"'"),
            usage("--keep=", "option '--keep': expected PATH=VALUE, not ''"),
            usage("--keep==x", "option '--keep': path '' must begin with '.' or '/'"),
            usage("--keep=a=x", "option '--keep': path 'a' must begin with '.' or '/'"),
            usage(
                "--distinct=.[",
                "option '--distinct': expected an index (0, 1, …) or a string in [ ]"),
            usage("--distinct=/~", "option '--distinct': expected ~0 or ~1 in pointer"),
        ]

    /// `.status>=500` was the key `status>`, which no line has, and nothing was kept.
    @Test(arguments: [
        (".a>=5", ">="), (".a<=5", "<="), (".a!=5", "!="), (".a==5", "=="), (".a>5", ">"),
        (".a<5", "<"), (".a > 5", ">"), (".a == 5", "=="), (".a!~b", "!~"), (".a~=b", "~="),
        (".a.b>=5", ">="), ("/a>=5", ">="), ("/a!=5", "!="), (".\"x>\".a!=5", "!="),
    ])
    func operators(_ condition: String, _ name: String) throws {
        let result = try run("stream-sample", ["--keep", condition, "-p", "1"], "{\"a\":5}\n".utf8)
        #expect(result.ending == .exit(64))
        #expect(result.output.isEmpty)
        #expect(
            result.errors.hasPrefix(
                "stream-sample: option '--keep': expected PATH=VALUE, not '\(condition)': "))
        #expect(result.errors.contains("there are no operators such as \(name)"))
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test func noSpaceBeforeTheSign() throws {
        let result = try run("stream-sample", ["--keep", ".a = 5", "-p", "1"], "{\"a\":5}\n".utf8)
        #expect(result.ending == .exit(64))
        #expect(result.errors.contains("no space stands before the ="))
    }

    /// Keys and values that look like operators, in quotes or where they can be nothing else.
    @Test(arguments: [
        ".\"a>b\"=1", ".\"a=b\".\"!\"=1", "/a>b=1", ".[\"<=\"]=1", ".a=>", ".a=b==c",
        ".a=!", ".a=<5", ".a=\"==\"", ".\"a \"=1",
    ])
    func oddConditions(_ condition: String) throws {
        let result = try run("stream-sample", ["--keep", condition, "-p", "1"], "{}\n".utf8)
        #expect(result.ending == .exit(0), "\(result.errors)")
    }

    @Test func tooManyPaths() throws {
        let list = { (count: Int) in (0..<count).map { ".a\($0)" }.joined(separator: ",") }
        #expect(try run("stream-sample", "--distinct \(list(64))", "{}\n").text == "{}\n")
        let result = try run("stream-sample", "--distinct \(list(64)) --keep .b=1", "{}\n")
        #expect(result.ending == .exit(64))
        #expect(result.errors == "stream-sample: more than 64 paths\n")
        #expect(result.output.isEmpty)
    }

    // MARK: What goes together

    /// Each with the name that diagnostics call it.
    private static let methods = [
        ("-n", "-n 1"), ("-p", "-p 1"), ("--nth", "--nth 2"), ("--rate", "--rate 1"),
        ("--adapt", "--adapt 1"), ("--latest", "--latest ."), ("--first", "--first ."),
        ("--distinct", "--distinct ."), ("--change", "--change ."), ("--lttb", "--lttb 4"),
        ("--minmax", "--minmax 4"), ("--m4", "--m4 4"),
    ]

    private static let charts = "--lttb, --minmax, --m4"

    private static let modifiers = [
        ("--weight", "--weight .w", "-n"), ("--shuffle", "--shuffle", "-n"),
        ("--key", "--key .k", "-p"), ("--offset", "--offset 1", "--nth"),
        ("--burst", "--burst 1", "--rate"), ("--pace", "--pace", "--rate"),
        ("--smoothing", "--smoothing 1s", "--adapt"), ("--deadband", "--deadband 1", "--change"),
        ("-x", "-x .", charts), ("-y", "-y .", charts),
        ("--every", "--every 1s", "-n, --latest, --first, " + charts),
    ]

    /// Every pair of methods, and every modifier with each method that it does not go with.
    private static let methodErrors: [Case] =
        methods.indices.flatMap { first in
            methods[(first + 1)...].map { other in
                usage(
                    "\(methods[first].1) \(other.1)",
                    "\(methods[first].0) and \(other.0) exclude each other: one method a run")
            }
        }
        + modifiers.flatMap { modifier in
            methods.filter { !modifier.2.components.contains($0.0) }.map { method in
                usage(
                    "\(method.1) \(modifier.1)",
                    "\(modifier.0) needs \(modifier.2), not \(method.0)")
            }
        }

    private static let together: [Case] =
        [
            usage("", "expected a method: -n, -p, --nth, --rate or another (see --help)"),
            usage("--by .k", "expected a method: -n, -p, --nth, --rate or another (see --help)"),
            usage("-n1 -p1 --nth 2", "-n and -p and --nth exclude each other: one method a run"),
            usage("--nth 3 --offset 3", "--offset must be less than 3, the N of --nth"),
            usage("--offset 1 --nth 1", "--offset must be less than 1, the N of --nth"),
            usage("--lttb 3 -x .", "--lttb needs -y"), usage("--m4 4", "--m4 needs -y"),
            usage(
                "-p 1 --key . --by .", "--by and --key exclude each other: the keys have no state"),
            usage("-p 1 --invert --annotate r", "--invert excludes --annotate and --pace"),
            usage("--rate 1 --pace --invert", "--invert excludes --annotate and --pace"),
            usage(
                "--rate 1 --pace --time .", "--pace goes by the clock, so it excludes --time"),
        ]
        + ["-n 1", "-p 1", "--nth 2", "--latest .", "--distinct .", "--change .", "--m4 4 -y ."].map
    {
        usage("\($0) --time .t", "--time needs --every, --rate or --adapt")
    }
        + [
            "-n 1 --by .a", "-n 1 --weight .", "-p 1 --key /a", "--latest .[0]", "--first .,.a",
            "--distinct .a", "--change .a", "--change . --deadband 1", "--lttb 3 -y .",
            "-n 1 --keep .a=1", "-n 1 --strict", "--rate 1 --time .", "-p 1 --annotate r",
        ].map {
            usage("-t \($0)", "--text has no values to read: '.', the line, is the only path")
        }

    /// They were taken without a word, although they change nothing.
    @Test(arguments: ["--time-unit ms", "--max-gap 1d"])
    func whatNeedsATime(_ option: String) throws {
        let result = try run("stream-sample", "--rate 1/s \(option)", "1\n")
        #expect(result.ending == .exit(64))
        #expect(result.output.isEmpty)
    }

    // MARK: Spelling

    private static let digits = "1\n2\n3\n4\n5\n"

    private static let accepted: [Case] =
        [
            "-n5", "-n 5", "--count=5", "--count 5", "--cou=5",
            "-dn5", "-rdn 5", "-tqn5", "-qdn5 --no-progress", "-n 1 -n 5", "- -n5", "-n5 --",
            "-n5 -- -", "-p 1%  -p100%", "-dp1", "-p1.0", "-p 1e0", "-p+1", "-p .1e1", "--prob 1",
            "-n5 --seed 9223372036854775807", "--adap 1000000000", "--rate 60000000/m",
            "--rate=24000000000/d", "--rate 500.5", "--rate 1e3/s", "--dist .", "--ch .",
            "--late .",
            "--nth 2 --nth 1", "-n5 --every 1h30m", "-n5 --max-k 1 --max-mem 1K",
            "-n5 --time-unit auto --by . --every 1h --time .", "--first . --first .",
            "--keep .=1 -p1", "--keep=.=x -p 1", "-n 1099511627776",
        ].map { .sample($0, $0, digits, output: digits) }
        + [
            .sample("a small share", "-p 1e-300", digits, output: ""),
            .sample("a share that is no Double", "-p 1e-400", digits, output: ""),
            .sample("-0", "-p -0", digits, output: ""),
            .sample("the last one counts", "-n5 -n0", digits, output: ""),
            .sample("so with paths", "--distinct . --distinct .a", digits, output: "1\n"),
            .sample("or of -p", "-p 1 -p 0", digits, output: ""),
            usage("--key .k", "expected a method: -n, -p, --nth, --rate or another (see --help)"),
            usage("--n 1", "option '--n' is ambiguous: --nth, --no-progress"),
            usage("--ke . -p1", "option '--ke' is ambiguous: --key, --keep"),
            usage("--minmx 2", "unknown option '--minmx', did you mean '--minmax'?"),
            usage("--lastest .", "unknown option '--lastest', did you mean '--latest'?"),
            usage("-dX", "unknown option '-X' (see --help)"),
        ]

    @Test func aUsageErrorReadsAndWritesNothing() throws {
        for arguments in ["-n 1 -p 1", "--rate x", "", "-p 1 --rejects /nonexistent/x --key"] {
            let session = try start("stream-sample", arguments)
            let result = session.finish()
            #expect(result.ending == .exit(64))
            #expect(result.output.isEmpty)
            #expect(result.errors.split(separator: "\n").count == 1)
        }
    }
}

extension String {
    /// The names in a list with commas.
    fileprivate var components: [String] {
        replacing(",", with: "").split(separator: " ").map(String.init)
    }
}
