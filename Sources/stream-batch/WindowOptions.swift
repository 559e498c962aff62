import StreamCodec
import StreamTool

// Which batches are open at once, and which time they go by.

var keyOptions: OptionGroup<BatchOptions> {
    OptionGroup(
        "Keys and memory",
        [
            .paths(
                "k", "key", { $0.key = $1 },
                "Keep an open batch for each key: the value at PATH, or the values together."),
            .count(
                nil, "max-keys", "N", { $0.maxKeys = $1 }, in: 1...1 << 30,
                "How many batches are open at once (100000). To make room for one more, the one"
                    + " that was opened first is closed, written, counted and reported."),
            .size(
                nil, "max-memory", { $0.maxMemory = $1 }, in: 1...1 << 50,
                "How many bytes of lines open batches hold (1G). To stay below, batches are closed"
                    + " in the same way."),
        ])
}

var windowOptions: OptionGroup<BatchOptions> {
    OptionGroup(
        "Windows of time",
        [
            .path(
                nil, "time", { $0.time = $1 },
                "Go by the time at PATH, a number or a string as in RFC 3339: batches are the"
                    + " windows of length -t, which begin at multiples of it since 1970, or the"
                    + " sessions that gaps of -i part. A window is closed when a line with a later"
                    + " time than its end came."),
            .duration(
                nil, "sliding", { $0.sliding = $1 },
                "Begin a window of length -t every so often, so that a line is in several. Without"
                    + " --time by the clock."),
            .duration(
                nil, "late",
                {
                    $0.late = $1
                    $0.note("--late", needs: "--time")
                }, orZero: true,
                "How long after its end a window still waits for lines that are late (0). What"
                    + " comes later yet is in no window: it is counted and reported, goes to"
                    + " --rejects, and the exit status is 1."),
            Option(
                nil, "offset",
                "Begin windows so much later than at multiples of their length, or with '-'"
                    + " earlier: '-t 7d --offset 4d' are weeks from Monday, '-t 1d --offset=-1h'"
                    + " days in UTC+1.",
                argument: .required("DURATION")
            ) { settings, value in
                let text = value ?? ""
                let isNegative = text.hasPrefix("-")
                settings.offset = Offset(
                    duration: try Value.duration(String(text.dropFirst(isNegative ? 1 : 0))),
                    isNegative: isNegative)
                settings.note("--offset", needs: "--time or --sliding")
            },
            .duration(
                nil, "idle-close",
                {
                    $0.idleClose = $1 == 0 ? nil : $1
                    $0.note("--idle-close", needs: "--time")
                }, orZero: true,
                "When no input came for so long, by the clock, close all windows that are open,"
                    + " and let go what --reorder holds. Lines for these windows are late from"
                    + " then on; those of a session begin another one. 0, the default, never"
                    + " does."),
            .path(
                nil, "watermark-by",
                {
                    $0.watermarkBy = $1
                    $0.note("--watermark-by", needs: "--time")
                },
                "Senders, told apart by the value at PATH, have clocks of their own: a window is"
                    + " closed when all of them have passed its end, so that one that runs ahead"
                    + " does not make the lines of the others late."),
            .duration(
                nil, "watermark-idle",
                {
                    $0.watermarkIdle = $1
                    $0.note("--watermark-idle", needs: "--watermark-by")
                },
                "A sender is not waited for any more when time went on by so much for others"
                    + " since its last line (5m). So long the first windows wait for senders that"
                    + " did not come yet."),
            .count(
                nil, "watermark-keys", "N",
                {
                    $0.watermarkKeys = $1
                    $0.note("--watermark-keys", needs: "--watermark-by")
                }, in: 1...1_000_000,
                "How many senders are waited for (10000). The one that was silent for the longest"
                    + " time gives way to one more."),
            .timeZone {
                $0.zone = $1
                $0.note("--time-zone", needs: "--time")
            },
            .choice(
                nil, "time-unit", "UNIT",
                {
                    $0.timeUnit = $1
                    $0.note("--time-unit", needs: "--time")
                },
                "What numbers at --time count since 1970: s, ms, us or ns. Or auto, by magnitude"
                    + " (the default): seconds below 1e11, milliseconds below 1e14, and so on."),
            .duration(
                nil, "max-gap",
                {
                    $0.maxGap = $1 == 0 ? .max : $1
                    $0.note("--max-gap", needs: "--time")
                }, orZero: true,
                "A line whose time is so much later than the latest before it, or so much earlier"
                    + " and late, waits (366d): a wrong date must not make all that follow late."
                    + " When the next ones agree with it, three in a row or more than came before,"
                    + " they are right: this is reported, and time goes on from there. Else it is"
                    + " rejected, or late. With 0 none waits."),
        ])
}
