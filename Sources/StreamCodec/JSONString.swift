import CBytes

/// Text that a JSON string holds and UTF-8 cannot.
package struct LoneSurrogate: Error, Equatable {
    /// Where its backslash stands in the string's contents.
    package var offset: Int
}

extension ByteQueue {
    /// Appends text as the contents of a JSON string: '"', '\' and control characters are
    /// escaped, the latter shortly where RFC 8259, section 7, has a short form.
    @inline(__always)
    package mutating func append(escaping text: UnsafeBufferPointer<UInt8>) {
        guard let start = text.baseAddress else { return }
        var offset = 0
        while true {
            let left = text.count - offset
            var written = 0
            let out = unsafe reserve(2 * left + 64)
            offset += unsafe cb_json_escape(start + offset, left, out, &written)
            commit(written)
            if offset == text.count { return }
            unsafe append(escapedControl: start[offset])
            offset += 1
        }
    }

    private mutating func append(escapedControl byte: UInt8) {
        switch byte {
        case 0x08: append("\\b")
        case 0x09: append("\\t")
        case 0x0A: append("\\n")
        case 0x0C: append("\\f")
        case 0x0D: append("\\r")
        default:
            append("\\u00")
            append(byte < 0x10 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
            let low = byte & 15
            append(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
        }
    }

    /// Appends text as a JSON string, in quotes.
    @inline(__always)
    package mutating func append(quoting text: UnsafeBufferPointer<UInt8>) {
        append(UInt8(ascii: "\""))
        unsafe append(escaping: text)
        append(UInt8(ascii: "\""))
    }

    package mutating func append(quoting text: [UInt8]) {
        unsafe text.withUnsafeBufferPointer { unsafe append(quoting: $0) }
    }

    package mutating func append(quoting text: String) {
        append(quoting: [UInt8](text.utf8))
    }

    /// Appends the text that valid JSON string contents stand for. Where the text breaks its
    /// line (LF, CR or CR LF), `lineBreak` is appended instead when there is one.
    ///
    /// Throws for a lone surrogate, after everything before it was appended.
    @inline(__always)
    package mutating func append(
        unescaping contents: UnsafeBufferPointer<UInt8>, lineBreak: StaticString? = nil
    ) throws(LoneSurrogate) {
        guard let start = contents.baseAddress else { return }
        var offset = 0
        while true {
            let left = contents.count - offset
            var written = 0
            let out = unsafe reserve(left + 64)
            offset += unsafe cb_json_unescape(start + offset, left, out, &written)
            commit(written)
            if offset >= contents.count { return }
            offset = try unsafe append(escapeAt: offset, of: contents, lineBreak: lineBreak)
        }
    }

    /// Appends the text that valid JSON string contents stand for, U+FFFD for each half of a
    /// surrogate pair that stands alone.
    package mutating func append(replacing contents: UnsafeBufferPointer<UInt8>) {
        var start = 0
        while start <= contents.count {
            do throws(LoneSurrogate) {
                try unsafe append(unescaping: contents.slice(start..<contents.count))
                return
            } catch {
                append(UTF8Text.replacement)
                start += error.offset + "\\uXXXX".utf8.count
            }
        }
    }

    /// Appends what the escape at `offset` stands for and returns the offset behind it.
    private mutating func append(
        escapeAt offset: Int, of contents: UnsafeBufferPointer<UInt8>, lineBreak: StaticString?
    ) throws(LoneSurrogate) -> Int {
        let letter = unsafe contents[offset + 1]
        switch letter {
        case UInt8(ascii: "b"): append(0x08)
        case UInt8(ascii: "t"): append(0x09)
        case UInt8(ascii: "f"): append(0x0C)
        case UInt8(ascii: "u"):
            return try unsafe append(unicodeEscapeAt: offset, of: contents, lineBreak: lineBreak)
        default:
            return unsafe append(
                lineEnd: letter == UInt8(ascii: "n") ? 0x0A : 0x0D,
                behind: offset + 2, of: contents, lineBreak: lineBreak)
        }
        return offset + 2
    }

    /// Appends a line feed or carriage return; a CR LF pair is one line break.
    private mutating func append(
        lineEnd byte: UInt8, behind offset: Int, of contents: UnsafeBufferPointer<UInt8>,
        lineBreak: StaticString?
    ) -> Int {
        guard let lineBreak else {
            append(byte)
            return offset
        }
        append(lineBreak)
        guard byte == 0x0D else { return offset }
        let rest = unsafe contents.slice(offset..<contents.count)
        if unsafe rest.count >= 2 && rest[0] == UInt8(ascii: "\\") {
            if unsafe rest[1] == UInt8(ascii: "n") { return offset + 2 }
            if unsafe codeUnit(in: rest, at: 0) == 0x0A { return offset + 6 }
        }
        return offset
    }

    private mutating func append(
        unicodeEscapeAt offset: Int, of contents: UnsafeBufferPointer<UInt8>,
        lineBreak: StaticString?
    ) throws(LoneSurrogate) -> Int {
        guard let unit = unsafe codeUnit(in: contents, at: offset) else {
            preconditionFailure("the string was validated before")
        }
        switch unit {
        case 0x0A, 0x0D:
            return unsafe append(
                lineEnd: UInt8(unit), behind: offset + 6, of: contents, lineBreak: lineBreak)
        case 0xD800...0xDBFF:
            guard let low = unsafe codeUnit(in: contents, at: offset + 6),
                (0xDC00...0xDFFF).contains(low)
            else { throw LoneSurrogate(offset: offset) }
            append(scalar: 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
            return offset + 12
        case 0xDC00...0xDFFF:
            throw LoneSurrogate(offset: offset)
        default:
            append(scalar: unit)
            return offset + 6
        }
    }

    /// The code unit of the `\uXXXX` at `offset`, or nil when none stands there.
    private func codeUnit(in contents: UnsafeBufferPointer<UInt8>, at offset: Int) -> UInt32? {
        guard offset + 6 <= contents.count,
            unsafe contents[offset] == UInt8(ascii: "\\"),
            unsafe contents[offset + 1] == UInt8(ascii: "u")
        else { return nil }
        var unit: UInt32 = 0
        for index in (offset + 2)..<(offset + 6) {
            guard let digit = unsafe hexValue(contents[index]) else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }

    private mutating func append(scalar value: UInt32) {
        guard let scalar = Unicode.Scalar(value) else {
            preconditionFailure("surrogates were told apart before")
        }
        for byte in UTF8.encode(scalar)! { append(byte) }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// True when valid JSON string contents stand for `text`.
    @inline(__always)
    package func unescapes(to text: [UInt8]) -> Bool {
        // An escape makes the contents longer than the text.
        guard unsafe count > text.count && contains(UInt8(ascii: "\\")) else {
            return unsafe isEqual(to: text) && !text.contains(UInt8(ascii: "\\"))
        }
        var queue = ByteQueue(capacity: count + 16)
        do throws(LoneSurrogate) {
            try unsafe queue.append(unescaping: self)
        } catch {
            return false
        }
        return unsafe queue.bytes.isEqual(to: text)
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// True when a string with these contents has to be unescaped.
    @inline(__always)
    package var hasEscapes: Bool { unsafe contains(UInt8(ascii: "\\")) }

    /// Calls `body` with what contents of a string stand for; nil when that is no text.
    package func withUnescaped<Value>(
        _ body: (UnsafeBufferPointer<UInt8>) -> Value?
    ) -> Value? {
        var queue = ByteQueue(capacity: count + 64)
        do throws(LoneSurrogate) {
            try unsafe queue.append(unescaping: self)
        } catch {
            return nil
        }
        return unsafe body(queue.bytes)
    }
}
