import CLinux
import Glibc
import StreamCodec
import StreamTool

/// --redeliver: each dead letter is the batch, or the part of one, that it was. Options that make
/// batches of lines have nothing to do.
func redeliver(_ file: Operand, _ form: Form, _ run: inout Run<BatchOptions>) throws {
    let settings = run.settings
    try checkRedelivery(file, run)
    var delivery = try Delivery(
        settings, form: form, command: run.command, journal: nil, report: run.report)
    awaitWriters(of: file)
    run.read([file])
    do {
        try deliverLetters(&delivery, &run)
    } catch {
        // What came before the failure was accepted.
        try delivery.deliverRest(&run.output)
        try delivery.finish(Rest(), &run.output)
        throw error
    }
    try delivery.deliverRest(&run.output)
    try delivery.finish(Rest(), &run.output)
}

private func checkRedelivery(
    _ file: Operand, _ run: borrowing Run<BatchOptions>
) throws(UsageError) {
    let delivery = run.settings.delivery
    if !run.operands.isEmpty { throw UsageError("--redeliver takes no other files") }
    if delivery.journalFolder != nil {
        throw UsageError("--redeliver and --journal exclude each other")
    }
}

/// Whoever had the file open under its old name has it no more once it can be locked.
private func awaitWriters(of file: Operand) {
    let descriptor = file.name == "-" ? -1 : clinux_open_input(file.path)
    guard descriptor >= 0 else { return }
    while flock(descriptor, LOCK_EX) != 0 && errno == EINTR && !isStopped() {}
    close(descriptor)
}

private func deliverLetters(
    _ delivery: inout Delivery, _ run: inout Run<BatchOptions>
) throws {
    var reader = try LetterReader(run.settings)
    // A letter holds a batch, which may be longer than any line of it.
    let longest = 1 << 40
    var queue = ByteQueue(capacity: 512 << 10)
    while try !delivery.hasFailed && run.openInput() {
        var lines = LineReader(maxLine: longest)
        queue.removeAll()
        reading: while !delivery.hasFailed {
            run.input.watched.removeAll(keepingCapacity: true)
            delivery.watch(&run.input.watched)
            let arrival = try run.input.read(into: &queue, deadline: delivery.deadline)
            taking: while arrival == .bytes || arrival == .end {
                if delivery.isFull { try delivery.makeRoom(&run.output) }
                if delivery.hasFailed || isStopped() { break reading }
                switch lines.next(&queue, atEnd: arrival == .end) {
                case .line(let range):
                    try deliver(
                        queue.bytes(range), Place(run.input.name, line: lines.number), &reader,
                        &delivery, &run)
                case .tooLong, .more: break taking
                }
            }
            if arrival == .end { break reading }
            if arrival == .stopped { return }
            try delivery.serve(&run.output)
            try run.output.flush()
        }
    }
}

private func deliver(
    _ letter: UnsafeBufferPointer<UInt8>, _ place: Place, _ reader: inout LetterReader,
    _ delivery: inout Delivery, _ run: inout Run<BatchOptions>
) throws {
    if letter.isBlank { return }
    do {
        var batch = try reader.batch(in: letter)
        run.report.recordsIn += batch.count
        try delivery.add(&batch, &run.output)
    } catch let error as LineError {
        var place = place
        place.byte = error.offset + 1
        try run.report.reject(place, "no dead letter: \(error.reason)", raw: letter)
    }
}
