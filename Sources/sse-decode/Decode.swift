import StreamCodec
import StreamTool

/// Server-Sent Events in, lines out.
func decode(_ run: inout Run<DecodeOptions>) throws -> ExitStatus {
    var pipeline = try Pipeline(run.settings)
    var queue = ByteQueue(capacity: 512 << 10)

    inputs: while try !pipeline.isDone && run.openInput() {
        var decoder = SSEDecoder(maxEvent: run.settings.common.maxLine)
        decoder.collectsComments = run.settings.all
        var repair = UTF8Repair()
        var start: [UInt8] = []
        queue.removeAll()
        while true {
            let received = queue.count
            switch try run.input.read(into: &queue, deadline: pipeline.deadline) {
            case .bytes:
                repair.repair(&queue, from: received)
                if !decoder.sawField && start.count < beginning {
                    // The same whatever the reads were, and without the blank lines before it.
                    let more = queue.bytes(received..<queue.count)
                    let text = start.isEmpty ? more.drop { $0 <= UInt8(ascii: " ") } : more[...]
                    start += text.prefix(beginning - start.count)
                }
                try decodeEvents(&decoder, &queue, &pipeline, &run)
                if try !isStream(decoder, begins: start, atEnd: false, run) { continue inputs }
            case .timeout:
                try pipeline.expire(&run)
            case .end:
                repair.finish(&queue)
                try decodeEvents(&decoder, &queue, &pipeline, &run)
                try endStream(&decoder, &queue, begins: start, &pipeline, &run)
                continue inputs
            case .request:
                break
            case .stopped:
                break inputs
            }
            if pipeline.isDone || pipeline.sawEnd { break }
            // The next read may block, so nothing waits in the buffer while it does.
            try run.output.flush()
        }
        try pipeline.endInput(&run)
    }
    try pipeline.flush(&run)
    pipeline.count(in: run.report)
    return .success
}

/// Hands out the events in `queue` that are complete, up to the stream's end marker.
private func decodeEvents(
    _ decoder: inout SSEDecoder, _ queue: inout ByteQueue, _ pipeline: inout Pipeline,
    _ run: inout Run<DecodeOptions>
) throws {
    defer { pipeline.count(in: run.report) }
    while !pipeline.isDone && !pipeline.sawEnd {
        switch decoder.next(&queue) {
        case .event:
            try pipeline.take(decoder.fields, queue.bytes(decoder.data), decoder.firstLine, &run)
            try run.output.drain()
        case .note:
            run.output.buffer.appendRecord(decoder.fields, data: queue.bytes(0..<0), as: .none)
        case .tooLong:
            let limit = run.settings.common.maxLine
            // Lines of data were joined where they stand; a single line stands as it came.
            let raw = decoder.data.isEmpty ? 0..<min(limit, queue.count) : decoder.data
            try run.report.reject(
                Place(run.input.name, line: decoder.firstLine),
                "event longer than \(limit) bytes (see --max-line)",
                raw: queue.bytes(raw))
        case .more:
            return
        }
    }
}

/// The end of an input: what is unfinished, and what should have come.
private func endStream(
    _ decoder: inout SSEDecoder, _ queue: inout ByteQueue, begins start: [UInt8],
    _ pipeline: inout Pipeline, _ run: inout Run<DecodeOptions>
) throws {
    if !pipeline.isDone && !pipeline.sawEnd {
        let isEvent = decoder.finish(&queue)
        if isEvent && run.settings.dispatchesAtEnd {
            try pipeline.take(decoder.fields, queue.bytes(decoder.data), decoder.firstLine, &run)
        }
        if try !isStream(decoder, begins: start, atEnd: true, run) { return }
    }
    try pipeline.endInput(&run)
}

/// So much of an input that is no event stream is shown, in bytes.
private let beginning = 64

/// So many bytes of lines that no event stream has are too many: 16 KiB.
private let enoughUnknownBytes = 16 << 10

/// False when the input was rejected: an HTML page or a JSON error body must not pass for a
/// stream without events.
private func isStream(
    _ decoder: SSEDecoder, begins start: [UInt8], atEnd: Bool, _ run: borrowing Run<DecodeOptions>
) throws -> Bool {
    if decoder.sawField || decoder.unknownBytes == 0 { return true }
    guard atEnd || decoder.unknownBytes > enoughUnknownBytes else { return true }
    let words = start.split { $0 <= UInt8(ascii: " ") }
    let head = words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
    try start.withUnsafeBufferPointer { raw in
        try run.report.reject(
            Place(run.input.name, line: 1), "no event stream, it begins with '\(head)'", raw: raw)
    }
    return false
}
