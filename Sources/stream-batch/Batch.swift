import Glibc
import StreamCodec
import StreamTool

/// Lines in, batches of them out.
func batch(_ run: inout Run<BatchOptions>) throws -> ExitStatus {
    let settings = run.settings
    try settings.check(command: run.command)
    if run.command.isEmpty, settings.delivery.redelivered == nil,
        let word = run.operands.first(where: isProgram)
    {
        throw UsageError(
            "'\(word.name)' is no file but a program: put -- before a command and its arguments")
    }
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

/// There is no file of this name, and there is a program.
private func isProgram(_ operand: Operand) -> Bool {
    guard !operand.name.contains("/"), access(operand.name, F_OK) != 0,
        let folders = getenv("PATH").map({ String(cString: $0) })
    else { return false }
    return folders.split(separator: ":").contains { access("\($0)/\(operand.name)", X_OK) == 0 }
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
struct Batching<D: Destination & ~Copyable>: ~Copyable {
    var destination: D
    var stages: Stages
    var line: Line
    var open: OpenBatches
    let journal: Journal?
    /// 1970 on the monotonic clock, which no correction moves. Wraps around.
    let epoch = monotonicNanoseconds() &- realtimeNanoseconds()
    /// Nanoseconds since 1970 of the last read.
    var now: UInt64 = 0
    /// Received and not yet taken.
    var queue = ByteQueue(capacity: 512 << 10)
    /// The times are those of the lines, not of the clock.
    let hasEventTime: Bool
    var time: EventTime
    /// Lines whose time cannot be believed unless the next ones agree: a few.
    var doubtful: [Stages.HeldLine] = []
    let keepsBlank: Bool
    /// A file may still grow: its last line may not be complete.
    let resumes: Bool
    var progress = Progress()
    var read = 0
    /// Lines of the current input that were taken: the queue begins with the next one.
    var taken = 0
    var duplicates = 0
    var lateLines = 0
    var toldNotNumbers = false

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
        time = EventTime(settings)
        keepsBlank = settings.isText
        resumes = settings.delivery.resumes
    }

    // MARK: Reading

    mutating func readInputs(_ run: inout Run<BatchOptions>) throws {
        while try !destination.hasFailed && run.openInput() {
            queue.removeAll()
            taken = 0
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
                    time.heard = now
                    if try isReplaced(before, &run) { break reading }
                    progress.arrived(&queue, after: before)
                    let mayGrow = resumes && run.input.file != nil && !progress.isCompressed
                    try take(&lines, atEnd: arrival == .end && !mayGrow, &run)
                    if arrival == .end || progress.isAtLimit { break reading }
                case .timeout: try closeIdle(&run)
                case .request: break
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
    var deadline: UInt64? {
        let due = hasEventTime ? [idleDeadline] : [open.deadline, stages.deadline]
        return due.compactMap { $0.map { $0 &+ epoch } }
            .reduce(destination.deadline) { min($0 ?? .max, $1) }
    }

    var idleDeadline: UInt64? {
        guard let idle = time.idleClose else { return nil }
        let isHolding = !open.isEmpty || stages.deadline != nil
        return isHolding ? time.heard + idle : nil
    }

    /// Takes the lines in the queue that are complete.
    mutating func take(
        _ lines: inout LineReader, atEnd: Bool, _ run: inout Run<BatchOptions>
    ) throws {
        var isDone = false
        progress.begin(queue)
        defer {
            tellCounts(run.report)
            // The last line may be a bad one, which ends the run.
            taken = isDone ? lines.number : lines.number - 1
            progress.reached(taken, queue)
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
    mutating func take(
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

    mutating func order(
        _ bytes: UnsafeBufferPointer<UInt8>, _ place: Place, _ run: inout Run<BatchOptions>
    ) throws {
        try line.read(bytes)
        if hasEventTime, try !believe(bytes, place, &run) { return }
        try stage(place, &run)
    }

    /// The line at hand passes the stages before its batch.
    mutating func stage(_ place: Place, _ run: inout Run<BatchOptions>) throws {
        if stages.isEmpty { return try group(place, &run) }
        if hasEventTime { time.goOn(to: line.time) }
        if stages.isDuplicate(line, now: stageTime) {
            duplicates += 1
        } else if !stages.hold(line, place, now: stageTime) {
            try group(place, &run)
        }
        // Also where it passed, the time that it said may be that of others to go.
        try release(&run)
    }

    /// What durations go by.
    var stageTime: UInt64 { hasEventTime ? time.now : now }

    /// The line at hand comes into its batch.
    mutating func group(_ place: Place, _ run: inout Run<BatchOptions>) throws {
        try group(place, run.report)
        if open.hasClosed { try passOn(&run.output) }
    }

    mutating func group(_ place: Place, _ report: Report) throws {
        if hasEventTime {
            // What ended before this line comes first.
            open.expire(now: time.watermark(after: line))
        } else {
            line.time = now
        }
        let isTaken: Bool
        do {
            isTaken = try open.take(line, now: now)
        } catch {
            stages.forget(line)
            throw error
        }
        if !isTaken {
            stages.forget(line)
            lateLines += 1
            try rejectLate(place, report)
        }
        if open.aggregates.notNumbers > 0 && !toldNotNumbers { tellNotNumbers(place, report) }
    }

    mutating func tellNotNumbers(_ place: Place, _ report: Report) {
        toldNotNumbers = true
        guard let first = open.aggregates.firstNotNumber else { return }
        let place = Place(place.input, line: place.line, byte: first.offset + 1)
        report.warn("not a number at \(first.path), so passed over (the first one)", at: place)
    }

    func rejectLate(_ place: Place, _ report: Report) throws {
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
    mutating func release(
        _ run: inout Run<BatchOptions>, atEnd: Bool = false
    ) throws {
        while let held = stages.next(now: stageTime, atEnd: atEnd) {
            try again(held, &run) { (batching, run) throws in
                try batching.group(held.place, &run)
            }
        }
    }

    /// Reads a line that was held once more, and goes on with it.
    mutating func again(
        _ held: Stages.HeldLine, _ run: inout Run<BatchOptions>,
        _ goOn: (inout Self, inout Run<BatchOptions>) throws -> Void
    ) throws {
        try held.bytes.withUnsafeBufferPointer { bytes in
            do {
                try line.read(bytes)
                try goOn(&self, &run)
            } catch let error as LineError {
                var place = held.place
                place.byte = error.offset + 1
                try run.report.reject(place, error.reason, raw: bytes)
            }
        }
    }

    /// What is due by the clock.
    mutating func expire(_ run: inout Run<BatchOptions>) throws {
        if !hasEventTime {
            if stages.deadline != nil { try release(&run) }
            open.expire(now: now)
        }
        if open.hasClosed { try passOn(&run.output) }
    }

    /// Closes what is open when the input is silent for too long.
    mutating func closeIdle(_ run: inout Run<BatchOptions>) throws {
        guard hasEventTime, let due = idleDeadline, now >= due else { return }
        // It may be that this program slept, or had no time to read.
        guard run.input.isQuiet else {
            time.heard = now
            return
        }
        // Lines that wait for others that agree with them go on waiting: in a slow stream these
        // come after a silence.
        try release(&run, atEnd: true)
        open.closeIdle()
        try passOn(&run.output)
    }

    mutating func passOn(_ output: inout Output) throws {
        while var batch = open.nextClosed() {
            try destination.add(&batch, &output)
            open.reuse(&batch.lines)
        }
    }
}
