import StreamCodec
import StreamTool

/// What a line of input is.
enum LineForm { case data, records, text }

enum Compress: String, CaseIterable { case on, off }

enum EndOfInput: String, CaseIterable { case exit, stay }

struct ServeOptions: ToolSettings, Sendable {
    var common = CommonOptions()

    // The publisher.
    var form = LineForm.data
    var event: String?
    var channel: String?
    var eventFrom: JSONPath?
    var idFrom: JSONPath?
    var channelFrom: JSONPath?
    var keyFrom: JSONPath?

    // Listening.
    var listen: [String] = []
    var portFile: String?
    /// Without a slash at its end; empty: none.
    var prefix = ""
    var origins: [String] = []
    var workers: Int?

    // What clients get. Durations are nanoseconds.
    var heartbeat: UInt64 = 30_000_000_000
    var retry: UInt64 = 3_000_000_000
    var ping: UInt64 = 30_000_000_000
    var pongTimeout: UInt64 = 10_000_000_000
    var compresses = true
    var compressLevel = 3
    var history = HistoryLimits()

    // Slow clients.
    /// Events that may wait for a client.
    var buffer = 100
    var slow = SlowPolicy.dropOldest
    var slowAfter: UInt64 = 1_000_000_000
    var sendTimeout: UInt64 = 30_000_000_000
    var flushInterval: UInt64 = 3_000_000
    /// Bytes that the system holds for a client.
    var sendBuffer = 128 << 10

    // What clients publish.
    var publishes = false
    var echoes = false
    /// Messages a second.
    var publishRate = 100.0
    var publishRateTotal = 10_000.0

    // The end.
    var stays = false
    var drain: UInt64 = 10_000_000_000

    // Limits.
    var maxConnections = 10_000
    var maxPerAddress = 1000
    var maxHead = 16 << 10
    var headTimeout: UInt64 = 10_000_000_000
    var maxBody = 1 << 20
    var bodyTimeout: UInt64 = 30_000_000_000
    var maxInflated = 8 << 20
    var maxUploads: Int?
    var maxMessage = 64 << 10
    var maxSubscriptions = 100

    var isAdmin = false
    /// Answers /echo with what was sent, for conformance tests.
    var echoesAll = false

    /// Room for one body or message that is as long as it may be, and what comes right behind it.
    var leastUploads: Int { max(maxBody, maxMessage) + 1 << 20 }

    /// Bytes that all requests and messages may have that are not complete.
    var uploads: Int { maxUploads ?? max(64 << 20, leastUploads) }

    var usesPaths: Bool { eventFrom != nil || idFrom != nil || channelFrom != nil }

    func allows(origin: String) -> Bool { origins.contains("*") || origins.contains(origin) }

    /// What options do not go together, and values that no row can check.
    func check() throws {
        if form == .text && (usesPaths || keyFrom != nil) {
            throw UsageError("--event-from, --id-from, --channel-from and --key-from need JSON")
        }
        if form == .records && event != nil {
            throw UsageError("--event needs --data or --text: a record names its own")
        }
        if let event, !event.isEventName {
            throw UsageError("option '--event': a name cannot hold a line break")
        }
        if let channel, !channel.isChannelName {
            throw UsageError("option '--channel': '\(channel)' is no channel name")
        }
        if slow == .conflate && keyFrom == nil {
            throw UsageError("--slow=conflate needs --key-from")
        }
        if echoes && !publishes { throw UsageError("--echo needs --publish") }
        if common.gzipLevel != nil && !publishes { throw UsageError("--gzip needs --publish") }
        if !prefix.isEmpty && prefix.first != "/" {
            throw UsageError("option '--prefix': expected a path such as /live")
        }
        if let maxUploads, maxUploads < leastUploads {
            throw UsageError(
                "--max-uploads must be a megabyte more than --max-body and --max-message, or more")
        }
        if common.maxLine > 1 << 30 { throw UsageError("option '--max-line': more than 1G") }
    }
}

var command: Command<ServeOptions> {
    Command(
        "stream-serve", "serve lines as Server-Sent Events, WebSocket, long polling and JSON Lines",
        synopsis: "[-d | -r | -t] [-l [HOST:]PORT] [options] [FILE ...]",
        options: [
            publisherOptions, listenOptions, clientOptions, slowOptions, publishOptions, endOptions,
            limitOptions,
        ], metrics: metrics, manual: manual)
}

private var publisherOptions: OptionGroup<ServeOptions> {
    OptionGroup(
        "Events",
        [
            .set(
                "d", "data", { $0.form = .data },
                "A line is any JSON value, and is the data of an event (the default)."),
            .set(
                "r", "records", { $0.form = .records },
                "A line is an event record: an object with event, id, data, retry, comment and"
                    + " channel, each of which may be left out."),
            .set(
                "t", "text", { $0.form = .text },
                "A line is any text, and is the data of an event."),
            .string(
                nil, "event", "NAME", { $0.event = $1 },
                "The type of events that name none."),
            .path(
                nil, "event-from", { $0.eventFrom = $1 },
                "An event's type is the string at this path in its data."),
            .path(
                nil, "id-from", { $0.idFrom = $1 },
                "An event's id is the string or the number at this path in its data. Without it,"
                    + " and without an id in a record, events are numbered."),
            .string(
                nil, "channel", "NAME", { $0.channel = $1 },
                "The channel of events that name none."),
            .path(
                nil, "channel-from", { $0.channelFrom = $1 },
                "An event's channel is the string at this path in its data: names with dots between"
                    + " them."),
            .path(
                nil, "key-from", { $0.keyFrom = $1 },
                "What an event is about is the value at this path in its data; see"
                    + " --slow=conflate."),
        ])
}

private var listenOptions: OptionGroup<ServeOptions> {
    OptionGroup(
        "Listening",
        [
            .strings(
                "l", "listen", "[HOST:]PORT", { $0.listen.append($1) },
                "Listen at this numeric address, localhost or * (127.0.0.1:8080); port 0 takes one"
                    + " that is free. Or at unix:PATH, or with fd: at the sockets that systemd"
                    + " passes. May be given several times."),
            .file(
                nil, "port-file", { $0.portFile = $1 },
                "Write the port of the first address that has one to FILE."),
            .string(
                nil, "prefix", "PATH",
                { $0.prefix = $1.last == "/" ? String($1.dropLast()) : $1 },
                "What all paths begin with."),
            .strings(
                nil, "origin", "ORIGIN", { $0.origins.append($1) },
                "Pages of this origin may read, connect and publish, or with * those of any; may be"
                    + " given several times. Without it only pages that come from here may."),
            .count(
                nil, "workers", "N", { $0.workers = $1 }, in: 1...256,
                "How many threads serve clients (one for each processor)."),
            .set(
                nil, "admin", { $0.isAdmin = true },
                "Serve the counters as JSON at /stats."),
        ])
}

private var clientOptions: OptionGroup<ServeOptions> {
    OptionGroup(
        "What clients get",
        [
            .duration(
                nil, "heartbeat", { $0.heartbeat = $1 }, orZero: true,
                "Send a comment to clients of /events when nothing else was sent for so long (30s);"
                    + " 0 sends none."),
            .duration(
                nil, "retry", { $0.retry = $1 },
                "When clients of /events should come back after they lost their connection: half to"
                    + " one and a half times as long, at random (3s)."),
            .duration(
                nil, "ping", { $0.ping = $1 }, orZero: true,
                "Ask clients of /ws whether they are there after so much silence (30s); 0 never"
                    + " does."),
            .duration(
                nil, "pong-timeout", { $0.pongTimeout = $1 },
                "Close when that is not answered for so long (10s)."),
            .choice(
                nil, "compress", "WHEN",
                { (options: inout ServeOptions, when: Compress) in
                    options.compresses = when == .on
                },
                "Compress for clients that can take it: gzip for /events and /stream,"
                    + " permessage-deflate for /ws, once for all who receive the same (on)."),
            .count(
                nil, "compress-level", "LEVEL", { $0.compressLevel = $1 }, in: 1...9,
                "From 1, fastest, to 9, smallest (3)."),
            .count(
                nil, "history", "COUNT", { $0.history.count = $1 }, in: 0...Int.max,
                "Keep the newest COUNT events for clients that come back (10000)."),
            .size(
                nil, "history-bytes", { $0.history.bytes = $1 }, in: 1 << 10...1 << 40,
                "Keep no more than so many bytes of them; that is also the most that a client may"
                    + " lag behind (64M)."),
            .duration(
                nil, "history-age", { $0.history.age = $1 },
                "Keep no events that are older."),
        ])
}

private var slowOptions: OptionGroup<ServeOptions> {
    OptionGroup(
        "Slow clients",
        [
            .count(
                nil, "buffer", "COUNT", { $0.buffer = $1 }, in: 1...1 << 30,
                "How many events may wait for a client before it counts as slow (100)."),
            .choice(
                nil, "slow", "POLICY", { $0.slow = $1 },
                "What a slow client gets: only the newest of those that wait (drop-oldest, the"
                    + " default), only the oldest (drop-newest), the newest of each --key-from"
                    + " (conflate), or nothing more (disconnect). With block the input waits for"
                    + " the slowest client. What is left out is told to the client, and counted."),
            .duration(
                nil, "slow-after", { $0.slowAfter = $1 }, atLeastMilliseconds: 0,
                "How long a client may be behind before it counts as slow: until then it gets"
                    + " everything that is still kept (1s)."),
            .duration(
                nil, "send-timeout", { $0.sendTimeout = $1 }, atLeastMilliseconds: 0,
                "End a client that takes nothing for so long (30s); 0 never does."),
            .duration(
                nil, "flush-interval", { $0.flushInterval = $1 }, atLeastMilliseconds: 0,
                "Send at once when the last time is so long ago, and else when it is: so that one"
                    + " write carries several events (3ms)."),
            .size(
                nil, "send-buffer", { $0.sendBuffer = $1 }, in: 4 << 10...64 << 20,
                "How much the system may hold for a client (128K)."),
        ])
}

private var publishOptions: OptionGroup<ServeOptions> {
    OptionGroup(
        "What clients publish",
        [
            .set(
                nil, "publish", { $0.publishes = true },
                "Clients may publish with POST to /publish and over WebSocket: it is written to"
                    + " standard output."),
            .set(
                nil, "echo", { $0.echoes = true },
                "What clients publish is an event for all clients, too."),
            .rate(
                nil, "publish-rate", { $0.publishRate = $1.perSecond },
                "How many messages one connection may publish, and how many at once (100/s)."),
            .rate(
                nil, "publish-rate-total", { $0.publishRateTotal = $1.perSecond },
                "How many all of them may (10000/s)."),
        ])
}

private var endOptions: OptionGroup<ServeOptions> {
    OptionGroup(
        "The end",
        [
            .choice(
                nil, "eof", "ACTION",
                { (options: inout ServeOptions, action: EndOfInput) in
                    options.stays = action == .stay
                },
                "At the end of the input tell the clients and exit (the default), or stay and serve"
                    + " what is kept."),
            .duration(
                nil, "drain", { $0.drain = $1 }, atLeastMilliseconds: 0,
                "How long clients may take to get what is theirs at the end (10s)."),
        ])
}

private var limitOptions: OptionGroup<ServeOptions> {
    let echo = Option<ServeOptions>.set(nil, "echo-endpoint", { $0.echoesAll = true }, "")
    return OptionGroup("Limits", limitRows + [echo.hidden()])
}

private var limitRows: [Option<ServeOptions>] {
    [
        .count(
            nil, "max-connections", "N", { $0.maxConnections = $1 }, in: 1...1 << 20,
            "Connections in all (10000)."),
        .count(
            nil, "max-per-address", "N", { $0.maxPerAddress = $1 }, in: 1...1 << 20,
            "Connections from one address (1000): more, when all come through a proxy."),
        .size(
            nil, "max-head", { $0.maxHead = $1 }, in: 256...1 << 20,
            "Bytes of a request's head (16K)."),
        .duration(
            nil, "head-timeout", { $0.headTimeout = $1 },
            "How long a request's head may take (10s)."),
        .size(
            nil, "max-body", { $0.maxBody = $1 }, in: 0...1 << 30,
            "Bytes of a request's body, as it is sent (1M)."),
        .duration(
            nil, "body-timeout", { $0.bodyTimeout = $1 },
            "How long a request's body may take (30s)."),
        .size(
            nil, "max-inflated", { $0.maxInflated = $1 }, in: 0...1 << 30,
            "Bytes that a body in gzip inflates to (8M)."),
        .size(
            nil, "max-message", { $0.maxMessage = $1 }, in: 1...1 << 30,
            "Bytes of a client's message over WebSocket (64K)."),
        .size(
            nil, "max-uploads", { $0.maxUploads = $1 }, in: 1 << 20...1 << 40,
            "Bytes of bodies and messages of all clients that are on their way (64M, and"
                + " a megabyte more than the longest)."),
        .count(
            nil, "max-subscriptions", "N", { $0.maxSubscriptions = $1 }, in: 1...100_000,
            "Channels and events that one client may name (100)."),
    ]
}
