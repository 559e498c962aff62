/// How a record holds an event's data.
package enum RecordData {
    /// A block that dispatched nothing has none.
    case none
    /// A string.
    case text
    /// The JSON value that the data is.
    case json
}

extension ByteQueue {
    /// A decoded event as a record and a line end. A record without data names no event.
    @inline(__always)
    package mutating func appendRecord(
        _ fields: borrowing EventFields, data: UnsafeBufferPointer<UInt8>, as form: RecordData
    ) {
        var separator: StaticString = "{"
        if form != .none {
            if fields.type.isEmpty {
                append("{\"event\":\"message\"")
            } else {
                append("{\"event\":")
                append(quoting: fields.type)
            }
            separator = ","
        }
        if let id = fields.id {
            append(separator)
            append("\"id\":")
            append(quoting: id)
            separator = ","
        }
        switch form {
        case .none: break
        case .text:
            append(",\"data\":")
            unsafe append(quoting: data)
        case .json:
            append(",\"data\":")
            unsafe append(jsonOnOneLine: data)
        }
        if let retry = fields.retry {
            append(separator)
            append("\"retry\":")
            append(decimal: retry)
            separator = ","
        }
        if let comment = fields.comment {
            append(separator)
            append("\"comment\":")
            append(quoting: comment)
        }
        append("}\n")
    }

    /// Appends a JSON text with its line breaks, which can only be white space, as spaces.
    @inline(__always)
    package mutating func append(jsonOnOneLine text: UnsafeBufferPointer<UInt8>) {
        let start = count
        unsafe append(text)
        if unsafe text.firstLineFeed(from: 0) < text.count {
            replaceAll(UInt8(ascii: "\n"), with: UInt8(ascii: " "), from: start)
        }
    }
}
