import StreamCodec
import StreamTool

/// The messages of a request's body.
enum PublishedMessages {
    /// Messages in one request.
    private static let limit = 10_000

    static func read(
        _ body: inout ByteQueue, _ upload: Upload, _ settings: ServeOptions
    ) throws(RequestProblem) -> [Inbox.Message] {
        if upload.isGzip || GzipInflater.isGzip(body.bytes) ?? false {
            try inflate(&body, settings)
        }
        return upload.isLines
            ? try readLines(&body, upload, settings) : try readJSON(&body, upload, settings)
    }

    /// One value, or the elements of an array.
    private static func readJSON(
        _ body: inout ByteQueue, _ upload: Upload, _ settings: ServeOptions
    ) throws(RequestProblem) -> [Inbox.Message] {
        if body.bytes.isBlank { return [] }
        do throws(JSONError) {
            try JSON.validate(body.bytes, maxDepth: settings.common.maxDepth)
        } catch {
            let line = 1 + body.bytes.prefix(error.offset).count { $0 == 0x0A }
            let hint = error.reason == .trailing ? " (lines are application/x-ndjson)" : ""
            throw problem(error.description + hint, line)
        }
        let isArray = body.bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == 0x5B
        if !isArray { return [try message(body.bytes, upload, line: 1)] }
        var reader = JSONStreamReader(maxValue: .max, maxDepth: settings.common.maxDepth)
        var messages: [Inbox.Message] = []
        while case .value(let range) = reader.next(&body, atEnd: true) {
            try append(body.bytes(range), upload, reader.line, to: &messages)
        }
        return messages
    }

    private static func readLines(
        _ body: inout ByteQueue, _ upload: Upload, _ settings: ServeOptions
    ) throws(RequestProblem) -> [Inbox.Message] {
        var reader = LineReader(maxLine: .max - 1)
        var messages: [Inbox.Message] = []
        while case .line(let range) = reader.next(&body, atEnd: true) {
            let line = body.bytes(range)
            if line.isBlank { continue }
            do throws(JSONError) {
                try JSON.validate(line, maxDepth: settings.common.maxDepth)
            } catch {
                throw problem(error.description, reader.number)
            }
            try append(line, upload, reader.number, to: &messages)
        }
        return messages
    }

    private static func append(
        _ value: UnsafeBufferPointer<UInt8>, _ upload: Upload, _ line: Int,
        to messages: inout [Inbox.Message]
    ) throws(RequestProblem) {
        if messages.count == limit { throw .bad("more than \(limit) messages") }
        messages.append(try message(value, upload, line: line))
    }

    private static func problem(_ reason: String, _ line: Int) -> RequestProblem {
        RequestProblem(
            status: "400 Bad Request", reason: reason, line: line, keepsConnection: true)
    }

    private static func message(
        _ value: UnsafeBufferPointer<UInt8>, _ upload: Upload, line: Int
    ) throws(RequestProblem) -> Inbox.Message {
        var data = ByteQueue(capacity: value.count)
        guard upload.isRecords else {
            data.append(jsonOnOneLine: value)
            return Inbox.Message(
                channel: upload.channel, event: upload.event, data: Array(data.bytes))
        }
        do throws(RecordError) {
            return try message(record: value, upload)
        } catch {
            throw problem(error.description, line)
        }
    }

    private static func message(
        record value: UnsafeBufferPointer<UInt8>, _ upload: Upload
    ) throws(RecordError) -> Inbox.Message {
        let record = try EventRecord(value)
        var message = Inbox.Message(channel: upload.channel, event: upload.event, data: [])
        var text = ByteQueue(capacity: 256)
        if let channel = record.channel {
            text.append(replacing: value.slice(channel))
            message.channel = Array(text.bytes)
            if !message.channel.isChannelName {
                throw RecordError(offset: 0, reason: .message("channel: no valid name"))
            }
        }
        if let event = record.event {
            text.removeAll()
            try text.append(checking: value.slice(event), of: value, key: "event")
            if text.bytes.breaksField(isID: false) {
                throw RecordError(offset: 0, reason: .injection(key: "event"))
            }
            message.event = Array(value.slice(event))
        }
        text.removeAll()
        switch record.data {
        case .none: throw RecordError(offset: 0, reason: .message("'data' is missing"))
        case .json(let range): text.append(jsonOnOneLine: value.slice(range))
        case .string(let range):
            message.isText = true
            try text.append(checking: value.slice(range), of: value, key: "data")
            text.removeAll()
            text.append(value.slice(range.lowerBound - 1..<range.upperBound + 1))
        }
        message.data = Array(text.bytes)
        return message
    }

    private static func inflate(
        _ body: inout ByteQueue, _ settings: ServeOptions
    ) throws(RequestProblem) {
        var plain = ByteQueue()
        var isTooLarge = false
        do throws(GzipError) {
            var inflater = try GzipInflater(maxRatio: settings.common.maxRatio)
            while !isTooLarge {
                guard try inflater.inflate(&body, into: &plain) else { break }
                isTooLarge = plain.count > settings.maxInflated
            }
            if !isTooLarge { try inflater.finish(&body) }
        } catch {
            throw .bad(error.description)
        }
        if isTooLarge {
            throw RequestProblem(
                status: "413 Content Too Large",
                reason: "the body inflates to more than \(settings.maxInflated) bytes"
                    + " (see --max-inflated)", refusal: .body, keepsConnection: true)
        }
        swap(&body, &plain)
    }
}
