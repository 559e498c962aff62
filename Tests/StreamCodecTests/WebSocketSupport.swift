import StreamCodec
import Testing

/// What came of a stream of frames.
enum WebSocketEvent: Equatable {
    case text([UInt8])
    case binary([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(UInt16, [UInt8])
    case error(UInt16, String)
    /// The stream ended within a message or a frame.
    case cutOff
}

extension WebSocketEvent {
    static func text(_ text: String) -> WebSocketEvent { .text(bytes(text)) }

    var errorCode: UInt16? {
        if case .error(let code, _) = self { return code }
        return nil
    }
}

/// One end that receives, as a tool runs it.
struct WebSocketEnd: ~Copyable {
    private(set) var events: [WebSocketEvent] = []
    private var receiver: WebSocketReceiver
    private var queue = ByteQueue(capacity: 1)
    private var hasFailed = false

    init(
        _ role: WebSocketRole = .client, maxMessage: Int = 1 << 20,
        deflate: DeflateParameters? = nil
    ) throws {
        receiver = try WebSocketReceiver(role: role, maxMessage: maxMessage, deflate: deflate)
    }

    /// Bytes that wait for the rest of their frame.
    var waiting: Int { queue.count }

    mutating func take(_ chunk: [UInt8]) {
        queue.append(chunk)
        do throws(WebSocketError) {
            while let kind = try receiver.next(&queue) {
                let payload = Array(receiver.payload(queue))
                switch kind {
                case .text: events.append(.text(payload))
                case .binary: events.append(.binary(payload))
                case .ping: events.append(.ping(payload))
                case .pong: events.append(.pong(payload))
                case .close: events.append(.close(receiver.closeCode, receiver.closeReason))
                }
            }
        } catch {
            check(error.description, error.reason)
            check(error.reason.utf8.count <= 123, true, error.reason)
            // A failed receiver stays failed.
            if !hasFailed { events.append(.error(error.code, error.reason)) }
            hasFailed = true
        }
    }

    mutating func finish() {
        if !hasFailed && receiver.isInside(queue) { events.append(.cutOff) }
    }
}

/// What comes of a stream that arrives in these chunks.
func receive(
    _ chunks: [[UInt8]], _ role: WebSocketRole = .client, maxMessage: Int = 1 << 20,
    deflate: DeflateParameters? = nil
) throws -> [WebSocketEvent] {
    var end = try WebSocketEnd(role, maxMessage: maxMessage, deflate: deflate)
    for chunk in chunks { end.take(chunk) }
    end.finish()
    return end.events
}

/// The same events whole, cut at every position, and byte by byte.
func checkStream(
    _ stream: [UInt8], _ expected: [WebSocketEvent], _ role: WebSocketRole = .client,
    maxMessage: Int = 1 << 20, deflate: DeflateParameters? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    for chunks in [[stream], byteByByte(stream)] + (0...stream.count).map({ cut(stream, at: [$0]) })
    {
        try check(
            try receive(chunks, role, maxMessage: maxMessage, deflate: deflate), expected,
            "\(chunks.map { escaped($0) })", sourceLocation: sourceLocation)
    }
}

/// A stream that fails with this code, after these events, wherever it is cut.
func checkFails(
    _ code: UInt16, _ stream: [UInt8], after expected: [WebSocketEvent] = [],
    _ role: WebSocketRole = .client, maxMessage: Int = 1 << 20, deflate: DeflateParameters? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let whole = try receive([stream], role, maxMessage: maxMessage, deflate: deflate)
    check(
        whole.last?.errorCode, code, escaped(stream), sourceLocation: sourceLocation)
    check(Array(whole.dropLast()), expected, escaped(stream), sourceLocation: sourceLocation)
    try checkStream(
        stream, whole, role, maxMessage: maxMessage, deflate: deflate,
        sourceLocation: sourceLocation)
}

/// A frame built by hand: RFC 6455, section 5.2.
func frame(
    _ first: UInt8, _ payload: [UInt8] = [], key: [UInt8]? = nil, lengthBytes: Int? = nil
) -> [UInt8] {
    let count = payload.count
    let size = lengthBytes ?? (count < 126 ? 0 : count < 65536 ? 2 : 8)
    let short = size == 0 ? UInt8(count) : size == 2 ? 126 : 127
    var bytes: [UInt8] = [first, short | (key == nil ? 0 : 0x80)]
    for index in 0..<size { bytes.append(UInt8(count >> (8 * (size - 1 - index)) & 0xFF)) }
    guard let key else { return bytes + payload }
    return bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
}

func frame(_ first: UInt8, _ payload: String, key: [UInt8]? = nil) -> [UInt8] {
    frame(first, bytes(payload), key: key)
}

/// Everything that a sender makes of these events.
func send(
    _ events: [WebSocketEvent], _ role: WebSocketRole, deflate: DeflateParameters? = nil,
    level: Int = 1, fragment: Int? = nil
) throws -> [UInt8] {
    var sender = try WebSocketSender(
        role: role, deflate: deflate, level: level, fragment: fragment)
    var queue = ByteQueue(capacity: 1)
    for event in events {
        switch event {
        case .text(let payload):
            payload.withUnsafeBufferPointer { sender.append(.text, $0, to: &queue) }
        case .binary(let payload):
            payload.withUnsafeBufferPointer { sender.append(.binary, $0, to: &queue) }
        case .ping(let payload):
            payload.withUnsafeBufferPointer { sender.append(.ping, $0, to: &queue) }
        case .pong(let payload):
            payload.withUnsafeBufferPointer { sender.append(.pong, $0, to: &queue) }
        case .close(let code, let reason): sender.appendClose(code, reason, to: &queue)
        case .error, .cutOff: break
        }
    }
    return Array(queue.bytes)
}

extension DeflateParameters {
    /// All combinations of taking over, with some windows.
    static var combinations: [DeflateParameters] {
        var all: [DeflateParameters] = []
        for choice in 0..<4 {
            for (serverBits, clientBits) in [(15, 15), (9, 15), (15, 9), (12, 10), (9, 9), (15, 8)]
            {
                var parameters = DeflateParameters()
                parameters.serverNoContextTakeover = choice & 1 != 0
                parameters.clientNoContextTakeover = choice & 2 != 0
                parameters.serverMaxWindowBits = serverBits
                parameters.clientMaxWindowBits = clientBits
                all.append(parameters)
            }
        }
        return all
    }
}
