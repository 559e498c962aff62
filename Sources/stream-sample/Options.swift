import StreamCodec
import StreamTool

/// What chooses the lines: one of these a run.
enum Method {
    case count(Int)
    case probability(Double)
    case nth(Int)
    case rate(Rate)
    case adapt(Rate)
    case latest, first, distinct, change
    case chart(Chart.Algorithm, Int)
}

struct SampleOptions: ToolSettings {
    var common = CommonOptions()
    /// Lines are text, not JSON: a blank line is a line.
    var isText = false
    var isStrict = false
    var headerLines = 0
    /// The methods that were given, by their options.
    private var methods: [(option: String, method: Method)] = []
    /// Options that go with some methods only.
    private var modifiers: [Modifier] = []

    /// The paths of --key, --latest, --first and --distinct.
    var keys: [JSONPath] = []
    /// The paths are those of --key, whose keys have no state.
    var hashesKeys = false
    var weight: JSONPath?
    var isShuffled = false
    var offset = 0
    var burst: Int?
    var isPaced = false
    /// Nanoseconds.
    var smoothing: UInt64 = 5_000_000_000
    var change: [JSONPath] = []
    var deadband: Double?
    var x: JSONPath?
    var y: JSONPath?
    /// Nanoseconds.
    var every: UInt64?

    var by: [JSONPath] = []
    var maxKeys = 100_000
    var maxMemory = 1 << 30
    var keep: [Condition] = []
    var seed: Int?
    var annotation: String?
    var isInverted = false
    var time: JSONPath?
    var timeUnit = Timestamp.Unit.auto
    /// Of dates that do not say theirs; nil: UTC.
    var zone: Timestamp.Zone?
    /// Nanoseconds; nil: a year.
    var maxGap: UInt64?

    /// An option that needs one of these methods.
    private struct Modifier {
        var option: String
        var methods: [String]
    }

    mutating func choose(_ option: String, _ method: Method) {
        methods.removeAll { $0.option == option }
        methods.append((option, method))
    }

    mutating func note(_ option: String, needs methods: String...) {
        modifiers.append(Modifier(option: option, methods: methods))
    }

    /// True when each key has a state of its own.
    var hasStrata: Bool { !by.isEmpty || (!keys.isEmpty && !hashesKeys) }

    /// The paths that the method reads besides its key.
    var values: [JSONPath] { [weight, x, y].compactMap { $0 } + change }

    /// The one method, once all options were looked at together.
    func chosenMethod() throws(UsageError) -> Method {
        guard let (option, method) = methods.first, methods.count == 1 else {
            let names = methods.map(\.option).joined(separator: " and ")
            throw UsageError(
                methods.isEmpty
                    ? "expected a method: -n, -p, --nth, --rate or another (see --help)"
                    : "\(names) exclude each other: one method a run")
        }
        for modifier in modifiers where !modifier.methods.contains(option) {
            throw UsageError(
                "\(modifier.option) needs \(modifier.methods.joined(separator: ", ")),"
                    + " not \(option)")
        }
        try check(method, option)
        return method
    }

    private func check(_ method: Method, _ option: String) throws(UsageError) {
        if case .nth(let number) = method, offset >= number {
            throw UsageError("--offset must be less than \(number), the N of --nth")
        }
        if case .chart = method, y == nil { throw UsageError("\(option) needs -y") }
        if hashesKeys && !by.isEmpty {
            throw UsageError("--by and --key exclude each other: the keys have no state")
        }
        if isInverted && (annotation != nil || isPaced) {
            throw UsageError("--invert excludes --annotate and --pace")
        }
        if isPaced && time != nil {
            throw UsageError("--pace goes by the clock, so it excludes --time")
        }
        let goesByTime = every != nil || ["--rate", "--adapt"].contains(option)
        if time != nil && !goesByTime {
            throw UsageError("--time needs --every, --rate or --adapt")
        }
        if time == nil && timeUnit != .auto { throw UsageError("--time-unit needs --time") }
        if time == nil && maxGap != nil { throw UsageError("--max-gap needs --time") }
        if time == nil && x == nil && zone != nil {
            throw UsageError("--time-zone needs --time or -x")
        }
        // Of text there is only the whole line.
        let reads = by + keys + change + keep.map(\.path)
        let needsJSON =
            time != nil || annotation != nil || isStrict || weight != nil || x != nil || y != nil
            || deadband != nil
        if isText && (needsJSON || reads.contains { !$0.isWhole }) {
            throw UsageError("--text has no values to read: '.', the line, is the only path")
        }
    }
}

var command: Command<SampleOptions> {
    Command(
        "stream-sample", "sample lines of a stream",
        synopsis: "[method] [options] [FILE ...]",
        options: [methodOptions, choiceOptions, allOptions, lineOptions], metrics: metrics,
        manual: manual)
}

private var methodOptions: OptionGroup<SampleOptions> {
    OptionGroup(
        "Methods, exactly one",
        [
            .count(
                "n", "count", "COUNT", { $0.choose("-n", .count($1)) }, in: 0...1 << 40,
                "So many lines, each line of the input with the same chance, without replacement."
                    + " They are written at the end, in the order of the input."),
            Option(
                "p", "probability",
                "Each line with this probability, such as 0.01 or 1%.",
                argument: .required("P")
            ) { settings, value in
                settings.choose("-p", .probability(try Value.share(value ?? "")))
            },
            .count(
                nil, "nth", "N", { $0.choose("--nth", .nth($1)) }, in: 1...1 << 60,
                "Every Nth line, the first one first."),
            .rate(
                nil, "rate", { $0.choose("--rate", .rate($1)) },
                "No more than so many lines a second, or with /m, /h or /d a minute, an hour or a"
                    + " day, and a burst; what is more is dropped."),
            .rate(
                nil, "adapt", { $0.choose("--adapt", .adapt($1)) },
                "About so many lines a second, whatever comes in: each line with a probability that"
                    + " follows the rate of the input."),
            .paths(
                nil, "latest", { $0.take("--latest", .latest, $1) },
                "Of each key the newest line in each interval of --every, written at its end."),
            .paths(
                nil, "first", { $0.take("--first", .first, $1) },
                "Of each key the first line in each interval of --every, written at once."),
            .paths(
                nil, "distinct", { $0.take("--distinct", .distinct, $1) },
                "Of each key the first line only. A key that was forgotten for others (see"
                    + " --max-keys) is new again."),
            .paths(
                nil, "change",
                {
                    $0.choose("--change", .change)
                    $0.change = $1
                },
                "Lines where one of these values is not what it was in the last line that was"
                    + " written."),
            .count(
                nil, "lttb", "N", { $0.choose("--lttb", .chart(.lttb, $1)) }, in: 2...1 << 32,
                "At the most N points that keep the shape of a chart: largest triangle three"
                    + " buckets. The first and the last line are among them."),
            .count(
                nil, "minmax", "N", { $0.choose("--minmax", .chart(.minMax, $1)) },
                in: 2...1 << 32,
                "Of more than N points at the most N: the lowest and the highest of each of N/2"
                    + " columns."),
            .count(
                nil, "m4", "N", { $0.choose("--m4", .chart(.m4, $1)) }, in: 4...1 << 32,
                "Of more than N points at the most N: the first, the lowest, the highest and the"
                    + " last of each of N/4 columns, which is all that a line chart of N/4 pixels"
                    + " shows."),
        ])
}

extension SampleOptions {
    /// A method whose keys these paths are.
    fileprivate mutating func take(_ option: String, _ method: Method, _ paths: [JSONPath]) {
        choose(option, method)
        keys = paths
    }
}

private var choiceOptions: OptionGroup<SampleOptions> {
    OptionGroup(
        "With some methods",
        [
            .path(
                nil, "weight",
                {
                    $0.note("--weight", needs: "-n")
                    $0.weight = $1
                },
                "With -n: the chance of a line grows with the number at PATH, its weight. A line of"
                    + " weight 0 is never sampled."),
            .set(
                nil, "shuffle",
                {
                    $0.note("--shuffle", needs: "-n")
                    $0.isShuffled = true
                }, "With -n: write the lines in random order."),
            .paths(
                nil, "key",
                {
                    $0.note("--key", needs: "-p")
                    $0.keys = $1
                    $0.hashesKeys = true
                },
                "With -p: all lines of a key or none, decided by a hash of the key. The same keys"
                    + " in every run and every program, and with a larger P the same and more. The"
                    + " seed is 0 unless given."),
            .count(
                nil, "offset", "K",
                {
                    $0.note("--offset", needs: "--nth")
                    $0.offset = $1
                }, in: 0...1 << 60, "With --nth: pass over K lines first, less than N."),
            .count(
                nil, "burst", "N",
                {
                    $0.note("--burst", needs: "--rate")
                    $0.burst = $1
                }, in: 1...1 << 32,
                "With --rate: so many lines may come at once after a pause (the N of --rate, or 1"
                    + " with --pace)."),
            .set(
                nil, "pace",
                {
                    $0.note("--pace", needs: "--rate")
                    $0.isPaced = true
                },
                "With --rate: drop nothing, but hold each line, and those behind it, until its"
                    + " time has come. Not with --time or --invert."),
            .duration(
                nil, "smoothing",
                {
                    $0.note("--smoothing", needs: "--adapt")
                    $0.smoothing = $1
                },
                "With --adapt: the time constant of the smoothed rate (5s). What comes in bursts"
                    + " needs a longer one than there is from one burst to the next."),
            Option(
                nil, "deadband",
                "With --change: numbers that differ by no more than DELTA from the last that was"
                    + " written are the same. With 0, 1 and 1.0 are. A"
                    + " string that holds a number counts as that.",
                argument: .required("DELTA")
            ) { settings, value in
                guard let delta = Value.decimal(value ?? ""), delta >= 0 else {
                    throw UsageError("expected a number of at least 0, not '\(value ?? "")'")
                }
                settings.note("--deadband", needs: "--change")
                settings.deadband = delta
            },
            .path(
                "x", "x",
                {
                    $0.note("-x", needs: "--lttb", "--minmax", "--m4")
                    $0.x = $1
                },
                "With --lttb, --minmax, --m4: the horizontal coordinate, a number or a time as in"
                    + " RFC 3339. Without it the lines are at equal distances."),
            .path(
                "y", "y",
                {
                    $0.note("-y", needs: "--lttb", "--minmax", "--m4")
                    $0.y = $1
                }, "With --lttb, --minmax, --m4: the value, a number."),
            .duration(
                nil, "every",
                {
                    $0.note(
                        "--every", needs: "-n", "--latest", "--first", "--lttb", "--minmax", "--m4")
                    $0.every = $1
                },
                "With -n, --latest, --first, --lttb, --minmax, --m4: begin anew at each multiple of"
                    + " this time, counted from 1970 on. Without it the input is one interval."),
        ])
}

private var allOptions: OptionGroup<SampleOptions> {
    OptionGroup(
        "With all methods",
        [
            .paths(
                nil, "by", { $0.by = $1 },
                "Sample each key by itself: a sample of -n lines of each, a limit of --rate for"
                    + " each."),
            .count(
                nil, "max-keys", "N", { $0.maxKeys = $1 }, in: 1...1 << 30,
                "How many keys are remembered (100000). The one that did not come for the longest"
                    + " time goes first, after what is held of it was written."),
            .size(
                nil, "max-memory", { $0.maxMemory = $1 }, in: 1...1 << 50,
                "How many bytes of lines are held back at the most (1G)."),
            .condition(
                "keep", { $0.keep.append($1) },
                "Also write the lines where the value at PATH is VALUE, a text or a JSON value;"
                    + " null also where there is none. They are no part of the sample. --invert"
                    + " does not write them. May be given more than once."),
            .count(
                nil, "seed", "N", { $0.seed = $1 }, in: 0...Int.max,
                "Choose the same lines each time. Without it the seed is random, and --verbose"
                    + " prints it."),
            .string(
                nil, "annotate", "NAME", { $0.annotation = $1 },
                "Add to each line that is an object, as its last member NAME, the rate at which"
                    + " lines like it were sampled: it stands for 1/NAME lines."
                    + " Not with --invert."),
            .set(
                nil, "invert", { $0.isInverted = true },
                "Write the lines that are not sampled, and not those that are."),
            .path(
                nil, "time", { $0.time = $1 },
                "Go by the time at PATH instead of the time of arrival, so that a recorded stream"
                    + " is sampled as it would have been live: a number, or a string as in"
                    + " RFC 3339. A time before that of an earlier line counts as that; with"
                    + " --by, of one of the same key. With --every, --rate or --adapt."),
            .timeZone { $0.zone = $1 },
            .choice(
                nil, "time-unit", "UNIT", { $0.timeUnit = $1 },
                "What numbers at --time count since 1970: s, ms, us or ns. Or auto, by magnitude"
                    + " (the default): seconds below 1e11, milliseconds below 1e14, and so on."),
            .duration(
                nil, "max-gap", { $0.maxGap = $1 == 0 ? .max : $1 }, orZero: true,
                "With --time: a line whose time is so much later than the latest before it, or so"
                    + " much earlier, waits (366d): a wrong date must not make all that follow"
                    + " late. When the next ones agree with it, three in a row or more than came"
                    + " before, they are right: this is reported, and time goes on from there."
                    + " Else it is rejected, or counts as the latest. With 0 none waits."),
        ])
}

private var lineOptions: OptionGroup<SampleOptions> {
    OptionGroup(
        "What a line is",
        [
            .set(
                "d", "data", { $0.isText = false },
                "A JSON value (the default). It passes as it is, and is checked only where an"
                    + " option reads a path from it. Blank lines are left out."),
            .set(
                "r", "records", { $0.isText = false },
                "A record: the same, paths begin at the record."),
            .set(
                "t", "text", { $0.isText = true },
                "Plain text: any line, also a blank one. The only path is '.', the line."),
            .set(
                nil, "strict", { $0.isStrict = true },
                "Check every line; one that is no JSON is rejected."),
            .count(
                nil, "header", "N", { $0.headerLines = $1 }, in: 0...1 << 32,
                "Write the first N lines of the stream as they are, without sampling them."),
        ])
}
