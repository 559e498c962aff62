/// Why a text is not JSON, and where. RFC 8259.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    package enum Reason: Equatable, Sendable {
        case value, name, colon, commaOrBrace, commaOrBracket, trailing
        case digit, literal, controlCharacter, escape, hexDigit, invalidUTF8
        case unexpectedEnd
        case depth(limit: Int)
    }

    /// The first byte that no JSON text can have here; the length when the text ends too early.
    package var offset: Int
    package var reason: Reason

    package var description: String {
        switch reason {
        case .value: "expected a JSON value"
        case .name: "expected '\"' to begin an object key"
        case .colon: "expected ':' after object key"
        case .commaOrBrace: "expected ',' or '}' in object"
        case .commaOrBracket: "expected ',' or ']' in array"
        case .trailing: "expected the end of the line after the value"
        case .digit: "expected a digit in number"
        case .literal: "expected true, false or null"
        case .controlCharacter: "control character in string, expected it escaped"
        case .escape: "expected one of \" \\ / b f n r t u after '\\'"
        case .hexDigit: "expected four hexadecimal digits after '\\u'"
        case .invalidUTF8: "invalid UTF-8"
        case .unexpectedEnd: "expected more, the JSON text ends here"
        case .depth(let limit): "nested deeper than \(limit) levels (see --max-depth)"
        }
    }
}

/// Strict RFC 8259 over bytes that stay where they are.
package enum JSON {
    /// The depth of arrays and objects that is accepted unless an option says otherwise.
    package static let defaultMaxDepth = 1024

    /// Throws unless `bytes` is exactly one JSON text.
    package static func validate(
        _ bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int = defaultMaxDepth
    ) throws(JSONError) {
        var scanner = unsafe JSONScanner(bytes, maxDepth: maxDepth)
        do throws(JSONError) {
            scanner.skipWhitespace()
            try scanner.skipValue()
            try scanner.finish()
        } catch {
            throw scanner.earliest(error)
        }
    }

    /// True when `bytes` is exactly one JSON text.
    package static func isValid(
        _ bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int = defaultMaxDepth
    ) -> Bool {
        do throws(JSONError) {
            try unsafe validate(bytes, maxDepth: maxDepth)
            return true
        } catch {
            return false
        }
    }
}

/// The value of a hexadecimal digit, or nil.
@inline(__always)
func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
