import CBytes

/// Server-Sent Events, written: the fields of WHATWG HTML, section 9.2.5.
///
/// Each function appends whole lines. A block is some fields and then `appendBlockEnd`.
extension ByteQueue {
    /// `name: value`. The value must not break its line; see `breaksField`.
    @inline(__always)
    package mutating func appendField(
        _ name: StaticString, _ value: UnsafeBufferPointer<UInt8>
    ) {
        append(name)
        append(": ")
        unsafe append(value)
        append(UInt8(ascii: "\n"))
    }

    /// `data: ` lines, one for each line of the text; CR and CR LF end lines too, for the
    /// receiver takes them for line ends.
    @inline(__always)
    package mutating func appendData(_ text: UnsafeBufferPointer<UInt8>) {
        var start = 0
        while true {
            let end = unsafe text.firstLineEnd(from: start)
            append("data: ")
            unsafe append(text.slice(start..<end))
            append(UInt8(ascii: "\n"))
            if end == text.count { return }
            let isPair =
                unsafe text[end] == UInt8(ascii: "\r") && end + 1 < text.count
                && text[end + 1] == UInt8(ascii: "\n")
            start = end + (isPair ? 2 : 1)
        }
    }

    package mutating func appendRetry(milliseconds: Int) {
        append("retry: ")
        append(decimal: milliseconds)
        append(UInt8(ascii: "\n"))
    }

    /// The blank line that ends a block.
    @inline(__always)
    package mutating func appendBlockEnd() {
        append(UInt8(ascii: "\n"))
    }

    /// The type of an event that names none.
    private static let message = [UInt8]("message".utf8)

    /// The record as a block. Nothing is appended when it throws.
    @inline(__always)
    package mutating func append(
        _ record: EventRecord, of line: UnsafeBufferPointer<UInt8>
    ) throws(RecordError) {
        let start = count
        do throws(RecordError) {
            try unsafe appendFields(record, of: line)
        } catch {
            truncate(start)
            throw error
        }
        if count > start { appendBlockEnd() }
    }

    /// The fields of the record without the end of the block.
    @inline(__always)
    package mutating func appendFields(
        _ record: EventRecord, of line: UnsafeBufferPointer<UInt8>
    ) throws(RecordError) {
        if let comment = record.comment {
            try unsafe append(unescaping: comment, of: line, key: "comment", prefix: ": ")
        }
        if let event = record.event, unsafe !line.slice(event).unescapes(to: Self.message) {
            try unsafe appendSingle(event, of: line, key: "event", prefix: "event: ")
        }
        if let id = record.id {
            try unsafe appendSingle(id, of: line, key: "id", prefix: "id: ")
        }
        if let retry = record.retry { appendRetry(milliseconds: retry) }
        switch record.data {
        case .none: break
        case .string(let contents):
            append("data: ")
            do throws(LoneSurrogate) {
                try unsafe append(unescaping: line.slice(contents), lineBreak: "\ndata: ")
            } catch {
                throw RecordError(
                    offset: contents.lowerBound + error.offset, reason: .loneSurrogate(key: "data"))
            }
            append(UInt8(ascii: "\n"))
        case .json(let value):
            // CR is white space in JSON and ends a line here.
            unsafe appendData(line.slice(value))
        }
    }

    private mutating func append(
        unescaping contents: Range<Int>, of line: UnsafeBufferPointer<UInt8>, key: String,
        prefix: StaticString
    ) throws(RecordError) {
        append(prefix)
        do throws(LoneSurrogate) {
            try unsafe append(unescaping: line.slice(contents), lineBreak: "\n: ")
        } catch {
            throw RecordError(
                offset: contents.lowerBound + error.offset, reason: .loneSurrogate(key: key))
        }
        append(UInt8(ascii: "\n"))
    }

    /// A field that cannot hold a line break.
    private mutating func appendSingle(
        _ contents: Range<Int>, of line: UnsafeBufferPointer<UInt8>, key: String,
        prefix: StaticString
    ) throws(RecordError) {
        append(prefix)
        let start = count
        do throws(LoneSurrogate) {
            try unsafe append(unescaping: line.slice(contents))
        } catch {
            throw RecordError(
                offset: contents.lowerBound + error.offset, reason: .loneSurrogate(key: key))
        }
        if unsafe bytes(start..<count).breaksField(isID: key == "id") {
            throw RecordError(offset: contents.lowerBound, reason: .injection(key: key))
        }
        append(UInt8(ascii: "\n"))
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// True when the bytes cannot be the value of an event or id field: CR and LF would end
    /// the line and let the rest pass for a field of its own; an id with NUL is ignored.
    package func breaksField(isID: Bool) -> Bool {
        unsafe contains {
            $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") || (isID && $0 == 0)
        }
    }
}
