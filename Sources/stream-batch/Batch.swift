import Glibc
import StreamCodec
import StreamTool

/// Lines in, batches of them out.
func batch(_ run: inout Run<BatchOptions>) throws -> ExitStatus {
    let settings = run.settings
    try settings.check(command: run.command)
    let form = Form(settings)
    run.input.passesOverMissing = settings.delivery.resumes
    if let file = settings.delivery.redelivered {
        try redeliver(file, form, &run)
    } else if run.command.isEmpty && settings.delivery.shellLine == nil {
        try batch(Writer(form, run.report), form, nil, &run)
    } else {
        let journal = try settings.delivery.journalFolder.map {
            try Journal(folder: $0, syncs: settings.delivery.syncsJournal)
        }
        let delivery = try Delivery(
            settings, form: form, command: run.command, journal: journal, report: run.report)
        try batch(delivery, form, journal, &run)
    }
    return .success
}

private func batch<D: Destination & ~Copyable>(
    _ destination: consuming D, _ form: Form, _ journal: Journal?, _ run: inout Run<BatchOptions>
) throws {
    var batching = try Batching(destination, form, journal, run)
    do {
        try batching.recover(&run)
        try batching.readInputs(&run)
    } catch {
        // What came before the failure must reach the reader, too.
        try batching.end(&run, isCut: true)
        throw error
    }
    try batching.end(&run, isCut: isStopped())
}

/// The loop, with what it keeps from one line to the next.
private struct Batching<D: Destination & ~Copyable>: ~Copyable {
    private var destination: D
    private var stages: Stages
    private var line: Line
    private var open: OpenBatches
    private let journal: Journal?
    /// 1970 on the monotonic clock, which no correction moves. Wraps around.
    private let epoch = monotonicNanoseconds() &- realtimeNanoseconds()
    /// Nanoseconds since 1970 of the last read.
    private var now: UInt64 = 0
    /// Received and not yet taken.
    private var queue = ByteQueue(capacity: 512 << 10)
    /// The times are those of the lines, not of the clock.
    private let hasEventTime: Bool
    /// Nanoseconds.
    private let late: UInt64
    private var latest: UInt64 = 0
    private let keepsBlank: Bool
    /// A file may still grow: its last line may not be complete.
    private let resumes: Bool
    private var progress = Progress()
    private var read = 0
    private var duplicates = 0
    private var lateLines = 0
    private var toldNotNumbers = false

    init(
        _ destination: consuming D, _ form: Form, _ journal: Journal?,
        _ run: borrowing Run<BatchOptions>
    ) throws {
        let settings = run.settings
        let aggregates = try Aggregates(
            settings.aggregates, quantileError: settings.quantileError)
        line = try Line(settings, aggregated: aggregates.paths)
        self.destination = destination
        stages = Stages(settings, run.report)
        open = OpenBatches(settings, aggregates, form: form, journal)
        self.journal = journal
        hasEventTime = settings.time != nil
        late = settings.late ?? 0
        keepsBlank = settings.isText
        resumes = settings.delivery.resumes
    }

    // MARK: Reading

    mutating func readInputs(_ run: inout Run<BatchOptions>) throws {
        while try !destination.hasFailed && run.openInput() {
            queue.removeAll()
            var isCopy = false
            progress = try Progress(&run, journal, isCopy: &isCopy)
            if isCopy { continue }
            var lines = progress.lines(maxLine: run.settings.common.maxLine)
            reading: while !destination.hasFailed {
                run.input.watched.removeAll(keepingCapacity: true)
                destination.watch(&run.input.watched)
                let before = queue.count
                let arrival = try run.input.read(into: &queue, deadline: deadline)
                now = monotonicNanoseconds() &- epoch
                try expire(&run)
                switch arrival {
                case .bytes, .end:
                    if try isReplaced(before, &run) { break reading }
                    progress.arrived(&queue, after: before)
                    let mayGrow = resumes && run.input.file != nil && !progress.isCompressed
                    try take(&lines, atEnd: arrival == .end && !mayGrow, &run)
                    if arrival == .end || progress.isAtLimit { break reading }
                case .timeout, .request: break
                case .stopped: return
                }
                try journal?.write()
                try destination.serve(&run.output)
                if destination.isFull { try destination.makeRoom(&run.output) }
                try journal?.write()
                // The next read may block, so nothing waits in the buffer while it does.
                try run.output.flush()
            }
        }
    }

    /// True when the file was truncated while it was read: what was read since, if anything, is
    /// taken away again.
    private mutating func isReplaced(
        _ before: Int, _ run: inout Run<BatchOptions>
    ) throws -> Bool {
        guard try progress.isReplaced(queue, before: before) else { return false }
        queue.truncate(before)
        run.report.warn(
            "\(run.input.name): was truncated while it was read"
                + (resumes ? ": the next run reads what is in it" : "; what is in it is not read"))
        if !resumes { run.report.gaveUp = true }
        return true
    }

    /// When something is due by the clock, in nanoseconds of the monotonic one.
    private var deadline: UInt64? {
        let closes = hasEventTime ? nil : open.deadline
        return [closes, stages.deadline].compactMap { $0.map { $0 &+ epoch } }
            .reduce(destination.deadline) { min($0 ?? .max, $1) }
    }

    /// Takes the lines in the queue that are complete.
    private mutating func take(
        _ lines: inout LineReader, atEnd: Bool, _ run: inout Run<BatchOptions>
    ) throws {
        var isDone = false
        progress.begin(queue)
        defer {
            tellCounts(run.report)
            // The last line may be a bad one, which ends the run.
            progress.reached(isDone ? lines.number : lines.number - 1, queue)
            progress.record(in: journal)
        }
        while true {
            // With a journal, all that was read is recorded first: it would not come again.
            if journal == nil && destination.isFull {
                tellCounts(run.report)
                try destination.makeRoom(&run.output)
            }
            switch lines.next(&queue, atEnd: atEnd) {
            case .line(let range):
                let bytes = queue.bytes(range)
                if !keepsBlank && bytes.isBlank { continue }
                read += 1
                let place = Place(run.input.name, line: lines.number)
                do {
                    try take(bytes, place, &run)
                } catch let error as LineError {
                    let place = Place(run.input.name, line: lines.number, byte: error.offset + 1)
                    try run.report.reject(place, error.reason, raw: bytes)
                }
            case .tooLong(let range):
                read += 1
                try run.report.reject(
                    Place(run.input.name, line: lines.number),
                    "line longer than \(range.count) bytes (see --max-line)",
                    raw: queue.bytes(range))
            case .more:
                isDone = true
                return
            }
        }
    }

    /// A line on its way into a batch.
    private mutating func take(
        _ bytes: UnsafeBufferPointer<UInt8>, _ place: Place, _ run: inout Run<BatchOptions>
    ) throws {
        if stages.joinsChunks {
            guard let whole = try stages.join(bytes, place) else { return }
            try whole.withUnsafeBufferPointer { bytes in
                do {
                    try order(bytes, place, &run)
                } catch let error as LineError {
                    // All of the message, not only the chunk that came last.
                    try run.report.reject(place, error.reason, raw: bytes)
                }
            }
        } else {
            try order(bytes, place, &run)
        }
    }

    private mutating func order(
        _ bytes: UnsafeBufferPointer<UInt8>, _ place: Place, _ run: inout Run<BatchOptions>
    ) throws {
        try line.read(bytes)
        if !stages.isEmpty {
            if stages.isDuplicate(line, now: now) {
                duplicates += 1
                return
            }
            if stages.hold(line, place, now: now) {
                try release(&run)
                return
            }
        }
        try group(place, &run)
    }

    /// The line at hand comes into its batch.
    private mutating func group(_ place: Place, _ run: inout Run<BatchOptions>) throws {
        try group(place, run.report)
        if open.hasClosed { try passOn(&run.output) }
    }

    private mutating func group(_ place: Place, _ report: Report) throws {
        if hasEventTime {
            // What ended before this line comes first.
            latest = max(latest, line.time)
            open.expire(now: latest > late ? latest - late : 0)
        } else {
            line.time = now
        }
        if try !open.take(line, now: now) {
            lateLines += 1
            try rejectLate(place, report)
        }
        if open.aggregates.notNumbers > 0 && !toldNotNumbers { tellNotNumbers(place, report) }
    }

    private mutating func tellNotNumbers(_ place: Place, _ report: Report) {
        toldNotNumbers = true
        guard let first = open.aggregates.firstNotNumber else { return }
        let place = Place(place.input, line: place.line, byte: first.offset + 1)
        report.warn("not a number at \(first.path), so passed over (the first one)", at: place)
    }

    private func rejectLate(_ place: Place, _ report: Report) throws {
        let reason = "later than --late allows: its windows are closed"
        if report.keepsRejects {
            try report.reject(place, reason, raw: line.bytes)
            return
        }
        report.gaveUp = true
        if lateLines == 1 {
            report.warn("\(reason) (the first one; see --late, --rejects)", at: place)
        }
    }

    /// Lines whose turn it is come into their batches.
    private mutating func release(
        _ run: inout Run<BatchOptions>, atEnd: Bool = false
    ) throws {
        while let held = stages.next(now: now, atEnd: atEnd) {
            try held.bytes.withUnsafeBufferPointer { bytes in
                do {
                    try line.read(bytes)
                    try group(held.place, &run)
                } catch let error as LineError {
                    var place = held.place
                    place.byte = error.offset + 1
                    try run.report.reject(place, error.reason, raw: bytes)
                }
            }
        }
    }

    /// What is due by the clock.
    private mutating func expire(_ run: inout Run<BatchOptions>) throws {
        if stages.deadline != nil { try release(&run) }
        if !hasEventTime { open.expire(now: now) }
        if open.hasClosed { try passOn(&run.output) }
    }

    private mutating func passOn(_ output: inout Output) throws {
        while var batch = open.nextClosed() {
            try destination.add(&batch, &output)
            open.reuse(&batch.lines)
        }
    }

    // MARK: Beginning and end

    /// What an earlier run left in the journal comes first.
    mutating func recover(_ run: inout Run<BatchOptions>) throws {
        guard let journal else { return }
        let left = journal.takeRecovered()
        for note in left.notes { run.report.warn(note) }
        if left.damaged != nil { run.report.gaveUp = true }
        if !left.batches.isEmpty || !left.lines.isEmpty {
            run.report.warn(
                "an earlier run was cut off: what it left comes first,"
                    + " \(left.batches.count) batches and"
                    + " \(left.lines.count { $0 == UInt8(ascii: "\n") }) lines")
        }
        now = monotonicNanoseconds() &- epoch
        try left.lines.withUnsafeBufferPointer { lines in
            try lines.forEachLine { bytes in
                read += 1
                let place = Place(run.settings.delivery.journalFolder ?? "", line: read)
                do {
                    try line.readAgain(bytes)
                    // It is not to come again; that it is here says that it did not before.
                    _ = stages.isDuplicate(line, now: now)
                    try group(place, run.report)
                } catch let error as LineError {
                    try run.report.reject(place, error.reason, raw: bytes)
                }
            }
        }
        // Only now are the lines recorded anew, and the old records need not be there any more.
        try journal.write()
        for var batch in left.batches { try destination.add(&batch, &run.output) }
        try passOn(&run.output)
    }

    /// Closes what is open. `isCut`: the input did not come to its end.
    mutating func end(_ run: inout Run<BatchOptions>, isCut: Bool) throws {
        now = monotonicNanoseconds() &- epoch
        // What is rejected only now must not keep the rest from its reader.
        let chunks = Result {
            // Chunks that are missing because the tool was told to stop are nobody's fault.
            if !isCut { try stages.rejectAbandoned(atEnd: true) }
        }
        let held = Result { try release(&run, atEnd: true) }
        open.closeAll(now: now)
        try passOn(&run.output)
        tellCounts(run.report)
        do {
            try destination.finish(rest: queue.bytes, &run.output)
        } catch {
            if journal?.isBroken == false { try journal?.write() }
            throw error
        }
        // Told to stop, the run is to be gone on with, also when that came behind all input.
        if isCut || isStopped() {
            try journal?.write()
        } else {
            try journal?.end(keepsPositions: run.settings.delivery.resumes)
            run.report.isComplete = journal != nil
        }
        if open.closedEarly > 0 {
            run.report.warn(
                "batches that were closed early, to make room: \(open.closedEarly)"
                    + " (see --max-keys, --max-memory)")
        }
        if open.aggregates.notNumbers > 0 {
            run.report.warn("values that were no numbers: \(open.aggregates.notNumbers)")
        }
        if lateLines > 0 { run.report.warn("lines that came too late: \(lateLines)") }
        try chunks.get()
        try held.get()
    }

    private func tellCounts(_ report: Report) {
        report.recordsIn = read
        report.dropped = duplicates + (report.keepsRejects ? 0 : lateLines)
        report.set(duplicates, as: "duplicates")
        report.set(lateLines + stages.late, as: "late")
        report.set(open.closedEarly, as: "closed_early")
        report.set(open.aggregates.notNumbers, as: "not_numbers")
    }
}
