import StreamCodec
import StreamTool

enum Form { case records, data, text }

/// The last event.
enum Done {
    case none
    /// Of type done, with empty data.
    case event
    /// Of no type, with this data.
    case data(String)
}

enum Head { case none, http, cgi }

struct EncodeOptions: ToolSettings {
    var common = CommonOptions()
    var form = Form.records
    var event: String?
    var eventFrom: JSONPath?
    var idFrom: JSONPath?
    var dataFrom: JSONPath?
    /// The first number of `--id-seq`.
    var firstID: Int?
    /// Milliseconds.
    var retry: Int?
    /// Nanoseconds.
    var heartbeat: UInt64?
    var done = Done.none
    var chunkSize: Int?
    var head = Head.none
}

var command: Command<EncodeOptions> {
    Command(
        "sse-encode", "turn JSON Lines into Server-Sent Events",
        synopsis: "[-r | -d | -t] [options] [FILE ...]",
        options: [lineOptions, dataOptions, eventOptions, streamOptions], manual: manual)
}

private var lineOptions: OptionGroup<EncodeOptions> {
    OptionGroup(
        "What a line is",
        [
            .set(
                "r", "records", { $0.form = .records },
                "Each line is an event record, an object with event, id, data, retry, comment and"
                    + " channel (the default). The channel is not sent."),
            .set(
                "d", "data", { $0.form = .data },
                "Each line is any JSON value and is sent as an event's data, as it is."),
            .set(
                "t", "text", { $0.form = .text },
                "Each line is plain text, not JSON, and is sent as an event's data. An empty line"
                    + " is an event with empty data."),
        ])
}

private var dataOptions: OptionGroup<EncodeOptions> {
    OptionGroup(
        "With --data",
        [
            .path(
                nil, "event-from", { $0.eventFrom = $1 },
                "Take the event's type from the string at PATH. Where there is none, --event"
                    + " counts."),
            .path(
                nil, "id-from", { $0.idFrom = $1 },
                "Take the event's id from the string or number at PATH."),
            .path(
                nil, "data-from", { $0.dataFrom = $1 },
                "Send the value at PATH instead of the whole line; of a string, its text. A line"
                    + " without it is rejected."),
        ])
}

private var eventOptions: OptionGroup<EncodeOptions> {
    OptionGroup(
        "With --data or --text",
        [
            .string("e", "event", "NAME", { $0.event = $1 }, "The type of every event."),
            .count(
                nil, "id-seq", "START", { $0.firstID = $1 }, in: 0...Int.max / 2, standard: 1,
                "Number the events: ids START, START+1 and so on, from 1 unless given."),
        ])
}

private var streamOptions: OptionGroup<EncodeOptions> {
    OptionGroup(
        "The stream",
        [
            .count(
                nil, "retry", "MS", { $0.retry = $1 }, in: 0...999_999_999_999,
                "Tell the client once, at the start, to wait so many milliseconds before it"
                    + " reconnects."),
            .duration(
                nil, "heartbeat", { $0.heartbeat = $1 == 0 ? nil : $1 }, orZero: true,
                "Write a comment whenever nothing was sent for so long, so that proxies keep the"
                    + " connection and clients notice when it is dead; 0 writes none."),
            Option(
                nil, "done",
                "End with a last event once all input was sent: event: done with empty data, or"
                    + " DATA as a plain event, such as --done='[DONE]'.",
                argument: .optional("DATA")
            ) { settings, value in settings.done = value.map { .data($0) } ?? .event },
            Option(
                nil, "chunk",
                "Split data of more than SIZE bytes into events whose data is an object with type"
                    + " (chunk), id, seq (from 0), total and data, a string with at most SIZE"
                    + " bytes. The id line comes with the last one.",
                argument: .required("SIZE")
            ) { settings, value in
                let size = try Value.size(value ?? "")
                guard size >= 4 else { throw UsageError("expected a size of at least 4 bytes") }
                settings.chunkSize = size
            },
            .set(
                nil, "http", { $0.head = .http },
                "Write an HTTP/1.1 response head first, and at the end wait up to 2 seconds for"
                    + " the client to close, when standard output is a socket."),
            .set(nil, "cgi", { $0.head = .cgi }, "Write a CGI response head first."),
        ])
}
