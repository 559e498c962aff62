import StreamCodec

package enum OnError: String, CaseIterable, Sendable { case stop, skip }

package enum LogFormat: String, CaseIterable, Sendable { case text, json }

/// What every tool of the suite can be told.
package struct CommonOptions: Sendable {
    /// The long names of all options that were given: of the tool's own, too.
    package var given: Set<String> = []
    /// 1 to 9; nil writes plain output.
    package var gzipLevel: Int?
    package var isQuiet = false
    package var isVerbose = false
    package var logFormat = LogFormat.text
    /// Nil: when standard error is a terminal and standard output is none.
    package var progress: Bool?
    package var writesStats = false
    package var statsFile: String?
    package var metricsFile: String?
    /// Nanoseconds between two versions of the metrics file.
    package var metricsInterval: UInt64? = 15_000_000_000
    package var onError = OnError.stop
    package var rejectsFile: String?
    /// Bytes of a line or an event.
    package var maxLine = 16 << 20
    package var maxDepth = JSON.defaultMaxDepth
    package var maxRatio = GzipInflater.defaultMaxRatio

    package init() {}
}

/// What a tool can be told: its own options and those of all tools.
package protocol ToolSettings {
    var common: CommonOptions { get set }
    /// Files that the tool's own options name, to be written.
    var outputFiles: [OutputFile] { get }
    /// Those that are read besides the operands.
    var inputFiles: [Operand] { get }
}

extension ToolSettings {
    package var outputFiles: [OutputFile] { [] }
    package var inputFiles: [Operand] { [] }
}

extension CommonOptions {
    var outputFiles: [OutputFile] {
        [
            OutputFile("--rejects", rejectsFile), OutputFile("--stats", statsFile),
            OutputFile("--metrics-file", metricsFile),
        ].compactMap { $0 }
    }
}

extension Option where Settings: ToolSettings {
    /// The rows that all tools share.
    static var common: [OptionGroup<Settings>] {
        [
            OptionGroup(
                "Input and bad input",
                [
                    .size(
                        nil, "max-line", { $0.common.maxLine = $1 }, in: 1...1 << 40,
                        "The longest line or event that is accepted, in bytes (16M)."),
                    .count(
                        nil, "max-depth", "N", { $0.common.maxDepth = $1 },
                        in: 1...1 << 20,
                        "How deep arrays and objects may be nested (1024)."),
                    .count(
                        nil, "max-ratio", "N", { $0.common.maxRatio = $1 },
                        in: 1...1 << 20,
                        "How many times its size gzip input may inflate to, once that is"
                            + " more than 64M (250)."),
                    .choice(
                        nil, "on-error", "ACTION", { $0.common.onError = $1 },
                        "At bad input stop: write everything before it and exit 65 (the default)."
                            + " Or skip: report it, go on, and exit 1 at the end."),
                    .file(
                        nil, "rejects", { $0.common.rejectsFile = $1 },
                        "Go on at bad input, and append each rejected line to FILE as a JSON"
                            + " object with input, line, error and raw; exit 1 at the end."),
                ]),
            OptionGroup("Output and diagnostics", diagnostics),
        ]
    }

    private static var diagnostics: [Option<Settings>] {
        [
            .count(
                "z", "gzip", "LEVEL", { $0.common.gzipLevel = $1 }, in: 1...9, standard: 6,
                "Compress standard output with gzip, at level 1 (fastest) to 9 (smallest), 6"
                    + " unless given. What was read is flushed before the tool waits for more."),
            .set(
                "q", "quiet", { $0.common.isQuiet = true },
                "Print errors only: no warnings, no count of what was skipped."),
            .set(
                "v", "verbose", { $0.common.isVerbose = true },
                "Also print what is opened, and the counters at the end."),
            .choice(
                nil, "log-format", "FORMAT", { $0.common.logFormat = $1 },
                "Diagnostics as text or as json, one object a line. Under systemd, text carries"
                    + " priority prefixes."),
            .set(
                nil, "progress", { $0.common.progress = true },
                "Show a live line on standard error: bytes, records, rate, time. On by itself"
                    + " when standard error is a terminal and standard output is not."),
            .set(
                nil, "no-progress", { $0.common.progress = false },
                "Never show the live line."),
            Option(
                nil, "stats",
                "Write the counters as one JSON object to FILE, or to standard error, at the end."
                    + " SIGUSR1 writes them to standard error at any time.",
                argument: .optional("FILE"), completion: .file
            ) { settings, value in
                settings.common.writesStats = true
                settings.common.statsFile = value
            },
            .file(
                nil, "metrics-file", { $0.common.metricsFile = $1 },
                "Keep the counters in FILE in the Prometheus text format, replaced atomically"
                    + " every --metrics-interval and at the end. The label job is FILE's name"
                    + " without its ending."),
            .duration(
                nil, "metrics-interval", { $0.common.metricsInterval = $1 == 0 ? nil : $1 },
                atLeastMilliseconds: 10, orZero: true,
                "How often the metrics file is written (15s); with 0 only at the start and the"
                    + " end."),
        ]
    }
}
