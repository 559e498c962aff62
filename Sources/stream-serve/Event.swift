import StreamCodec

/// A stretch of an event record: where a member's contents are, or nothing.
struct Stretch {
    private static let absent = UInt32.max
    private var start = absent
    private var count: UInt32 = 0

    init() {}

    init(_ range: Range<Int>?) {
        guard let range else { return }
        start = UInt32(range.lowerBound)
        count = UInt32(range.count)
    }

    var range: Range<Int>? {
        start == Self.absent ? nil : Int(start)..<Int(start + count)
    }
}

/// What stands before an event record wherever one is kept: in the mailboxes of the workers and in
/// their histories. The record is a line of JSON without its line feed.
struct EventHead {
    /// Bytes of head, record and padding: a multiple of 8.
    var size = 0
    var recordSize = 0
    /// Counts all events of this process, from 1.
    var sequence: UInt64 = 0
    /// When it came, monotonic nanoseconds.
    var arrival: UInt64 = 0
    /// Hash of the key that `--key-from` finds; 0 when there is none.
    var key: UInt64 = 0
    /// The sequence of a newer event with the same key; 0 while there is none.
    var successor: UInt64 = 0
    /// Milliseconds, or -1.
    var retry = -1
    var event = Stretch()
    var id = Stretch()
    var data = Stretch()
    var comment = Stretch()
    var channel = Stretch()
    /// The data is a string, and `data` its contents; otherwise it is any other JSON value.
    var isText = false
    /// The publisher named the id.
    var hasOwnID = false
    /// It has data that is sent as JSON, an id of ours, and nothing else but a channel.
    var isPlain = false

    static let size = MemoryLayout<EventHead>.stride
}

extension ByteQueue {
    /// Looks at the events that are all there is in it.
    func forEachEvent(_ body: (StoredEvent) -> Void) {
        var offset = 0
        while offset < count {
            let place = UnsafeMutableRawPointer(mutating: bytes.baseAddress! + offset)
            let event = StoredEvent(place)
            body(event)
            offset += event.head.pointee.size
        }
    }
}

/// An event where it is kept. Valid until that place changes.
struct StoredEvent {
    let head: UnsafeMutablePointer<EventHead>

    init(_ memory: UnsafeMutableRawPointer) {
        head = memory.assumingMemoryBound(to: EventHead.self)
    }

    /// The event record: a line of JSON without its line feed.
    var record: UnsafeBufferPointer<UInt8> {
        let start = UnsafeRawPointer(head).advanced(by: EventHead.size)
        return UnsafeBufferPointer(
            start: start.assumingMemoryBound(to: UInt8.self), count: head.pointee.recordSize)
    }

    private func text(_ stretch: Stretch) -> UnsafeBufferPointer<UInt8> {
        stretch.range.map { record.slice($0) } ?? UnsafeBufferPointer(start: nil, count: 0)
    }

    /// Empty for an event without a channel. Names have no escapes.
    var channel: UnsafeBufferPointer<UInt8> { text(head.pointee.channel) }
    /// Contents of a JSON string; empty when it names none.
    var event: UnsafeBufferPointer<UInt8> { text(head.pointee.event) }
    /// Contents of a JSON string.
    var id: UnsafeBufferPointer<UInt8> { text(head.pointee.id) }

    /// It has nothing but JSON data and an id that needs no second look.
    var isPlain: Bool { head.pointee.isPlain }

    /// Places in the record, as SSE is written from them.
    var fields: EventRecord {
        var fields = EventRecord()
        fields.event = head.pointee.event.range
        fields.id = head.pointee.id.range
        fields.comment = head.pointee.comment.range
        fields.retry = head.pointee.retry < 0 ? nil : head.pointee.retry
        if let data = head.pointee.data.range {
            fields.data = head.pointee.isText ? .string(data) : .json(data)
        }
        return fields
    }

    /// Contents of a JSON string with `isText`, otherwise a JSON text; empty without data.
    var payload: UnsafeBufferPointer<UInt8> { text(head.pointee.data) }

    /// The data as JSON: a string with its quotes.
    var json: UnsafeBufferPointer<UInt8> {
        guard let data = head.pointee.data.range else { return text(Stretch()) }
        let quote = head.pointee.isText ? 1 : 0
        return record.slice(data.lowerBound - quote..<data.upperBound + quote)
    }
}
