import StreamClient
import StreamCodec
import StreamTool

/// When to ask again behind the end of an answer.
enum Reconnecting: String, CaseIterable {
    /// Always for GET; for requests with a body, or of another method, when the answer was cut off.
    case auto
    case always
    /// When the answer was cut off.
    case lost
    case never
}

/// What can be said of URLs besides the request and the connection. Durations are nanoseconds.
struct FollowOptions {
    // The request.
    var method: String?
    /// A text, or `@FILE`.
    var body: String?
    var cookieJar: String?
    /// Nil: for GET only.
    var followsRedirects: Bool?

    // Resuming.
    var lastEventID: String?
    var idParameter: String?
    var stateFile: String?
    var stateInterval: UInt64 = 1_000_000_000
    var isExactlyOnce = false

    // Trying again.
    var reconnects = Reconnecting.auto
    var backoff = Backoff(range: 1_000_000_000...30_000_000_000)
    /// Attempts behind one another that may fail; nil: any number, or 10 for a request that is not
    /// just asking.
    var retries: Int?
    var retryStatuses = RetryStatuses.standard
    var resetAfter: UInt64 = 10_000_000_000
    /// Nil: as below.
    var idleTimeout: UInt64?
    /// How long nothing may come from a stream before the server has shown a rhythm: 5 min.
    static let idle: UInt64 = 300_000_000_000
    /// How long the head of an answer, or the answer to a poll, may take: 45 s.
    static let answerIdle: UInt64 = 45_000_000_000
    /// Both, for a request that is not just asking: 10 min.
    static let longIdle: UInt64 = 600_000_000_000
    var maxTime: UInt64?
    var notifies = false

    // Long polling.
    var poll: String?
    var pollCursor: JSONPath?
    var pollParameter = "since"
    var pollFor: UInt64 = 300_000_000_000
    var trustsPoll = false

    /// The method, when nobody named one.
    var effectiveMethod: String { method ?? (body == nil ? "GET" : "POST") }

    /// Asking again changes nothing at the server: RFC 9110, section 9.2.1.
    var isSafe: Bool { body == nil && effectiveMethod == "GET" }

    /// Whether redirects are followed.
    func follows(_ isPoll: Bool) -> Bool { followsRedirects ?? (isSafe || isPoll) }

    /// Attempts behind one another that may fail.
    var maxRetries: Int { retries ?? (isSafe ? .max : 10) }

    /// Whether to ask again behind a connection that ended well, or was lost.
    func asksAgain(isLost: Bool) -> Bool {
        switch reconnects {
        case .auto: isLost || isSafe
        case .always: true
        case .lost: isLost
        case .never: false
        }
    }
}

var askingOptions: OptionGroup<DecodeOptions> {
    OptionGroup(
        "Asking a URL",
        [
            Option(
                "X", "request", "The method of the request (GET, or POST with --body).",
                argument: .required("METHOD")
            ) { settings, value in
                guard let value, value.isToken else { throw UsageError("expected a method") }
                settings.follow.method = value
            },
            .string(
                nil, "body", "TEXT", { $0.follow.body = $1 },
                "The body of the request, or with @FILE what a file has, which is read again for"
                    + " each request. Its Content-Type is application/json unless --header says"
                    + " otherwise."),
            .file(
                nil, "cookie-jar", { $0.follow.cookieJar = $1 },
                "Read cookies from FILE and keep those of the answers there, in Netscape's format."
                    + " Nobody else may read it. For one URL."),
            .set(
                "L", "location", { $0.follow.followsRedirects = true },
                "Follow redirects, up to 10 of them, also for other methods than GET, which 303,"
                    + " and 301 and 302 for POST, turn into GET. Credentials and header fields are"
                    + " sent to the first host only."),
            .set(
                nil, "no-location", { $0.follow.followsRedirects = false },
                "Do not follow redirects."),
        ])
}

var resumingOptions: OptionGroup<DecodeOptions> {
    OptionGroup(
        "Resuming",
        [
            Option(
                nil, "last-event-id", "Resume behind this id: what the first request says.",
                argument: .required("ID")
            ) { settings, value in
                let id = value ?? ""
                guard !id.utf8.contains(where: { $0 < 0x20 && $0 != 9 || $0 == 0x7F }) else {
                    throw UsageError("--last-event-id has a control character")
                }
                settings.follow.lastEventID = id
            },
            .string(
                nil, "id-param", "NAME", { $0.follow.idParameter = $1 },
                "Send the last event id also as this parameter of the query, in place of one that"
                    + " the URL has."),
            .file(
                nil, "state", { $0.follow.stateFile = $1 },
                "Keep the id of the last event that was written out in FILE, and go on behind it"
                    + " in the next run."),
            .duration(
                nil, "state-interval", { $0.follow.stateInterval = $1 }, orZero: true,
                "How often --state is written at the most (1s), with 0 whenever something was"
                    + " written; it is also at the end."),
            .set(
                nil, "exactly-once", { $0.follow.isExactlyOnce = true },
                "With --output and --state: also keep the length of the output. The next run cuts"
                    + " off what is behind it, so that a kill at any moment leaves neither a gap"
                    + " nor a duplicate."),
        ])
}

var retryingOptions: OptionGroup<DecodeOptions> {
    OptionGroup(
        "Trying again",
        [
            .choice(
                nil, "reconnect", "WHEN", { $0.follow.reconnects = $1 },
                "When to ask again behind the end of an answer: always; lost, when it was cut off;"
                    + " never; or auto (the default), which is always for GET without a body, and"
                    + " for everything else lost, unless events without an id came, which would"
                    + " come again."),
            Option(
                nil, "backoff",
                "How long to wait before asking again (1s..30s): a random time up to MIN, then up"
                    + " to twice as much each time, up to MAX. The stream's retry, of at least a"
                    + " second or MIN, is the time before the first attempt and is added to later"
                    + " ones, up to MAX; Retry-After is the least.",
                argument: .required("MIN..MAX")
            ) { settings, value in
                settings.follow.backoff = try Value.backoff(value ?? "")
            },
            .count(
                nil, "retries", "N", { $0.follow.retries = $1 }, in: 0...1_000_000_000,
                "Give up after so many attempts behind one another that failed (any number; 10 for"
                    + " other requests than GET)."),
            .retryStatuses { $0.follow.retryStatuses = $1 },
            .duration(
                nil, "reset-after", { $0.follow.resetAfter = $1 },
                "A connection that brought an event or lasted so long starts --backoff and"
                    + " --retries anew (10s)."),
            .duration(
                nil, "idle-timeout", { $0.follow.idleTimeout = $1 == 0 ? Value.never : $1 },
                orZero: true,
                "The stream has stalled when nothing comes for so long: it is asked for again."
                    + " With 0 it never has. By default three times the longest pause that the"
                    + " server made between signs of life, but at least 45s; 5m while there was"
                    + " no such rhythm; 45s for the head of an answer; 10m for other requests"
                    + " than GET."),
            .duration(
                nil, "max-time", { $0.follow.maxTime = $1 == 0 ? nil : $1 }, orZero: true,
                "End after so long, whatever happens; 0 sets no limit. A URL that had no answer by"
                    + " then is an error (69), and so is with --require-end an end that did not"
                    + " come (76); otherwise the exit status is 0."),
            .set(
                nil, "notify", { $0.follow.notifies = true },
                "Tell systemd when the first stream is open, and its watchdog that all is well."),
        ])
}

var pollingOptions: OptionGroup<DecodeOptions> {
    OptionGroup(
        "Long polling",
        [
            .string(
                nil, "poll", "URL", { $0.follow.poll = $1 },
                "Where events can be polled for: alone, or when the stream is withheld, that is has"
                    + " twice brought a head and nothing for --idle-timeout. Without it, where the"
                    + " server says so in the head's field Stream-Poll."),
            .set(
                nil, "poll-trusted", { $0.follow.trustsPoll = true },
                "Send credentials, header fields, --query and --cert also to a --poll URL of"
                    + " another origin than the stream's."),
            .path(
                nil, "poll-cursor", { $0.follow.pollCursor = $1 },
                "Where in the last element of an answer the place to go on from is (.id)."),
            .string(
                nil, "poll-param", "NAME", { $0.follow.pollParameter = $1 },
                "The parameter of the query that has it in the next request (since)."),
            .duration(
                nil, "poll-for", { $0.follow.pollFor = $1 },
                "How long to poll before the stream is tried again (5m)."),
        ])
}
