import CBytes

/// A position in a JSON text. Each function consumes what it names or throws.
@safe
package struct JSONScanner {
    private let start: UnsafePointer<UInt8>
    private let end: Int
    private let maxDepth: Int
    /// How many arrays and objects the caller has entered.
    private var depth = 0
    package private(set) var position = 0

    /// A bit for each byte of a block of 64 that ends a run of plain string text. Blocks come
    /// one after the other whatever stands in them, so that finding the end of a string waits
    /// for no load: that is what makes short strings fast.
    private struct Block {
        var mask: UInt64 = 0
        /// Offset behind the block.
        var end = 0
    }

    private var block = Block()

    /// `bytes` must outlive the scanner.
    @inline(__always)
    package init(_ bytes: UnsafeBufferPointer<UInt8>, maxDepth: Int = JSON.defaultMaxDepth) {
        // An empty buffer may have no address; with end == 0 the pointer is never read.
        unsafe start = bytes.baseAddress ?? UnsafePointer(bitPattern: 1)!
        end = bytes.count
        self.maxDepth = maxDepth
    }

    /// The next byte, or 0, which no JSON text has outside strings, at the end.
    @inline(__always)
    package var next: UInt8 { byte(at: position) }

    @inline(__always)
    private func byte(at offset: Int) -> UInt8 {
        unsafe offset < end ? start[offset] : 0
    }

    @inline(__always)
    private func failure(_ reason: JSONError.Reason, at offset: Int) -> JSONError {
        JSONError(offset: offset, reason: offset < end ? reason : .unexpectedEnd)
    }

    @inline(__always)
    package mutating func skipWhitespace() {
        position = endOfWhitespace(position)
    }

    /// Consumes a string; the next byte is its opening quote.
    @inline(__always)
    package mutating func skipString() throws(JSONError) {
        position = try endOfString(position, &block)
    }

    /// Throws unless only whitespace is left and the whole text is UTF-8.
    @inline(__always)
    package mutating func finish() throws(JSONError) {
        skipWhitespace()
        if position < end { throw failure(.trailing, at: position) }
        if unsafe cb_utf8_valid(start, end) == 0 {
            throw JSONError(offset: end, reason: .unexpectedEnd)
        }
    }

    /// `error`, or the ill-formed UTF-8 that stands before it.
    package func earliest(_ error: JSONError) -> JSONError {
        let bytes = unsafe UnsafeBufferPointer(start: start, count: end)
        if let offset = unsafe UTF8Text.firstIllFormed(in: bytes), offset < error.offset {
            return JSONError(offset: offset, reason: .invalidUTF8)
        }
        return error
    }

    // MARK: Values

    /// Consumes one value, whatever it holds.
    package mutating func skipValue() throws(JSONError) {
        // Locals stay in registers; the fields are written back at the end.
        var p = position
        var block = block
        var open = OpenBrackets()
        var isKey = false
        value: while true {
            switch byte(at: p) {
            case UInt8(ascii: "\""):
                p = try endOfString(p, &block)
                if isKey {
                    isKey = false
                    p = endOfWhitespace(before: UInt8(ascii: ":"), p)
                    if byte(at: p) != UInt8(ascii: ":") { throw failure(.colon, at: p) }
                    p = endOfWhitespace(before: UInt8(ascii: "\""), p + 1)
                    continue value
                }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                if open.count + depth >= maxDepth {
                    throw JSONError(offset: p, reason: .depth(limit: maxDepth))
                }
                open.push(isObject: byte(at: p) == UInt8(ascii: "{"))
                p = endOfWhitespace(p + 1)
                if byte(at: p) != open.closing {
                    isKey = try startsKey(p, open)
                    continue value
                }
            default:
                p = try endOfScalar(p)
            }
            // Behind a value, or before the bracket that closes an empty one.
            while open.count > 0 {
                p = endOfWhitespace(before: UInt8(ascii: ","), p)
                if byte(at: p) == UInt8(ascii: ",") {
                    p = endOfWhitespace(before: UInt8(ascii: "\""), p + 1)
                    isKey = try startsKey(p, open)
                    continue value
                }
                if byte(at: p) != open.closing {
                    throw failure(open.isObject ? .commaOrBrace : .commaOrBracket, at: p)
                }
                p += 1
                open.pop()
            }
            position = p
            self.block = block
            return
        }
    }

    /// True when a key must stand at `p`, which is then its quote.
    @inline(__always)
    private func startsKey(_ p: Int, _ open: OpenBrackets) throws(JSONError) -> Bool {
        if open.isObject && byte(at: p) != UInt8(ascii: "\"") { throw failure(.name, at: p) }
        return open.isObject
    }

    // MARK: Parts of a value: the offset behind what stands at `p`

    /// A number or a literal.
    @inline(__always)
    private func endOfScalar(_ p: Int) throws(JSONError) -> Int {
        switch byte(at: p) {
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try endOfNumber(p)
        case UInt8(ascii: "t"): try endOfLiteral("true", p)
        case UInt8(ascii: "f"): try endOfLiteral("false", p)
        case UInt8(ascii: "n"): try endOfLiteral("null", p)
        default: throw failure(.value, at: p)
        }
    }

    @inline(__always)
    private func endOfWhitespace(_ p: Int) -> Int {
        var p = p
        // Compact JSON has none: one comparison says so.
        while byte(at: p) <= UInt8(ascii: " ") {
            switch byte(at: p) {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                p += 1
            default: return p
            }
        }
        return p
    }

    /// The same where `byte` is what comes mostly: compact JSON has no white space.
    @inline(__always)
    private func endOfWhitespace(before byte: UInt8, _ p: Int) -> Int {
        self.byte(at: p) == byte ? p : endOfWhitespace(p)
    }

    /// A string; its opening quote stands at `p`.
    @inline(__always)
    private func endOfString(_ p: Int, _ block: inout Block) throws(JSONError) -> Int {
        var offset = p + 1
        while true {
            offset = endOfPlain(offset, &block)
            switch byte(at: offset) {
            case UInt8(ascii: "\""): return offset + 1
            case UInt8(ascii: "\\"): offset = try endOfEscape(offset)
            default: throw failure(.controlCharacter, at: offset)
            }
        }
    }

    /// The first quote, backslash or control character at or behind `p`, or the end.
    @inline(__always)
    private func endOfPlain(_ p: Int, _ block: inout Block) -> Int {
        var p = p
        while true {
            while p >= block.end {
                if block.end >= end { return end }
                nextBlock(&block)
            }
            let mask = block.mask &>> UInt64(truncatingIfNeeded: 64 &- (block.end &- p))
            if mask != 0 { return p + mask.trailingZeroBitCount }
            p = block.end
        }
    }

    /// The next 64 bytes. Where they are fewer, the block ends behind the text, unmarked there.
    @inline(__always)
    private func nextBlock(_ block: inout Block) {
        let left = end - block.end
        if left >= 64 {
            block.mask = unsafe cb_mask64_string(start + block.end)
        } else if end >= 64 {
            block.mask =
                unsafe cb_mask64_string(start + end - 64) &>> UInt64(truncatingIfNeeded: 64 &- left)
        } else {
            block.mask = unsafe cb_mask_string(start + block.end, left)
        }
        block.end += 64
    }

    /// The escape whose backslash stands at `p`.
    @inline(__always)
    private func endOfEscape(_ p: Int) throws(JSONError) -> Int {
        switch byte(at: p + 1) {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
            UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return p + 2
        case UInt8(ascii: "u"):
            for digit in (p + 2)..<(p + 6) where hexValue(byte(at: digit)) == nil {
                throw failure(.hexDigit, at: digit)
            }
            return p + 6
        default:
            throw failure(.escape, at: p + 1)
        }
    }

    @inline(__always)
    private func endOfDigits(_ p: Int) throws(JSONError) -> Int {
        guard isDigit(byte(at: p)) else { throw failure(.digit, at: p) }
        var p = p + 1
        // Sixteen at once, where so many bytes are there.
        while p + 16 <= end {
            let others = unsafe ~cb_mask16_digit(start + p) & 0xFFFF
            if others != 0 { return p + others.trailingZeroBitCount }
            p += 16
        }
        while isDigit(byte(at: p)) { p += 1 }
        return p
    }

    @inline(__always)
    private func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    @inline(__always)
    private func endOfNumber(_ p: Int) throws(JSONError) -> Int {
        var p = byte(at: p) == UInt8(ascii: "-") ? p + 1 : p
        p = byte(at: p) == UInt8(ascii: "0") ? p + 1 : try endOfDigits(p)
        if byte(at: p) == UInt8(ascii: ".") { p = try endOfDigits(p + 1) }
        if byte(at: p) | 0x20 == UInt8(ascii: "e") {
            let sign = byte(at: p + 1)
            let isSigned = sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-")
            p = try endOfDigits(p + (isSigned ? 2 : 1))
        }
        return p
    }

    @inline(__always)
    private func endOfLiteral(_ word: StaticString, _ p: Int) throws(JSONError) -> Int {
        for index in 0..<word.utf8CodeUnitCount {
            if unsafe byte(at: p + index) != word.utf8Start[index] {
                throw failure(.literal, at: p + index)
            }
        }
        return p + word.utf8CodeUnitCount
    }

    // MARK: Members, one at a time

    /// Consumes the bracket that opens an object or an array.
    package mutating func enter() throws(JSONError) {
        precondition(next == UInt8(ascii: "{") || next == UInt8(ascii: "["))
        if depth >= maxDepth {
            throw JSONError(offset: position, reason: .depth(limit: maxDepth))
        }
        depth += 1
        position += 1
        skipWhitespace()
    }

    /// Consumes up to the next member's value and returns its key, the quotes not included and
    /// escapes as they are; nil behind the end of the object. `isFirst` is right after `enter`.
    @inline(__always)
    package mutating func nextKey(isFirst: Bool) throws(JSONError) -> Range<Int>? {
        try nextKey(isFirst: isFirst, where: { _ in true })
    }

    /// The same for the next member whose key is wanted; the members before it are consumed.
    @inline(__always)
    package mutating func nextKey(
        isFirst: Bool, where isWanted: (Range<Int>) -> Bool
    ) throws(JSONError) -> Range<Int>? {
        // Locals stay in registers, as in `skipValue`.
        var p = position
        var block = block
        var needsComma = !isFirst
        while true {
            p = endOfWhitespace(before: UInt8(ascii: ","), p)
            if byte(at: p) == UInt8(ascii: "}") {
                position = p + 1
                self.block = block
                depth -= 1
                return nil
            }
            if needsComma {
                if byte(at: p) != UInt8(ascii: ",") { throw failure(.commaOrBrace, at: p) }
                p = endOfWhitespace(before: UInt8(ascii: "\""), p + 1)
            }
            needsComma = true
            if byte(at: p) != UInt8(ascii: "\"") { throw failure(.name, at: p) }
            let start = p + 1
            p = try endOfString(p, &block)
            let key = start..<(p - 1)
            p = endOfWhitespace(before: UInt8(ascii: ":"), p)
            if byte(at: p) != UInt8(ascii: ":") { throw failure(.colon, at: p) }
            p = endOfWhitespace(before: UInt8(ascii: "\""), p + 1)
            if isWanted(key) {
                position = p
                self.block = block
                return key
            }
            switch byte(at: p) {
            case UInt8(ascii: "\""):
                p = try endOfString(p, &block)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                position = p
                self.block = block
                try skipValue()
                p = position
                block = self.block
            default:
                p = try endOfScalar(p)
            }
        }
    }

    /// Consumes up to the next element of an array: false behind its end.
    @inline(__always)
    package mutating func nextElement(isFirst: Bool) throws(JSONError) -> Bool {
        skipWhitespace()
        if next == UInt8(ascii: "]") {
            position += 1
            depth -= 1
            return false
        }
        if !isFirst {
            if next != UInt8(ascii: ",") { throw failure(.commaOrBracket, at: position) }
            position += 1
            skipWhitespace()
        }
        return true
    }

    /// Consumes a value and returns where it stands.
    @inline(__always)
    package mutating func valueRange() throws(JSONError) -> Range<Int> {
        let first = position
        try skipValue()
        return first..<position
    }
}

/// The arrays and objects that are open: one bit for each, the innermost is the lowest.
private struct OpenBrackets {
    private(set) var count = 0
    private var bits: UInt64 = 0
    /// The word of each sixty-four levels further out.
    private var outer: [UInt64] = []

    @inline(__always)
    var isObject: Bool { bits & 1 == 1 }

    /// The bracket that closes the innermost.
    @inline(__always)
    var closing: UInt8 { isObject ? UInt8(ascii: "}") : UInt8(ascii: "]") }

    @inline(__always)
    mutating func push(isObject: Bool) {
        if count & 63 == 0 && count > 0 { outer.append(bits) }
        count += 1
        bits = bits << 1 | (isObject ? 1 : 0)
    }

    @inline(__always)
    mutating func pop() {
        count -= 1
        bits >>= 1
        if count & 63 == 0 && count > 0 { bits = outer.removeLast() }
    }
}
