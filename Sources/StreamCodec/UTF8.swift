import CBytes

/// Well-formedness and repair of UTF-8, as in the Unicode Standard, section 3.9.
package enum UTF8Text {
    /// Ends a repaired sequence: U+FFFD REPLACEMENT CHARACTER.
    package static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]

    /// True when the bytes are well-formed UTF-8.
    package static func isValid(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let start = bytes.baseAddress else { return true }
        return unsafe cb_utf8_valid(start, bytes.count) != 0
    }

    /// What stands at the start of `bytes`.
    enum Sequence: Equatable {
        case scalar(size: Int)
        /// A maximal subpart of an ill-formed sequence: one U+FFFD stands for it.
        case illFormed(size: Int)
        /// The first bytes of a sequence that may go on behind the end.
        case cutShort
    }

    /// Table 3-7 of the Unicode Standard; `bytes` is not empty.
    static func firstSequence(in bytes: UnsafeBufferPointer<UInt8>) -> Sequence {
        let lead = unsafe bytes[0]
        guard lead >= 0x80 else { return .scalar(size: 1) }
        guard lead >= 0xC2 && lead <= 0xF4 else { return .illFormed(size: 1) }
        let size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2
        for index in 1..<size {
            guard index < bytes.count else { return .cutShort }
            var range: ClosedRange<UInt8> = 0x80...0xBF
            if index == 1 {
                switch lead {
                case 0xE0: range = 0xA0...0xBF
                case 0xED: range = 0x80...0x9F
                case 0xF0: range = 0x90...0xBF
                case 0xF4: range = 0x80...0x8F
                default: break
                }
            }
            guard unsafe range.contains(bytes[index]) else { return .illFormed(size: index) }
        }
        return .scalar(size: size)
    }

    /// The offset of the first ill-formed or unfinished sequence, or nil.
    package static func firstIllFormed(in bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        guard let start = bytes.baseAddress else { return nil }
        var offset = unsafe cb_ascii_prefix(start, bytes.count)
        while offset < bytes.count {
            guard
                case .scalar(let size) = unsafe firstSequence(
                    in: bytes.slice(offset..<bytes.count))
            else { return offset }
            offset += size
        }
        return nil
    }

    /// How many bytes at the end begin a sequence that the next bytes may complete: 0 to 3.
    static func unfinishedSuffix(of bytes: UnsafeBufferPointer<UInt8>) -> Int {
        for size in 1...3 where size <= bytes.count {
            let start = bytes.count - size
            let byte = unsafe bytes[start]
            if byte >= 0xC0 {
                let tail = unsafe bytes.slice(start..<bytes.count)
                return unsafe firstSequence(in: tail) == .cutShort ? size : 0
            }
            if byte < 0x80 { return 0 }
        }
        return 0
    }
}

/// Replaces ill-formed sequences by U+FFFD as the bytes arrive, as the WHATWG Encoding
/// Standard decodes UTF-8: one for each maximal subpart, whatever the reads were.
package struct UTF8Repair {
    /// Bytes at the end of the queue that begin a sequence still to be completed.
    private var unfinished = 0

    package init() {}

    /// Repairs what was appended to `queue` since it was `oldCount` bytes long.
    @inline(__always)
    package mutating func repair(_ queue: inout ByteQueue, from oldCount: Int) {
        // A reader that skips a long line takes the whole queue, unfinished bytes and all.
        let start = oldCount - min(unfinished, oldCount)
        let new = unsafe queue.bytes(start..<queue.count)
        unfinished = unsafe UTF8Text.unfinishedSuffix(of: new)
        if unsafe !UTF8Text.isValid(new.slice(0..<(new.count - unfinished))) {
            rewrite(&queue, from: start, to: queue.count - unfinished)
        }
    }

    /// Repairs a sequence that the end of the input cut short.
    package mutating func finish(_ queue: inout ByteQueue) {
        defer { unfinished = 0 }
        guard unfinished > 0 && unfinished <= queue.count else { return }
        queue.truncate(queue.count - unfinished)
        queue.append(UTF8Text.replacement)
    }

    private func rewrite(_ queue: inout ByteQueue, from start: Int, to end: Int) {
        let old = unsafe [UInt8](queue.bytes(start..<queue.count))
        queue.truncate(start)
        unsafe old.withUnsafeBufferPointer { old in
            var offset = 0
            let end = end - start
            while offset < end {
                switch unsafe UTF8Text.firstSequence(in: old.slice(offset..<end)) {
                case .scalar(let size):
                    unsafe queue.append(old.slice(offset..<(offset + size)))
                    offset += size
                case .illFormed(let size):
                    queue.append(UTF8Text.replacement)
                    offset += size
                case .cutShort:
                    // Not at the end, so something that continues nothing follows.
                    queue.append(UTF8Text.replacement)
                    offset = end
                }
            }
            unsafe queue.append(old.slice(end..<old.count))
        }
    }
}
