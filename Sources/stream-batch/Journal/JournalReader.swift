import Glibc
import StreamCodec
import StreamTool

/// The records in a journal, entry by entry. What stands behind the last seal was not written to
/// its end, and is passed over; so is what is damaged, up to where an entry is whole again.
struct JournalReader: ~Copyable {
    private static let step = 256 << 10
    /// A second's work or less; behind damage in a longer file more is given up.
    private static let hashedLimit = 4 << 30

    private let descriptor: Int32
    private let path: String
    private var queue = ByteQueue(capacity: 2 * step)
    /// Where in the file the entry begins; at last, where the sealed part of it ends.
    private(set) var offset: Int
    /// Size of the entry with its seal, and without.
    private var size = 0
    private var sealOffset = 0
    /// Where in the entry the next record begins.
    private var next = 0
    /// Where the record that was read last is, with its LF, and where its text is.
    private var range = 0..<0
    private var textRange = 0..<0
    /// What was passed over because it is not as it was written, and the highest seq that can
    /// still be read there.
    private(set) var damages: [Range<Int>] = []
    private(set) var damagedSeq = 0
    /// Bytes behind the last seal that were not written to their end.
    private(set) var torn = 0
    /// Bytes that were hashed to find out where entries begin again.
    private var hashed = 0

    /// Reads from `offset` on, where an entry begins, or from the start.
    init(_ file: borrowing JournalFile, from offset: Int? = nil) throws {
        descriptor = file.descriptor
        path = file.path
        self.offset = offset ?? 0
        if offset == nil { try readHead() }
    }

    /// The record that was read last, as it stands there.
    var bytes: UnsafeBufferPointer<UInt8> { queue.bytes(range) }

    /// What it says behind its numbers.
    var text: UnsafeBufferPointer<UInt8> { queue.bytes(textRange) }

    private mutating func readHead() throws {
        let size = JournalFile.headSize
        while queue.count < size, try fill() {}
        let found = queue.bytes(0..<min(size, queue.count))
        if found.isEqual(to: JournalFile.head) || found.isEqual(to: JournalFile.earlierHead) {
            queue.consume(size)
            offset = size
        } else if JournalFile.isDamagedHead(found) {
            // Also when nothing is left of it.
            noteDamage(0..<found.count)
            drop(found.count)
        } else {
            throw Failure(
                .badData, "not a journal that this version of stream-batch can read",
                at: Place(path, line: 1))
        }
    }

    /// False behind the last entry.
    mutating func nextEntry() throws -> Bool {
        queue.consume(size)
        offset += size
        size = 0
        next = 0
        var start = 0
        var scanned = 0
        while true {
            guard let feed = lineFeed(from: scanned) else {
                scanned = queue.count
                if try fill() { continue }
                return endEntries(lastLine: start)
            }
            if queue[start] != UInt8(ascii: ";") {
                start = feed + 1
                scanned = start
                continue
            }
            if let begin = beginning(sealAt: start) {
                enter(begin, sealAt: start)
                return true
            }
            drop(feed + 1)
            start = 0
            scanned = 0
        }
    }

    /// What is left when there is no seal any more.
    private mutating func endEntries(lastLine start: Int) -> Bool {
        if start < queue.count && queue[start] == UInt8(ascii: ";"),
            let begin = beginning(sealAt: start)
        {
            let end = start + 1 + sealText(begin..<start).count
            if end < queue.count {
                enter(begin, sealAt: start)
                return true
            }
        }
        if isWhole(before: start) {
            torn = queue.count
        } else {
            let end = offset
            drop(queue.count)
            // What is sound ends before.
            offset = end
        }
        return false
    }

    /// Goes to the entry that begins there.
    private mutating func enter(_ begin: Int, sealAt seal: Int) {
        drop(begin)
        sealOffset = seal - begin
        let end = sealOffset + 1 + sealText(0..<sealOffset).count
        size = end + 1
        if queue[end] != UInt8(ascii: "\n") { noteDamage((offset + end)..<(offset + size)) }
    }

    // MARK: Damage

    /// Where the records begin that the seal at an offset closes: at the start of the queue, or,
    /// when that is not so, at a later record; nil when there is no such place.
    private mutating func beginning(sealAt seal: Int) -> Int? {
        if isSealed(0..<seal) { return 0 }
        var start = 0
        while start < seal, let feed = lineFeed(from: start) {
            start = feed + 1
            // No entry begins with a line, and there is always a record in it.
            if start >= seal || queue[start] == UInt8(ascii: " ") { continue }
            hashed += seal - start
            if hashed > Self.hashedLimit { return nil }
            if isSealed(start..<seal) { return start }
        }
        return nil
    }

    /// The seal of these records stands after them, whatever is next.
    private func isSealed(_ records: Range<Int>) -> Bool {
        let text = sealText(records)
        let start = records.upperBound + 1
        guard start + text.count <= queue.count else { return false }
        return queue.bytes(start..<(start + text.count)).isEqual(to: text)
    }

    private func sealText(_ records: Range<Int>) -> [UInt8] {
        Array(String(XXH64.hash(queue.bytes(records), seed: 0), radix: 16).utf8)
    }

    /// Passes over the first bytes of the queue: they are not as they were written.
    private mutating func drop(_ count: Int) {
        if count == 0 { return }
        noteDamage(offset..<(offset + count))
        noteNumbers(before: count)
        queue.consume(count)
        offset += count
    }

    private mutating func noteDamage(_ range: Range<Int>) {
        if let last = damages.last, last.upperBound >= range.lowerBound {
            damages[damages.count - 1] = last.lowerBound..<range.upperBound
        } else {
            damages.append(range)
        }
    }

    /// The numbers of batches that can still be read there.
    private mutating func noteNumbers(before end: Int) {
        var start = 0
        while start < end {
            let feed = min(lineFeed(from: start) ?? end, end)
            switch JournalRecord.parse(queue.bytes(start..<feed))?.record {
            case .lastSeq(let seq): damagedSeq = max(damagedSeq, seq)
            case .close(let closing): damagedSeq = max(damagedSeq, closing.seq)
            default: break
            }
            start = feed + 1
        }
        damagedSeq = min(damagedSeq, 1 << 60)
    }

    /// Every line that ends before this one is a record.
    private func isWhole(before end: Int) -> Bool {
        var start = 0
        while start < end, let feed = lineFeed(from: start) {
            if JournalRecord.parse(queue.bytes(start..<feed)) == nil { return false }
            start = feed + 1
        }
        return true
    }

    /// What a user must hear, once all was read.
    func notes() throws -> [String] {
        var notes = try damages.map { damage in
            if damage.isEmpty { return "\(path): damaged: nothing is in it" }
            let line = try line(at: damage.lowerBound)
            return "\(path):\(line): damaged: \(damage.count) bytes, from byte"
                + " \(damage.lowerBound + 1) on, are not as they were written"
        }
        if torn > 0 {
            notes.append(
                "\(path):\(try line(at: offset)): the last \(torn) bytes, from byte \(offset + 1)"
                    + " on, were not written to their end, so they do not count")
        }
        return notes
    }

    /// The next record of the entry; nil behind the last one.
    mutating func nextRecord() throws -> JournalRecord? {
        guard next < sealOffset, let feed = lineFeed(from: next) else { return nil }
        guard let found = JournalRecord.parse(queue.bytes(next..<feed)) else {
            // It is as it was written.
            throw Failure(
                .badData, "a record of another version of stream-batch",
                at: Place(path, line: try line(at: offset + next)))
        }
        range = next..<(feed + 1)
        textRange = (next + found.text)..<feed
        next = feed + 1
        return found.record
    }

    /// The number of the line at an offset in the file, from 1.
    private func line(at end: Int) throws(Failure) -> Int {
        var bytes = [UInt8](repeating: 0, count: Self.step)
        var offset = 0
        var number = 1
        while offset < end {
            let size = pread(descriptor, &bytes, min(bytes.count, end - offset), offset)
            if size < 0 { throw Failure(.inputOutput, errno: errno, path) }
            if size == 0 { break }
            for byte in bytes[..<size] where byte == UInt8(ascii: "\n") { number += 1 }
            offset += size
        }
        return number
    }

    @inline(__always)
    private func lineFeed(from start: Int) -> Int? {
        let bytes = queue.bytes
        guard start < bytes.count, let base = bytes.baseAddress,
            let found = memchr(base + start, 0x0A, bytes.count - start)
        else { return nil }
        return UnsafeRawPointer(base).distance(to: UnsafeRawPointer(found))
    }

    /// False at the end of the file.
    private mutating func fill() throws -> Bool {
        while true {
            let place = queue.reserve(Self.step)
            let size = pread(descriptor, place, Self.step, offset + queue.count)
            if size >= 0 {
                queue.commit(size)
                return size > 0
            }
            let code = errno
            if code != EINTR { throw Failure(.inputOutput, errno: code, path) }
        }
    }
}
