import StreamCodec

/// What a decoder said, call by call.
package enum Decoded: Equatable {
    case event(EventFields, data: String, line: Int)
    case note(EventFields)
    case tooLong(line: Int)
}

/// What comes of a stream that arrives in these reads, as sse-decode does it.
package func decodeEvents(
    _ stream: [UInt8], cuts: Cuts = .none, maxEvent: Int = .max, collectsComments: Bool = true,
    dispatchesAtEnd: Bool = true
) -> [Decoded] {
    var decoder = SSEDecoder(maxEvent: maxEvent)
    decoder.collectsComments = collectsComments
    var repair = UTF8Repair()
    var queue = ByteQueue(capacity: 1)
    var decoded: [Decoded] = []
    for read in cuts.reads(of: stream) {
        let received = queue.count
        queue.append(Array(read))
        repair.repair(&queue, from: received)
        takeEvents(&decoder, &queue, into: &decoded)
    }
    repair.finish(&queue)
    takeEvents(&decoder, &queue, into: &decoded)
    if decoder.finish(&queue) && dispatchesAtEnd {
        decoded.append(event(decoder, queue))
    }
    return decoded
}

private func takeEvents(
    _ decoder: inout SSEDecoder, _ queue: inout ByteQueue, into decoded: inout [Decoded]
) {
    while true {
        switch decoder.next(&queue) {
        case .event: decoded.append(event(decoder, queue))
        case .note: decoded.append(.note(decoder.fields))
        case .tooLong: decoded.append(.tooLong(line: decoder.firstLine))
        case .more: return
        }
    }
}

private func event(_ decoder: SSEDecoder, _ queue: borrowing ByteQueue) -> Decoded {
    .event(
        decoder.fields, data: shown(queue.bytes(decoder.data)), line: decoder.firstLine)
}
