import StreamTool

private let transports = Transport.allCases.map(\.name)
/// Those that have events.
private let streams = Array(transports.dropFirst())

/// What stream-serve counts besides what every tool does.
let metrics: [Metric] = [
    .gauge(
        "connections_active",
        "Connections now, that are a stream (sse, ws, stream), wait (poll) or do neither (http).",
        by: ("transport", transports)),
    .counter(
        "connections", "Connections that were taken (http), streams and requests of /poll.",
        by: ("transport", transports)),
    .counter("events_in", "Events that came in, to be served."),
    .counter(
        "events_out", "Events that were given to the system for clients, each client counted.",
        by: ("transport", streams)),
    .counter(
        "bytes_out",
        "Bytes that were given to the system, as sent, compressed. Those of /poll are among http.",
        by: ("transport", transports)),
    .counter(
        "dropped",
        "Events that clients did not get: too slow, or a newer one of the same key came.",
        by: ("reason", Drop.allCases.map(\.name))),
    .counter(
        "closed",
        "Why streams ended: policy is a message that is not allowed, and peer that it went.",
        by: ("reason", Closure.allCases.map(\.name))),
    .counter(
        "refused",
        "Requests and messages that were turned away. full and address: too many connections; head"
            + " and body: too long; uploads: too much on its way.",
        by: ("reason", Refusal.allCases.map(\.name))),
    .counter(
        "replays", "Clients that came back with an id that is kept (hit) or is not (miss).",
        by: ("result", ["hit", "miss"])),
    .counter("published", "Messages of clients that were written."),
    .counter("publish_errors", "Messages of clients that were refused."),
    .histogram("lag_seconds", "From the coming of an event to its sending, for each client."),
    .histogram("loop_seconds", "How long a turn of a worker takes, when nobody else is served."),
    .gauge("history_events", "Events that are kept; every worker has them."),
    .gauge("history_bytes", "Bytes of them."),
    .gauge("feeds", "Different streams that are made now."),
    .gauge(
        "upload_bytes",
        "What came of requests and messages that are not complete, of all clients: see"
            + " --max-uploads."),
]

extension Board {
    /// The values of the table, and what every tool has.
    func values(uploadBytes: Int) -> [(name: String, value: Metric.Value)] {
        let (total, eventsIn, common) = self.total()
        let number = { (count: Int) in Metric.Value.number(Double(count)) }
        return common + [
            ("connections_active", .counts(total.connections)),
            ("connections", .counts(total.opened)),
            ("events_in", .counts([eventsIn])),
            ("events_out", .counts(Array(total.eventsOut.dropFirst()))),
            ("bytes_out", .counts(total.bytesOut)),
            ("dropped", .counts(total.dropped)),
            ("closed", .counts(total.closed)),
            ("refused", .counts(total.refused)),
            ("replays", .counts([total.replayHits, total.replayMisses])),
            ("published", .counts([total.published])),
            ("publish_errors", .counts([total.publishErrors])),
            ("lag_seconds", .times(total.lag)), ("loop_seconds", .times(total.loop)),
            ("history_events", number(total.historyEvents)),
            ("history_bytes", number(total.historyBytes)),
            ("feeds", number(total.feeds)), ("upload_bytes", number(uploadBytes)),
        ]
    }
}

// What the server says of itself: /metrics in the text format of Prometheus, version 0.0.4, and
// /stats in JSON.
extension Worker {
    private var uptime: Double { Double(now - shared.board.started) / 1e9 }

    func metricsPage() -> String {
        shared.board.post(counters, of: number)
        var page = Metrics(metrics)
        for (name, value) in shared.board.values(uploadBytes: shared.admission.held()) {
            page.set(value, as: name)
        }
        page.append(.elapsed, .number(uptime))
        return page.text(labels: "tool=\"stream-serve\"")
    }

    func statistics() -> String {
        shared.board.post(counters, of: number)
        let values = shared.board.values(uploadBytes: shared.admission.held())
        var page = Metrics(metrics)
        for (name, value) in values { page.set(value, as: name) }
        var text = "{\"version\":\"\(suiteVersion)\""
        text += ",\"epoch\":\"\(String(decoding: shared.epoch, as: UTF8.self))\""
        text += ",\"elapsed_seconds\":\(decimal(uptime, places: 3))"
        text += ",\"workers\":\(shared.mailboxes.count)"
        for (name, value) in page.members { text += ",\"\(name)\":\(value)" }
        return text + "}\n"
    }
}
