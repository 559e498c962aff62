import StreamCodec

/// How a client receives events.
enum Transport: UInt8, CaseIterable {
    /// No stream yet: requests, one after the other.
    case http
    case sse, ws, stream
    /// A request of /poll that waits.
    case poll

    var name: String {
        switch self {
        case .http: "http"
        case .sse: "sse"
        case .ws: "ws"
        case .stream: "stream"
        case .poll: "poll"
        }
    }
}

/// What an event looks like on the wire. Clients of one form and filter receive the same bytes.
struct Form: Hashable {
    enum Wire: UInt8 {
        /// Blocks of Server-Sent Events.
        case sse
        /// Text messages, each an unmasked frame.
        case webSocket
        /// JSON Lines: each a chunk of the chunked transfer coding, or bare for HTTP/1.0.
        case chunks, lines
    }

    var wire: Wire
    /// The whole event record instead of its data alone.
    var isRecord: Bool
    /// gzip, or permessage-deflate with a context that takes over.
    var isCompressed = false

    var transport: Transport {
        switch wire {
        case .sse: .sse
        case .webSocket: .ws
        case .chunks, .lines: .stream
        }
    }

    /// Appends the event as this form has it, before compression.
    @inline(__always)
    func append(_ event: StoredEvent, to queue: inout ByteQueue) {
        switch wire {
        case .sse: appendBlock(event, to: &queue)
        case .webSocket:
            if isRecord { return queue.appendFrame(0x81, event.record) }
            if !event.head.pointee.isText { return queue.appendFrame(0x81, event.payload) }
            var text = ByteQueue(capacity: event.payload.count + 64)
            text.append(replacing: event.payload)
            queue.appendFrame(0x81, text.bytes)
        case .chunks: queue.appendChunk(line: isRecord ? event.record : event.json)
        case .lines: queue.append(line: isRecord ? event.record : event.json)
        }
    }

    /// Appends a record that is no event of the history: `gap` and `end`.
    func append(_ notice: Notice, to queue: inout ByteQueue) {
        if wire == .sse { return notice.appendBlock(to: &queue) }
        var record = ByteQueue(capacity: 256)
        notice.appendRecord(to: &record)
        switch wire {
        case .sse, .lines: queue.append(line: record.bytes)
        case .webSocket: queue.appendFrame(0x81, record.bytes)
        case .chunks: queue.appendChunk(line: record.bytes)
        }
    }

    private func appendBlock(_ event: StoredEvent, to queue: inout ByteQueue) {
        if !isRecord && event.isPlain {
            queue.append("id: ")
            queue.append(event.id)
            queue.append("\n")
            queue.appendData(event.payload)
            return queue.appendBlockEnd()
        }
        var fields = event.fields
        if isRecord {
            fields.data = .json(0..<event.record.count)
            // EventSource keeps events of types that a page does not name from it.
            fields.event = nil
        }
        do throws(RecordError) {
            try queue.append(fields, of: event.record)
        } catch {
            // Records are checked when they come. If one ever got here, that is told, not fatal.
            queue.append(string: ": event left out: \(error)\n\n")
        }
    }
}

extension ByteQueue {
    mutating func append(line: UnsafeBufferPointer<UInt8>) {
        if line.isEmpty { return }
        append(line)
        append("\n")
    }

    /// Appends a line as one chunk: RFC 9112, section 7.1. An empty chunk would end the body.
    mutating func appendChunk(line: UnsafeBufferPointer<UInt8>) {
        if line.isEmpty { return }
        append(string: String(line.count + 1, radix: 16))
        append("\r\n")
        append(line)
        append("\n\r\n")
    }
}

/// What the server itself says in a stream.
struct Notice {
    var name: StaticString
    /// A JSON object.
    var data: String
    /// Contents of a JSON string; nil: none.
    var id: [UInt8]?

    func appendRecord(to queue: inout ByteQueue) {
        queue.append("{\"event\":\"")
        queue.append(name)
        if let id {
            queue.append("\",\"id\":\"")
            queue.append(id)
        }
        queue.append("\",\"data\":")
        queue.append(string: data)
        queue.append("}")
    }

    func appendBlock(to queue: inout ByteQueue) {
        queue.append("event: ")
        queue.append(name)
        if let id {
            queue.append("\nid: ")
            // What was an event's id has no line break behind its escapes.
            id.withUnsafeBufferPointer { queue.append(replacing: $0) }
        }
        queue.append("\ndata: ")
        queue.append(string: data)
        queue.append("\n\n")
    }
}
