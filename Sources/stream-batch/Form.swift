import StreamCodec

/// --format: what a batch looks like.
enum Format: String, CaseIterable {
    case array, lines
    case jsonSeq = "json-seq"
    case object
}

/// How batches are written.
struct Form {
    private let format: Format
    /// What the line behind the lines of a batch says.
    private let separator: [UInt8]
    /// Batches are windows of time, and say which.
    private let hasWindows: Bool

    init(_ settings: BatchOptions) {
        format = settings.format
        separator = Array((settings.separator ?? "").utf8)
        hasWindows = settings.hasWindows
    }

    /// Appends the batch as it is written to standard output or given to a command, which gets
    /// no separator.
    func append(_ batch: Batch, to queue: inout ByteQueue, forCommand: Bool = false) {
        if let summary = batch.summary {
            append(summary, of: batch, to: &queue)
            return
        }
        switch format {
        case .lines:
            queue.append(batch.lines)
            if !forCommand {
                queue.append(separator)
                queue.append(UInt8(ascii: "\n"))
            }
        case .array:
            append(items: batch.lines, to: &queue)
            queue.append(UInt8(ascii: "\n"))
        case .jsonSeq:
            // RFC 7464, section 2.2.
            queue.append(0x1E)
            append(items: batch.lines, to: &queue)
            queue.append(UInt8(ascii: "\n"))
        case .object:
            appendHead(batch, to: &queue)
            queue.append(",\"items\":")
            append(items: batch.lines, to: &queue)
            queue.append("}\n")
        }
    }

    /// As many bytes as a batch has besides its lines, their line feeds, and its key, or more.
    var overhead: Int {
        switch format {
        case .lines: separator.count + 1
        case .array: 2
        case .jsonSeq: 3
        // {"key":…,"seq":…,"count":…,"from":"…","to":"…","items":[…]}: two numbers of at most 19
        // digits and two times of 24, and one comma less than line feeds.
        case .object: 53 + 2 * 19 + 2 * 24
        }
    }

    private func append(items lines: [UInt8], to queue: inout ByteQueue) {
        queue.append(UInt8(ascii: "["))
        queue.append(joining: lines)
        queue.append(UInt8(ascii: "]"))
    }

    /// `{"key":…,"seq":…,"count":…,"from":…,"to":…`
    private func appendHead(_ batch: Batch, to queue: inout ByteQueue) {
        queue.append("{")
        appendKey(batch, to: &queue)
        queue.append("\"seq\":")
        queue.append(decimal: batch.seq)
        queue.append(",\"count\":")
        queue.append(decimal: batch.count)
        queue.append(",")
        appendTimes(batch, to: &queue)
    }

    private func appendKey(_ batch: Batch, to queue: inout ByteQueue) {
        if batch.key.isEmpty { return }
        queue.append("\"key\":")
        queue.append(batch.key)
        queue.append(",")
    }

    private func appendTimes(_ batch: Batch, to queue: inout ByteQueue) {
        queue.append("\"from\":\"")
        queue.append(rfc3339: batch.from)
        queue.append("\",\"to\":\"")
        queue.append(rfc3339: batch.to)
        queue.append("\"")
    }

    private func append(
        _ summary: [UInt8], of batch: Batch, to queue: inout ByteQueue
    ) {
        if format == .jsonSeq { queue.append(0x1E) }
        if batch.isWritten {
            queue.append(summary)
            queue.append(UInt8(ascii: "\n"))
            return
        }
        queue.append("{")
        appendKey(batch, to: &queue)
        if format == .object {
            queue.append("\"seq\":")
            queue.append(decimal: batch.seq)
            queue.append(",")
        }
        if format == .object || hasWindows {
            appendTimes(batch, to: &queue)
            queue.append(",")
        }
        queue.append(summary)
        queue.append("}\n")
    }
}
