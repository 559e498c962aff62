import StreamCodec
import StreamTool

/// The batches that lines still go into, one for each key or window, and when each is closed.
///
/// The clock is the caller's: nanoseconds since 1970 that never go back.
struct OpenBatches: ~Copyable {
    /// Closed batches, in order, for the caller to take; so many of them were.
    private var closed: [Batch] = []
    private var taken = 0
    /// Batches that were closed to make room for others.
    private(set) var closedEarly = 0

    var batches: [OpenBatch] = []
    /// What aggregates know of them, by the same index; none without --aggregate.
    var states: [AggregateState] = []
    private var free: [Int] = []
    private var due = DueQueue()
    /// The open batches in the order in which they were opened, linked by `newer`.
    private var oldest = OpenBatch.none
    private var newest = OpenBatch.none
    private var count = 0
    private var keys: KeyTable
    /// Those of each key, by the key's index. Without keys there is one, number 0.
    var order = BatchOrder()
    var pieces = Pieces()

    let limits: Limits
    private let windows: Windows?
    var aggregates: Aggregates
    private let keyCount: Int
    let journal: Journal?
    /// The last number that a batch was given.
    var seq: Int
    private var serial = 0
    /// Bytes that open batches hold.
    private var heldBytes = 0
    /// The values of --when-changed of the line at hand.
    private var change = ByteQueue(capacity: 64)
    /// Memory of a batch that was written.
    private var spare: [UInt8] = []

    init(
        _ settings: BatchOptions, _ aggregates: consuming Aggregates, form: Form,
        _ journal: Journal?
    ) {
        keys = KeyTable(limit: settings.maxKeys)
        limits = Limits(settings, form)
        windows = Windows(settings)
        self.aggregates = aggregates
        keyCount = settings.key.count
        self.journal = journal
        seq = journal?.lastSeq ?? 0
    }

    /// True when there is a closed batch to take.
    var hasClosed: Bool { !closed.isEmpty }

    // MARK: Lines

    /// Takes a line into its batch, or into all its windows. False when they are closed already:
    /// it is too late.
    mutating func take(_ line: borrowing Line, now: UInt64) throws(LineError) -> Bool {
        if let most = limits.maxBytes, limits.rejectsOversize {
            let key = keyCount > 0 && limits.writesKey ? keySize(line) : 0
            if line.bytes.count + 1 + limits.overhead + key > most {
                throw LineError(offset: 0, reason: "larger than \(most) bytes (see --max-bytes)")
            }
        }
        guard let windows else {
            takeIntoBatch(line, now: now)
            return true
        }
        switch windows.kind {
        case .sessions(let gap): return takeIntoSession(line, gap: gap)
        case .sliding(let length, let step, let phase):
            return takeIntoWindows(line, length: length, step: step, phase: phase)
        }
    }

    private mutating func takeIntoBatch(_ line: borrowing Line, now: UInt64) {
        var slot = key(line).map { order.any(of: $0) } ?? OpenBatch.none
        if limits.watchesChanges { readChange(line) }
        if slot != OpenBatch.none, mustClose(slot, before: line) {
            close(slot, now: now)
            slot = OpenBatch.none
        }
        if slot == OpenBatch.none {
            slot = open(line, from: now, to: now, now: now)
        }
        batches[slot].to = now
        append(line, to: slot, now: now)
    }

    /// True when the line cannot be in this batch.
    @inline(__always)
    func mustClose(_ slot: Int, before line: borrowing Line) -> Bool {
        limits.canOverflow && overflows(slot, with: line)
    }

    private func overflows(_ slot: Int, with line: borrowing Line) -> Bool {
        let size = batches[slot].writtenSize(limits) + line.bytes.count + 1
        if size > limits.maxBytes ?? .max { return true }
        return limits.watchesChanges && !change.bytes.isEqual(to: batches[slot].change)
    }

    mutating func append(_ line: borrowing Line, to slot: Int, now: UInt64) {
        let size = line.bytes.count + 1
        batches[slot].count += 1
        batches[slot].size += size
        if limits.isAggregated {
            aggregates.take(
                line.bytes, line.paths.found, from: keyCount, into: &states[slot])
        } else {
            batches[slot].lines.append(contentsOf: line.bytes)
            batches[slot].lines.append(UInt8(ascii: "\n"))
            heldBytes += size
        }
        journal?.append(line.bytes, to: batches[slot].journalID)
        if batches[slot].isFull(limits)
            || (limits.hasEnds && line.endsBatch)
        {
            close(slot, now: now)
        } else if heldBytes > limits.maxMemory {
            makeRoom(now: now)
        }
    }

    mutating func readChange(_ line: borrowing Line) {
        change.removeAll()
        line.appendChange(to: &change)
    }

    private func keySize(_ line: borrowing Line) -> Int {
        var queue = ByteQueue(capacity: 256)
        line.appendKey(to: &queue)
        return queue.count
    }

    /// All lines before this time have come, as far as the option --late cares. Windows that end
    /// by then are closed.
    private(set) var watermark: UInt64 = 0
    /// The ends of later windows that were closed because the input was silent. They stay so for
    /// all keys.
    private var idleEnds: Set<UInt64> = []

    // MARK: Opening and closing

    /// The index of the key of the line, if batches of it are open.
    @inline(__always)
    func key(_ line: borrowing Line) -> Int? { keyCount == 0 ? 0 : keys.index(of: line.key) }

    mutating func open(
        _ line: borrowing Line, from: UInt64, to: UInt64, now: UInt64
    ) -> Int {
        if count >= limits.maxOpen { closeOldest() }
        // There are no more keys than batches, so that none has to go for it.
        let index = keyCount == 0 ? 0 : keys.insert(line.key).index
        let slot = free.popLast() ?? batches.count
        if slot == batches.count { batches.append(OpenBatch()) }
        var batch = OpenBatch()
        batch.keyIndex = index
        batch.from = from
        batch.to = to
        if keyCount > 0 {
            var key = ByteQueue(capacity: 256)
            line.appendKey(to: &key)
            batch.key = Array(key.bytes)
        }
        if limits.watchesChanges { batch.change = Array(change.bytes) }
        if limits.isAggregated {
            if slot == states.count {
                states.append(aggregates.makeState())
            } else {
                states[slot] = aggregates.makeState()
            }
        } else if keyCount == 0 {
            swap(&batch.lines, &spare)
        }
        batch.journalID = journal?.open() ?? 0
        batch.older = newest
        batches[slot] = batch
        order.insert(slot, of: index, end: to)
        if newest == OpenBatch.none { oldest = slot } else { batches[newest].newer = slot }
        newest = slot
        count += 1
        heldBytes += batch.overhead
        serial += 1
        if let time = dueTime(slot) { due.insert(slot, due: time, serial: serial) }
        return slot
    }

    /// When the clock closes the batch, as far as is known yet.
    private func dueTime(_ slot: Int) -> UInt64? {
        if let windows { return windows.end(batches[slot]) }
        let age = limits.maxAge.map { batches[slot].from + $0 }
        let idle = limits.idle.map { batches[slot].to + $0 }
        guard let age, let idle else { return age ?? idle }
        return min(age, idle)
    }

    mutating func close(_ slot: Int, now: UInt64) {
        seq += 1
        var batch = Batch(
            seq: seq, key: batches[slot].key, count: batches[slot].count, lines: [], summary: nil,
            from: batches[slot].from, to: batches[slot].to, journalID: batches[slot].journalID)
        swap(&batch.lines, &batches[slot].lines)
        pieces.take(batches[slot].pieces, before: &batch.lines)
        if limits.isAggregated {
            var summary = ByteQueue(capacity: 256)
            let length = windows?.length(batches[slot]) ?? max(now, batch.to) - batch.from
            aggregates.append(states[slot], seconds: Double(length) / 1e9, to: &summary)
            batch.summary = Array(summary.bytes)
        }
        journal?.close(batch)
        heldBytes -= limits.isAggregated ? 0 : batches[slot].size
        closed.append(batch)
        take(out: slot)
    }

    /// Takes a batch out of the lists. Its lines are somewhere else.
    mutating func take(out slot: Int) {
        due.remove(slot)
        let (older, newer) = (batches[slot].older, batches[slot].newer)
        if older == OpenBatch.none { oldest = newer } else { batches[older].newer = newer }
        if newer == OpenBatch.none { newest = older } else { batches[newer].older = older }
        let index = batches[slot].keyIndex
        order.remove(slot, of: index)
        if keyCount > 0 && order.any(of: index) == OpenBatch.none { keys.remove(index) }
        heldBytes -= batches[slot].overhead
        count -= 1
        free.append(slot)
    }

    private mutating func closeOldest() {
        closedEarly += 1
        close(oldest, now: batches[oldest].to)
    }

    private mutating func makeRoom(now: UInt64) {
        while heldBytes > limits.maxMemory && count > 0 { closeOldest() }
    }

    // MARK: Time

    /// When the clock closes the next batch; nil when it closes none.
    var deadline: UInt64? { due.first?.due }

    /// Closes what is due by this time.
    mutating func expire(now: UInt64) {
        watermark = max(watermark, now)
        while let (slot, time) = due.first, time <= now {
            closeOrPostpone(slot, at: time, now: time)
        }
    }

    var isEmpty: Bool { count == 0 }

    func wasIdle(_ end: UInt64) -> Bool { !idleEnds.isEmpty && idleEnds.contains(end) }

    /// Closes all batches: for now nothing comes. Lines for their windows are late from now on;
    /// those of a session begin another one.
    mutating func closeIdle() {
        if case .sliding = windows?.kind {
            idleEnds = idleEnds.filter { $0 > watermark }
            var slot = oldest
            while slot != OpenBatch.none {
                idleEnds.insert(batches[slot].to)
                slot = batches[slot].newer
            }
        }
        closeAll(now: watermark)
    }

    /// Closes all batches: the time that they went by was wrong.
    mutating func beginAnew() {
        closeAll(now: watermark)
        watermark = 0
        idleEnds = []
    }

    /// Closes all batches: nothing more comes.
    mutating func closeAll(now: UInt64) {
        if windows != nil {
            while let (slot, time) = due.first { closeOrPostpone(slot, at: time, now: now) }
        }
        while oldest != OpenBatch.none { close(oldest, now: now) }
    }

    /// Closes a batch that was thought to be due at this time, unless lines came since then that
    /// put it off.
    private mutating func closeOrPostpone(_ slot: Int, at time: UInt64, now: UInt64) {
        if let later = dueTime(slot), later > time {
            due.postpone(slot, to: later)
        } else {
            close(slot, now: now)
        }
    }

    /// Takes the next closed batch out, so that its memory has one owner.
    mutating func nextClosed() -> Batch? {
        if taken == closed.count {
            closed.removeAll(keepingCapacity: true)
            taken = 0
            return nil
        }
        var batch = Batch()
        swap(&batch, &closed[taken])
        taken += 1
        return batch
    }

    /// Takes memory to use again, whatever is in it.
    mutating func reuse(_ lines: inout [UInt8]) {
        if lines.capacity == 0 { return }
        lines.removeAll(keepingCapacity: true)
        swap(&lines, &spare)
    }
}
