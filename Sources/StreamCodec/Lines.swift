import CBytes

/// Lines of a text that ends its lines with LF or CR LF. A UTF-8 byte order mark at the
/// start is skipped.
package struct LineReader {
    /// The number of the current line, from 1.
    package private(set) var number = 0
    /// Bytes of the queue that were searched for a line feed; without it long lines are
    /// quadratic.
    private var scanned = 0
    /// Bytes of the current line and its end, consumed by the next call.
    private var taken = 0
    private var isAtStart = true
    /// The rest of a line that was too long is still to come.
    private var isDiscarding = false
    private let maxLine: Int

    package init(maxLine: Int) {
        self.maxLine = maxLine
    }

    /// Goes on in a text of which so many lines were read. `isInLine`: the last of them has not
    /// ended there, and what is left of it is skipped.
    package init(maxLine: Int, after number: Int, isInLine: Bool) {
        self.maxLine = maxLine
        self.number = number
        isAtStart = number == 0
        isDiscarding = isInLine
    }

    /// What a call found.
    package enum Line: Equatable {
        /// The line without its end, at this place in the queue until the next call.
        case line(Range<Int>)
        /// A line of more than `maxLine` bytes begins like this; the rest of it is skipped.
        case tooLong(Range<Int>)
        /// The next line is not complete yet.
        case more
    }

    /// The next line in `queue`. With `atEnd` the end of the input ends a line too.
    @inline(__always)
    package mutating func next(_ queue: inout ByteQueue, atEnd: Bool = false) -> Line {
        while true {
            queue.consume(taken)
            scanned -= taken
            taken = 0
            if isAtStart && !skipByteOrderMark(&queue, atEnd: atEnd) { return .more }
            var end = unsafe queue.bytes.firstLineFeed(from: scanned)
            if end == queue.count {
                scanned = end
                if isDiscarding {
                    taken = end
                    if atEnd { isDiscarding = false }
                    queue.consume(taken)
                    taken = 0
                    scanned = 0
                    return .more
                }
                if length(end, queue) > maxLine { return tooLong() }
                if !atEnd || end == 0 { return .more }
                taken = end
            } else {
                taken = end + 1
            }
            scanned = taken
            if isDiscarding {
                isDiscarding = false
                continue
            }
            end = length(end, queue)
            if end > maxLine { return tooLong() }
            number += 1
            return .line(0..<end)
        }
    }

    /// Passes over up to `limit` complete lines at once, without a look into them, and says how
    /// many; blank lines are passed too and, unless `keepsBlank`, not counted. Fewer come when a
    /// line is not complete, or could be longer than `maxLine`: `next` must have it.
    package mutating func skip(_ queue: inout ByteQueue, limit: Int, keepsBlank: Bool) -> Int {
        // Between two lines, nothing of the next one searched yet.
        guard scanned == taken, !isAtStart, !isDiscarding, limit > 0, queue.count - taken <= maxLine
        else { return 0 }
        queue.consume(taken)
        taken = 0
        let bytes = unsafe queue.bytes
        guard let start = bytes.baseAddress, !queue.isEmpty else {
            scanned = 0
            return 0
        }
        var lines = 0
        var blanks = 0
        let size = unsafe cb_skip_lines(
            start, bytes.count, limit, keepsBlank ? 1 : 0, &lines, &blanks)
        queue.consume(size)
        // Fewer than asked for: there is no line feed in the rest.
        scanned = lines < limit ? queue.count : 0
        number += lines + blanks
        return lines
    }

    /// The line's length without a carriage return before its end.
    @inline(__always)
    private func length(_ end: Int, _ queue: borrowing ByteQueue) -> Int {
        end > 0 && queue[end - 1] == UInt8(ascii: "\r") ? end - 1 : end
    }

    /// The beginning of the line; the rest, whether it is there yet or not, is skipped.
    private mutating func tooLong() -> Line {
        number += 1
        isDiscarding = true
        taken = maxLine
        scanned = maxLine
        return .tooLong(0..<maxLine)
    }

    /// False while it cannot be told yet whether the input starts with a byte order mark.
    private mutating func skipByteOrderMark(_ queue: inout ByteQueue, atEnd: Bool) -> Bool {
        switch unsafe queue.bytes.startsWithByteOrderMark {
        case .some(true): queue.consume(3)
        case .some(false): break
        case .none: if !atEnd { return false }
        }
        isAtStart = false
        return true
    }
}

extension ByteQueue {
    /// Appends lines, each with a line feed at its end, as the elements of a JSON array.
    package mutating func append(joining lines: UnsafeBufferPointer<UInt8>) {
        guard let start = lines.baseAddress, lines.count > 0 else { return }
        // All but the last line feed.
        let size = lines.count - 1
        unsafe cb_copy_joining(start, size, reserve(size))
        commit(size)
    }

    package mutating func append(joining lines: [UInt8]) {
        unsafe lines.withUnsafeBufferPointer { unsafe append(joining: $0) }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// The offset of the first LF at or behind `offset`, or the count.
    @inline(__always)
    func firstLineFeed(from offset: Int) -> Int {
        guard let start = baseAddress, offset < count else { return count }
        return unsafe Int(cb_find_lf(start + offset, count - offset)) + offset
    }

    /// The offset of the first CR or LF at or behind `offset`, or the count.
    @inline(__always)
    func firstLineEnd(from offset: Int) -> Int {
        guard let start = baseAddress, offset < count else { return count }
        return unsafe Int(cb_find_crlf(start + offset, count - offset)) + offset
    }

    /// Whether EF BB BF comes first; nil while there are too few bytes to tell.
    var startsWithByteOrderMark: Bool? {
        for (index, byte) in UTF8Text.byteOrderMark.enumerated() {
            guard index < count else { return nil }
            if unsafe self[index] != byte { return false }
        }
        return true
    }

    /// True when there is nothing but spaces, tabs and carriage returns.
    @inline(__always)
    package var isBlank: Bool {
        unsafe allSatisfy {
            $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r")
        }
    }
}

extension UTF8Text {
    package static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
}
