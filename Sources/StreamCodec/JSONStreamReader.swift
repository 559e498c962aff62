/// JSON values one behind the other: concatenated, on lines, pretty-printed over many lines, or
/// the elements of an array. An array at the top is taken apart, not what its elements hold. A
/// UTF-8 byte order mark at the start is skipped.
package struct JSONStreamReader {
    /// The number of the line on which the current value begins, from 1.
    package private(set) var line = 1

    /// Where the next value would stand.
    private enum Place {
        case top
        /// In an array of the top: behind its bracket, behind a comma, behind an element.
        case start, comma, element
    }

    /// What the bytes at the front of the queue are.
    private enum Current {
        /// No part of a value.
        case nothing
        case value
        /// A line of the top with no value where one must begin.
        case junk
    }

    private var place = Place.top
    private var current = Current.nothing
    /// The end of the current value.
    private var scan: JSONValueScan
    /// Bytes of the queue that were searched for it; without it long values are quadratic.
    private var scanned = 0
    /// Bytes that the next call consumes.
    private var taken = 0
    private var lines = LineCount()
    private var isAtStart = true
    /// The rest of a value that was too long is still to come.
    private var isDiscarding = false
    private let maxValue: Int
    private let maxDepth: Int

    package init(maxValue: Int, maxDepth: Int = JSON.defaultMaxDepth) {
        // One byte more must be countable.
        self.maxValue = min(maxValue, Int.max - 1)
        self.maxDepth = maxDepth
        scan = JSONValueScan(maxDepth: maxDepth)
    }

    /// What a call found. Places are those in the queue until the next call.
    package enum Result: Equatable {
        /// One value, in its own spelling.
        case value(Range<Int>)
        /// What is no JSON value, and is skipped; the error's offset counts from its begin. The
        /// range is empty where something is missing: a comma before the next value, or the end of
        /// the array at the end of the input.
        case invalid(Range<Int>, JSONError)
        /// A value of more than `maxValue` bytes begins like this; the rest of it is skipped.
        case tooLong(Range<Int>)
        /// The next value is not complete yet.
        case more
    }

    /// The next value in `queue`. With `atEnd` the end of the input ends a number too, and all
    /// else must be complete.
    package mutating func next(_ queue: inout ByteQueue, atEnd: Bool = false) -> Result {
        if isAtStart && !skipByteOrderMark(&queue, atEnd: atEnd) { return .more }
        while true {
            lines.consume(taken, of: &queue)
            scanned -= taken
            taken = 0
            if current == .nothing {
                lines.consumeWhitespace(of: &queue)
                line = lines.line
                guard !queue.isEmpty else { return atEnd ? endOfInput() : .more }
                if let result = begin(with: queue[0]) { return result }
            } else if let result = read(&queue, atEnd: atEnd) {
                return result
            }
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

    private mutating func endOfInput() -> Result {
        if place == .top { return .more }
        place = .top
        return .invalid(0..<0, JSONError(offset: 0, reason: .unexpectedEnd))
    }

    // MARK: Between values

    /// Takes the byte that stands where a value may begin, or begins the value. A result when
    /// neither is allowed here.
    @inline(__always)
    private mutating func begin(with byte: UInt8) -> Result? {
        switch (byte, place) {
        case (UInt8(ascii: "["), .top):
            place = .start
            take(1)
        case (UInt8(ascii: "]"), .start), (UInt8(ascii: "]"), .element):
            place = .top
            take(1)
        case (UInt8(ascii: "]"), .comma):
            place = .top
            return stray(.value)
        case (UInt8(ascii: ","), .element):
            place = .comma
            take(1)
        case (UInt8(ascii: ","), _):
            return stray(.value)
        case (UInt8(ascii: "]"), .top), (UInt8(ascii: "}"), .top):
            current = .junk
        case (UInt8(ascii: "}"), _):
            let reason: JSONError.Reason = place == .element ? .commaOrBracket : .value
            place = .element
            return stray(reason)
        case (_, .element):
            // An array that was cut off is over where a line begins with a bracket; or else it
            // would make strays of all the commas and brackets of the stream behind it.
            let isBracket = byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[")
            place = isBracket && lines.isLineStart ? .top : .comma
            return .invalid(0..<0, JSONError(offset: 0, reason: .commaOrBracket))
        default:
            current = .value
            scan.begin(with: byte)
        }
        return nil
    }

    private mutating func stray(_ reason: JSONError.Reason) -> Result {
        take(1)
        return .invalid(0..<1, JSONError(offset: 0, reason: reason))
    }

    /// The next call goes on behind these bytes.
    private mutating func take(_ size: Int) {
        taken = size
        scanned = size
    }

    // MARK: Values

    /// Reads on to the end of the current value. Nil when there is more to read behind it.
    @inline(__always)
    private mutating func read(_ queue: inout ByteQueue, atEnd: Bool) -> Result? {
        if scanned == 0 && current == .value && !isDiscarding {
            let bytes = unsafe queue.bytes(0..<min(queue.count, maxValue))
            if let end = unsafe JSONValueScan.endOfWhole(bytes, maxDepth: maxDepth) {
                endValue(end)
                return .value(0..<end)
            }
        }
        if isDiscarding { return discard(&queue, atEnd: atEnd) }
        let count = min(queue.count, maxValue + 1)
        if let end = unsafe findEnd(queue.bytes(0..<count)) { return judge(end, queue) }
        scanned = count
        if count > maxValue { return tooLong(queue) }
        return atEnd ? judgeLast(queue) : .more
    }

    /// Skips the rest of a value that is too long, and is not kept while it comes.
    private mutating func discard(_ queue: inout ByteQueue, atEnd: Bool) -> Result? {
        let end = unsafe findEnd(queue.bytes)
        if end == nil && !atEnd {
            lines.consume(queue.count, of: &queue)
            scanned = 0
            return .more
        }
        isDiscarding = false
        endValue(end ?? queue.count)
        return nil
    }

    private mutating func findEnd(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        if current == .value {
            return unsafe scan.end(bytes, from: scanned, isElement: place != .top)
        }
        let end = unsafe bytes.firstLineFeed(from: scanned)
        return end < bytes.count ? end : nil
    }

    /// The result for a value that ends here. Nil when it is junk that goes on.
    private mutating func judge(_ end: Int, _ queue: borrowing ByteQueue) -> Result? {
        if end > maxValue {
            endValue(end)
            return .tooLong(0..<maxValue)
        }
        guard var error = unsafe error(in: queue.bytes(0..<end)) else {
            endValue(end)
            return .value(0..<end)
        }
        if current == .value && scan.isScalar && place == .top {
            current = .junk
            scanned = end
            return nil
        }
        if current == .value && scan.isBroken && error.reason == .unexpectedEnd {
            // The byte that broke it off says better what was expected.
            error = unsafe self.error(in: queue.bytes(0..<(end + 1))) ?? error
        }
        let isCutOff = current == .value && scan.isCutOff
        endValue(end)
        if isCutOff && place == .element { place = .comma }
        return .invalid(0..<end, error)
    }

    /// The result for a value that the end of the input ends.
    private mutating func judgeLast(_ queue: borrowing ByteQueue) -> Result? {
        let end = queue.count
        if current == .junk || scan.isScalar { return judge(end, queue) }
        let error = unsafe error(in: queue.bytes(0..<end))
        // The array around it has no end either: one error is enough.
        place = .top
        endValue(end)
        return .invalid(0..<end, error ?? JSONError(offset: end, reason: .unexpectedEnd))
    }

    private mutating func tooLong(_ queue: borrowing ByteQueue) -> Result {
        isDiscarding = true
        taken = maxValue
        let range = 0..<maxValue
        if current == .value { return .tooLong(range) }
        let error = unsafe error(in: queue.bytes(range))
        return .invalid(range, error ?? JSONError(offset: 0, reason: .value))
    }

    private mutating func endValue(_ end: Int) {
        take(end)
        current = .nothing
        if place != .top { place = .element }
    }

    private func error(in bytes: UnsafeBufferPointer<UInt8>) -> JSONError? {
        do throws(JSONError) {
            try unsafe JSON.validate(bytes, maxDepth: maxDepth)
            return nil
        } catch {
            return error
        }
    }
}
