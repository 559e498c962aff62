import StreamCodec
import StreamTool

/// One line as one event, or as its chunks.
struct EventEncoder: ~Copyable {
    private let settings: EncodeOptions
    private let event: [UInt8]
    private let maxDepth: Int
    private let usesPaths: Bool
    /// The number of the next event, with --id-seq.
    private var nextID: Int?
    /// Messages that were cut into chunks.
    private var chunkedMessages = 0
    /// The data of a message while it is cut.
    private var payload = ByteQueue()

    init(_ settings: EncodeOptions) throws {
        self.settings = settings
        // "message" is what an event is without the line.
        event = settings.event == "message" ? [] : [UInt8]((settings.event ?? "").utf8)
        maxDepth = settings.common.maxDepth
        usesPaths =
            settings.eventFrom != nil || settings.idFrom != nil || settings.dataFrom != nil
        nextID = settings.firstID
        try Self.check(settings, usesPaths: usesPaths)
        if event.withUnsafeBufferPointer({ $0.breaksField(isID: false) }) {
            throw UsageError("option '--event': a name cannot hold a line break")
        }
    }

    private static func check(_ settings: EncodeOptions, usesPaths: Bool) throws {
        if usesPaths && settings.form != .data {
            throw UsageError("--event-from, --id-from and --data-from need --data")
        }
        if settings.form == .records && (settings.event != nil || settings.firstID != nil) {
            throw UsageError("--event and --id-seq need --data or --text: a record names its own")
        }
        if settings.heartbeatEvent != nil && settings.heartbeat == nil {
            throw UsageError("--heartbeat-event needs --heartbeat")
        }
        if settings.origin != nil && settings.head == .none {
            throw UsageError("--origin needs --http or --cgi")
        }
        for (one, other) in [("done", "done-event"), ("http", "cgi")]
        where settings.common.given.isSuperset(of: [one, other]) {
            throw UsageError("--\(one) and --\(other) exclude each other")
        }
        if settings.idFrom != nil && settings.firstID != nil {
            throw UsageError("--id-from and --id-seq exclude each other")
        }
    }

    /// Appends the event to `output`; nothing when it throws.
    mutating func append(
        _ line: UnsafeBufferPointer<UInt8>, to output: inout ByteQueue
    ) throws(RecordError) {
        let record: EventRecord
        switch settings.form {
        case .records:
            record = try EventRecord(line, maxDepth: maxDepth)
        case .data where usesPaths:
            record = try pick(line)
        case .data:
            do throws(JSONError) {
                try JSON.validate(line, maxDepth: maxDepth)
            } catch {
                throw RecordError(offset: error.offset, reason: .json(error.reason))
            }
            record = EventRecord(data: .json(0..<line.count))
        case .text:
            if let offset = UTF8Text.firstIllFormed(in: line) {
                throw RecordError(offset: offset, reason: .json(.invalidUTF8))
            }
            record = EventRecord(data: .json(0..<line.count))
        }
        let start = output.count
        do throws(RecordError) {
            if let size = settings.chunkSize, try takePayload(record, line) > size {
                try appendChunks(of: size, record, line, to: &output)
            } else {
                appendOptions(event: record.event == nil, id: true, to: &output)
                try output.append(record, of: line)
            }
        } catch {
            output.truncate(start)
            throw error
        }
        if let number = nextID { nextID = number + 1 }
    }

    /// The type and the number that options give every event.
    @inline(__always)
    private func appendOptions(event needsEvent: Bool, id: Bool, to output: inout ByteQueue) {
        if needsEvent && !event.isEmpty {
            event.withUnsafeBufferPointer { output.appendField("event", $0) }
        }
        if id, let number = nextID {
            output.append("id: ")
            output.append(decimal: number)
            output.append("\n")
        }
    }

    // MARK: Chunks

    /// Puts the data as text into `payload` and returns its size.
    private mutating func takePayload(
        _ record: EventRecord, _ line: UnsafeBufferPointer<UInt8>
    ) throws(RecordError) -> Int {
        payload.removeAll()
        switch record.data {
        case .none: break
        case .json(let value): payload.append(line.slice(value))
        case .string(let contents):
            do throws(LoneSurrogate) {
                try payload.append(unescaping: line.slice(contents))
            } catch {
                throw RecordError(
                    offset: contents.lowerBound + error.offset, reason: .loneSurrogate(key: "data"))
            }
        }
        return payload.count
    }

    private mutating func appendChunks(
        of size: Int, _ record: EventRecord, _ line: UnsafeBufferPointer<UInt8>,
        to output: inout ByteQueue
    ) throws(RecordError) {
        chunkedMessages += 1
        let pieces = pieces(of: size)
        for (index, piece) in pieces.enumerated() {
            // A client that resumes after some chunks must get the whole message again, so the
            // id comes with the last.
            let isLast = index == pieces.count - 1
            var fields = EventRecord()
            fields.event = record.event
            if index == 0 {
                fields.comment = record.comment
                fields.retry = record.retry
            }
            if isLast { fields.id = record.id }
            appendOptions(event: record.event == nil, id: isLast, to: &output)
            try output.appendFields(fields, of: line)
            output.append("data: {\"type\":\"chunk\",\"id\":\"")
            if let id = record.id {
                output.append(line.slice(id))
            } else {
                output.append(decimal: nextID ?? chunkedMessages)
            }
            output.append("\",\"seq\":")
            output.append(decimal: index)
            output.append(",\"total\":")
            output.append(decimal: pieces.count)
            output.append(",\"data\":")
            output.append(quoting: payload.bytes(piece))
            output.append("}\n\n")
        }
    }

    /// Where the payload is cut: never inside a character.
    private func pieces(of size: Int) -> [Range<Int>] {
        var pieces: [Range<Int>] = []
        var start = 0
        while start < payload.count {
            var end = min(start + size, payload.count)
            while end < payload.count && payload[end] & 0xC0 == 0x80 { end -= 1 }
            pieces.append(start..<end)
            start = end
        }
        return pieces
    }

    /// What --event-from, --id-from and --data-from find in the line.
    private func pick(_ line: UnsafeBufferPointer<UInt8>) throws(RecordError) -> EventRecord {
        var record = EventRecord(data: .json(0..<line.count))
        if let path = settings.dataFrom {
            guard let value = try find(path, line) else {
                throw RecordError(offset: 0, reason: .absent(path: path.description))
            }
            record.data =
                line[value.lowerBound] == UInt8(ascii: "\"")
                ? .string((value.lowerBound + 1)..<(value.upperBound - 1)) : .json(value)
        }
        if let path = settings.eventFrom, let value = try find(path, line),
            !line.slice(value).isEqual(to: "null")
        {
            guard line[value.lowerBound] == UInt8(ascii: "\"") else {
                throw RecordError(
                    offset: value.lowerBound,
                    reason: .wrongType(key: path.description, expected: "a string"))
            }
            record.event = (value.lowerBound + 1)..<(value.upperBound - 1)
        }
        if let path = settings.idFrom, let value = try find(path, line),
            !line.slice(value).isEqual(to: "null")
        {
            switch line[value.lowerBound] {
            case UInt8(ascii: "\""):
                record.id = (value.lowerBound + 1)..<(value.upperBound - 1)
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                record.id = value
            default:
                throw RecordError(
                    offset: value.lowerBound,
                    reason: .wrongType(key: path.description, expected: "a string or a number"))
            }
        }
        return record
    }

    private func find(
        _ path: JSONPath, _ line: UnsafeBufferPointer<UInt8>
    ) throws(RecordError) -> Range<Int>? {
        do throws(JSONError) {
            return try path.find(in: line, maxDepth: maxDepth)
        } catch {
            throw RecordError(offset: error.offset, reason: .json(error.reason))
        }
    }
}
