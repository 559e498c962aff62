/// A message record, `{"type":"text","data":…}` or `{"type":"binary","data":"<base64>"}`, as places
/// in its line.
package struct MessageRecord {
    package enum Payload: Equatable {
        /// Contents of a string, between its quotes: the text itself.
        case string(Range<Int>)
        /// Any other value: its JSON text is sent.
        case json(Range<Int>)
        /// Contents of a string in base64.
        case base64(Range<Int>)
    }

    package private(set) var payload = Payload.json(0..<0)
    private var type: Range<Int>?
    private var data: Range<Int>?

    /// Reads the record that the line holds.
    package init(
        _ line: UnsafeBufferPointer<UInt8>, maxDepth: Int = JSON.defaultMaxDepth
    ) throws(RecordError) {
        try unsafe JSONScanner.readRecord(
            line, maxDepth: maxDepth,
            notAnObject: .message("expected a message record, an object\(Self.hint)")
        ) { key, value in
            unsafe take(value, for: key, of: line)
        }
        try unsafe check(line)
    }

    private static var hint: String { " (--data sends any JSON value as it is)" }

    private mutating func take(
        _ value: Range<Int>, for key: Range<Int>, of line: UnsafeBufferPointer<UInt8>
    ) -> RecordError? {
        let name = unsafe line.slice(key)
        let isType = unsafe name.unescapes(to: Array("type".utf8))
        guard unsafe isType || name.unescapes(to: Array("data".utf8)) else {
            let text = unsafe String(decoding: name, as: UTF8.self)
            return RecordError(
                offset: key.lowerBound - 1,
                reason: .message("unknown key '\(text)' in message record\(Self.hint)"))
        }
        if (isType ? type : data) != nil {
            let text = isType ? "type" : "data"
            return RecordError(
                offset: key.lowerBound - 1,
                reason: .message("key '\(text)' stands twice in message record"))
        }
        if isType { type = value } else { data = value }
        return nil
    }

    private mutating func check(_ line: UnsafeBufferPointer<UInt8>) throws(RecordError) {
        guard let type, let data else {
            let absent = type == nil ? "type" : "data"
            throw RecordError(
                offset: 0, reason: .message("no '\(absent)' in message record\(Self.hint)"))
        }
        let isString = unsafe line[data.lowerBound] == UInt8(ascii: "\"")
        let contents = (data.lowerBound + 1)..<max(data.lowerBound + 1, data.upperBound - 1)
        if unsafe matches(type, "text", in: line) {
            payload = isString ? .string(contents) : .json(data)
        } else if unsafe matches(type, "binary", in: line) {
            guard isString else {
                throw RecordError(
                    offset: data.lowerBound,
                    reason: .message("'data' of a binary message must be a string in base64"))
            }
            payload = .base64(contents)
        } else {
            throw RecordError(
                offset: type.lowerBound, reason: .message("'type' must be \"text\" or \"binary\""))
        }
    }

    private func matches(
        _ value: Range<Int>, _ text: String, in line: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        guard unsafe line[value.lowerBound] == UInt8(ascii: "\"") else { return false }
        let contents = (value.lowerBound + 1)..<(value.upperBound - 1)
        return unsafe line.slice(contents).unescapes(to: Array(text.utf8))
    }
}
