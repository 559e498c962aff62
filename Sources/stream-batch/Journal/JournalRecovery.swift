import Glibc
import StreamCodec

/// What an earlier run left behind.
struct Recovered {
    /// Closed and not done, in order of seq.
    var batches: [Batch] = []
    /// Lines of batches that were open, each ended by LF, in the order in which they came.
    var lines: [UInt8] = []
    /// Bytes at the end of the journal that were not written to their end, and are cut off.
    var torn = 0
    /// What a user must hear of that, and of damage.
    var notes: [String] = []
    /// The file with damage in it, which is kept under this name.
    var damaged: String?
}

/// What the records of a journal come to.
struct JournalRecovery {
    /// A batch of which there are records, and that is not done.
    struct Trace {
        var lines: [UInt8] = []
        /// How much of `lines` came together, and when: a count of all such runs.
        var runs: [(order: Int, size: Int)] = []
        var summary: [UInt8]?
        var closed: Batch?
        var live = JournalBatch()
    }

    private(set) var traces: [Int: Trace] = [:]
    private(set) var positions = Positions()
    private(set) var lastSeq = 0
    /// Empty when there is no record of it.
    private(set) var run = ""
    /// The highest id of a batch.
    private(set) var lastID = 0
    /// Where the last whole entry ends.
    private(set) var end = 0
    private var runs = 0
    /// What was not as it was written.
    private(set) var damages: [Range<Int>] = []
    /// Batches that were closed, but not all of their lines are there.
    private(set) var incomplete: Set<Int> = []
    /// What a user must hear.
    private(set) var notes: [String] = []

    /// Reads all of the journal. Holds no more than what was live at one time.
    init(_ file: borrowing JournalFile) throws {
        var reader = try JournalReader(file)
        while try reader.nextEntry() {
            damages = reader.damages
            var current = 0
            while let record = try reader.nextRecord() {
                apply(record, text: reader.text, &current)
            }
        }
        end = reader.offset
        damages = reader.damages
        notes = try reader.notes()
        // No number is given twice: what is damaged may have closed so many.
        lastSeq = max(lastSeq, reader.damagedSeq)
        for damage in damages { lastSeq += damage.count / JournalRecord.Closing.leastSize + 1 }
        positions.begin()
    }

    private mutating func apply(
        _ record: JournalRecord, text: UnsafeBufferPointer<UInt8>, _ current: inout Int
    ) {
        switch record {
        case .batch(let id):
            current = id
            runs += 1
            lastID = max(lastID, id)
            traces[id, default: Trace()].runs.append((runs, 0))
        case .line:
            traces[current]?.append(text)
        case .merge(let id, let other):
            guard let trace = traces.removeValue(forKey: id) else { return }
            traces[other, default: Trace()].append(trace, id: id)
            lastID = max(lastID, other)
        case .summary(let id):
            traces[id, default: Trace()].summary = Array(text)
        case .close(let closing):
            if damages.isEmpty || traces[closing.id, default: Trace()].isComplete(closing) {
                traces[closing.id, default: Trace()].close(closing, key: Array(text))
            } else {
                // Under its number it would be another batch: its lines come again in new ones.
                incomplete.insert(closing.id)
            }
            lastSeq = max(lastSeq, closing.seq)
            lastID = max(lastID, closing.id)
        case .done(let id):
            traces[id] = nil
        // From damage on files are read again: lines may be missing that were accepted there.
        case .position(let number, let position):
            if damages.isEmpty { positions.apply(number, position) }
        case .oldPosition(let position):
            if damages.isEmpty { positions.apply(position) }
        case .lastSeq(let seq):
            lastSeq = max(lastSeq, seq)
            run = String(decoding: text, as: UTF8.self)
        case .seal:
            preconditionFailure("a seal inside an entry")
        }
    }

    var closed: [Batch] {
        traces.values.compactMap(\.closed).sorted { $0.seq < $1.seq }
    }

    /// The ids of the batches that were open.
    var open: [Int] {
        traces.filter { $0.value.closed == nil }.keys.sorted()
    }

    /// The lines of the batches that were open.
    var openLines: [UInt8] {
        var parts: [(order: Int, id: Int, range: Range<Int>)] = []
        for id in open {
            var start = 0
            for run in traces[id]!.runs {
                parts.append((run.order, id, start..<(start + run.size)))
                start += run.size
            }
        }
        parts.sort { $0.order < $1.order }
        var lines: [UInt8] = []
        lines.reserveCapacity(parts.reduce(0) { $0 + $1.range.count })
        for part in parts { lines += traces[part.id]!.lines[part.range] }
        return lines
    }
}

extension JournalRecovery.Trace {
    fileprivate mutating func append(_ line: UnsafeBufferPointer<UInt8>) {
        lines += line
        lines.append(UInt8(ascii: "\n"))
        runs[runs.count - 1].size += line.count + 1
        live.bytes += line.count + 2
    }

    fileprivate func isComplete(_ closing: JournalRecord.Closing) -> Bool {
        summary != nil || lines.count { $0 == UInt8(ascii: "\n") } == closing.count
    }

    fileprivate mutating func append(_ other: JournalRecovery.Trace, id: Int) {
        lines += other.lines
        runs += other.runs
        live.merge(other.live, id: id)
    }

    fileprivate mutating func close(_ closing: JournalRecord.Closing, key: [UInt8]) {
        live.close(hasSummary: summary != nil)
        closed = Batch(
            seq: closing.seq, key: key, count: closing.count, lines: summary == nil ? lines : [],
            summary: summary, from: closing.from, to: closing.to, journalID: closing.id)
        lines = []
        runs = []
    }
}

/// What the journal remembers of a batch that is not done.
struct JournalBatch {
    /// Of its records, besides the short ones.
    var bytes = 0
    /// No record of it stands before this place in the file.
    var start = JournalFile.headSize
    /// Batches that were merged into it: its lines stand under their ids too.
    var parts: [Int] = []
    /// Its lines are not needed any more.
    var hasSummary = false

    mutating func merge(_ other: JournalBatch, id: Int) {
        bytes += other.bytes
        start = min(start, other.start)
        parts.append(id)
        parts += other.parts
    }

    mutating func close(hasSummary: Bool) {
        self.hasSummary = hasSummary
        if hasSummary { bytes = 0 }
    }
}
