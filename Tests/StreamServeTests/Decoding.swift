import StreamCodec
import Testing

@testable import stream_serve

/// What a client makes of the bytes of a whole stream.
func decode(_ bytes: [UInt8], _ form: Form) throws -> [Received] {
    switch form.wire {
    case .sse: decodeEvents(form.isCompressed ? try inflate(bytes) : bytes)
    case .webSocket: try decodeMessages(bytes, isCompressed: form.isCompressed)
    case .chunks: decodeLines(try unchunk(bytes))
    case .lines: decodeLines(bytes)
    }
}

/// A gzip stream with an end, whose trailer zlib checks.
func inflate(_ bytes: [UInt8]) throws -> [UInt8] {
    var source = ByteQueue()
    source.append(bytes)
    var target = ByteQueue()
    var inflater = try GzipInflater()
    while try inflater.inflate(&source, into: &target) {}
    try inflater.finish(&source)
    let isAll = !inflater.sawGarbage && source.isEmpty
    #expect(isAll)
    return Array(target.bytes)
}

func decodeEvents(_ bytes: [UInt8]) -> [Received] {
    var queue = ByteQueue()
    queue.append(bytes)
    var decoder = SSEDecoder(maxEvent: 1 << 24)
    var events: [Received] = []
    while decoder.next(&queue) == .event {
        events.append(
            Received(
                type: decoder.fields.type.text, id: decoder.fields.id?.text ?? "none",
                data: text(queue.bytes(decoder.data))))
    }
    let isComplete = !decoder.finish(&queue)
    #expect(isComplete)
    return events
}

func decodeMessages(_ bytes: [UInt8], isCompressed: Bool) throws -> [Received] {
    var queue = ByteQueue()
    queue.append(bytes)
    var receiver = try WebSocketReceiver(
        role: .client, maxMessage: 1 << 24, deflate: isCompressed ? DeflateParameters() : nil)
    var messages: [Received] = []
    while let kind = try receiver.next(&queue) {
        #expect(kind == .text)
        messages.append(Received(data: text(receiver.payload(queue))))
    }
    let isInside = receiver.isInside(queue)
    #expect(!isInside)
    return messages
}

func unchunk(_ bytes: [UInt8]) throws -> [UInt8] {
    var queue = ByteQueue()
    queue.append(bytes)
    var reader = ChunkedReader(maxBody: 1 << 30)
    var body = ByteQueue()
    let isDone = try reader.read(&queue, into: &body)
    let isAll = isDone && queue.isEmpty
    #expect(isAll)
    return Array(body.bytes)
}

func decodeLines(_ bytes: [UInt8]) -> [Received] {
    #expect(bytes.isEmpty || bytes.last == 0x0A)
    return bytes.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast().map {
        Received(data: Array($0).text)
    }
}
