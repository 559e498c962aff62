import StreamCodec

/// A line of the journal. Its first character says what it is.
enum JournalRecord {
    /// `+3`: the lines behind it, as far as the next of these, were accepted for batch 3.
    case batch(Int)
    /// ` {"a":1}`: a line, behind a space.
    case line
    /// `>4 3`: what was batch 4 stands behind the lines of batch 3 from now on.
    case merge(Int, into: Int)
    /// `%3 "count":2`: what aggregates made of batch 3, instead of its lines.
    case summary(Int)
    /// `=3 7 2 FROM TO KEY`: batch 3 is closed, has seq 7 and 2 lines.
    case close(Closing)
    /// `.3`: nothing of batch 3 is needed any more.
    case done(Int)
    /// `&3 OFFSET LINES HEAD TAIL INODE BORN`: the place with the number 3 in a file.
    case position(Int, Position)
    /// `@DEVICE INODE LINES HASH`: as version 1 had them. None any more when there are no lines.
    case oldPosition(OldPosition)
    /// `#7 RUN`: the highest seq so far, and what BATCH_RUN says in all runs with this journal.
    case lastSeq(Int)
    /// `;HASH`: the end of an entry, with XXH64 of the records in it.
    case seal(UInt64)

    struct Closing {
        /// Bytes of the shortest such record.
        static let leastSize = 12

        var id: Int
        var seq: Int
        var count: Int
        var from: UInt64
        var to: UInt64
    }

    /// The record in a line without its LF, and where its text begins, if it has one; nil when it
    /// is none.
    static func parse(
        _ bytes: UnsafeBufferPointer<UInt8>
    ) -> (record: JournalRecord, text: Int)? {
        guard let type = bytes.first else { return nil }
        if type == UInt8(ascii: " ") { return (.line, 1) }
        var fields = Fields(bytes)
        guard let record = record(type, &fields), !fields.isBroken else { return nil }
        return fields.isAtEnd || record.hasText ? (record, fields.offset) : nil
    }

    private static func record(_ type: UInt8, _ fields: inout Fields) -> JournalRecord? {
        switch type {
        case UInt8(ascii: "+"): .batch(fields.number())
        case UInt8(ascii: ">"): .merge(fields.number(), into: fields.number())
        case UInt8(ascii: "%"): .summary(fields.number())
        case UInt8(ascii: "="):
            .close(
                Closing(
                    id: fields.number(), seq: fields.number(), count: fields.number(),
                    from: fields.number(), to: fields.number()))
        case UInt8(ascii: "."): .done(fields.number())
        case UInt8(ascii: "&"):
            .position(
                fields.number(),
                Position(
                    offset: fields.number(), lines: fields.number(),
                    head: fields.number(radix: 16), tail: fields.number(radix: 16),
                    inode: fields.number(), born: fields.number()))
        case UInt8(ascii: "@"):
            .oldPosition(
                OldPosition(
                    device: fields.number(), inode: fields.number(), lines: fields.number(),
                    hash: fields.number(radix: 16)))
        case UInt8(ascii: "#"): .lastSeq(fields.number())
        case UInt8(ascii: ";"): .seal(fields.number(radix: 16))
        default: nil
        }
    }

    private var hasText: Bool {
        switch self {
        case .line, .summary, .close, .lastSeq: true
        default: false
        }
    }
}

/// Numbers with a space between them.
private struct Fields {
    private let bytes: UnsafeBufferPointer<UInt8>
    /// Behind the type.
    private(set) var offset = 1
    /// A number was missing, or too large.
    private(set) var isBroken = false

    init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { offset == bytes.count }

    mutating func number<Number: FixedWidthInteger>(radix: Int = 10) -> Number {
        let digits = bytes[offset...].prefix { $0 != UInt8(ascii: " ") }
        offset = min(digits.endIndex + 1, bytes.count)
        let text = String(decoding: digits, as: UTF8.self)
        guard let number = Number(text, radix: radix), number >= 0 else {
            isBroken = true
            return 0
        }
        return number
    }
}

extension ByteQueue {
    mutating func appendRecord(_ type: StaticString, _ numbers: Int...) {
        append(type)
        for (index, number) in numbers.enumerated() {
            if index > 0 { append(UInt8(ascii: " ")) }
            append(decimal: number)
        }
        append(UInt8(ascii: "\n"))
    }

    /// `+3`: of each line, when every one goes to another batch than the one before.
    mutating func appendBatch(_ id: Int) {
        // "+", 19 digits and LF.
        let start = reserve(21)
        var digits = 1
        var power = 10
        while digits < 19 && id >= power {
            digits += 1
            power = power &* 10
        }
        var rest = id
        for place in stride(from: digits, to: 0, by: -1) {
            start[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        start[0] = UInt8(ascii: "+")
        start[digits + 1] = UInt8(ascii: "\n")
        commit(digits + 2)
    }

    @inline(__always)
    mutating func appendRecord(line: UnsafeBufferPointer<UInt8>) {
        let start = reserve(line.count + 2)
        start[0] = UInt8(ascii: " ")
        if let text = line.baseAddress { (start + 1).update(from: text, count: line.count) }
        start[line.count + 1] = UInt8(ascii: "\n")
        commit(line.count + 2)
    }

    mutating func appendRecords(closing batch: Batch) {
        if let summary = batch.summary {
            append(string: "%\(batch.journalID) ")
            append(line: summary)
        }
        append(string: "=\(batch.journalID) \(batch.seq) \(batch.count) \(batch.from) \(batch.to) ")
        append(line: batch.key)
    }

    mutating func appendRecord(lastSeq: Int, run: String) {
        append(string: "#\(lastSeq) \(run)\n")
    }

    mutating func appendRecord(_ number: Int, _ position: Position) {
        append(string: "&\(number) \(position.prefix.offset) \(position.lines) ")
        append(string: String(position.prefix.head, radix: 16) + " ")
        append(string: String(position.prefix.tail, radix: 16) + " ")
        append(string: "\(position.inode) \(position.born)\n")
    }

    mutating func appendRecord(_ position: OldPosition) {
        append(string: "@\(position.device) \(position.inode) \(position.lines) ")
        append(string: String(position.hash, radix: 16) + "\n")
    }

    /// Makes the records in the queue an entry.
    mutating func appendSeal() {
        let hash = XXH64.hash(bytes, seed: 0)
        append(string: ";" + String(hash, radix: 16) + "\n")
    }

    private mutating func append(line: [UInt8]) {
        precondition(!line.contains(UInt8(ascii: "\n")), "a line feed in a key or a summary")
        append(line)
        append(UInt8(ascii: "\n"))
    }
}
