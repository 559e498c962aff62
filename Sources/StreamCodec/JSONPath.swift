/// A path to one value inside a JSON value: jq's `.user.id`, `.items[0].price`, `."odd key"`,
/// or an RFC 6901 pointer `/user/id`. `.` is the whole value.
package struct JSONPath: Equatable, Sendable, CustomStringConvertible {
    enum Step: Equatable, Sendable {
        case key([UInt8])
        case index(Int)
        /// A pointer's digits: an index in an array, a key in an object (RFC 6901, section 4).
        case either(key: [UInt8], index: Int)
    }

    /// A path is followed by recursion, so its length is bounded.
    package static let maxSteps = 256

    let steps: [Step]
    package let description: String

    /// Why a text is no path.
    package struct ParseError: Error, Equatable, CustomStringConvertible {
        package var description: String
    }

    package init(_ text: String) throws(ParseError) {
        description = text
        let bytes = [UInt8](text.utf8)
        switch bytes.first {
        case UInt8(ascii: "."): steps = try Self.parseFilter(bytes)
        case UInt8(ascii: "/"): steps = try Self.parsePointer(bytes)
        default:
            throw ParseError(description: "path '\(text)' must begin with '.' or '/'")
        }
        if steps.count > Self.maxSteps {
            throw ParseError(description: "path of more than \(Self.maxSteps) steps")
        }
    }

    private static func parsePointer(_ bytes: [UInt8]) throws(ParseError) -> [Step] {
        var steps: [Step] = []
        for token in bytes.dropFirst().split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        {
            var key: [UInt8] = []
            var isEscape = false
            for byte in token {
                switch (isEscape, byte) {
                case (true, UInt8(ascii: "0")): key.append(UInt8(ascii: "~"))
                case (true, UInt8(ascii: "1")): key.append(UInt8(ascii: "/"))
                case (true, _): throw ParseError(description: "expected ~0 or ~1 in pointer")
                case (false, UInt8(ascii: "~")): break
                case (false, _): key.append(byte)
                }
                isEscape = !isEscape && byte == UInt8(ascii: "~")
            }
            if isEscape { throw ParseError(description: "expected ~0 or ~1 in pointer") }
            let digits = String(decoding: key, as: UTF8.self)
            if let index = Int(digits), index >= 0, String(index) == digits {
                steps.append(.either(key: key, index: index))
            } else {
                steps.append(.key(key))
            }
        }
        return steps
    }

    private static func parseFilter(_ bytes: [UInt8]) throws(ParseError) -> [Step] {
        if bytes.count == 1 { return [] }
        var steps: [Step] = []
        var rest = bytes[...]
        while let byte = rest.first {
            if byte == UInt8(ascii: ".") {
                rest.removeFirst()
                if rest.first == UInt8(ascii: "[") { continue }
                steps.append(.key(try parseKey(&rest)))
            } else if byte == UInt8(ascii: "[") {
                steps.append(try parseBrackets(&rest))
            } else {
                throw ParseError(
                    description: "expected '.' or '[' in path before "
                        + "'\(String(decoding: rest, as: UTF8.self))'")
            }
        }
        return steps
    }

    private static func parseKey(_ rest: inout ArraySlice<UInt8>) throws(ParseError) -> [UInt8] {
        if rest.first == UInt8(ascii: "\"") { return try parseQuoted(&rest) }
        let end = rest.firstIndex { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "[") }
        let key = [UInt8](rest[..<(end ?? rest.endIndex)])
        if key.isEmpty { throw ParseError(description: "expected a key after '.' in path") }
        rest = rest[(end ?? rest.endIndex)...]
        return key
    }

    /// A JSON string that stands at the start of `rest`.
    private static func parseQuoted(_ rest: inout ArraySlice<UInt8>) throws(ParseError) -> [UInt8] {
        let bytes = [UInt8](rest)
        let parsed: (key: [UInt8], size: Int)? = unsafe bytes.withUnsafeBufferPointer { bytes in
            var scanner = unsafe JSONScanner(bytes)
            var queue = ByteQueue()
            do {
                try scanner.skipString()
                let contents = unsafe bytes.slice(1..<(scanner.position - 1))
                try unsafe queue.append(unescaping: contents)
            } catch {
                return nil
            }
            return (unsafe [UInt8](queue.bytes), scanner.position)
        }
        guard let parsed else {
            throw ParseError(description: "expected a JSON string in path after '.' or '['")
        }
        rest = rest.dropFirst(parsed.size)
        return parsed.key
    }

    private static func parseBrackets(_ rest: inout ArraySlice<UInt8>) throws(ParseError) -> Step {
        rest.removeFirst()
        let step: Step
        if rest.first == UInt8(ascii: "\"") {
            step = .key(try parseQuoted(&rest))
        } else {
            let digits = rest.prefix { $0 != UInt8(ascii: "]") }
            let text = String(decoding: digits, as: UTF8.self)
            guard let index = Int(text), index >= 0, String(index) == text else {
                throw ParseError(description: "expected an index (0, 1, …) or a string in [ ]")
            }
            step = .index(index)
            rest = rest.dropFirst(digits.count)
        }
        guard rest.first == UInt8(ascii: "]") else {
            throw ParseError(description: "expected ']' in path")
        }
        rest.removeFirst()
        return step
    }

    // MARK: Look-up

    /// Where the value stands in `bytes`, or nil when there is none. The whole text is validated
    /// on the way. Of equal keys in an object the last one counts, as in jq.
    package func find(
        in bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int = JSON.defaultMaxDepth
    ) throws(JSONError) -> Range<Int>? {
        var scanner = unsafe JSONScanner(bytes, maxDepth: maxDepth)
        do throws(JSONError) {
            scanner.skipWhitespace()
            let found = try unsafe find(in: bytes, &scanner, step: 0)
            try scanner.finish()
            return found
        } catch {
            throw scanner.earliest(error)
        }
    }

    private func find(
        in bytes: UnsafeBufferPointer<UInt8>, _ scanner: inout JSONScanner, step: Int
    ) throws(JSONError) -> Range<Int>? {
        if step == steps.count { return try scanner.valueRange() }
        var found: Range<Int>?
        var isFirst = true
        switch (steps[step], scanner.next) {
        case (.key(let wanted), UInt8(ascii: "{")),
            (.either(key: let wanted, index: _), UInt8(ascii: "{")):
            try scanner.enter()
            while let key = try scanner.nextKey(isFirst: isFirst) {
                isFirst = false
                if unsafe bytes.slice(key).unescapes(to: wanted) {
                    found = try unsafe find(in: bytes, &scanner, step: step + 1)
                } else {
                    try scanner.skipValue()
                }
            }
        case (.index(let wanted), UInt8(ascii: "[")),
            (.either(key: _, index: let wanted), UInt8(ascii: "[")):
            try scanner.enter()
            var index = 0
            while try scanner.nextElement(isFirst: isFirst) {
                isFirst = false
                if index == wanted {
                    found = try unsafe find(in: bytes, &scanner, step: step + 1)
                } else {
                    try scanner.skipValue()
                }
                index += 1
            }
        default:
            try scanner.skipValue()
        }
        return found
    }
}
