import StreamClient
import StreamCodec
import StreamTool

enum Form { case records, data, json, text }

/// What becomes of a number that --reorder gave up, or that came before.
enum Late: String, CaseIterable { case write, drop }

/// What is read.
enum Format: String, CaseIterable {
    /// Events from files; from a URL what its Content-Type says.
    case auto
    case sse, jsonl
    case jsonStream = "json-stream"
    case jsonSequence = "json-seq"
}

package struct DecodeOptions: ToolSettings, ConnectSettings, RequestSettings {
    package var common = CommonOptions()
    package var connect = ConnectOptions()
    package var request = RequestOptions()
    var follow = FollowOptions()
    var input = Format.auto
    var tagsSource = false
    /// Appended to instead of standard output.
    var outputFile: String?
    package var outputFiles: [OutputFile] {
        [OutputFile("--output", outputFile), OutputFile("--state", follow.stateFile)]
            .compactMap { $0 }
    }
    var form = Form.records
    /// Types that pass, and with '!' types that do not.
    var events: [String] = []
    /// Nil: all of them.
    var count: Int?
    var until: [String] = []
    var untilEvent: [String] = []
    var requiresEnd = false
    var failsOnError = false
    var all = false
    /// How many ids are remembered; nil for no --dedup.
    var dedup: Int?
    var reorder: JSONPath?
    var by: JSONPath?
    var byKeys = 10_000
    var window = 64
    /// Nanoseconds.
    var maxWait: UInt64? = 1_000_000_000
    var late = Late.write
    /// How many incomplete messages are kept; nil for no --join-chunks.
    var joinChunks: Int?
    /// Nanoseconds.
    var joinWait: UInt64 = 30_000_000_000
    var get: JSONPath?
    var dispatchesAtEnd = false

    package init() {}
}

package var command: Command<DecodeOptions> {
    Command(
        "sse-decode", "turn Server-Sent Events into JSON Lines",
        synopsis: "[-r | -d | -j | -t] [options] [FILE | URL ...]",
        options: [
            outputOptions, selectionOptions, endOptions, orderOptions, Option.requesting,
            askingOptions, resumingOptions, retryingOptions, pollingOptions, Option.connecting,
        ], metrics: metrics, manual: manual)
}

private var outputOptions: OptionGroup<DecodeOptions> {
    OptionGroup(
        "What is written",
        [
            .set(
                "r", "records", { $0.form = .records },
                "An event record a line: an object with event, id and data, a string (the"
                    + " default)."),
            .set(
                "d", "data", { $0.form = .data },
                "The data alone. Data that is JSON is written on one line, other data as a JSON"
                    + " string."),
            .set(
                "j", "json", { $0.form = .json },
                "Records whose data is embedded as JSON where it is JSON."),
            .set(
                "t", "text", { $0.form = .text }, "The data as plain text and a line end, not JSON."
            ),
            .path(
                nil, "get", { $0.get = $1 },
                "Write only the value at PATH of data that is JSON: with --data as a line, with"
                    + " --text the text itself with nothing added, so that tokens flow. Events"
                    + " without it write nothing, nor does null with --text."),
            .set(
                nil, "all", { $0.all = true },
                "Also write comments and retry as record members, in records of their own where"
                    + " no event was dispatched, and what happens to the connection to a URL. They"
                    + " pass every selection and do not count."),
            .choice(
                nil, "input", "FORMAT", { $0.input = $1 },
                "What is read: sse, Server-Sent Events; jsonl, a JSON value a line; json-stream,"
                    + " JSON values of any layout, behind one another or in an array; json-seq,"
                    + " RFC 7464. Each JSON value is the data of an event. auto (the default) is"
                    + " sse for files, and for a URL what its Content-Type says."),
            .set(
                nil, "tag-source", { $0.tagsSource = true },
                "Each line says where it came from: records have a member source, a file's name or"
                    + " a URL without its secrets, and with --data a line is an object with source"
                    + " and data."),
            .file(
                nil, "output", { $0.outputFile = $1 },
                "Append to FILE instead of writing to standard output. Others may append to it at"
                    + " the same time, unless one of them has --gzip or --exactly-once. A last line"
                    + " that has no end, because a run was killed or the disk was full, is ended"
                    + " first, and so is, with --gzip, a last member."),
            .set(
                nil, "dispatch-eof", { $0.dispatchesAtEnd = true },
                "Take the end of the input for the blank line that an unfinished last event"
                    + " lacks."),
        ])
}

private var selectionOptions: OptionGroup<DecodeOptions> {
    OptionGroup(
        "Which events",
        [
            .strings(
                "e", "event", "NAME", { $0.events.append($1) },
                "Write only events of this type, or with !NAME all but those. May be given more"
                    + " than once."),
            .strings(
                nil, "not-event", "NAME", { $0.events.append("!" + $1) },
                "Write all but events of this type, as --event=!NAME: shells of a person take '!'"
                    + " for their history. May be given more than once."),
            .count(
                "n", "count", "COUNT", { $0.count = $1 }, in: 0...Int.max,
                "Stop after so many events."),
            .count(
                nil, "dedup", "N", { $0.dedup = $1 }, in: 1...100_000_000, standard: 10_000,
                "Drop events whose id was among the last N different ones (10000). Events without"
                    + " an id pass."),
        ])
}

private var endOptions: OptionGroup<DecodeOptions> {
    OptionGroup(
        "The end of the stream",
        [
            .strings(
                nil, "until", "DATA", { $0.until.append($1) },
                "Stop at an event with exactly this data and do not write it. May be given more"
                    + " than once."),
            .strings(
                nil, "until-event", "NAME", { $0.untilEvent.append($1) },
                "Stop at an event of this type and do not write it. May be given more than"
                    + " once."),
            .set(
                nil, "require-end", { $0.requiresEnd = true },
                "Exit 76 when an input ends without the end that --until or --until-event names:"
                    + " it was cut off."),
            .set(
                nil, "fail-on-error", { $0.failsOnError = true },
                "Stop and exit 76 behind an event of type error, or whose data is an object with"
                    + " a member error that is neither null nor false, or whose type or object is"
                    + " error; response.failed and response.incomplete are errors, too. That event"
                    + " is written."),
        ])
}

private var orderOptions: OptionGroup<DecodeOptions> {
    OptionGroup(
        "Order and chunks",
        [
            .path(
                nil, "reorder", { $0.reorder = $1 },
                "Restore the order of the whole numbers at PATH in the data. Numbers that do not"
                    + " come are reported; for late events see --late. Events without"
                    + " a number pass at once. Three rising numbers in a row that are --window or"
                    + " more too low are those of a sender that began anew: this is reported, and"
                    + " the order begins with the first. It waits for the third at most --max-wait,"
                    + " with --late drop until another number comes."),
            .path(
                nil, "by", { $0.by = $1 },
                "With --reorder: events with different values at PATH in the data have numbers of"
                    + " their own. --window is that of each."),
            .count(
                nil, "by-keys", "N", { $0.byKeys = $1 }, in: 1...1_000_000,
                "How many values of --by have an order (10000). The one that did not come for the"
                    + " longest time gives way: what is held of it is written."),
            .count(
                nil, "window", "N", { $0.window = $1 }, in: 1...1_000_000,
                "How many events --reorder holds at the most (64)."),
            .duration(
                nil, "max-wait", { $0.maxWait = $1 },
                "How long --reorder waits for a missing number (1s)."),
            .choice(
                nil, "late", "ACTION", { $0.late = $1 },
                "What --reorder does with an event whose number is below those that were written,"
                    + " or the same: write it when it comes (the default), or drop it. Either is"
                    + " counted."),
            .count(
                nil, "join-chunks", "N", { $0.joinChunks = $1 }, in: 1...100_000, standard: 16,
                "Put together what sse-encode --chunk cut; also chunks without seq whose id counts"
                    + " from 1 to total, when they come in order. At most N incomplete messages are"
                    + " kept (16); the one whose last chunk is the oldest gives way and is"
                    + " rejected: its chunks, a line each."),
            .duration(
                nil, "join-wait", { $0.joinWait = $1 },
                "How long --join-chunks waits for the next chunk of a message (30s)."),
        ])
}
