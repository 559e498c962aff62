import CLinux
import Glibc
import StreamCodec
import StreamTool

/// Gives batches to commands: closed batches wait, take their turn in one of --jobs slots, and
/// leave when a command took them, or when they are recorded as undeliverable. The tool's loop
/// calls `serve` whenever something happened; nothing here waits but `makeRoom` and `finish`.
struct Delivery: Destination, ~Copyable {
    let settings: DeliveryOptions
    let form: Form
    let report: Report
    let journal: Journal?
    let deadLetters: DeadLetterFile?
    private let spillsText: Bool
    var program: Program
    var schedule: Schedule
    /// The memory of a batch that was delivered.
    private var spare: [UInt8] = []
    /// What goes to the standard input of the next command.
    var input = ByteQueue()
    var generator = SystemRandomNumberGenerator()
    /// What ended the run. Nothing is started any more; commands that run may end.
    private(set) var failure: Failure? { didSet { schedule.isHeld = true } }
    /// When the time that is left to finish in is over, once a signal asked to stop.
    private var stopTime: UInt64?
    /// That time is over.
    private var isCut = false { didSet { schedule.isHeld = true } }

    init(
        _ settings: BatchOptions, form: Form, command: [Operand], journal: Journal?,
        report: Report
    ) throws {
        let runID = journal?.run ?? newRunID()
        let letters = try settings.delivery.deadLetterFile.map {
            try DeadLetterFile(
                path: $0, form: form, maxDepth: settings.common.maxDepth, run: runID)
        }
        let line = settings.delivery.shellLine
        let shell = line.map { ["/bin/sh", "-c", "--", $0].map { Array($0.utf8CString) } }
        program = try Program(
            shell ?? command.map(\.path), run: runID,
            givesResults: settings.delivery.takesResults)
        deadLetters = letters
        spillsText = settings.isText && settings.format != .lines
        self.settings = settings.delivery
        self.form = form
        self.journal = journal
        self.report = report
        schedule = Schedule(settings.delivery, hasJournal: journal != nil)
        // Behind the grace commands get --kill-after, and the rest 5 seconds to be put away.
        let grace = settings.delivery.grace + settings.delivery.killAfter
        clinux_set_grace(Int32(clamping: grace / 1_000_000_000 + 5))
        report.outputGrace = settings.delivery.grace
        clinux_watch_children()
        // Three pipes a command at most, and as many again while one starts.
        clinux_allow_descriptors(UInt64(3 * settings.delivery.jobs + 64))
    }

    // MARK: What the tool's loop calls

    /// True while no more batches should be added, or the run failed.
    var isFull: Bool { hasFailed || schedule.isFull }

    var turns: [Turn] { schedule.turns }

    /// Nothing more will be delivered: the loop should stop reading.
    var hasFailed: Bool { failure != nil }

    /// Takes a batch, also when it is full.
    mutating func add(_ batch: inout Batch, _ output: inout Output) throws {
        report.add(to: "batches")
        schedule.add(batch)
        batch.lines = []
        swap(&batch.lines, &spare)
    }

    /// Takes in what commands wrote and which ended, writes finished output, starts what can
    /// start. Does not wait.
    mutating func serve(_ output: inout Output) throws {
        let now = monotonicNanoseconds()
        noteStop(now)
        try receive()
        endAttempts(now)
        for turn in turns { turn.child?.enforce(settings, now: now) }
        writeOutput(&output)
        schedule.takeTurns()
        startAttempts(now)
    }

    /// Waits until it is no longer full, or has failed, or a signal asks to stop.
    mutating func makeRoom(_ output: inout Output) throws {
        try serve(&output)
        while isFull && !hasFailed && !isStopped() {
            try wait()
            try serve(&output)
        }
    }

    /// When `serve` must be called at the latest, in nanoseconds of the monotonic clock.
    var deadline: UInt64? {
        var earliest = isCut ? nil : stopTime
        for turn in turns {
            if let next = turn.child?.deadline { earliest = min(earliest ?? .max, next) }
        }
        if let next = schedule.nextStart { earliest = min(earliest ?? .max, next) }
        return earliest
    }

    /// Appends what to wait for besides the input.
    func watch(_ descriptors: inout [pollfd]) {
        for turn in turns { turn.child?.appendDescriptors(to: &descriptors) }
    }

    /// The end of the input, or of the run: delivers all that was added, if it can.
    mutating func deliverRest(_ output: inout Output) throws {
        do {
            try journal?.write()
        } catch {
            fail(error)
        }
        schedule.isAtEnd = true
        try serve(&output)
        while isBusy {
            try wait()
            try serve(&output)
        }
    }

    var lineDeadline: UInt64? {
        if isDone || keepsLeft { return nil }
        return stopTime ?? monotonicNanoseconds() + settings.grace
    }

    // MARK: Waiting

    private func wait() throws {
        // A child that ended before now did not wake what did not wait yet.
        if clinux_child_ended() != 0 { return }
        var descriptors: [pollfd] = []
        watch(&descriptors)
        try report.wait(for: &descriptors, until: deadline)
    }

    private var isBusy: Bool {
        if turns.contains(where: { $0.child != nil }) { return true }
        let hasWork =
            (schedule.waiting.count > 0 && !isWaitingForNext) || turns.contains(where: \.isWaiting)
        return hasWork && !hasFailed && !isCut
    }

    /// A batch was left to the next run, and those behind it are, too, so that they stay in order.
    private var isWaitingForNext: Bool { turns.contains(where: \.isGivenUp) }

    /// What is left stays in the journal.
    private var keepsLeft: Bool { journal?.isBroken == false }

    /// A signal to stop: what is closed is still delivered, while --grace lasts. A second signal
    /// ends that time.
    private mutating func noteStop(_ now: UInt64) {
        guard isStopped(), !isCut else { return }
        let end = stopTime ?? now + settings.grace
        stopTime = end
        schedule.isStopping = true
        guard now >= end || clinux_is_hurried() != 0 else { return }
        isCut = true
        for turn in turns { turn.child?.terminate(.stopped, killAt: now + settings.killAfter) }
    }

    var isStopping: Bool { stopTime != nil }

    // MARK: Output

    /// Writes what commands wrote that ended well, and forgets the batches that are over.
    private mutating func writeOutput(_ output: inout Output) {
        // With --keep-order up to the first batch that is still to be delivered.
        let end =
            settings.keepsOrder
            ? turns.firstIndex { !$0.isOver && !isOver($0) }.map { $0 + 1 } ?? turns.count
            : turns.count
        for turn in turns[..<end] {
            let inOrder = settings.keepsOrder && !isOver(turn)
            for (part, child) in turn.delivered where turn.isReady(part, inOrder: inOrder) {
                append(child.written.bytes, to: &output.buffer)
            }
        }
        do {
            try output.flush()
            for index in 0..<end { finishOutput(index) }
            schedule.turns[..<end].removeAll { $0.isDelivered && $0.delivered.isEmpty }
        } catch {
            output.buffer.removeAll()
            for index in 0..<end { schedule.turns[index].takeBack() }
            fail(error)
        }
    }

    /// Appends what a command wrote. A text that does not end its last line gets a line feed, or
    /// the next one would begin on it.
    private func append(_ text: UnsafeBufferPointer<UInt8>, to buffer: inout ByteQueue) {
        buffer.append(text)
        guard let last = text.last, last != UInt8(ascii: "\n") else { return }
        if settings.keepsOutput { return }
        if UTF8Text.isValid(text) && !text.contains(0) { buffer.append(UInt8(ascii: "\n")) }
    }

    /// What is left of it is not delivered any more in this run.
    private func isOver(_ turn: Turn) -> Bool {
        turn.running == nil && (schedule.isHeld || turn.isGivenUp)
    }

    private mutating func finishOutput(_ index: Int) {
        let before = turns[index].delivered.reduce(0) { $0 + $1.part.count }
        let inOrder = settings.keepsOrder && !isOver(turns[index])
        schedule.turns[index].finishOutput(inOrder: inOrder)
        report.recordsOut += before - turns[index].delivered.reduce(0) { $0 + $1.part.count }
        guard turns[index].isDelivered, turns[index].delivered.isEmpty else { return }
        swap(&spare, &schedule.turns[index].batch.lines)
        journal?.finish(turns[index].batch.journalID)
    }

    // MARK: Turns

    private mutating func startAttempts(_ now: UInt64) {
        while let (turn, piece) = schedule.next(at: now) {
            do {
                try journal?.write()
            } catch {
                fail(error)
                return
            }
            startAttempt(turn, piece, now)
        }
    }

    /// What cannot be written ends the run in order: what is not delivered must get to where it
    /// is safe.
    mutating func fail(_ error: any Error) {
        if hasFailed { return }
        failure = error as? Failure ?? Failure(.internalError, "\(error)")
    }

    // MARK: What is left

    private var isDone: Bool { !hasFailed && !isCut && !turns.contains(where: \.isGivenUp) }

    /// What was not delivered becomes a dead letter, stays in the journal, or is spilled.
    mutating func finish(_ rest: borrowing Rest, _ output: inout Output) throws {
        if isDone { return }
        schedule.takeRest()
        if isCut && !hasFailed && !keepsLeft && deadLetters != nil {
            for index in turns.indices { buryAll(index) }
            writeOutput(&output)
        }
        var spill = Spill(isText: spillsText)
        for turn in turns { spill.append(turn.batch, turn.parts, form) }
        if !keepsLeft { spill.append(rest: rest.lines.bytes) }
        if spill.isEmpty {
            if !rest.note.isEmpty { report.warn(rest.note) }
            if let failure { throw failure }
            return
        }
        try tellLeft(spill, rest.note)
    }

    private mutating func tellLeft(_ spill: borrowing Spill, _ note: String) throws {
        let isOne = spill.count == 1
        var text = "\(spill.count) line\(isOne ? " that was" : "s that were") not delivered "
        if keepsLeft {
            text += isOne ? "stays in the journal" : "stay in the journal"
        } else {
            do {
                text += "\(isOne ? "is" : "are") in \(try spill.write(to: settings.spillFolder))"
            } catch {
                let reason = (error as? Failure)?.message ?? "\(error)"
                text += "\(isOne ? "is" : "are") lost: \(reason)"
            }
        }
        if !note.isEmpty { text += "; \(note)" }
        guard let failure else {
            if !keepsLeft || !isStopping { throw Failure(.unavailable, text) }
            report.warn(text)
            return
        }
        if failure.status == .unavailable {
            throw Failure(.unavailable, "\(failure.message); \(text)")
        }
        // The failure itself may be one of standard output, which somebody else tells of, too.
        report.error(text)
        throw failure
    }
}
