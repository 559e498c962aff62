import StreamCodec
import StreamTool

/// Lines and messages, made events: with an id, as a record, behind an `EventHead`.
struct EventPacker: ~Copyable {
    private let settings: ServeOptions
    private let epoch: [UInt8]
    private let event: [UInt8]
    private let channel: [UInt8]
    private let hashes = KeyHash()
    private var keyBytes = ByteQueue(capacity: 256)
    private var scratch = ByteQueue(capacity: 256)
    private var text = ByteQueue(capacity: 256)
    /// The event that comes next.
    private(set) var sequence: UInt64 = 1

    init(_ settings: ServeOptions, epoch: [UInt8]) {
        self.settings = settings
        self.epoch = epoch
        event = (settings.event ?? "").jsonContents
        channel = Array((settings.channel ?? "").utf8)
    }

    /// The members of an event as bytes of a line, or of our own.
    private struct Draft {
        var event: UnsafeBufferPointer<UInt8>?
        var id: UnsafeBufferPointer<UInt8>?
        /// A JSON text: a string with its quotes.
        var data: UnsafeBufferPointer<UInt8>?
        /// That is a string, and its text is what is sent.
        var isText = false
        var retry: Int?
        var comment: UnsafeBufferPointer<UInt8>?
        var channel: UnsafeBufferPointer<UInt8>?
    }

    /// Appends the event that a line is; nothing when it throws.
    mutating func append(
        _ line: UnsafeBufferPointer<UInt8>, arrival: UInt64, to batch: inout ByteQueue
    ) throws(RecordError) {
        var draft: Draft
        switch settings.form {
        case .data: draft = try read(data: line)
        case .records: draft = try read(record: line)
        case .text:
            if let offset = UTF8Text.firstIllFormed(in: line) {
                throw RecordError(offset: offset, reason: .json(.invalidUTF8))
            }
            text.removeAll()
            text.append(quoting: line)
            draft = Draft(data: text.bytes, isText: true)
        }
        if draft.event == nil && !event.isEmpty && draft.data != nil {
            try event.withUnsafeBufferPointer { name throws(RecordError) in
                draft.event = name
                try write(draft, line, arrival, to: &batch)
            }
        } else {
            try write(draft, line, arrival, to: &batch)
        }
    }

    /// Appends the event that a client's message is, and returns its id.
    mutating func append(
        _ message: Inbox.Message, arrival: UInt64, to batch: inout ByteQueue
    ) -> String {
        let id = "\(String(decoding: epoch, as: UTF8.self))-\(sequence)"
        message.event.withUnsafeBufferPointer { event in
            message.channel.withUnsafeBufferPointer { channel in
                message.data.withUnsafeBufferPointer { data in
                    var draft = Draft(data: data, isText: message.isText)
                    if !event.isEmpty { draft.event = event }
                    put(draft, key: 0, channel: channel, arrival, to: &batch)
                }
            }
        }
        return id
    }

    // MARK: Reading

    private mutating func read(
        data line: UnsafeBufferPointer<UInt8>
    ) throws(RecordError) -> Draft {
        do throws(JSONError) {
            try JSON.validate(line, maxDepth: settings.common.maxDepth)
        } catch {
            throw RecordError(offset: error.offset, reason: .json(error.reason))
        }
        var draft = Draft(data: line)
        if settings.usesPaths { try pick(from: line, of: line, into: &draft) }
        return draft
    }

    private mutating func read(
        record line: UnsafeBufferPointer<UInt8>
    ) throws(RecordError) -> Draft {
        let record = try EventRecord(line, maxDepth: settings.common.maxDepth)
        var draft = Draft(
            event: record.event.map { line.slice($0) }, id: record.id.map { line.slice($0) },
            retry: record.retry, comment: record.comment.map { line.slice($0) },
            channel: record.channel.map { line.slice($0) })
        switch record.data {
        case .none: break
        case .json(let range): draft.data = line.slice(range)
        case .string(let range):
            draft.data = line.slice(range.lowerBound - 1..<range.upperBound + 1)
            draft.isText = true
        }
        if settings.usesPaths, let data = draft.data {
            try pick(from: data, of: line, into: &draft)
        }
        return draft
    }

    /// What the options find in the payload.
    private func pick(
        from payload: UnsafeBufferPointer<UInt8>, of line: UnsafeBufferPointer<UInt8>,
        into draft: inout Draft
    ) throws(RecordError) {
        if let path = settings.eventFrom {
            draft.event = try text(at: path, in: payload, line) ?? draft.event
        }
        if let path = settings.idFrom {
            draft.id = try text(at: path, in: payload, line, orNumber: true) ?? draft.id
        }
        if let path = settings.channelFrom {
            draft.channel = try text(at: path, in: payload, line) ?? draft.channel
        }
    }

    /// The contents of the string, or the digits of the number, at a path; nil when there is
    /// nothing, or null.
    private func text(
        at path: JSONPath, in payload: UnsafeBufferPointer<UInt8>,
        _ line: UnsafeBufferPointer<UInt8>, orNumber: Bool = false
    ) throws(RecordError) -> UnsafeBufferPointer<UInt8>? {
        guard let range = try find(path, payload) else { return nil }
        let value = payload.slice(range)
        switch value[0] {
        case UInt8(ascii: "\""): return value.slice(1..<value.count - 1)
        case UInt8(ascii: "n"): return nil
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            if orNumber { return value }
        default: break
        }
        throw RecordError(
            offset: value.baseAddress! - line.baseAddress!,
            reason: .wrongType(
                key: path.description, expected: orNumber ? "a string or a number" : "a string"))
    }

    private func find(
        _ path: JSONPath, _ payload: UnsafeBufferPointer<UInt8>
    ) throws(RecordError) -> Range<Int>? {
        do throws(JSONError) {
            return try path.find(in: payload, maxDepth: settings.common.maxDepth)
        } catch {
            throw RecordError(offset: error.offset, reason: .json(error.reason))
        }
    }

    /// 0 when there is no key.
    private mutating func keyHash(
        _ payload: UnsafeBufferPointer<UInt8>
    ) throws(RecordError) -> UInt64 {
        guard let path = settings.keyFrom, let range = try find(path, payload) else { return 0 }
        keyBytes.removeAll()
        keyBytes.append(key: payload.slice(range))
        return max(hashes.hash(keyBytes.bytes), 1)
    }

    // MARK: Writing

    private mutating func write(
        _ draft: Draft, _ line: UnsafeBufferPointer<UInt8>, _ arrival: UInt64,
        to batch: inout ByteQueue
    ) throws(RecordError) {
        try check(draft, line)
        let key = try draft.data.map { data throws(RecordError) in try keyHash(data) } ?? 0
        guard let name = draft.channel else {
            return channel.withUnsafeBufferPointer {
                put(draft, key: key, channel: $0, arrival, to: &batch)
            }
        }
        scratch.removeAll()
        scratch.append(replacing: name)
        guard scratch.bytes.isChannelName else {
            throw RecordError(
                offset: name.offset(in: line),
                reason: .message("a channel is names with dots between them"))
        }
        put(draft, key: key, channel: scratch.bytes, arrival, to: &batch)
    }

    /// What cannot be sent as Server-Sent Events is no event: it would be another one.
    private mutating func check(
        _ draft: Draft, _ line: UnsafeBufferPointer<UInt8>
    ) throws(RecordError) {
        for (member, name) in [(draft.event, "event"), (draft.id, "id")] {
            guard let member else { continue }
            scratch.removeAll()
            try scratch.append(checking: member, of: line, key: name)
            if scratch.bytes.breaksField(isID: name == "id") {
                throw RecordError(offset: member.offset(in: line), reason: .injection(key: name))
            }
        }
        guard settings.form == .records else { return }
        for (member, name) in [(draft.data, "data"), (draft.comment, "comment")] {
            guard var member, name == "comment" || draft.isText else { continue }
            if name == "data" { member = member.slice(1..<member.count - 1) }
            scratch.removeAll()
            try scratch.append(checking: member, of: line, key: name)
        }
    }

    private mutating func put(
        _ draft: Draft, key: UInt64, channel: UnsafeBufferPointer<UInt8>, _ arrival: UInt64,
        to batch: inout ByteQueue
    ) {
        var head = EventHead()
        let start = batch.count
        head.isPlain =
            draft.event == nil && draft.id == nil && draft.retry == nil && draft.comment == nil
            && draft.data != nil && !draft.isText
        _ = batch.reserve(EventHead.size)
        batch.commit(EventHead.size)
        let record = batch.count
        putRecord(draft, channel, &head, to: &batch)
        head.recordSize = batch.count - record
        head.sequence = sequence
        head.arrival = arrival
        head.key = key
        sequence += 1
        while (batch.count - start) & 7 != 0 { batch.append(0) }
        head.size = batch.count - start
        batch.write(head, at: start)
    }

    /// Appends the record, and says in `head` where its members are.
    private func putRecord(
        _ draft: Draft, _ channel: UnsafeBufferPointer<UInt8>, _ head: inout EventHead,
        to batch: inout ByteQueue
    ) {
        let record = batch.count
        func append(_ contents: UnsafeBufferPointer<UInt8>, _ batch: inout ByteQueue) -> Stretch {
            let start = batch.count - record
            batch.append(contents)
            return Stretch(start..<batch.count - record)
        }
        batch.append("{\"")
        if let event = draft.event {
            batch.append("event\":\"")
            head.event = append(event, &batch)
            batch.append("\",\"")
        }
        batch.append("id\":\"")
        if let id = draft.id {
            head.id = append(id, &batch)
            head.hasOwnID = true
        } else {
            let start = batch.count - record
            batch.append(epoch)
            batch.append("-")
            batch.append(digits: sequence)
            head.id = Stretch(start..<batch.count - record)
        }
        batch.append("\"")
        if let data = draft.data {
            batch.append(",\"data\":")
            let place = append(data, &batch)
            head.isText = draft.isText
            head.data =
                head.isText
                ? Stretch(place.range.map { $0.lowerBound + 1..<$0.upperBound - 1 }) : place
        }
        if let retry = draft.retry {
            batch.append(",\"retry\":")
            batch.append(decimal: retry)
            head.retry = retry
        }
        if let comment = draft.comment {
            batch.append(",\"comment\":\"")
            head.comment = append(comment, &batch)
            batch.append("\"")
        }
        if !channel.isEmpty {
            batch.append(",\"channel\":\"")
            head.channel = append(channel, &batch)
            batch.append("\"")
        }
        batch.append("}")
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Where it begins in a line that it is a part of; 0 when it is none.
    fileprivate func offset(in line: UnsafeBufferPointer<UInt8>) -> Int {
        guard let start = baseAddress, let first = line.baseAddress else { return 0 }
        return (0..<line.count).contains(start - first) ? start - first : 0
    }
}

extension ByteQueue {
    /// Appends the text that a string of a line is, of which these are the contents.
    mutating func append(
        checking contents: UnsafeBufferPointer<UInt8>, of line: UnsafeBufferPointer<UInt8>,
        key: String
    ) throws(RecordError) {
        do throws(LoneSurrogate) {
            try append(unescaping: contents)
        } catch {
            throw RecordError(
                offset: contents.offset(in: line) + error.offset, reason: .loneSurrogate(key: key))
        }
    }

    /// Writes the head of an event over the bytes at `offset`.
    fileprivate mutating func write(_ head: EventHead, at offset: Int) {
        withUnsafeBytes(of: head) { bytes in
            replace(at: offset, with: bytes.assumingMemoryBound(to: UInt8.self))
        }
    }

    /// The number in decimal, without a String.
    fileprivate mutating func append(digits number: UInt64) {
        let start = reserve(20)
        var rest = number
        var count = 0
        repeat {
            start[count] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            count += 1
        } while rest > 0
        var digits = UnsafeMutableBufferPointer(start: start, count: count)
        digits.reverse()
        commit(count)
    }
}
