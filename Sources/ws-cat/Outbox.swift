import StreamCodec

/// All that is sent, in order: what each connection begins with, and then the lines that were
/// accepted. The bytes of a line are kept until the socket took its whole frame, or where they are
/// to be sent again until the peer confirmed it: after a broken connection they go on the next.
struct Outbox: ~Copyable {
    private struct Entry {
        var size: Int
        var kind: WebSocketReceiver.Kind
        /// It belongs to the connection, and not to the input.
        var isGreeting = false
        /// Where the message's frame ends on the wire; 0 before it is encoded.
        var end = 0
    }

    /// Bytes of lines that may wait to be confirmed; nil when they are forgotten once they are
    /// handed over.
    private let window: Int?
    private var payloads = ByteQueue(capacity: 64 << 10)
    private var entries: [Entry] = []
    /// The first entry that is not forgotten, the first that is not handed over, and the first that
    /// is not encoded.
    private var first = 0
    private var handed = 0
    private var next = 0
    /// Greetings that are not handed over. They stand before all lines of theirs.
    private var greetings = 0
    /// The bytes of the payloads that are handed over and kept, and of those that are encoded.
    private var keptBytes = 0
    private var encodedBytes = 0
    /// Where the last frame ended that went whole, or where the first begins.
    private var lastEnd = 0

    init(window: Int?) {
        self.window = window
    }

    /// Lines that are not handed over.
    var count: Int { entries.count - handed - greetings }
    /// All is handed over.
    var isEmpty: Bool { entries.count == handed }
    /// All is handed over, and nothing kept.
    @inline(__always)
    var isSettled: Bool { entries.count == first }
    /// Something of it belongs to a connection.
    var isBegun: Bool { next > first || greetings > 0 }
    @inline(__always)
    private var unencoded: Int { entries.count - next }
    /// Something is to be encoded, and may be.
    @inline(__always)
    var mayEncode: Bool { unencoded > 0 && (window.map { kept < $0 } ?? true) }
    /// So much is kept that the peer should confirm some of it.
    var wantsConfirmation: Bool { window.map { kept >= $0 / 2 } ?? false }

    /// The memory that unsent messages take, in bytes: an empty message takes some, too.
    @inline(__always)
    var weight: Int { payloads.count - keptBytes + (entries.count - handed) * Self.stride }
    private var kept: Int { keptBytes + (handed - first) * Self.stride }

    private static var stride: Int { MemoryLayout<Entry>.stride }

    @inline(__always)
    mutating func append(
        _ kind: WebSocketReceiver.Kind, _ payload: UnsafeBufferPointer<UInt8>
    ) {
        payloads.append(payload)
        entries.append(Entry(size: payload.count, kind: kind))
    }

    /// A connection begins, and these go first on it.
    mutating func begin(with messages: [Message]) {
        precondition(!isBegun)
        if messages.isEmpty { return }
        var all = ByteQueue(capacity: payloads.count + messages.reduce(0) { $0 + $1.payload.count })
        for message in messages { all.append(message.payload) }
        all.append(payloads.bytes)
        payloads = all
        entries.replaceSubrange(
            0..<first,
            with: messages.map { Entry(size: $0.payload.count, kind: $0.kind, isGreeting: true) })
        first = 0
        handed = 0
        next = 0
        greetings = messages.count
    }

    /// Encodes the next message; `position` is what the connection has taken before the wire.
    @inline(__always)
    mutating func encodeNext(
        _ sender: inout WebSocketSender, to wire: inout ByteQueue, handed position: Int
    ) {
        let entry = entries[next]
        let payload = payloads.bytes(encodedBytes..<(encodedBytes + entry.size))
        sender.append(entry.kind, payload, to: &wire)
        encodedBytes += entry.size
        entries[next].end = position + wire.count
        next += 1
    }

    /// Notes what the socket has taken whole, and says how many messages those are.
    mutating func handOver(_ position: Int) -> (lines: Int, greetings: Int) {
        let start = handed
        let waiting = greetings
        while handed < next && entries[handed].end <= position {
            lastEnd = entries[handed].end
            keptBytes += entries[handed].size
            if entries[handed].isGreeting { greetings -= 1 }
            handed += 1
        }
        let greeted = waiting - greetings
        let lines = handed - start - greeted
        // Nothing but greetings stands before a greeting.
        forget(window == nil ? handed - first : greeted)
        return (lines, greeted)
    }

    /// The peer has so many lines of those that were handed over first.
    mutating func confirm(_ lines: Int) {
        if window != nil { forget(lines) }
    }

    private mutating func forget(_ count: Int) {
        if count == 0 { return }
        let size = entries[first..<(first + count)].reduce(0) { $0 + $1.size }
        payloads.consume(size)
        first += count
        handed = max(handed, first)
        next = max(next, first)
        keptBytes = max(0, keptBytes - size)
        encodedBytes = max(0, encodedBytes - size)
        compact()
    }

    /// The connection is gone: what it did not take whole, or what nobody confirmed, is sent on the
    /// next one, which has greetings of its own.
    mutating func rewind() {
        let unsent = greetings
        greetings = 0
        handed = first
        next = first
        keptBytes = 0
        encodedBytes = 0
        lastEnd = 0
        forget(unsent)
    }

    /// Takes back what is encoded and of which no byte has gone. Returns where the frame ends that
    /// has begun to go, if one has: `start` is where the messages on the wire begin.
    mutating func takeBack(handed position: Int, start: Int) -> Int? {
        let isBegun = handed < next && max(lastEnd, start) < position
        next = isBegun ? handed + 1 : handed
        encodedBytes = keptBytes + (isBegun ? entries[handed].size : 0)
        return isBegun ? entries[handed].end : nil
    }

    /// Nothing may belong to a connection when a line is dropped.
    mutating func dropOldest() {
        precondition(!isBegun && !isEmpty)
        forget(1)
    }

    /// Each line that is not handed over, in order.
    func forEach(_ body: (WebSocketReceiver.Kind, UnsafeBufferPointer<UInt8>) -> Void) {
        var offset = keptBytes
        for entry in entries[handed...] {
            let payload = payloads.bytes(offset..<(offset + entry.size))
            if !entry.isGreeting { body(entry.kind, payload) }
            offset += entry.size
        }
    }

    /// Spent entries go once they are most of the array, so that this costs nothing in the mean.
    private mutating func compact() {
        if first == entries.count {
            entries.removeAll(keepingCapacity: true)
        } else if first > 4096 && first > entries.count / 2 {
            entries.removeFirst(first)
        } else {
            return
        }
        next -= first
        handed -= first
        first = 0
    }
}

/// What a message is made of.
struct Message {
    var kind: WebSocketReceiver.Kind
    var payload: [UInt8]
}
