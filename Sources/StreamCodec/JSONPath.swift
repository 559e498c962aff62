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
    /// The steps as a lookup follows them.
    let plain: PlainSteps

    /// True for `.`, the whole value.
    package var isWhole: Bool { steps.isEmpty }

    /// The keys and indices that the path goes through.
    package var words: [String] {
        steps.map { step in
            switch step {
            case .key(let key), .either(key: let key, index: _):
                String(decoding: key, as: UTF8.self)
            case .index(let index): String(index)
            }
        }
    }

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
        plain = PlainSteps(steps)
    }

    package static func == (one: JSONPath, other: JSONPath) -> Bool {
        one.steps == other.steps && one.description == other.description
    }

    /// Paths with commas between them; a comma in a key is one inside quotes.
    package static func list(_ text: String) throws(ParseError) -> [JSONPath] {
        var paths: [JSONPath] = []
        var rest = [UInt8](text.utf8)
        while let comma = firstOutsideQuotes(UInt8(ascii: ","), in: rest) {
            paths.append(try JSONPath(String(decoding: rest[..<comma], as: UTF8.self)))
            rest.removeFirst(comma + 1)
        }
        return paths + [try JSONPath(String(decoding: rest, as: UTF8.self))]
    }

    /// Where the byte stands outside the quoted keys of the path at the start of `text`. A pointer
    /// has none.
    package static func firstOutsideQuotes(_ byte: UInt8, in text: [UInt8]) -> Int? {
        let isPointer = text.first == UInt8(ascii: "/")
        var isQuoted = false
        var isEscaped = false
        for (index, next) in text.enumerated() {
            if next == byte && !isQuoted { return index }
            if next == UInt8(ascii: "\"") && !isEscaped && !isPointer { isQuoted.toggle() }
            isEscaped = isQuoted && next == UInt8(ascii: "\\") && !isEscaped
        }
        return nil
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
        // Taken for a key, jq's other filters would find nothing, without a word.
        let slash = UInt8(ascii: "/")
        let isAlternative = zip(key, key.dropFirst()).contains { $0 == slash && $1 == slash }
        if isAlternative || key.contains(where: { $0 <= 0x20 || "\"|?(),*".utf8.contains($0) }) {
            let text = String(decoding: key, as: UTF8.self)
            throw ParseError(
                description: "a path goes to one value and is no other filter of jq's: '\(text)'"
                    + " as a key needs quotes, as in .\"odd key\"")
        }
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

    /// Where the value stands in `bytes`, or nil when there is none. The whole text is validated
    /// on the way. Of equal keys in an object the last one counts, as in jq.
    package func find(
        in bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int = JSON.defaultMaxDepth
    ) throws(JSONError) -> Range<Int>? {
        var found: Range<Int>?
        var lookup = unsafe JSONLookup(bytes, maxDepth: maxDepth)
        unsafe try withUnsafePointer(to: plain.path) { path throws(JSONError) in
            unsafe try withUnsafeMutablePointer(to: &found) { found throws(JSONError) in
                unsafe try lookup.run(
                    UnsafeBufferPointer(start: path, count: 1),
                    UnsafeMutableBufferPointer(start: found, count: 1))
            }
        }
        return found
    }
}
