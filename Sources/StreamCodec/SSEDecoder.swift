/// What an event says besides its data.
package struct EventFields: Equatable, Sendable {
    /// The type, empty for "message".
    package var type: [UInt8] = []
    /// The last event id, when a valid id line came since the last event.
    package var id: [UInt8]?
    /// Milliseconds.
    package var retry: Int?
    /// The text of comment lines, joined by LF, when the decoder collects comments.
    package var comment: [UInt8]?

    package init() {}
}

/// An event that is kept while others come.
package struct Event: Sendable {
    package var fields: EventFields
    package var data: [UInt8]
    /// The number of its first line in its input, from 1.
    package var line: Int

    package init(fields: EventFields, data: [UInt8], line: Int) {
        self.fields = fields
        self.data = data
        self.line = line
    }
}

/// Server-Sent Events as they arrive: WHATWG HTML, section 9.2.6.
///
/// The queue must hold well-formed UTF-8 (see `UTF8Repair`). An event's data stays where it was
/// received; the event is what the decoder says of it until the next call.
package struct SSEDecoder {
    /// What a call found.
    package enum Result: Equatable {
        /// A block with data ended: an event to dispatch.
        case event
        /// A block ended that dispatches nothing, but had a comment or a retry. Only when
        /// `collectsComments` is set.
        case note
        /// A block has more than `maxEvent` bytes. The rest of it is skipped.
        case tooLong
        /// The next block is not complete yet.
        case more
    }

    // MARK: The current event

    /// All but the data.
    package private(set) var fields = EventFields()
    /// Where the data stands in the queue, its lines joined by LF.
    package private(set) var data = 0..<0
    /// The number of the block's first line, from 1.
    package private(set) var firstLine = 1
    /// Comments are kept, and a block with a comment or a retry is a note where it is no event.
    package var collectsComments = false

    /// True once a line was a comment or had a field name of the specification.
    package private(set) var sawField = false
    /// Bytes behind the byte order mark before `sawField`, as far as they are lines.
    package private(set) var unknownBytes = 0

    /// The last event id is kept: what a client that reconnects asks with.
    package var keepsLastEventID = false
    /// The last event id that the end of a block has set, with data or without (HTML 9.2.6);
    /// nil while none did.
    package private(set) var lastEventID: [UInt8]?
    /// Milliseconds of the last valid retry line, which counts without an event, too.
    package private(set) var reconnectionTime: Int?

    // MARK: State

    private let maxEvent: Int
    private var isAtStart = true
    /// Lines that ended.
    private var lines = 0
    /// Offset of the line that is being read; everything before it belongs to the block.
    private var lineStart = 0
    /// Bytes searched for a line end; without it long lines are quadratic.
    private var scanned = 0
    /// The last line ended in CR; an LF that follows belongs to it.
    private var skipsLineFeed = false
    private var sawData = false
    /// The event was handed out: its bytes and fields go with the next call.
    private var isDispatched = false
    private var isDiscarding = false
    /// What is discarded ended inside a line.
    private var isMidLine = false

    package init(maxEvent: Int) {
        self.maxEvent = maxEvent
    }

    /// Reads on in `queue` to the end of the next block.
    @inline(__always)
    package mutating func next(_ queue: inout ByteQueue) -> Result {
        if isDispatched { forget(&queue) }
        if isAtStart && !skipByteOrderMark(&queue) { return .more }
        while true {
            if skipsLineFeed && lineStart < queue.count {
                skipsLineFeed = false
                if queue[lineStart] == UInt8(ascii: "\n") {
                    // Behind a block that is gone it must not count for the next one's size.
                    if lineStart == 0 { queue.consume(1) } else { lineStart += 1 }
                }
                scanned = lineStart
            }
            let end = unsafe queue.bytes.firstLineEnd(from: scanned)
            if end >= queue.count {
                scanned = end
                if isDiscarding { return discard(&queue) }
                return end > maxEvent && end > lineStart ? tooLong() : .more
            }
            let line = lineStart..<end
            skipsLineFeed = queue[end] == UInt8(ascii: "\r")
            if skipsLineFeed && end + 1 < queue.count {
                skipsLineFeed = false
                lineStart = queue[end + 1] == UInt8(ascii: "\n") ? end + 2 : end + 1
            } else {
                lineStart = end + 1
            }
            scanned = lineStart
            lines += 1
            if let result = take(line, in: &queue) { return result }
        }
    }

    /// Takes the end of the input for the end of the unfinished last block. False when that
    /// block dispatches nothing.
    package mutating func finish(_ queue: inout ByteQueue) -> Bool {
        if isDispatched { forget(&queue) }
        if isAtStart {
            // Fewer than three bytes came; they are no byte order mark.
            isAtStart = false
        }
        if isDiscarding { return false }
        if lineStart < queue.count && !skipsLineFeed {
            let line = lineStart..<queue.count
            let isCut = Self.mayBeCut(unsafe [UInt8](queue.bytes(line)))
            let unknown = unknownBytes
            lineStart = queue.count
            scanned = lineStart
            lines += 1
            _ = take(line, in: &queue)
            if isCut { unknownBytes = unknown }
        }
        isDispatched = true
        return sawData
    }

    /// The input may have ended inside the name of a field, or inside the byte order mark, which is
    /// U+FFFD then.
    private static func mayBeCut(_ line: [UInt8]) -> Bool {
        ["event", "data", "id", "retry", "\u{FFFD}"].contains { $0.utf8.starts(with: line) }
    }

    // MARK: Lines

    /// One line, without its end. A result when it ends a block that says something.
    @inline(__always)
    private mutating func take(_ line: Range<Int>, in queue: inout ByteQueue) -> Result? {
        if isDiscarding {
            if line.isEmpty && !isMidLine { endDiscarding(&queue) }
            isMidLine = false
            return nil
        }
        if line.isEmpty { return endBlock(&queue) }
        if line.upperBound > maxEvent { return tooLong() }
        let bytes = unsafe queue.bytes(line)
        if unsafe line.count >= 5 && bytes[0] == UInt8(ascii: "d") && bytes[1] == UInt8(ascii: "a")
            && bytes[2] == UInt8(ascii: "t") && bytes[3] == UInt8(ascii: "a")
            && bytes[4] == UInt8(ascii: ":")
        {
            // One space behind the colon is not part of the value.
            let space = unsafe line.count > 5 && bytes[5] == UInt8(ascii: " ") ? 1 : 0
            sawField = true
            addData((line.lowerBound + 5 + space)..<line.upperBound, in: &queue)
        } else {
            takeOther(line, in: &queue)
            // Only data stays where it was received. A server may send comments for days and no
            // blank line between them.
            if !sawData {
                queue.consume(lineStart)
                scanned -= lineStart
                lineStart = 0
                if fields.comment?.count ?? 0 > maxEvent { return tooLong() }
            }
        }
        return nil
    }

    private mutating func takeOther(_ line: Range<Int>, in queue: inout ByteQueue) {
        let bytes = unsafe queue.bytes(line)
        let colon = unsafe bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count
        var valueStart = min(colon + 1, bytes.count)
        if unsafe valueStart < bytes.count && bytes[valueStart] == UInt8(ascii: " ") {
            valueStart += 1
        }
        let name = unsafe bytes.slice(0..<colon)
        let value = unsafe bytes.slice(valueStart..<bytes.count)
        if unsafe name.isEqual(to: "event") {
            fields.type.removeAll(keepingCapacity: true)
            unsafe fields.type.append(contentsOf: value)
        } else if unsafe name.isEqual(to: "id") {
            if unsafe !value.contains(0) { unsafe fields.id = [UInt8](value) }
        } else if unsafe name.isEqual(to: "data") {
            addData(line.upperBound..<line.upperBound, in: &queue)
        } else if unsafe name.isEqual(to: "retry") {
            if let milliseconds = unsafe Self.milliseconds(value) {
                fields.retry = milliseconds
                reconnectionTime = milliseconds
            }
        } else if colon == 0 {
            if collectsComments { unsafe add(comment: value) }
        } else {
            if !sawField { unknownBytes += line.count }
            return
        }
        sawField = true
    }

    /// Joins the value to the data before it. The bytes between the two belong to lines that
    /// were read already, so the value can move there.
    @inline(__always)
    private mutating func addData(_ value: Range<Int>, in queue: inout ByteQueue) {
        if sawData {
            queue.replace(at: data.upperBound, with: UInt8(ascii: "\n"))
            queue.move(value, to: data.upperBound + 1)
            data = data.lowerBound..<(data.upperBound + 1 + value.count)
        } else {
            data = value
            sawData = true
        }
    }

    private mutating func add(comment text: UnsafeBufferPointer<UInt8>) {
        if fields.comment == nil {
            unsafe fields.comment = [UInt8](text)
        } else {
            fields.comment?.append(UInt8(ascii: "\n"))
            unsafe fields.comment?.append(contentsOf: text)
        }
    }

    /// More than eighteen digits would not fit; nobody waits a billion years.
    private static func milliseconds(_ digits: UnsafeBufferPointer<UInt8>) -> Int? {
        guard (1...18).contains(digits.count) else { return nil }
        var number = 0
        for index in 0..<digits.count {
            let digit = unsafe digits[index]
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            number = number * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return number
    }

    // MARK: Blocks

    @inline(__always)
    private mutating func endBlock(_ queue: inout ByteQueue) -> Result? {
        if keepsLastEventID, let id = fields.id { lastEventID = id }
        if sawData {
            isDispatched = true
            return .event
        }
        if collectsComments && (fields.retry != nil || fields.comment != nil) {
            isDispatched = true
            return .note
        }
        // The id stays for the next event.
        forget(&queue, keepingID: true)
        return nil
    }

    @inline(__always)
    private mutating func forget(_ queue: inout ByteQueue, keepingID: Bool = false) {
        queue.consume(lineStart)
        scanned -= lineStart
        lineStart = 0
        isDispatched = false
        sawData = false
        data = 0..<0
        if !fields.type.isEmpty { fields.type.removeAll(keepingCapacity: true) }
        if !keepingID { fields.id = nil }
        fields.retry = nil
        fields.comment = nil
        firstLine = lines + 1
    }

    private mutating func tooLong() -> Result {
        isDiscarding = true
        return .tooLong
    }

    /// Gives back the memory of a block that is too long while it still comes.
    private mutating func discard(_ queue: inout ByteQueue) -> Result {
        isMidLine = isMidLine || lineStart < queue.count
        queue.removeAll()
        lineStart = 0
        scanned = 0
        return .more
    }

    private mutating func endDiscarding(_ queue: inout ByteQueue) {
        isDiscarding = false
        forget(&queue, keepingID: true)
    }

    /// False while it cannot be told yet whether the stream starts with a byte order mark.
    private mutating func skipByteOrderMark(_ queue: inout ByteQueue) -> Bool {
        guard let isMark = unsafe queue.bytes.startsWithByteOrderMark else { return false }
        if isMark { queue.consume(3) }
        isAtStart = false
        return true
    }
}
