import CBytes

/// Finds the end of a JSON value that arrives in pieces, each byte looked at once.
///
/// It follows brackets, strings and the order of the tokens; whether the value is JSON is for
/// `JSON.validate` to say. A value whose tokens cannot come in this order is broken. Its end is a
/// guess: where its brackets are balanced, or where the next line begins with a bracket.
struct JSONValueScan {
    /// What may come next.
    private enum Expected {
        case value, valueOrEnd, key, keyOrEnd, colon, commaOrEnd
        /// The rest of a number or a literal, or what may follow it.
        case scalar
    }

    /// No JSON text begins like this.
    private(set) var isBroken = false
    /// A line began with a bracket, which is taken for the begin of another value.
    private(set) var isCutOff = false
    /// A number or a literal, which only another byte, or the end of the input, ends.
    private(set) var isScalar = false

    private var expected = Expected.value
    private var isInString = false
    /// The last byte was a backslash in a string.
    private var isEscaped = false
    /// The bracket that closes each level, the innermost last; `maxDepth` of them at most.
    private var closers: [UInt8] = []
    /// How many of them are braces: a stray brace is not looked for in vain.
    private var braces = 0
    /// Levels further in.
    private var excess = 0
    /// The byte before the piece that comes next.
    private var previous: UInt8 = 0
    private let maxDepth: Int

    init(maxDepth: Int) {
        self.maxDepth = maxDepth
    }

    /// The end of the valid array, object or string that begins `bytes`, all of which is there;
    /// nil otherwise. Much faster than the search for an end.
    @inline(__always)
    static func endOfWhole(_ bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int) -> Int? {
        var scanner = unsafe JSONScanner(bytes, maxDepth: maxDepth)
        switch scanner.next {
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "\""): break
        default: return nil
        }
        do throws(JSONError) {
            try scanner.skipValue()
        } catch {
            return nil
        }
        let size = scanner.position
        return unsafe UTF8Text.isValid(bytes.slice(0..<size)) ? size : nil
    }

    /// Makes ready for the value that begins with `byte`.
    mutating func begin(with byte: UInt8) {
        isBroken = false
        isCutOff = false
        isScalar =
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "\""): false
            default: true
            }
        expected = .value
        isInString = false
        isEscaped = false
        closers.removeAll(keepingCapacity: true)
        braces = 0
        excess = 0
    }

    /// The offset behind the value, nil while it goes on. `bytes` from `start` are the piece
    /// that comes next. The closing bracket of an array around an element ends it, too.
    mutating func end(
        _ bytes: UnsafeBufferPointer<UInt8>, from start: Int, isElement: Bool
    ) -> Int? {
        var p = start
        if isScalar {
            while p < bytes.count {
                if unsafe Self.endsScalar(bytes[p]) { return p }
                p += 1
            }
            return nil
        }
        while p < bytes.count {
            if isInString {
                p = unsafe endOfText(bytes, p)
                if isInString { break }
                if isBalanced { return p }
                continue
            }
            let byte = unsafe bytes[p]
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                if expected == .scalar { expected = .commaOrEnd }
            case UInt8(ascii: "\""):
                beginString()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                if expected != .value && expected != .valueOrEnd { isBroken = true }
                let before = unsafe p > start ? bytes[p - 1] : previous
                if isBroken && before == UInt8(ascii: "\n") {
                    isCutOff = true
                    return p
                }
                open(byte)
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if !close(byte) && isElement && byte == UInt8(ascii: "]") { return p }
                if isBalanced { return p + 1 }
            default:
                pass(byte)
            }
            p += 1
        }
        if start < bytes.count { previous = unsafe bytes[bytes.count - 1] }
        return nil
    }

    // MARK: Tokens

    private var isBalanced: Bool { closers.isEmpty && excess == 0 }

    private static func endsScalar(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t"), UInt8(ascii: "\r"),
            UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "}"), UInt8(ascii: "]"),
            UInt8(ascii: "\""), UInt8(ascii: ","):
            true
        default: false
        }
    }

    @inline(__always)
    private mutating func beginString() {
        isInString = true
        switch expected {
        case .key, .keyOrEnd: expected = .colon
        case .value, .valueOrEnd: expected = .commaOrEnd
        case .colon, .commaOrEnd, .scalar: isBroken = true
        }
    }

    @inline(__always)
    private mutating func open(_ byte: UInt8) {
        let isObject = byte == UInt8(ascii: "{")
        expected = isObject ? .keyOrEnd : .valueOrEnd
        if closers.count < maxDepth {
            closers.append(isObject ? UInt8(ascii: "}") : UInt8(ascii: "]"))
            if isObject { braces += 1 }
        } else {
            isBroken = true
            excess += 1
        }
    }

    /// False when the bracket closes nothing. It may close more than the innermost level.
    @inline(__always)
    private mutating func close(_ byte: UInt8) -> Bool {
        switch expected {
        case .valueOrEnd, .keyOrEnd, .commaOrEnd, .scalar: break
        case .value, .key, .colon: isBroken = true
        }
        expected = .commaOrEnd
        if excess > 0 {
            excess -= 1
            return true
        }
        let same = byte == UInt8(ascii: "}") ? braces : closers.count - braces
        if same == 0 {
            isBroken = true
            return false
        }
        while let closer = closers.popLast() {
            if closer == UInt8(ascii: "}") { braces -= 1 }
            if closer == byte { break }
            isBroken = true
        }
        return true
    }

    /// A comma, a colon, or a byte of a number or a literal.
    @inline(__always)
    private mutating func pass(_ byte: UInt8) {
        switch (byte, expected) {
        case (UInt8(ascii: ","), .commaOrEnd), (UInt8(ascii: ","), .scalar):
            expected = closers.last == UInt8(ascii: "}") ? .key : .value
        case (UInt8(ascii: ":"), .colon):
            expected = .value
        case (UInt8(ascii: ","), _), (UInt8(ascii: ":"), _):
            isBroken = true
        case (_, .value), (_, .valueOrEnd), (_, .scalar):
            expected = .scalar
        default:
            isBroken = true
        }
    }

    /// The offset behind the string whose text goes on at `p`, or of a line feed, which no
    /// string has: what comes behind it is not taken for text.
    @inline(__always)
    private mutating func endOfText(_ bytes: UnsafeBufferPointer<UInt8>, _ p: Int) -> Int {
        var p = p
        while p < bytes.count {
            if isEscaped {
                isEscaped = false
                if unsafe bytes[p] != UInt8(ascii: "\n") { p += 1 }
                continue
            }
            p = unsafe Self.endOfPlain(bytes, p)
            if p == bytes.count { break }
            switch unsafe bytes[p] {
            case UInt8(ascii: "\""):
                isInString = false
                return p + 1
            case UInt8(ascii: "\\"):
                isEscaped = true
                p += 1
            case UInt8(ascii: "\n"):
                isBroken = true
                isInString = false
                return p
            default:
                isBroken = true
                p += 1
            }
        }
        return p
    }

    /// The first quote, backslash or control character at or behind `p`, or the count.
    @inline(__always)
    private static func endOfPlain(_ bytes: UnsafeBufferPointer<UInt8>, _ p: Int) -> Int {
        guard let start = bytes.baseAddress else { return p }
        var p = p
        // Sixteen at once, where so many bytes are there.
        while p + 16 <= bytes.count {
            let mask = unsafe cb_mask16_string(start + p)
            if mask != 0 { return p + mask.trailingZeroBitCount }
            p += 16
        }
        while p < bytes.count {
            let byte = unsafe start[p]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return p }
            p += 1
        }
        return p
    }
}

/// Counts the lines of what is taken from a queue.
struct LineCount {
    /// The number of the line on which the first byte of the queue stands, from 1.
    private(set) var line = 1
    /// That byte is the first one of its line.
    private(set) var isLineStart = true

    @inline(__always)
    mutating func consume(_ size: Int, of queue: inout ByteQueue) {
        guard size > 0 else { return }
        line += unsafe queue.bytes(0..<size).lineFeeds
        isLineStart = queue[size - 1] == UInt8(ascii: "\n")
        queue.consume(size)
    }

    @inline(__always)
    mutating func consumeWhitespace(of queue: inout ByteQueue) {
        let bytes = unsafe queue.bytes
        var size = 0
        while size < bytes.count {
            let byte = unsafe bytes[size]
            if !byte.isJSONWhitespace { break }
            size += 1
        }
        consume(size, of: &queue)
    }
}

extension UInt8 {
    @inline(__always)
    var isJSONWhitespace: Bool {
        switch self {
        case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t"), UInt8(ascii: "\r"): true
        default: false
        }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// How many there are.
    @inline(__always)
    var lineFeeds: Int {
        guard let start = baseAddress else { return 0 }
        var total = 0
        var p = 0
        while p + 64 <= count {
            total += unsafe cb_mask64_lf(start + p).nonzeroBitCount
            p += 64
        }
        while p + 16 <= count {
            total += unsafe cb_mask16_lf(start + p).nonzeroBitCount
            p += 16
        }
        while p < count {
            if unsafe start[p] == UInt8(ascii: "\n") { total += 1 }
            p += 1
        }
        return total
    }
}
