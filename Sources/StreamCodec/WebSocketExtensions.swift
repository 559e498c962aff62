/// One element of Sec-WebSocket-Extensions. RFC 6455 section 9.1.
struct WebSocketExtension: Equatable {
    var name: String
    /// In order; a value without its quotes, nil where there is none.
    var parameters: [(name: String, value: String?)]

    static func == (left: WebSocketExtension, right: WebSocketExtension) -> Bool {
        left.name == right.name
            && left.parameters.elementsEqual(right.parameters) { $0 == $1 }
    }

    /// The extensions that a field names, or nil when it is malformed.
    static func parse(_ value: String) -> [WebSocketExtension]? {
        var reader = FieldReader(value)
        var extensions: [WebSocketExtension] = []
        while true {
            // Empty elements of a list count for nothing (RFC 9110 section 5.6.1).
            while reader.take(",") {}
            if reader.isAtEnd { return extensions }
            guard let name = reader.takeToken() else { return nil }
            var element = WebSocketExtension(name: name, parameters: [])
            while reader.take(";") {
                guard let parameter = reader.takeToken() else { return nil }
                var value: String?
                if reader.take("=") {
                    value = reader.takeValue()
                    if value == nil { return nil }
                }
                element.parameters.append((parameter, value))
            }
            guard reader.isAtEnd || reader.take(",") else { return nil }
            extensions.append(element)
        }
    }
}

/// Tokens, quoted strings and separators of a header field, white space between them left out.
private struct FieldReader {
    private var rest: ArraySlice<UInt8>

    init(_ value: String) {
        rest = ArraySlice(value.utf8)
        skipSpace()
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ separator: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: separator) else { return false }
        rest.removeFirst()
        skipSpace()
        return true
    }

    mutating func takeToken() -> String? {
        let token = rest.prefix(while: \.isTokenCharacter)
        if token.isEmpty { return nil }
        rest = rest.dropFirst(token.count)
        skipSpace()
        return String(decoding: token, as: UTF8.self)
    }

    /// A token, or a quoted string that holds one: RFC 6455 allows nothing else in it.
    mutating func takeValue() -> String? {
        guard rest.first == UInt8(ascii: "\"") else { return takeToken() }
        var text: [UInt8] = []
        rest.removeFirst()
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") {
                skipSpace()
                let isToken = !text.isEmpty && text.allSatisfy(\.isTokenCharacter)
                return isToken ? String(decoding: text, as: UTF8.self) : nil
            }
            if byte == UInt8(ascii: "\\") {
                guard let escaped = rest.popFirst() else { return nil }
                text.append(escaped)
            } else {
                text.append(byte)
            }
        }
        return nil
    }

    private mutating func skipSpace() {
        rest = rest.drop(while: \.isSpace)
    }
}
