import Glibc
import StreamCodec
import StreamTool

/// The records in a journal, entry by entry. What stands behind the last seal was not written to
/// its end, and is passed over.
struct JournalReader: ~Copyable {
    private static let step = 256 << 10

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
        guard queue.bytes(0..<min(size, queue.count)).isEqual(to: JournalFile.head) else {
            throw Failure(
                .badData, "not a journal that this version of stream-batch can read",
                at: Place(path, line: 1))
        }
        queue.consume(size)
        offset = size
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
                // Nothing but a part of what was being written may be cut off.
                if let broken = brokenRecord(before: start) { throw damage(at: broken) }
                return false
            }
            if queue[start] == UInt8(ascii: ";") {
                sealOffset = start
                size = feed + 1
                try checkSeal()
                return true
            }
            start = feed + 1
            scanned = start
        }
    }

    /// The next record of the entry; nil behind the last one.
    mutating func nextRecord() throws -> JournalRecord? {
        guard next < sealOffset, let feed = lineFeed(from: next) else { return nil }
        guard let found = JournalRecord.parse(queue.bytes(next..<feed)) else {
            throw damage(at: next)
        }
        range = next..<(feed + 1)
        textRange = (next + found.text)..<feed
        next = feed + 1
        return found.record
    }

    private func checkSeal() throws {
        let seal = JournalRecord.parse(queue.bytes(sealOffset..<(size - 1)))
        let hash = XXH64.hash(queue.bytes(0..<sealOffset), seed: 0)
        if case .seal(hash)? = seal?.record { return }
        throw damage(at: brokenRecord(before: sealOffset) ?? sealOffset)
    }

    /// Where the first line is that is no record.
    private func brokenRecord(before end: Int) -> Int? {
        var start = 0
        while start < end, let feed = lineFeed(from: start) {
            if JournalRecord.parse(queue.bytes(start..<feed)) == nil { return start }
            start = feed + 1
        }
        return nil
    }

    private func damage(at place: Int) -> Failure {
        do {
            let isSeal = size > 0 && place == sealOffset
            let line = try line(at: offset + place)
            let first = try self.line(at: offset)
            return Failure(
                .badData,
                (isSeal
                    ? "something in the lines from \(first) on is not as it was written"
                    : "not a record of a journal")
                    + "; move the file away to start without what it holds",
                at: Place(path, line: line))
        } catch {
            return error
        }
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
