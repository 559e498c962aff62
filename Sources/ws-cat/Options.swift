import StreamClient
import StreamCodec
import StreamTool

/// What a line, or standard input as a whole, is.
enum Form { case data, records, text, binary }

enum Compression: String, CaseIterable { case off, on, required }

/// What happens to a line for which there is no room while there is no connection.
enum Overflow: Equatable {
    case block, dropOldest, dropNewest
    case spill(String)
}

/// A class, so that those who keep it are small: it does not change once it is read.
final class CatOptions: ToolSettings, ConnectSettings, RequestSettings {
    var common = CommonOptions()
    var connect = ConnectOptions()
    var request = RequestOptions()

    // Lines and messages.
    var form = Form.data
    var endsLinesWithNull = false
    var hasLengthPrefix = false
    /// Bytes of a binary message that is made of standard input.
    var chunk = 64 << 10
    /// Bytes; longer messages are sent in fragments. Nil: never.
    var fragment: Int?
    /// Records tell also what happens to the connection.
    var all = false
    /// What is received is also sent back.
    var echoes = false

    // The protocol.
    var compression = Compression.on
    var compressionLevel = 1
    var windowBits = 15
    var noContextTakeover = false
    /// Bytes of a received message.
    var maxMessage = 16 << 20
    var origins: [String] = []
    var subprotocols: [String] = []
    var followsRedirects = false

    // Staying up. Durations are nanoseconds.
    /// 0: no pings. Nil: 30 s, or 1 s with `--latency`.
    var ping: UInt64?
    var pongTimeout: UInt64 = 10_000_000_000
    var idleTimeout: UInt64?
    var reconnects = false
    var backoff = Backoff(range: 1_000_000_000...30_000_000_000)
    /// Attempts behind one another that may fail; nil: any number.
    var retries: Int?
    var resetAfter: UInt64 = 10_000_000_000
    var retryStatuses = RetryStatuses.standard
    var finalCodes: [ClosedRange<Int>] = []
    /// Close codes after which to connect again, though they say not to.
    var retryCodes: [ClosedRange<Int>] = []
    var greetings: [Greeting] = []
    /// Lines that nobody confirmed are sent again.
    var resends = false
    /// Where in a message the place is that a new connection goes on behind, and the parameter of
    /// the query that tells the peer.
    var resumePath: JSONPath?
    var resumeParameter: String?
    /// Lines that wait while there is no connection.
    var buffer = 100
    var bufferBytes = 4 << 20
    var overflow = Overflow.block
    var receiveBuffer = 1 << 20

    // Ending.
    /// Silence that ends it, the input being at its end; nil: 2 s, or 30 s for one reply.
    var wait: UInt64?
    var staysOpen = false
    var count: Int?
    var isOneShot = false
    var maxTime: UInt64?
    var closeCode: UInt16 = 1000
    var closeReason = ""
    var closeTimeout: UInt64 = 5_000_000_000

    // Also.
    var rate: Rate?
    var measuresLatency = false
    var listen: String?
    var keepsListening = false
    var maxConnections: Int?
    var portFile: String?
}

/// Lines that are sent first on each connection.
enum Greeting {
    case line(String)
    case file(String)
}

var command: Command<CatOptions> {
    Command(
        "ws-cat", "send lines as WebSocket messages, and write messages as lines",
        synopsis: "[-d | -r | -t | -b] [options] [URL]",
        options: [
            lineOptions, endOptions, Option.requesting, protocolOptions, upOptions,
            Option.connecting, listenOptions,
        ], metrics: metrics, manual: manual)
}

private var lineOptions: OptionGroup<CatOptions> {
    OptionGroup(
        "Lines and messages",
        [
            .set(
                "d", "data", { $0.form = .data },
                "A line is any JSON value and is sent as it is (the default). A received text that"
                    + " is JSON is written on one line, other text as a JSON string, and a binary"
                    + " message as {\"binary\":\"<base64>\"}."),
            .set(
                "r", "records", { $0.form = .records },
                "A line is a message record, both ways: {\"type\":\"text\",\"data\":\"...\"} or"
                    + " {\"type\":\"binary\",\"data\":\"<base64>\"}. Nothing is lost."),
            .set(
                "t", "text", { $0.form = .text },
                "A line is any text and is sent as it is. Received messages are written as they"
                    + " are, each with a newline behind it."),
            .set(
                "b", "binary", { $0.form = .binary },
                "Standard input is sent in binary messages as it comes, gzip too, and received"
                    + " messages are written with nothing between them."),
            .set(
                "0", "null", { $0.endsLinesWithNull = true },
                "With --text: a NUL ends a line, both ways, so that a message may hold"
                    + " newlines or be empty."),
            .set(
                nil, "length-prefix", { $0.hasLengthPrefix = true },
                "With --binary: each message has its length before it, both ways, 32 bits in"
                    + " network order."),
            .size(
                nil, "chunk", { $0.chunk = $1 }, in: 1...1 << 30,
                "With --binary: the most bytes that one message takes (64K)."),
            .size(
                nil, "fragment", { $0.fragment = $1 }, in: 1...1 << 40,
                "Send messages that are longer in fragments of so many bytes."),
            .set(
                nil, "all", { $0.all = true },
                "With --records: also write what happens to the connection, as records of type"
                    + " open, close, ping, pong and reconnect, with their times."),
        ])
}

private var endOptions: OptionGroup<CatOptions> {
    OptionGroup(
        "The end",
        [
            .duration(
                nil, "wait", { $0.wait = $1 }, atLeastMilliseconds: 0,
                "At the end of the input, close once no message went or came for so long (2s; with"
                    + " --one, which waits for its reply, 30s). A peer that never pauses is heard"
                    + " until it closes. 0 waits for nothing."),
            .set(
                nil, "no-close", { $0.staysOpen = true },
                "Go on receiving behind the end of the input, until the peer closes."),
            .count(
                "n", "count", "COUNT", { $0.count = $1 }, in: 1...Int.max,
                "Close after so many received messages. Lines that are not sent by then are"
                    + " counted in --stats as unsent."),
            .set(
                "1", "one", { $0.isOneShot = true },
                "Send one line, write one reply, and close. Exit 69 when there is no connection"
                    + " within --wait, or then no reply."),
            .duration(
                nil, "max-time", { $0.maxTime = $1 == 0 ? nil : $1 }, orZero: true,
                "Close after so long, whatever happens; 0 sets no limit."),
            .count(
                nil, "close-code", "CODE", { $0.closeCode = UInt16($1) }, in: 1000...4999,
                "The code to close with (1000)."),
            .string(
                nil, "close-reason", "TEXT", { $0.closeReason = $1 },
                "The reason to close with, up to 123 bytes."),
            .duration(
                nil, "close-timeout", { $0.closeTimeout = $1 == 0 ? Value.never : $1 },
                orZero: true,
                "How long to wait for the peer's Close behind ours (5s); 0 sets no limit. Once a"
                    + " signal asked to stop, 3s at the most."),
        ])
}
