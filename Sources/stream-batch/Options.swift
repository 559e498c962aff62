import StreamCodec
import StreamTool

struct BatchOptions: ToolSettings {
    var common = CommonOptions()
    /// Lines are text, not JSON: a blank line is a line.
    var isText = false
    var isValidated = true

    // When a batch closes.
    var count: Int?
    /// Bytes of the finished batch.
    var maxBytes: Int?
    var rejectsOversize = false
    /// Nanoseconds since the first line; with windows, their length.
    var maxAge: UInt64?
    /// Nanoseconds without a line; with --time, the gap between two sessions.
    var idle: UInt64?
    var when: [Condition] = []
    var whenChanged: [JSONPath] = []

    var key: [JSONPath] = []
    var maxKeys = 100_000
    var maxMemory = 1 << 30

    // Windows.
    var time: JSONPath?
    var timeUnit = Timestamp.Unit.auto
    /// Nanoseconds; nil: a year.
    var maxGap: UInt64?
    /// Nanoseconds from the start of one window to that of the next.
    var sliding: UInt64?
    var offset: Offset?
    /// Nanoseconds that lines may be late.
    var late: UInt64?
    /// Of dates that do not say theirs; nil: UTC.
    var zone: Timestamp.Zone?
    /// Nanoseconds without input.
    var idleClose: UInt64?
    var watermarkBy: JSONPath?
    var watermarkKeys = 10_000
    /// Nanoseconds.
    var watermarkIdle: UInt64 = 300_000_000_000

    // What is written.
    var format = Format.array
    var separator: String?
    var aggregates: [AggregateSpec] = []
    var quantileError = 0.01
    var delivery = DeliveryOptions()

    // Buffer stages.
    var dedup: JSONPath?
    var dedupKeys = 100_000
    /// Nanoseconds; nil: as long as it is among the last keys.
    var dedupFor: UInt64?
    var reorder: JSONPath?
    var by: JSONPath?
    var byKeys = 10_000
    var window = 64
    /// Nanoseconds.
    var maxWait: UInt64 = 1_000_000_000
    /// How many incomplete messages are kept; nil for no --join-chunks.
    var joinChunks: Int?

    /// Options that go with others only, as they were given.
    private var dependants: [(option: String, needed: String)] = []

    mutating func note(_ option: String, needs needed: String) {
        dependants.append((option, needed))
    }

    /// Batches are windows of event time, or of the clock where they slide.
    var hasWindows: Bool { time != nil || sliding != nil }
}

extension BatchOptions {
    var outputFiles: [OutputFile] {
        [
            OutputFile("--dead-letter", delivery.deadLetterFile),
            OutputFile("--journal", delivery.journalFolder.map { $0 + "/journal" }),
        ].compactMap { $0 }
    }

    var inputFiles: [Operand] { delivery.redelivered.map { [$0] } ?? [] }

    /// Throws when options do not go together.
    func check(command: [Operand]) throws(UsageError) {
        let hasCommand = delivery.shellLine != nil || !command.isEmpty
        if delivery.shellLine != nil && !command.isEmpty {
            throw UsageError("-x and a command behind -- exclude each other")
        }
        if let option = delivery.given.first, !hasCommand {
            throw UsageError("\(option) needs a command: -x LINE, or -- COMMAND at the end")
        }
        let given = [
            "--time": time != nil, "--dedup": dedup != nil, "--reorder": reorder != nil,
            "--by": by != nil, "--watermark-by": watermarkBy != nil,
            "--time or --sliding": hasWindows && !(time != nil && idle != nil),
            "--journal": delivery.journalFolder != nil,
            "--dead-letter": delivery.deadLetterFile != nil,
            "--aggregate": !aggregates.isEmpty, "--max-bytes": maxBytes != nil,
            "--format=lines": format == .lines,
        ]
        for (option, needed) in dependants where given[needed] != true {
            throw UsageError("\(option) needs \(needed)")
        }
        try checkWindows()
        try checkForms()
        if delivery.journalFolder != nil {
            if sliding != nil || reorder != nil || joinChunks != nil {
                throw UsageError("--journal excludes --sliding, --reorder and --join-chunks")
            }
        }
    }

    private func checkWindows() throws(UsageError) {
        if let sliding {
            guard let maxAge, maxAge % sliding == 0 else {
                throw UsageError("--sliding needs -t, a multiple of it: the length of a window")
            }
            if idle != nil { throw UsageError("--sliding and -i exclude each other") }
            // A line is in so many windows.
            guard maxAge / sliding <= 1000 else {
                throw UsageError("a line would be in more than 1000 windows of --sliding")
            }
        }
        if time != nil && maxAge == nil && idle == nil {
            throw UsageError("--time needs -t, the length of windows, or -i, the gap of sessions")
        }
        if time != nil && maxAge != nil && idle != nil {
            throw UsageError("with --time, -t and -i exclude each other: windows or sessions")
        }
    }

    private func checkForms() throws(UsageError) {
        if !aggregates.isEmpty {
            if format == .lines {
                throw UsageError("--aggregate writes objects, not --format=lines")
            }
            if delivery.bisects { throw UsageError("--aggregate and --bisect exclude each other") }
            if delivery.takesResults {
                throw UsageError("--aggregate and --results exclude each other")
            }
        }
        let needsJSON =
            time != nil || reorder != nil || joinChunks != nil
            || aggregates.contains { $0.path != nil }
        let reads = key + whenChanged + when.map(\.path) + (dedup.map { [$0] } ?? [])
        if isText && (needsJSON || reads.contains { !$0.isWhole }) {
            throw UsageError("--text has no values to read: '.', the line, is the only path")
        }
        if !isValidated && (needsJSON || !reads.isEmpty) {
            throw UsageError("--no-validate excludes options that read values")
        }
    }
}

var command: Command<BatchOptions> {
    Command(
        "stream-batch", "group lines into batches, aggregate them, and deliver them",
        synopsis: "[options] [FILE ...] [-- COMMAND ARG ...]",
        options: [
            closingOptions, keyOptions, windowOptions, outputOptions, deliveryOptions,
            stageOptions, lineOptions,
        ], metrics: metrics, manual: manual, takesCommand: true)
}

private var closingOptions: OptionGroup<BatchOptions> {
    OptionGroup(
        "When a batch is closed: the first that holds",
        [
            .count(
                "n", "count", "COUNT", { $0.count = $1 }, in: 1...1 << 40,
                "When it has so many lines."),
            .size(
                "b", "max-bytes", { $0.maxBytes = $1 }, in: 1...1 << 40,
                "Before it would be larger than SIZE, as it is written. A line that is too large"
                    + " by itself goes alone."),
            .duration(
                "t", "max-age", { $0.maxAge = $1 },
                "So long after its first line, by the clock, also when no line comes. With --time"
                    + " or --sliding, the length of its window."),
            .duration(
                "i", "idle", { $0.idle = $1 },
                "When no line came for so long. With --time, the gap that parts two sessions."),
            .condition(
                "when", { $0.when.append($1) },
                "After a line where the value at PATH is VALUE, a text or a JSON value. May be"
                    + " given more than once."),
            .paths(
                nil, "when-changed", { $0.whenChanged = $1 },
                "Before a line where one of these values is not what it was in the line before."),
            Option(
                nil, "oversize",
                "What to do with a line that is larger than --max-bytes by itself: let it go alone"
                    + " (the default), or reject it.",
                argument: .required("ACTION"), completion: .choices(["alone", "reject"])
            ) { settings, value in
                guard value == "alone" || value == "reject" else {
                    throw UsageError("expected alone or reject, not '\(value ?? "")'")
                }
                settings.rejectsOversize = value == "reject"
                settings.note("--oversize", needs: "--max-bytes")
            },
        ])
}

private var outputOptions: OptionGroup<BatchOptions> {
    OptionGroup(
        "What is written",
        [
            .choice(
                "f", "format", "FORMAT", { $0.format = $1 },
                "A batch as a JSON array (array, the default); as its lines and a blank line"
                    + " (lines); as an array behind the byte 0x1E, as in RFC 7464 (json-seq); or as"
                    + " an object with key, seq, count, from, to and items (object)."),
            .string(
                nil, "separator", "TEXT",
                {
                    $0.separator = $1
                    $0.note("--separator", needs: "--format=lines")
                },
                "With --format=lines: this line after each batch instead of a blank one."),
            Option(
                "a", "aggregate",
                "Write of each batch an object with what FUNCTION makes of the values at PATH"
                    + " instead of its lines: see AGGREGATES. May be given more than once.",
                argument: .required("[NAME=]FUNCTION[(PATH)]")
            ) { settings, value in
                settings.aggregates.append(try AggregateSpec(value ?? ""))
            },
            Option(
                nil, "quantile-error",
                "How far median and p50 to p99.9 may be from the true value, as a share of it"
                    + " (1%).",
                argument: .required("SHARE")
            ) { settings, value in
                settings.quantileError = try Value.share(value ?? "")
                guard (0.0001...0.5).contains(settings.quantileError) else {
                    throw UsageError("expected a share from 0.01% to 50%")
                }
                settings.note("--quantile-error", needs: "--aggregate")
            },
        ])
}

private var stageOptions: OptionGroup<BatchOptions> {
    OptionGroup(
        "Before the batches",
        [
            .path(
                nil, "dedup", { $0.dedup = $1 },
                "Drop a line whose value at PATH an earlier one had. Lines without it pass."),
            .count(
                nil, "dedup-keys", "N",
                {
                    $0.dedupKeys = $1
                    $0.note("--dedup-keys", needs: "--dedup")
                }, in: 1...100_000_000,
                "How many different values --dedup remembers, the last ones (100000)."),
            .duration(
                nil, "dedup-for",
                {
                    $0.dedupFor = $1
                    $0.note("--dedup-for", needs: "--dedup")
                },
                "How long --dedup remembers a value since it came first, with --time by the latest"
                    + " time that was read. Without it, until it has to make room."),
            .path(
                nil, "reorder", { $0.reorder = $1 },
                "Restore the order of the whole numbers at PATH. Numbers that do not come are"
                    + " reported; late lines pass when they come, lines without a number at"
                    + " once. Three rising numbers in a row that are --window or more too low are"
                    + " those of a sender that began anew: this is reported, and the order begins"
                    + " with the first, if it came no longer than --max-wait before the third."),
            .path(
                nil, "by",
                {
                    $0.by = $1
                    $0.note("--by", needs: "--reorder")
                },
                "Lines with different values at PATH have numbers of their own. --window is that"
                    + " of each."),
            .count(
                nil, "by-keys", "N",
                {
                    $0.byKeys = $1
                    $0.note("--by-keys", needs: "--by")
                }, in: 1...1_000_000,
                "How many values of --by have an order (10000). The one that did not come for the"
                    + " longest time gives way: what is held of it goes."),
            .count(
                nil, "window", "N",
                {
                    $0.window = $1
                    $0.note("--window", needs: "--reorder")
                }, in: 1...1_000_000,
                "How many lines --reorder holds at the most (64)."),
            .duration(
                nil, "max-wait",
                {
                    $0.maxWait = $1
                    $0.note("--max-wait", needs: "--reorder")
                },
                "How long --reorder waits for a missing number (1s), with --time by the latest"
                    + " time that was read."),
            .count(
                nil, "join-chunks", "N", { $0.joinChunks = $1 }, in: 1...100_000, standard: 16,
                "Put together what sse-encode --chunk cut. At most N incomplete messages are kept"
                    + " (16); the oldest gives way and is rejected: its chunks, a line each."),
        ])
}

private var lineOptions: OptionGroup<BatchOptions> {
    OptionGroup(
        "What a line is",
        [
            .set(
                "d", "data", { $0.isText = false },
                "A JSON value (the default). It is checked, and passes as it is. Blank lines are"
                    + " left out."),
            .set(
                "r", "records", { $0.isText = false },
                "A record: the same, paths begin at the record."),
            .set(
                nil, "text", { $0.isText = true },
                "Plain text: any line, also a blank one. A JSON string in an array, as it is with"
                    + " --format=lines. The only path is '.', the line."),
            .set(
                nil, "no-validate", { $0.isValidated = false },
                "Do not check that lines are JSON: one that is not spoils its batch."),
        ])
}
