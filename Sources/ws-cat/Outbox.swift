import StreamCodec

/// The messages that were accepted and are not handed over to the socket yet, in order. Their bytes
/// are kept until the whole frame has gone: after a broken connection they are sent again.
struct Outbox: ~Copyable {
    private struct Entry {
        var size: Int
        var kind: WebSocketReceiver.Kind
        /// Where the message's frame ends on the wire; 0 before it is encoded.
        var end = 0
    }

    private var payloads = ByteQueue(capacity: 64 << 10)
    private var entries: [Entry] = []
    /// The first entry that is not handed over, and the first that is not encoded.
    private var first = 0
    private var next = 0
    /// The bytes of the payloads that are encoded.
    private var encodedBytes = 0
    /// Where the last frame ended that went whole, or where the first begins.
    private var lastEnd = 0

    /// Messages that are not handed over.
    var count: Int { entries.count - first }
    /// Messages that are not encoded.
    @inline(__always)
    var unencoded: Int { entries.count - next }
    var isEmpty: Bool { count == 0 }
    /// Something is encoded, and may still go.
    var hasEncoded: Bool { next > first }
    /// The memory that they take, in bytes: an empty message takes some, too.
    @inline(__always)
    var weight: Int { payloads.count + count * MemoryLayout<Entry>.stride }

    @inline(__always)
    mutating func append(
        _ kind: WebSocketReceiver.Kind, _ payload: UnsafeBufferPointer<UInt8>
    ) {
        payloads.append(payload)
        entries.append(Entry(size: payload.count, kind: kind))
    }

    /// Encodes the next message; `handed` is what the connection has taken before the wire.
    @inline(__always)
    mutating func encodeNext(
        _ sender: inout WebSocketSender, to wire: inout ByteQueue, handed: Int
    ) {
        let entry = entries[next]
        let payload = payloads.bytes(encodedBytes..<(encodedBytes + entry.size))
        sender.append(entry.kind, payload, to: &wire)
        encodedBytes += entry.size
        entries[next].end = handed + wire.count
        next += 1
    }

    /// Forgets what the socket has taken whole, and says how many messages those are.
    mutating func handOver(_ handed: Int) -> Int {
        let start = first
        var size = 0
        while first < next && entries[first].end <= handed {
            lastEnd = entries[first].end
            size += entries[first].size
            first += 1
        }
        payloads.consume(size)
        encodedBytes -= size
        let count = first - start
        compact()
        return count
    }

    /// The connection is gone: what it did not take whole is sent on the next one.
    mutating func rewind() {
        next = first
        encodedBytes = 0
        lastEnd = 0
    }

    /// Takes back what is encoded and of which no byte has gone. Returns where the frame ends that
    /// has begun to go, if one has: `start` is where the messages on the wire begin.
    mutating func takeBack(handed: Int, start: Int) -> Int? {
        let isBegun = first < next && max(lastEnd, start) < handed
        next = isBegun ? first + 1 : first
        encodedBytes = isBegun ? entries[first].size : 0
        return isBegun ? entries[first].end : nil
    }

    /// Nothing may be encoded when a message is dropped.
    mutating func dropOldest() {
        precondition(next == first && !isEmpty)
        payloads.consume(entries[first].size)
        first += 1
        next = first
        compact()
    }

    /// Each message that is not handed over, in order.
    func forEach(_ body: (WebSocketReceiver.Kind, UnsafeBufferPointer<UInt8>) -> Void) {
        var offset = 0
        for entry in entries[first...] {
            body(entry.kind, payloads.bytes(offset..<(offset + entry.size)))
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
        first = 0
    }
}
