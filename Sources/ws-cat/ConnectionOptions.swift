import StreamClient
import StreamCodec
import StreamTool

var protocolOptions: OptionGroup<CatOptions> {
    OptionGroup(
        "The protocol",
        [
            .strings(
                nil, "origin", "ORIGIN", { $0.origins.append($1) },
                "The Origin field of the request. With --listen: a page of this origin may connect,"
                    + " or any with '*'; may be given more than once."),
            .strings(
                nil, "subprotocol", "NAME", { $0.subprotocols.append($1) },
                "A subprotocol to offer, or with --listen to accept. May be given more than once;"
                    + " the first is preferred."),
            .set(
                "L", "location", { $0.followsRedirects = true },
                "Follow redirects, up to 10 of them. Credentials and header fields are sent to the"
                    + " first host only."),
            .choice(
                nil, "compress", "WHEN", { $0.compression = $1 },
                "Whether messages may be compressed (permessage-deflate): on offers it (the"
                    + " default), required ends a connection without it, off does without."),
            .count(
                nil, "compress-level", "N", { $0.compressionLevel = $1 }, in: 1...9,
                "How well sent messages are compressed, from 1 (fastest, the default) to 9."),
            .count(
                nil, "window-bits", "N", { $0.windowBits = $1 }, in: 9...15,
                "The largest window, as a power of two, that each side may compress with (15). A"
                    + " server that cannot limit its own may use 15."),
            .set(
                nil, "no-context-takeover", { $0.noContextTakeover = true },
                "Each message is compressed by itself, both ways: less memory, longer messages."),
            .size(
                nil, "max-message", { $0.maxMessage = $1 }, in: 1...1 << 40,
                "The longest message that is accepted, inflated, in bytes (16M). A longer one"
                    + " closes the connection with 1009."),
        ])
}

var upOptions: OptionGroup<CatOptions> {
    OptionGroup("Staying up", keepaliveOptions + reconnectOptions + bufferOptions)
}

private var keepaliveOptions: [Option<CatOptions>] {
    [
        .duration(
            nil, "ping", { $0.ping = $1 }, orZero: true,
            "Send a ping so often (30s); 0 sends none."),
        .duration(
            nil, "pong-timeout", { $0.pongTimeout = $1 },
            "The connection is dead when nothing comes for so long behind a ping (10s)."),
        .duration(
            nil, "idle-timeout", { $0.idleTimeout = $1 == 0 ? nil : $1 }, orZero: true,
            "The connection has failed when no message comes for so long; 0 sets no limit."),
        .set(
            nil, "latency", { $0.measuresLatency = true },
            "Ping every second, unless --ping says otherwise, to measure the time to the pong:"
                + " rtt_seconds of --stats and --metrics-file."),
    ]
}

private var reconnectOptions: [Option<CatOptions>] {
    [
        .set(
            nil, "reconnect", { $0.reconnects = true },
            "Connect again when a connection cannot be had or does not last. Close codes 1002,"
                + " 1003 and 1007 to 1010 say not to (but 1008 for too many requests), as do"
                + " statuses that no second try mends."),
        Option(
            nil, "backoff",
            "How long to wait before connecting again (1s..30s): a random time up to MIN, then up"
                + " to twice as much each time, up to MAX. Retry-After is the least.",
            argument: .required("MIN..MAX")
        ) { settings, value in
            settings.backoff = try Value.backoff(value ?? "")
        },
        .count(
            nil, "retries", "N", { $0.retries = $1 }, in: 0...1_000_000_000,
            "Give up after so many attempts behind one another that failed (any number)."),
        .duration(
            nil, "reset-after", { $0.resetAfter = $1 },
            "A connection that lasted so long starts --backoff and --retries anew (10s)."),
        .retryStatuses { $0.retryStatuses = $1 },
        .set(
            nil, "resend-unconfirmed", { $0.resends = true },
            "With --reconnect: lines that went to a connection that ended, and that the peer did"
                + " not confirm, are sent again on the next one, so that each arrives at least"
                + " once. They are kept until then, in --buffer-bytes."),
        .path(
            nil, "resume-from", { $0.resumePath = $1 },
            "With --reconnect: where in a received message the place is that a new connection goes"
                + " on behind, a number or a string such as .id."),
        .string(
            nil, "resume-param", "NAME", { $0.resumeParameter = $1 },
            "The parameter of the query that has the last one of those in the request of a new"
                + " connection."),
        Option(
            nil, "final-codes",
            "More close codes after which not to connect again, such as 4000-4999.",
            argument: .required("CODE[-CODE][,...]")
        ) { settings, value in
            settings.finalCodes += try Value.ranges(value ?? "", in: 1000...4999)
        },
        Option(
            nil, "retry-codes",
            "More close codes after which to connect again, such as 1008.",
            argument: .required("CODE[-CODE][,...]")
        ) { settings, value in
            settings.retryCodes += try Value.ranges(value ?? "", in: 1000...4999)
        },
    ]
}

private var bufferOptions: [Option<CatOptions>] {
    [
        Option(
            nil, "on-open",
            "Send the lines of FILE first, on every connection; with --null a NUL ends a line"
                + " there, too. May be given more than once.",
            argument: .required("FILE"), completion: .file
        ) { settings, value in
            settings.greetings.append(.file(value ?? ""))
        },
        Option(
            "e", "on-open-line",
            "Send LINE first, on every connection. May be given more than once.",
            argument: .required("LINE")
        ) { settings, value in
            settings.greetings.append(.line(value ?? ""))
        },
        .count(
            nil, "buffer", "N", { $0.buffer = $1 }, in: 1...100_000_000,
            "How many lines are read ahead while there is no connection (100)."),
        .size(
            nil, "buffer-bytes", { $0.bufferBytes = $1 }, in: 1...1 << 40,
            "How many bytes of lines are read ahead (4M); one line always is."),
        Option(
            nil, "overflow",
            "What happens when that is full: block leaves the rest to the writer of the input (the"
                + " default); drop-oldest and drop-newest drop lines, count them and exit 1;"
                + " spill:FILE appends them to FILE, from where they are sent in their turn; only"
                + " one run at a time may have it.",
            argument: .required("POLICY"),
            completion: .choices(["block", "drop-oldest", "drop-newest", "spill:"])
        ) { settings, value in
            settings.overflow = try overflow(value ?? "")
        },
        .size(
            nil, "receive-buffer", { $0.receiveBuffer = $1 }, in: 1...1 << 40,
            "How much is received ahead of standard output, in bytes (1M). Beyond it nothing is"
                + " read from the peer, pings too."),
        .rate(
            nil, "rate", { $0.rate = $1 },
            "Send no more messages than this, such as 10/s."),
    ]
}

var listenOptions: OptionGroup<CatOptions> {
    OptionGroup(
        "As a server",
        [
            .string(
                nil, "listen", "[HOST]:PORT", { $0.listen = $1 },
                "Serve one connection instead of making one: at this address, 127.0.0.1 without a"
                    + " HOST. Port 0 takes a free one. 'fd:' takes the socket that systemd"
                    + " passes."),
            .set(
                nil, "keep-listening", { $0.keepsListening = true },
                "Serve one connection after the other. The end of the input closes none."),
            .count(
                nil, "max-connections", "N", { $0.maxConnections = $1 }, in: 1...Int.max,
                "With --keep-listening: end after so many connections."),
            .set(
                nil, "echo", { $0.echoes = true },
                "Send each received message back, too: a peer to test others with."),
            .file(
                nil, "port-file", { $0.portFile = $1 },
                "Write the port to FILE once connections are accepted."),
        ])
}

private func overflow(_ text: String) throws -> Overflow {
    switch text {
    case "block": return .block
    case "drop-oldest": return .dropOldest
    case "drop-newest": return .dropNewest
    default:
        guard text.hasPrefix("spill:"), text.count > 6 else {
            throw UsageError(
                "expected block, drop-oldest, drop-newest or spill:FILE, not '\(text)'")
        }
        return .spill(String(text.dropFirst(6)))
    }
}
