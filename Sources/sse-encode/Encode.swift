import StreamCodec
import StreamTool

/// Lines in, Server-Sent Events out.
func encode(_ run: inout Run<EncodeOptions>) throws -> ExitStatus {
    var encoder = try EventEncoder(run.settings)
    do {
        try encodeStream(&encoder, &run)
        appendLastEvent(run.settings.done, to: &run.output.buffer)
        try endResponse(&run)
        return .success
    } catch {
        // What was sent before the failure must reach the client, too.
        try endResponse(&run)
        throw error
    }
}

private func encodeStream(
    _ encoder: inout EventEncoder, _ run: inout Run<EncodeOptions>
) throws {
    var queue = ByteQueue(capacity: 512 << 10)
    var heartbeat = Heartbeat(run.settings.heartbeat)
    var isStarted = false

    inputs: while try run.openInput() {
        // A client must not be told 200 before there is something to send.
        if !isStarted { try startResponse(&run) }
        isStarted = true
        var lines = LineReader(maxLine: run.settings.common.maxLine)
        queue.removeAll()
        reading: while true {
            let arrival = try run.input.read(into: &queue, deadline: heartbeat.deadline)
            switch arrival {
            case .bytes, .end:
                try encodeLines(&lines, &queue, atEnd: arrival == .end, &encoder, &run)
                if !run.output.buffer.isEmpty { heartbeat.beat() }
            case .timeout:
                appendHeartbeat(run.settings.heartbeatEvent, to: &run.output.buffer)
                heartbeat.beat()
            case .request:
                break
            case .stopped:
                break inputs
            }
            // The next read may block, so nothing waits in the buffer while it does.
            try run.output.flush()
            if arrival == .end { break reading }
        }
    }
    if !isStarted { try startResponse(&run) }
}

/// Encodes the lines in `queue` that are complete.
private func encodeLines(
    _ lines: inout LineReader, _ queue: inout ByteQueue, atEnd: Bool,
    _ encoder: inout EventEncoder, _ run: inout Run<EncodeOptions>
) throws {
    let isText = run.settings.form == .text
    // Counted here and told once a batch: the report is a class, and each access to a class
    // checks for exclusivity.
    var read = 0
    var written = 0
    defer {
        run.report.recordsIn += read
        run.report.recordsOut += written
    }
    while true {
        switch lines.next(&queue, atEnd: atEnd) {
        case .line(let range):
            let line = queue.bytes(range)
            if !isText && line.isBlank { continue }
            read += 1
            do throws(RecordError) {
                try encoder.append(line, to: &run.output.buffer)
                written += 1
            } catch {
                let place = Place(run.input.name, line: lines.number, byte: error.offset + 1)
                try run.report.reject(place, error.description, raw: line)
            }
            try run.output.drain()
        case .tooLong(let range):
            read += 1
            try run.report.reject(
                Place(run.input.name, line: lines.number),
                "line longer than \(range.count) bytes (see --max-line)", raw: queue.bytes(range))
        case .more:
            return
        }
    }
}

/// The response head and what else comes before the first event.
private func startResponse(_ run: inout Run<EncodeOptions>) throws {
    let isCompressed = run.settings.common.gzipLevel != nil
    let head = responseHead(
        run.settings.head, isCompressed: isCompressed, origin: run.settings.origin)
    if !head.isEmpty { try run.output.writePlain(head) }
    if let retry = run.settings.retry {
        run.output.buffer.appendRetry(milliseconds: retry)
        run.output.buffer.appendBlockEnd()
        try run.output.flush()
    }
}

private func endResponse(_ run: inout Run<EncodeOptions>) throws {
    try run.output.finish()
    if run.settings.head == .http { closeSocket(1) }
}

/// The last event, unless a signal cut the stream short: a client must be able to tell.
private func appendLastEvent(_ done: Done, to buffer: inout ByteQueue) {
    if isStopped() { return }
    switch done {
    case .none: return
    case .event: buffer.append("event: done\ndata: \n")
    case .data(var text, type: var type):
        if !type.isEmpty { type.withUTF8 { buffer.appendField("event", $0) } }
        text.withUTF8 { buffer.appendData($0) }
    }
    buffer.appendBlockEnd()
}

/// A comment, or an event without an id: a client that resumes must not ask for what is behind it.
private func appendHeartbeat(_ type: String?, to buffer: inout ByteQueue) {
    guard var type else {
        buffer.append(": heartbeat\n\n")
        return
    }
    type.withUTF8 { buffer.appendField("event", $0) }
    buffer.append("data: {}\n\n")
}

/// When the next comment is due because nothing was sent.
private struct Heartbeat {
    private let interval: UInt64?
    private(set) var deadline: UInt64?

    init(_ interval: UInt64?) {
        self.interval = interval
        beat()
    }

    mutating func beat() {
        deadline = interval.map { monotonicNanoseconds() + $0 }
    }
}

func responseHead(_ head: Head, isCompressed: Bool, origin: String?) -> String {
    var fields =
        "Content-Type: text/event-stream\r\n" + "Cache-Control: no-cache, no-transform\r\n"
        + "X-Accel-Buffering: no\r\n" + (isCompressed ? "Content-Encoding: gzip\r\n" : "")
    if let origin {
        // Fetch, section 3.3.3. The answer is the same whoever asks, so that nothing varies.
        fields += "Access-Control-Allow-Origin: \(origin)\r\n"
    }
    return switch head {
    case .none: ""
    case .http: "HTTP/1.1 200 OK\r\n" + fields + "Connection: close\r\n\r\n"
    case .cgi: "Status: 200 OK\r\n" + fields + "\r\n"
    }
}
