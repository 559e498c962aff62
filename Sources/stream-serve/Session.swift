import StreamCodec

/// What a connection needs while it is asked or told something of its own: a request, frames that
/// come, bytes that only it gets. A stream that merely flows has none.
final class Session {
    /// What happens once `output` is sent.
    enum Then {
        case goOn
        /// The connection ends.
        case close
    }

    /// What a connection of HTTP waits for.
    enum Phase {
        case head
        case body(Upload)
        /// The answer of the publisher.
        case acknowledgement(keepsAlive: Bool)
        case poll(Poll)
        /// It became a stream.
        case streaming
    }

    /// Received, and not yet understood.
    var input = ByteQueue(capacity: 0)
    /// Bytes that count for `--max-uploads`.
    var held = 0
    /// Goes to this client alone, before the feed's log goes on.
    var output = ByteQueue(capacity: 0)
    var then = Then.goOn
    var phase = Phase.head
    /// When the head or the body must be complete, monotonic nanoseconds; 0: no such time.
    var deadline: UInt64 = 0
    /// The last request was answered, and nothing of another has come.
    var isBetweenRequests = false
    /// Something came and was left where it is, because answers wait.
    var hasUnread = false
    /// Its messages are being looked at.
    var isReceiving = false
    /// Its requests are being looked at.
    var isServing = false
    /// What every request is answered with: there are too many connections.
    var refusal: Refusal?

    // WebSocket.
    var receiver: WebSocketReceiver?
    /// Only the hidden echo endpoint compresses for one client.
    var sender: WebSocketSender?
    /// Our Close is sent or queued.
    var isClosing = false

    // Publishing.
    var allowance: Allowance?
    /// Acknowledgements that are still to come.
    var unacknowledged = 0
    /// Messages that were refused for their rate.
    var excess = 0
    /// What came of the body of a request.
    var body = ByteQueue(capacity: 0)
    /// Cross-origin fields of the answer that is to come.
    var acknowledgementFields = ""

    /// Bytes that wait for the rest of a request or message.
    var uploads: Int { input.count + body.count + (receiver?.held ?? 0) }

    func forgetUploads() {
        input = ByteQueue(capacity: 0)
        body = ByteQueue(capacity: 0)
        receiver = nil
    }

    /// It holds nothing that is needed later.
    var isIdle: Bool {
        guard case .streaming = phase else { return false }
        return input.isEmpty && output.isEmpty && receiver == nil && sender == nil && !isClosing
            && allowance == nil && unacknowledged == 0
    }
}

/// The body of a request that publishes, as it comes.
struct Upload {
    var channel: [UInt8]
    /// Contents of a JSON string.
    var event: [UInt8]
    /// Each value names its channel and event.
    var isRecords: Bool
    /// JSON Lines instead of one JSON text.
    var isLines: Bool
    /// The request says so; a body is looked at, too.
    var isGzip: Bool
    var keepsAlive: Bool
    /// Cross-origin fields of the answer.
    var fields: String
    /// Nil: chunked.
    var length: Int?
    var chunks: ChunkedReader
}

/// A request of /poll that waits for events.
struct Poll {
    var filter: Filter
    /// The first event that it does not have.
    var sequence: UInt64
    var max: Int
    /// Monotonic nanoseconds.
    var deadline: UInt64
    var keepsAlive: Bool
    var isHead: Bool
    /// What it does not get, if it named an event that is not kept.
    var gap: Gap?
    var missed: Int?
    /// Cross-origin fields of the answer.
    var fields: String
}

/// So many in so much time: a token bucket that holds a second's worth, and one at least.
struct Allowance {
    private let perSecond: Double
    private var left: Double
    private var last: UInt64

    init(_ perSecond: Double, now: UInt64) {
        self.perSecond = perSecond
        left = max(perSecond, 1)
        last = now
    }

    /// False when it is used up: nothing is taken then.
    mutating func take(_ count: Int, now: UInt64) -> Bool {
        // Clocks of several workers: one may be behind another.
        if now > last {
            left = min(max(perSecond, 1), left + Double(now - last) / 1e9 * perSecond)
            last = now
        }
        guard left >= Double(count) else { return false }
        left -= Double(count)
        return true
    }
}

/// An allowance that all workers use.
final class SharedAllowance: @unchecked Sendable {
    private let lock = Lock()
    private var allowance: Allowance

    init(_ perSecond: Double, now: UInt64) {
        allowance = Allowance(perSecond, now: now)
    }

    func take(_ count: Int, now: UInt64) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        return allowance.take(count, now: now)
    }
}
