import StreamCodec
import StreamTool

/// Chooses the records that are still needed. They stay in their order: that of the lines of one
/// batch may be another than that in which lines came.
struct JournalCopy {
    /// Bytes that are written at once.
    private static let step = 1 << 20

    /// Batches that are not done.
    private let ids: Set<Int>
    /// Those with lines, and the batches that were merged into them.
    private let lineIDs: Set<Int>

    /// Of a damaged file: what is not sound is left out, and so is that these batches were closed,
    /// for lines of theirs are missing.
    private let incomplete: Set<Int>?

    init(of batches: [Int: JournalBatch], incomplete: Set<Int>? = nil) {
        self.incomplete = incomplete
        ids = Set(batches.keys)
        var lineIDs: Set<Int> = []
        for (id, batch) in batches where !batch.hasSummary {
            lineIDs.insert(id)
            lineIDs.formUnion(batch.parts)
        }
        self.lineIDs = lineIDs
    }

    /// Reads from `start` on, where an entry begins.
    func copy(
        _ file: borrowing JournalFile, from start: Int, to new: inout JournalFile
    ) throws {
        var reader = try JournalReader(file, from: start)
        var queue = ByteQueue(capacity: 2 * Self.step)
        while try reader.nextEntry() {
            var isNeeded = false
            while let record = try reader.nextRecord() {
                switch record {
                case .batch(let id): isNeeded = lineIDs.contains(id)
                case .line: break
                case .merge(_, let other): isNeeded = lineIDs.contains(other)
                case .summary(let id): isNeeded = ids.contains(id)
                case .close(let closing):
                    isNeeded =
                        ids.contains(closing.id) && incomplete?.contains(closing.id) != true
                case .done, .position, .oldPosition, .lastSeq, .seal: isNeeded = false
                }
                if isNeeded { queue.append(reader.bytes) }
            }
            if queue.count >= Self.step { try write(&queue, to: &new) }
        }
        if incomplete == nil, let note = try reader.notes().first {
            throw Failure(.badData, note)
        }
        try write(&queue, to: &new)
    }

    private func write(_ queue: inout ByteQueue, to new: inout JournalFile) throws {
        if queue.isEmpty { return }
        queue.appendSeal()
        try new.append(queue.bytes)
        queue.removeAll()
    }
}
