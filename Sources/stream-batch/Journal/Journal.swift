import Glibc
import StreamCodec
import StreamTool

/// --journal: what was accepted and is not delivered yet, in a file that the next run reads.
///
/// The file only grows. It is a head and then entries; an entry is the records of one `write()`
/// and a seal, a hash of them, so it counts as a whole or, when the process or the machine died
/// meanwhile, not at all. Lines count together with the positions that tell they were read: a
/// regular file that is read again goes on with the first line that did not count.
///
/// A crash loses and doubles nothing that had counted:
/// - Before the entry that closes a batch counts, nobody was given the batch. Its lines come back
///   as lines.
/// - From then on until the entry that says it is done counts, it comes back with its seq. When it
///   had been delivered, that is the second time: the one case of it.
/// - The next run does not rewrite what it finds. The lines of open batches go into its first
///   entry anew, and so does that the old ones are done: before that entry counts there are
///   the old ones only, afterwards the new ones only.
/// - Compaction writes a new file, has it on the disk, and renames it over the old one. Both
///   come to the same; at each moment one of them has the name.
///
/// A class: the loop and the delivery record into the same one.
final class Journal {
    /// From this size on a file is rewritten when at most half of it is still needed.
    static let compactedSize = 64 << 20

    private let folder: JournalFolder
    private let syncs: Bool
    private let limit: Int
    private var file: JournalFile
    /// Records that were not written yet.
    private var buffer = ByteQueue(capacity: 512 << 10)
    /// The batch whose lines the buffer ends with, or 0; and where they begin.
    private var current = 0
    private var runStart = 0
    /// The buffer holds more than the end of deliveries.
    private var hasNews = false
    private var batches: [Int: JournalBatch] = [:]
    private var liveBytes = 0
    private var lastID = 0
    /// The highest seq that a batch was ever given.
    private(set) var lastSeq = 0
    /// What BATCH_RUN says, as long as there is this journal.
    private(set) var run = newRunID()
    /// How far files were read. What is set there counts with the lines of the same `write()`.
    var positions = Positions()
    /// The file is not rewritten before it has this size: an attempt failed.
    private var nextAttempt = 0
    private var recovered = Recovered()
    /// Batches that were open when the earlier run ended.
    private var orphans: [Int] = []

    /// Makes the folder when there is none. With `syncs` what is written is on the disk, too.
    init(folder path: String, syncs: Bool, limit: Int = Journal.compactedSize) throws {
        folder = try JournalFolder(path)
        self.syncs = syncs
        self.limit = limit
        guard let found = try JournalFile.existing(path + "/journal") else {
            // Stands in until the first one that is whole has the name.
            file = try JournalFile.new(path + "/journal.new")
            try rewrite()
            try folder.sync()
            return
        }
        let recovery = try JournalRecovery(found)
        file = found
        try take(recovery)
    }

    private func take(_ recovery: JournalRecovery) throws {
        recovered = Recovered(batches: recovery.closed, lines: recovery.openLines)
        recovered.notes = recovery.notes
        orphans = recovery.open
        batches = recovery.traces.mapValues(\.live)
        liveBytes = batches.values.reduce(0) { $0 + $1.bytes }
        positions = recovery.positions
        lastSeq = recovery.lastSeq
        if recovery.run.isEmpty {
            // One of a version that kept none.
            buffer.appendRecord(lastSeq: lastSeq, run: run)
        } else {
            run = recovery.run
        }
        lastID = recovery.lastID
        if !recovery.damages.isEmpty {
            try putAside(recovery)
            return
        }
        recovered.torn = file.size - recovery.end
        try file.cut(to: recovery.end)
        // The earlier run may have left that to the system.
        if syncs { try file.sync() }
    }

    /// A damaged file gets another name, and one with all that is sound takes its place. At each
    /// moment there is one or the other.
    private func putAside(_ recovery: JournalRecovery) throws {
        let name = try folder.keepDamaged(file)
        recovered.damaged = name
        recovered.notes.append(
            "the damaged journal is \(name) now; what is sound in it comes, and lines of files"
                + " that counted from there on are read again; batches are numbered from"
                + " \(recovery.lastSeq + 1) on")
        try rewrite(without: recovery.incomplete)
        try folder.sync()
    }

    /// What an earlier run left behind, once. All of its lines must be appended before the next
    /// `write()`: that one says that the old ones are done.
    func takeRecovered() -> Recovered {
        for id in orphans { finish(id) }
        orphans = []
        defer { recovered = Recovered() }
        return recovered
    }

    // MARK: Recording

    /// An id for a new batch.
    func open() -> Int {
        lastID += 1
        return lastID
    }

    /// A line was accepted for an open batch. There must be no line feed in it.
    @inline(__always)
    func append(_ line: UnsafeBufferPointer<UInt8>, to id: Int) {
        if id != current { beginRun(id) }
        buffer.appendRecord(line: line)
    }

    private func beginRun(_ id: Int) {
        endRun()
        current = id
        runStart = buffer.count
        buffer.appendBatch(id)
        hasNews = true
    }

    /// Every other record does this first.
    private func endRun() {
        if current == 0 { return }
        add(buffer.count - runStart, to: current)
        current = 0
    }

    private func add(_ bytes: Int, to id: Int) {
        batches[id, default: JournalBatch(start: file.size)].bytes += bytes
        liveBytes += bytes
    }

    /// The lines of a batch, in order, stand behind those of `other` from now on. Its id is not
    /// used again.
    func merge(_ id: Int, into other: Int) {
        endRun()
        guard let batch = batches.removeValue(forKey: id) else { return }
        batches[other, default: JournalBatch(start: file.size)].merge(batch, id: id)
        buffer.appendRecord(">", id, other)
        hasNews = true
    }

    func close(_ batch: Batch) {
        endRun()
        let start = buffer.count
        buffer.appendRecords(closing: batch)
        let before = batches[batch.journalID]?.bytes ?? 0
        add(0, to: batch.journalID)
        batches[batch.journalID]!.close(hasSummary: batch.summary != nil)
        liveBytes += batches[batch.journalID]!.bytes - before
        add(buffer.count - start, to: batch.journalID)
        lastSeq = max(lastSeq, batch.seq)
        hasNews = true
    }

    /// A batch was delivered, or is a dead letter. Counts with the next `write()`.
    func finish(_ id: Int) {
        endRun()
        guard let batch = batches.removeValue(forKey: id) else { return }
        liveBytes -= batch.bytes
        buffer.appendRecord(".", id)
    }

    // MARK: Writing

    /// The last `write()` failed: what was recorded since the one before is not in the file.
    private(set) var isBroken = false

    /// From here on what was recorded counts. When that fails, it is kept for the next time.
    func write() throws {
        endRun()
        if buffer.isEmpty && !positions.hasMoved { return }
        let size = buffer.count
        positions.appendMoved(to: &buffer)
        buffer.appendSeal()
        do {
            try file.append(buffer.bytes)
        } catch {
            buffer.truncate(size)
            isBroken = true
            throw error
        }
        isBroken = false
        buffer.removeAll()
        positions.written()
        // A batch that is done only on this side of a power failure is delivered again: better
        // than to wait for the disk once more.
        if syncs && hasNews { try file.sync() }
        hasNews = false
        if file.size > max(limit, nextAttempt) && liveBytes <= file.size / 2 { try compact() }
    }

    /// The input has ended and all of it is delivered: the next run reads its files from their
    /// start, or what was not there yet of those that this one read.
    func end(keepsPositions: Bool = false) throws {
        try write()
        precondition(batches.isEmpty, "a batch that is not done")
        if keepsPositions { positions.trim() } else { positions.forget() }
        try rewrite()
        try folder.sync()
    }

    private func compact() throws {
        do {
            try rewrite()
        } catch let failure as Failure where failure.status != .badData {
            // As long as the old file takes what is written, a disk that has no room for
            // another one ends nothing.
            nextAttempt = file.size + limit
            return
        }
        try folder.sync()
    }

    /// Puts a file without anything that is done in the place of the present one. The folder is
    /// to be synchronised then.
    private func rewrite(without incomplete: Set<Int>? = nil) throws {
        let path = folder.path + "/journal"
        let temporary = path + ".new"
        do {
            var new = try JournalFile.new(temporary)
            if let start = batches.values.map(\.start).min() {
                try JournalCopy(of: batches, incomplete: incomplete)
                    .copy(file, from: start, to: &new)
            }
            var queue = ByteQueue()
            queue.appendRecord(lastSeq: lastSeq, run: run)
            positions.append(to: &queue)
            queue.appendSeal()
            try new.append(queue.bytes)
            try new.sync()
            try new.move(to: path)
            file = new
        } catch {
            unlink(temporary)
            throw error
        }
        // The same for all of them: it only says where to begin to read.
        for id in batches.keys { batches[id]!.start = JournalFile.headSize }
    }
}
