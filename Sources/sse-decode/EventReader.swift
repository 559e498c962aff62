import StreamCodec
import StreamTool

/// Events as they are read: out of an event stream, or out of JSON, whose values become the data of
/// events.
struct EventReader {
    /// So much of an input that is no event stream is shown, in bytes: of an answer, which may say
    /// why, more.
    private var beginning: Int { isAnswer ? 400 : 64 }
    /// So many bytes of lines that no event stream has are too many: 16 KiB.
    private static let enoughUnknownBytes = 16 << 10

    let format: Format
    /// The state of an event stream.
    private(set) var decoder: SSEDecoder
    private var repair = UTF8Repair()
    /// How the input begins, while it may be no event stream.
    private var start: [UInt8] = []
    private var lines: LineReader
    private var values: JSONStreamReader
    private var sequence: JSONSequenceReader
    private let maxEvent: Int
    private let maxDepth: Int
    /// The input is an answer, whose elements may be event records, and which breaks the protocol
    /// when it is none of what was asked for.
    private let isAnswer: Bool
    /// No value came yet.
    private var isFirst = true
    private var signs: ErrorSigns

    init(_ settings: DecodeOptions, _ format: Format, isAnswer: Bool = false) throws {
        signs = try ErrorSigns(maxDepth: settings.common.maxDepth)
        self.format = format == .auto ? .sse : format
        self.isAnswer = isAnswer
        maxEvent = settings.common.maxLine
        maxDepth = settings.common.maxDepth
        decoder = SSEDecoder(maxEvent: maxEvent)
        decoder.collectsComments = settings.all
        decoder.keepsLastEventID = isAnswer
        lines = LineReader(maxLine: maxEvent)
        values = JSONStreamReader(maxValue: maxEvent, maxDepth: maxDepth)
        sequence = JSONSequenceReader(maxValue: maxEvent, maxDepth: maxDepth)
    }

    /// Hands out the events that are complete, up to the stream's end marker; what is behind
    /// `received` came just now. False when the input was rejected as no event stream.
    mutating func read(
        _ queue: inout ByteQueue, from received: Int, _ pipeline: inout Pipeline,
        _ run: inout Run<DecodeOptions>
    ) throws -> Bool {
        guard format == .sse else {
            try readValues(&queue, atEnd: false, &pipeline, &run)
            return true
        }
        repair.repair(&queue, from: received)
        if !decoder.sawField && start.count < beginning {
            // The same whatever the reads were, and without the blank lines before it.
            let more = queue.bytes(received..<queue.count)
            let text = start.isEmpty ? more.drop { $0 <= UInt8(ascii: " ") } : more[...]
            start += text.prefix(beginning - start.count)
        }
        try readEvents(&queue, &pipeline, &run)
        return try isStream(atEnd: false, pipeline.inputName, run)
    }

    /// The end of the input: what is unfinished goes, as far as it counts.
    mutating func finish(
        _ queue: inout ByteQueue, _ pipeline: inout Pipeline, _ run: inout Run<DecodeOptions>
    ) throws {
        guard format == .sse else { return try readValues(&queue, atEnd: true, &pipeline, &run) }
        repair.finish(&queue)
        try readEvents(&queue, &pipeline, &run)
        if pipeline.isDone || pipeline.sawEnd { return }
        let isEvent = decoder.finish(&queue)
        if isEvent && run.settings.dispatchesAtEnd {
            try pipeline.take(decoder.fields, queue.bytes(decoder.data), decoder.firstLine, &run)
        }
        _ = try isStream(atEnd: true, pipeline.inputName, run)
    }

    /// Throws when what came of an answer that broke off, or stopped, is no event stream: an error
    /// without a line end is none that another request must ask for.
    mutating func checkBeginning(
        _ queue: inout ByteQueue, _ name: String, _ run: borrowing Run<DecodeOptions>
    ) throws {
        guard format == .sse, !decoder.sawField else { return }
        repair.finish(&queue)
        _ = decoder.finish(&queue)
        _ = try isStream(atEnd: true, name, run)
    }

    // MARK: Event streams

    private mutating func readEvents(
        _ queue: inout ByteQueue, _ pipeline: inout Pipeline, _ run: inout Run<DecodeOptions>
    ) throws {
        defer { pipeline.count(in: run.report) }
        while !pipeline.isDone && !pipeline.sawEnd {
            switch decoder.next(&queue) {
            case .event:
                try pipeline.take(
                    decoder.fields, queue.bytes(decoder.data), decoder.firstLine, &run)
                try run.output.drain()
            case .note:
                pipeline.write(note: decoder.fields, &run)
            case .tooLong:
                // Lines of data were joined where they stand; a single line stands as it came.
                let raw =
                    decoder.data.isEmpty ? 0..<min(maxEvent, queue.count) : decoder.data
                try run.report.reject(
                    Place(pipeline.inputName, line: decoder.firstLine),
                    "event longer than \(maxEvent) bytes (see --max-line)", raw: queue.bytes(raw))
            case .more:
                return
            }
        }
    }

    /// False when the input was rejected: an HTML page or a JSON error body must not pass for a
    /// stream without events.
    private func isStream(
        atEnd: Bool, _ name: String, _ run: borrowing Run<DecodeOptions>
    ) throws -> Bool {
        if decoder.sawField || decoder.unknownBytes == 0 { return true }
        guard atEnd || decoder.unknownBytes > Self.enoughUnknownBytes else { return true }
        let words = start.split { $0 <= UInt8(ascii: " ") }
        let head = words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        let reason = "no event stream, it begins with '\(head)'"
        if isAnswer { throw Failure(.protocolError, "\(name): \(reason)") }
        try start.withUnsafeBufferPointer { raw in
            try run.report.reject(Place(name, line: 1), reason, raw: raw)
        }
        return false
    }

    // MARK: JSON

    private mutating func readValues(
        _ queue: inout ByteQueue, atEnd: Bool, _ pipeline: inout Pipeline,
        _ run: inout Run<DecodeOptions>
    ) throws {
        defer { pipeline.count(in: run.report) }
        while !pipeline.isDone && !pipeline.sawEnd {
            let (result, line) = next(&queue, atEnd: atEnd)
            switch result {
            case .value(let range):
                try take(queue.bytes(range), line, &pipeline, &run)
                try run.output.drain()
            case .invalid(let range, let error):
                try run.report.reject(
                    Place(pipeline.inputName, line: line), error.description,
                    raw: queue.bytes(range))
            case .tooLong(let range):
                try run.report.reject(
                    Place(pipeline.inputName, line: line),
                    "value longer than \(maxEvent) bytes (see --max-line)",
                    raw: queue.bytes(range))
            case .more:
                return
            }
        }
    }

    /// The next value, and the number of its first line.
    private mutating func next(
        _ queue: inout ByteQueue, atEnd: Bool
    ) -> (result: JSONStreamReader.Result, line: Int) {
        switch format {
        case .jsonStream: return (values.next(&queue, atEnd: atEnd), values.line)
        case .jsonSequence: return (sequence.next(&queue, atEnd: atEnd), sequence.line)
        case .auto, .sse, .jsonl: return nextLine(&queue, atEnd: atEnd)
        }
    }

    private mutating func nextLine(
        _ queue: inout ByteQueue, atEnd: Bool
    ) -> (result: JSONStreamReader.Result, line: Int) {
        while true {
            switch lines.next(&queue, atEnd: atEnd) {
            case .more: return (.more, lines.number)
            case .tooLong(let range): return (.tooLong(range), lines.number)
            case .line(let range):
                let line = queue.bytes(range)
                if line.isBlank { continue }
                do throws(JSONError) {
                    try JSON.validate(line, maxDepth: maxDepth)
                    return (.value(range), lines.number)
                } catch {
                    return (.invalid(range, error), lines.number)
                }
            }
        }
    }

    /// A value becomes the data of an event, unless it is an event record that was polled for.
    private mutating func take(
        _ value: UnsafeBufferPointer<UInt8>, _ line: Int, _ pipeline: inout Pipeline,
        _ run: inout Run<DecodeOptions>
    ) throws {
        if isAnswer && isFirst {
            isFirst = false
            // A body that says why there is no stream.
            if let error = signs.error(type: [], value) {
                throw Failure(
                    .protocolError, "\(pipeline.inputName): the answer is an error: \(error)")
            }
        }
        guard let polled = pipeline.polled else {
            return try pipeline.take(EventFields(), value, line, &run)
        }
        let event = polled.event(value, line: line, maxDepth: maxDepth)
        try event.data.withUnsafeBufferPointer { data in
            try pipeline.take(event.fields, data, line, &run)
        }
    }
}

/// What an answer to a poll consists of.
struct PolledEvents {
    private let cursor: JSONPath

    init(_ cursor: JSONPath?) throws {
        self.cursor = try cursor ?? JSONPath(".id")
    }

    /// The event that an element is: a record, or data. Its id is the cursor.
    func event(_ value: UnsafeBufferPointer<UInt8>, line: Int, maxDepth: Int) -> Event {
        var fields = EventFields()
        var text = ByteQueue(capacity: value.count)
        do throws(RecordError) {
            let record = try EventRecord(value, maxDepth: maxDepth)
            // A record without data is data that happens to have such a member.
            if case .none = record.data { throw RecordError(offset: 0, reason: .notAnObject) }
            if let type = record.event { fields.type = Self.unescaped(value.slice(type)) }
            fields.id = record.id.map { Self.unescaped(value.slice($0)) }
            switch record.data {
            case .none: break
            case .string(let range): text.append(replacing: value.slice(range))
            case .json(let range): text.append(value.slice(range))
            }
        } catch {
            text.removeAll()
            text.append(value)
        }
        if let place = find(value, maxDepth) {
            let found = value.slice(place)
            fields.id =
                found.first == UInt8(ascii: "\"")
                ? Self.unescaped(found.slice(1..<(found.count - 1))) : Array(found)
        }
        return Event(fields: fields, data: Array(text.bytes), line: line)
    }

    private func find(_ value: UnsafeBufferPointer<UInt8>, _ maxDepth: Int) -> Range<Int>? {
        do throws(JSONError) {
            guard let place = try cursor.find(in: value, maxDepth: maxDepth),
                !value.slice(place).isEqual(to: "null")
            else { return nil }
            return place
        } catch {
            return nil
        }
    }

    private static func unescaped(_ contents: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var queue = ByteQueue()
        queue.append(replacing: contents)
        return Array(queue.bytes)
    }
}
