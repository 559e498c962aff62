/// Why a line is no event record.
package struct RecordError: Error, Equatable, CustomStringConvertible {
    package enum Reason: Equatable, Sendable {
        case json(JSONError.Reason)
        case notAnObject
        case unknownKey(String)
        case repeatedKey(String)
        case wrongType(key: String, expected: String)
        /// The value cannot be sent in a field: it would end the line, or NUL would end the id.
        case injection(key: String)
        case loneSurrogate(key: String)
        /// An option names a value that the line does not have.
        case absent(path: String)
        /// In words, for what only one kind of record can have.
        case message(String)
    }

    /// Bytes from the start of the line.
    package var offset: Int
    package var reason: Reason

    package init(offset: Int, reason: Reason) {
        self.offset = offset
        self.reason = reason
    }

    package var description: String {
        switch reason {
        case .json(let reason): JSONError(offset: offset, reason: reason).description
        case .notAnObject:
            "expected an event record, an object (--data sends any JSON value as it is)"
        case .unknownKey(let key):
            "unknown key '\(key)' in event record (--data sends any JSON value as it is)"
        case .repeatedKey(let key): "key '\(key)' stands twice in event record"
        case .wrongType(let key, let expected): "'\(key)' must be \(expected)"
        case .injection(let key):
            "'\(key)' must not hold a line break" + (key == "id" ? " or NUL" : "")
        case .loneSurrogate(let key): "'\(key)' holds half a surrogate pair, which is no text"
        case .absent(let path): "no value at \(path)"
        case .message(let text): text
        }
    }
}

/// An event record, `{"event":…,"id":…,"data":…,"retry":…,"comment":…,"channel":…}`, as places
/// in its line. Strings are their contents between the quotes, escapes as they are.
package struct EventRecord {
    package enum Payload: Equatable {
        case none
        /// Contents of a string: the text itself.
        case string(Range<Int>)
        /// Any other value: its JSON text is sent.
        case json(Range<Int>)
    }

    package var event: Range<Int>?
    /// Contents of a string, or the digits of a number.
    package var id: Range<Int>?
    package var data = Payload.none
    package var retry: Int?
    package var comment: Range<Int>?
    package var channel: Range<Int>?

    package init(data: Payload = .none) {
        self.data = data
    }

    /// Reads the record that the line holds.
    @inline(__always)
    package init(
        _ line: UnsafeBufferPointer<UInt8>, maxDepth: Int = JSON.defaultMaxDepth
    ) throws(RecordError) {
        try unsafe JSONScanner.readRecord(line, maxDepth: maxDepth, notAnObject: .notAnObject) {
            key, value in
            guard let reason = unsafe take(value, for: line.slice(key), of: line) else {
                return nil
            }
            let offset = reason.concernsKey ? key.lowerBound - 1 : value.lowerBound
            return RecordError(offset: offset, reason: reason)
        }
    }

    /// Takes one member in; what is wrong with it, or nil.
    @inline(__always)
    private mutating func take(
        _ value: Range<Int>, for key: UnsafeBufferPointer<UInt8>,
        of line: UnsafeBufferPointer<UInt8>
    ) -> RecordError.Reason? {
        let isString = unsafe line[value.lowerBound] == UInt8(ascii: "\"")
        let contents = isString ? (value.lowerBound + 1)..<(value.upperBound - 1) : value
        if unsafe key.isEqual(to: "data") {
            if data != .none { return .repeatedKey("data") }
            data = isString ? .string(contents) : .json(value)
        } else if unsafe key.isEqual(to: "event") {
            return take(contents, isString, into: &event, "event")
        } else if unsafe key.isEqual(to: "id") {
            let isNumber = unsafe !isString && line[value.lowerBound] <= UInt8(ascii: "9")
            if id != nil { return .repeatedKey("id") }
            if !isString && !isNumber {
                return .wrongType(key: "id", expected: "a string or a number")
            }
            id = contents
        } else if unsafe key.isEqual(to: "retry") {
            return unsafe takeRetry(line.slice(value))
        } else if unsafe key.isEqual(to: "comment") {
            return take(contents, isString, into: &comment, "comment")
        } else if unsafe key.isEqual(to: "channel") {
            return take(contents, isString, into: &channel, "channel")
        } else {
            return unsafe takeEscaped(value, for: key, of: line)
        }
        return nil
    }

    private func take(
        _ contents: Range<Int>, _ isString: Bool, into member: inout Range<Int>?, _ key: String
    ) -> RecordError.Reason? {
        if member != nil { return .repeatedKey(key) }
        if !isString { return .wrongType(key: key, expected: "a string") }
        member = contents
        return nil
    }

    private mutating func takeRetry(_ value: UnsafeBufferPointer<UInt8>) -> RecordError.Reason? {
        if retry != nil { return .repeatedKey("retry") }
        guard let first = unsafe value.first, (0x30...0x39).contains(first), value.count <= 18,
            let number = unsafe Int(String(decoding: value, as: UTF8.self))
        else { return .wrongType(key: "retry", expected: "whole milliseconds") }
        retry = number
        return nil
    }

    /// A key that is none as it stands may be one behind its escapes.
    private mutating func takeEscaped(
        _ value: Range<Int>, for key: UnsafeBufferPointer<UInt8>,
        of line: UnsafeBufferPointer<UInt8>
    ) -> RecordError.Reason? {
        guard unsafe key.contains(UInt8(ascii: "\\")) else {
            return unsafe .unknownKey(String(decoding: key, as: UTF8.self))
        }
        var plain = ByteQueue(capacity: key.count + 64)
        unsafe plain.append(replacing: key)
        // Without a backslash of its own it is looked up as it is, and never unescaped again.
        if unsafe !plain.isEmpty && !plain.bytes.contains(UInt8(ascii: "\\")) {
            return unsafe take(value, for: plain.bytes, of: line)
        }
        return unsafe .unknownKey(String(decoding: plain.bytes, as: UTF8.self))
    }
}

extension RecordError.Reason {
    /// True when the place to look at is the key, not its value.
    fileprivate var concernsKey: Bool {
        switch self {
        case .unknownKey, .repeatedKey: true
        default: false
        }
    }
}
