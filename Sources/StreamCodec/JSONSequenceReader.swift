import CBytes

/// JSON text sequences, RFC 7464: each text stands behind a record separator and mostly before a
/// line feed. A UTF-8 byte order mark at the start is skipped.
///
/// A text that is complete at its line feed is handed out there; any other text ends before the
/// next separator or at the end of the input.
package struct JSONSequenceReader {
    package typealias Result = JSONStreamReader.Result

    /// The number of the line on which the current text begins, from 1.
    package private(set) var line = 1

    private static let separator: UInt8 = 0x1E

    /// Where the front of the queue stands.
    private enum Place {
        case beforeFirst
        /// Behind a separator.
        case text
        /// Behind a text that was handed out, where only a separator may come.
        case behindText
    }

    private var place = Place.beforeFirst
    /// Finds the end of the value in a text.
    private var scan: JSONValueScan
    /// The text begins with a valid value, which ends here. Only white space came behind it.
    private var valueEnd: Int?
    /// The text is no JSON text, or is none at any line feed.
    private var mustWait = false
    /// Bytes of the text that were looked at; without it long texts are quadratic.
    private var scanned = 0
    /// Bytes that the next call consumes.
    private var taken = 0
    private var lines = LineCount()
    private var isAtStart = true
    /// The rest of a text that was too long is still to come.
    private var isDiscarding = false
    private let maxValue: Int
    private let maxDepth: Int

    package init(maxValue: Int, maxDepth: Int = JSON.defaultMaxDepth) {
        // One byte more must be countable.
        self.maxValue = min(maxValue, Int.max - 1)
        self.maxDepth = maxDepth
        scan = JSONValueScan(maxDepth: maxDepth)
    }

    /// The next text in `queue`, without the white space around it. With `atEnd` the end of the
    /// input ends a text, too.
    package mutating func next(_ queue: inout ByteQueue, atEnd: Bool = false) -> Result {
        if isAtStart && !skipByteOrderMark(&queue, atEnd: atEnd) { return .more }
        while true {
            lines.consume(taken, of: &queue)
            scanned -= taken
            taken = 0
            if isDiscarding && !discard(&queue, atEnd: atEnd) { return .more }
            if scanned == 0 {
                lines.consumeWhitespace(of: &queue)
                line = lines.line
                guard !queue.isEmpty else { return .more }
                if queue[0] == Self.separator {
                    place = .text
                    valueEnd = nil
                    mustWait = false
                    taken = 1
                    scanned = 1
                    continue
                }
            }
            return place == .text
                ? readText(queue, atEnd: atEnd) : readJunk(queue, atEnd: atEnd)
        }
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

    /// Skips up to a separator, false while none has come.
    private mutating func discard(_ queue: inout ByteQueue, atEnd: Bool) -> Bool {
        let end = unsafe firstSeparator(queue.bytes, from: 0)
        let isFound = end < queue.count
        lines.consume(end, of: &queue)
        scanned = 0
        if isFound || atEnd { isDiscarding = false }
        return isFound
    }

    private func firstSeparator(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        guard let base = bytes.baseAddress, start < bytes.count else { return bytes.count }
        let found = unsafe memchr(base + start, Int32(Self.separator), bytes.count - start)
        guard let found = UnsafeRawPointer(found) else { return bytes.count }
        return unsafe found - UnsafeRawPointer(base)
    }

    // MARK: Texts

    private mutating func readText(_ queue: borrowing ByteQueue, atEnd: Bool) -> Result {
        let bytes = unsafe queue.bytes(0..<min(queue.count, maxValue + 1))
        let isFirstLook = scanned == 0
        let end = unsafe firstSeparator(bytes, from: scanned)
        if !mustWait {
            let text = unsafe bytes.slice(0..<end)
            if valueEnd == nil { unsafe findValue(text, isFirstLook: isFirstLook) }
            if let valueEnd, let lineFeed = unsafe lineFeed(behind: valueEnd, text) {
                return handOut(0..<valueEnd, next: lineFeed)
            }
        }
        scanned = bytes.count
        if end < bytes.count || (atEnd && bytes.count <= maxValue) {
            return unsafe judge(bytes.slice(0..<end))
        }
        return bytes.count > maxValue ? tooLong() : .more
    }

    /// Looks for the end of the value, and at the value, when all of it is there.
    private mutating func findValue(_ text: UnsafeBufferPointer<UInt8>, isFirstLook: Bool) {
        if isFirstLook {
            scan.begin(with: unsafe text[0])
            if let end = unsafe JSONValueScan.endOfWhole(text, maxDepth: maxDepth) {
                valueEnd = end
                scanned = end
                return
            }
        }
        guard let end = unsafe scan.end(text, from: scanned, isElement: false) else { return }
        if unsafe !scan.isBroken
            && JSON.isValid(text.slice(0..<end), maxDepth: maxDepth)
        {
            valueEnd = end
            scanned = end
        } else {
            mustWait = true
        }
    }

    /// The line feed that ends the text whose value ended before it. `mustWait` when there is
    /// more than white space.
    private mutating func lineFeed(
        behind end: Int, _ text: UnsafeBufferPointer<UInt8>
    ) -> Int? {
        var p = max(end, scanned)
        while p < text.count {
            let byte = unsafe text[p]
            if byte == UInt8(ascii: "\n") { return p }
            if !byte.isJSONWhitespace {
                mustWait = true
                return nil
            }
            p += 1
        }
        return nil
    }

    private mutating func handOut(_ range: Range<Int>, next offset: Int) -> Result {
        place = .behindText
        taken = offset
        scanned = offset
        return .value(range)
    }

    /// The result for a text that ended at no line feed, or is no JSON text.
    private mutating func judge(_ text: UnsafeBufferPointer<UInt8>) -> Result {
        if let valueEnd, !mustWait, !scan.isScalar || valueEnd < text.count {
            return handOut(0..<valueEnd, next: text.count)
        }
        var end = text.count
        while end > 0, unsafe text[end - 1].isJSONWhitespace { end -= 1 }
        place = .behindText
        taken = text.count
        scanned = text.count
        do throws(JSONError) {
            try unsafe JSON.validate(text.slice(0..<end), maxDepth: maxDepth)
        } catch {
            return .invalid(0..<end, error)
        }
        // 12 could have been 123: only white space says that nothing is missing (section 2.4).
        return .invalid(0..<end, JSONError(offset: end, reason: .unexpectedEnd))
    }

    private mutating func tooLong() -> Result {
        isDiscarding = true
        taken = maxValue
        return .tooLong(0..<maxValue)
    }

    // MARK: What is no text

    /// A line, or the part of it before a separator, that stands behind none.
    private mutating func readJunk(_ queue: borrowing ByteQueue, atEnd: Bool) -> Result {
        let count = min(queue.count, maxValue + 1)
        let bytes = unsafe queue.bytes(0..<count)
        let lineFeed = unsafe bytes.firstLineFeed(from: scanned)
        let end = unsafe firstSeparator(bytes.slice(0..<lineFeed), from: scanned)
        scanned = count
        var range = 0..<end
        if end == count && count > maxValue {
            isDiscarding = true
            range = 0..<maxValue
        } else if end == count && !atEnd {
            return .more
        }
        taken = range.count
        if !isDiscarding { scanned = taken }
        let reason: JSONError.Reason = place == .beforeFirst ? .value : .trailing
        return .invalid(range, JSONError(offset: 0, reason: reason))
    }
}
