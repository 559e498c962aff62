import StreamCodec
import StreamTool

enum Form { case records, data, text }

/// The last event.
enum Done {
    case none
    /// Of type done, with empty data.
    case event
    /// Of this type, or of none, with this data.
    case data(String, type: String = "")
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
    /// The type of events that are sent for heartbeats; nil: comments are.
    var heartbeatEvent: String?
    var done = Done.none
    var chunkSize: Int?
    var head = Head.none
    /// Whose pages may read the answer, or `*`.
    var origin: String?
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
                nil, "heartbeat-event",
                "With --heartbeat: send an event of this type, whose data is an empty object,"
                    + " instead of a comment, so that a page sees it. It has no id.",
                argument: .required("NAME")
            ) { settings, value in settings.heartbeatEvent = try eventType(value ?? "") },
            Option(
                nil, "done",
                "End with a last event once all input was sent: event: done with empty data, or"
                    + " DATA as a plain event, such as --done='[DONE]'.",
                argument: .optional("DATA")
            ) { settings, value in settings.done = value.map { .data($0) } ?? .event },
            Option(
                nil, "done-event",
                "End with a last event of this type and data once all input was sent, such as"
                    + " done={}. Clients that know the end by data never see an empty one.",
                argument: .required("NAME=DATA")
            ) { settings, value in
                let parts = (value ?? "").split(
                    separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, !parts[1].isEmpty else {
                    throw UsageError("expected NAME=DATA, not '\(value ?? "")'")
                }
                settings.done = .data(String(parts[1]), type: try eventType(String(parts[0])))
            },
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
            Option(
                nil, "origin",
                "With --http or --cgi: pages of this origin, such as https://app.example.com, or"
                    + " with * those of any, may read the stream (CORS).",
                argument: .required("ORIGIN")
            ) { settings, value in
                let origin = value ?? ""
                guard origin == "*" || origin == "null" || isOrigin(origin) else {
                    throw UsageError("expected an origin, such as https://h.example, or *")
                }
                settings.origin = origin
            },
        ])
}

/// A name that an event line can hold.
private func eventType(_ name: String) throws -> String {
    guard !name.isEmpty, !name.utf8.contains(where: { $0 == 0x0A || $0 == 0x0D }) else {
        throw UsageError("expected the type of an event, without a line break")
    }
    return name
}

/// A scheme, a host and perhaps a port, and nothing that ends a header field: RFC 6454, section 7.
private func isOrigin(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon > 0,
        bytes[colon...].starts(with: "://".utf8)
    else { return false }
    let host = bytes[(colon + 3)...]
    return !host.isEmpty && bytes.allSatisfy { (0x21...0x7E).contains($0) }
        && !host.contains(UInt8(ascii: "/")) && !bytes.contains(UInt8(ascii: ","))
}
