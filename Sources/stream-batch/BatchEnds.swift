import Glibc
import StreamCodec
import StreamTool

extension Batching where D: ~Copyable {
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
                    if hasEventTime {
                        _ = time.verdict(on: line.time)
                        time.goOn(to: line.time)
                    }
                    // It is not to come again; that it is here says that it did not before.
                    _ = stages.isDuplicate(line, now: stageTime)
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
        let held = Result {
            time.dismiss()
            try dismissDoubtful(&run)
            try release(&run, atEnd: true)
        }
        open.closeAll(now: now)
        try passOn(&run.output)
        tellCounts(run.report)
        do {
            try destination.deliverRest(&run.output)
            try destination.finish(readRest(&run), &run.output)
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

    /// What was read and is in no batch, as whole lines: half a line would be taken for a record.
    mutating func readRest(_ run: inout Run<BatchOptions>) -> Rest {
        var rest = Rest()
        guard let deadline = destination.lineDeadline else { return rest }
        if let last = queue.bytes.last, last != UInt8(ascii: "\n") {
            let limit = run.settings.common.maxLine
            // A read that fails leaves the line as incomplete as one that comes too late.
            let isWhole = try? run.input.finishLine(in: &queue, limit: limit, until: deadline)
            let whole = queue.bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            // One that is too long will be refused as that again.
            if isWhole != true && queue.count - whole <= limit {
                rest.note =
                    "left out the last \(queue.count - whole) bytes that were read of"
                    + " \(run.input.name), a line that has not ended"
                queue.truncate(whole)
            }
        }
        rest.lines.append(queue.bytes)
        if run.input.hasUnread && rest.note.isEmpty {
            let line = taken + queue.bytes.count { $0 == UInt8(ascii: "\n") } + 1
            rest.note = "\(run.input.name) was not read from line \(line) on"
        }
        return rest
    }

    func tellCounts(_ report: Report) {
        report.recordsIn = read
        report.dropped = duplicates + (report.keepsRejects ? 0 : lateLines)
        report.set(duplicates, as: "duplicates")
        if time.evictions > 0 { report.set(time.evictions, as: "forgotten_senders") }
        report.set(lateLines + stages.late, as: "late")
        report.set(open.closedEarly, as: "closed_early")
        report.set(open.aggregates.notNumbers, as: "not_numbers")
    }
}
