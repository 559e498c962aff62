/// Puts together what `sse-encode --chunk` cut: events whose data is
/// `{"type":"chunk","id":…,"seq":…,"total":…,"data":…}`. Without `seq`, a chunk names no message:
/// its `id` is a number from 1 to `total`, and all come behind one another.
package struct ChunkJoiner {
    package enum Result {
        /// No chunk: to be passed on as it is.
        case plain
        /// More chunks of its message are to come.
        case incomplete
        case complete(Event)
        /// A chunk that cannot be used.
        case invalid(String)
    }

    /// A chunk as it came, and where in it the contents of its data stand.
    private struct Piece {
        var raw: [UInt8]
        var contents: Range<Int>
    }

    private struct Message {
        var event: Event
        let total: Int
        /// By seq: a total alone must not cost memory.
        var pieces: [Int: Piece] = [:]
        /// The bytes that the pieces make.
        var size = 0
        /// It was too large: the rest of its chunks is left out with it.
        var isRefused = false

        /// The chunks that came, in their order, as the lines of the event's data.
        var incomplete: Event {
            var event = event
            for (_, piece) in pieces.sorted(by: { $0.key < $1.key }) {
                if !event.data.isEmpty { event.data.append(UInt8(ascii: "\n")) }
                event.data += piece.raw
            }
            return event
        }

        /// The event of all chunks.
        var whole: Event {
            var data = ByteQueue(capacity: size + 64)
            for seq in 0..<total {
                guard let piece = pieces[seq] else { continue }
                unsafe piece.raw.withUnsafeBufferPointer { raw in
                    do throws(LoneSurrogate) {
                        try unsafe data.append(unescaping: raw.slice(piece.contents))
                    } catch {
                        preconditionFailure("a piece was looked at when it came")
                    }
                }
            }
            var event = event
            event.data = unsafe [UInt8](data.bytes)
            return event
        }
    }

    /// Incomplete messages, the oldest first, by the id that their chunks name.
    private var open: [(id: [UInt8], message: Message)] = []
    /// Messages that were given up since the last `takeAbandoned`.
    private var abandoned: [Event] = []
    private let limit: Int
    private let maxSize: Int
    private let maxDepth: Int

    /// Keeps at most `limit` incomplete messages of at most `maxSize` bytes each.
    package init(limit: Int, maxSize: Int, maxDepth: Int = JSON.defaultMaxDepth) {
        self.limit = limit
        self.maxSize = maxSize
        self.maxDepth = maxDepth
    }

    /// No message is incomplete.
    package var isEmpty: Bool { open.isEmpty }

    private static let keys = ["type", "id", "seq", "total", "data"]
    private static let paths = keys.map { key in
        do throws(JSONPath.ParseError) {
            return try JSONPath("." + key)
        } catch {
            preconditionFailure("a key is a path")
        }
    }

    /// Takes an event in; `data` is its data.
    package mutating func take(
        _ fields: EventFields, _ data: UnsafeBufferPointer<UInt8>, line: Int
    ) -> Result {
        guard unsafe data.first == UInt8(ascii: "{"), let members = unsafe members(of: data),
            let type = members[0], unsafe data.slice(type).isEqual(to: "\"chunk\"")
        else { return .plain }
        let isNumbered = members[2] == nil
        guard let id = members[1],
            let seq = unsafe isNumbered
                ? number(data, id).map({ $0 - 1 }) : number(data, members[2]),
            let total = unsafe number(data, members[3]), let text = members[4],
            unsafe data[text.lowerBound] == UInt8(ascii: "\"")
        else { return .invalid("a chunk needs id, seq, total and, as a string, data") }
        guard seq >= 0 && total >= 1 && seq < total && total <= maxSize else {
            return .invalid("chunk \(seq) of \(total) cannot be")
        }
        let contents = (text.lowerBound + 1)..<(text.upperBound - 1)
        var unescaped = ByteQueue()
        do throws(LoneSurrogate) {
            try unsafe unescaped.append(unescaping: data.slice(contents))
        } catch {
            return .invalid("a chunk's data holds half a surrogate pair, which is no text")
        }
        let key = unsafe isNumbered ? Self.numbered : [UInt8](data.slice(id))
        if isNumbered && seq > 0 && !isNext(seq, of: total) {
            if let index = open.firstIndex(where: { $0.id == key }) { abandon(index) }
            return .invalid("chunk \(seq + 1) of \(total) came without those before")
        }
        let event = Event(fields: fields, data: [], line: line)
        let piece = unsafe Piece(raw: [UInt8](data), contents: contents)
        return add(piece, size: unescaped.count, seq, of: total, to: key, event)
    }

    /// The id of the message whose chunks name none: no JSON text.
    private static let numbered: [UInt8] = []

    /// The chunk is the one behind those that came of the message that names no id.
    private func isNext(_ seq: Int, of total: Int) -> Bool {
        guard let message = open.first(where: { $0.id == Self.numbered })?.message else {
            return false
        }
        return message.total == total && (message.isRefused || message.pieces.count == seq)
    }

    /// Where the five members stand, or nil when the data is no JSON.
    private func members(of data: UnsafeBufferPointer<UInt8>) -> [Range<Int>?]? {
        var members: [Range<Int>?] = []
        for path in Self.paths {
            do throws(JSONError) {
                members.append(try unsafe path.find(in: data, maxDepth: maxDepth))
            } catch {
                return nil
            }
        }
        return members
    }

    private func number(_ data: UnsafeBufferPointer<UInt8>, _ range: Range<Int>?) -> Int? {
        guard let range else { return nil }
        let number = unsafe Int(String(decoding: data.slice(range), as: UTF8.self))
        return number.flatMap { $0 >= 0 ? $0 : nil }
    }

    private mutating func add(
        _ piece: Piece, size: Int, _ seq: Int, of total: Int, to id: [UInt8], _ event: Event
    ) -> Result {
        var index = open.firstIndex { $0.id == id }
        if let known = index {
            let message = open[known].message
            if message.isRefused && seq != 0 {
                if seq == total - 1 { open.remove(at: known) }
                return .incomplete
            }
            // Its first chunk again: the sender began this message anew.
            if message.total != total || message.isRefused
                || (seq == 0 && message.pieces[0] != nil)
            {
                abandon(known)
                index = nil
            } else if message.pieces[seq] != nil {
                return .incomplete
            }
        }
        if index == nil {
            if open.count == limit { abandon(0) }
            open.append((id, Message(event: event, total: total)))
        }
        let place = index ?? open.count - 1
        open[place].message.pieces[seq] = piece
        open[place].message.size += size
        if let eventID = event.fields.id { open[place].message.event.fields.id = eventID }
        if open[place].message.size > maxSize {
            open[place].message.isRefused = true
            open[place].message.pieces = [:]
            return .invalid("the chunks make more than \(maxSize) bytes (see --max-line)")
        }
        if open[place].message.pieces.count < total { return .incomplete }
        return .complete(open.remove(at: place).message.whole)
    }

    private mutating func abandon(_ index: Int) {
        let message = open.remove(at: index).message
        if !message.isRefused { abandoned.append(message.incomplete) }
    }

    /// Messages that were given up because newer ones took their place; with `atEnd` also those
    /// that are still incomplete. The data of each are the chunks that came, a line each.
    package mutating func takeAbandoned(atEnd: Bool = false) -> [Event] {
        if atEnd {
            abandoned += open.filter { !$0.message.isRefused }.map(\.message.incomplete)
            open = []
        }
        defer { abandoned = [] }
        return abandoned
    }
}
