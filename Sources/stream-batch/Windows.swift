import StreamCodec

/// How time is cut into batches.
struct Windows {
    enum Kind {
        /// Windows of this length, one beginning at each multiple of the step and the phase.
        case sliding(length: UInt64, step: UInt64, phase: UInt64)
        /// As long as no gap is so long.
        case sessions(gap: UInt64)
    }

    let kind: Kind

    /// Nil: batches begin with their first line.
    init?(_ settings: BatchOptions) {
        guard settings.hasWindows else { return nil }
        if let gap = settings.idle {
            kind = .sessions(gap: gap)
        } else {
            let length = settings.maxAge ?? 0
            let step = settings.sliding ?? length
            kind = .sliding(
                length: length, step: step, phase: settings.offset?.phase(in: step) ?? 0)
        }
    }

    /// How much time the batch is of.
    func length(_ batch: OpenBatch) -> UInt64 {
        // A window may begin before 1970, which `from` does not say.
        if case .sliding(let length, _, _) = kind { return length }
        return batch.to - batch.from
    }

    /// Behind this time no line can come into the batch any more.
    func end(_ batch: OpenBatch) -> UInt64 {
        switch kind {
        case .sliding: batch.to
        case .sessions(let gap): batch.to + gap
        }
    }
}

/// How much later than at multiples of their length windows begin, or earlier.
struct Offset {
    var duration: UInt64
    var isNegative: Bool

    func phase(in step: UInt64) -> UInt64 {
        let rest = duration % step
        return isNegative && rest > 0 ? step - rest : rest
    }
}

/// Batches that are windows of time, or sessions. A line may be in several of the one, and makes
/// one of several of the other.
extension OpenBatches {
    mutating func takeIntoWindows(
        _ line: borrowing Line, length: UInt64, step: UInt64, phase: UInt64
    ) -> Bool {
        if limits.watchesChanges { readChange(line) }
        var end = (line.time + step - phase) / step * step + phase
        var isTaken = false
        var next = window(line, endingAt: end)
        while end <= line.time + length {
            if end > watermark && !wasIdle(end) {
                let seqBefore = seq
                let slot = take(line, into: next, from: end > length ? end - length : 0, to: end)
                isTaken = true
                next =
                    seq == seqBefore
                    ? order.later(than: slot) : window(line, endingAt: end + step)
            }
            end += step
        }
        return isTaken
    }

    /// The first window of the line's key that ends then or later.
    private func window(_ line: borrowing Line, endingAt end: UInt64) -> Int {
        key(line).map { order.first(of: $0, endingAt: end) } ?? OpenBatch.none
    }

    /// Takes the line into the window, which is `slot` if that ends then.
    private mutating func take(
        _ line: borrowing Line, into slot: Int, from: UInt64, to end: UInt64
    ) -> Int {
        var slot = slot
        if slot != OpenBatch.none, batches[slot].to != end { slot = OpenBatch.none }
        if slot != OpenBatch.none, mustClose(slot, before: line) {
            close(slot, now: end)
            slot = OpenBatch.none
        }
        if slot == OpenBatch.none { slot = open(line, from: from, to: end, now: end) }
        append(line, to: slot, now: end)
        return slot
    }

    mutating func takeIntoSession(_ line: borrowing Line, gap: UInt64) -> Bool {
        let time = line.time
        if limits.watchesChanges { readChange(line) }
        var session = OpenBatch.none
        // Two at the most: no open ones of a key are nearer to each other than the gap.
        var slot = window(line, endingAt: time < gap ? 0 : time - gap + 1)
        while slot != OpenBatch.none && batches[slot].from < time + gap {
            let next = order.later(than: slot)
            if mustClose(slot, before: line) {
                close(slot, now: batches[slot].to)
            } else if session == OpenBatch.none {
                session = slot
            } else if fit(session, slot, line) {
                merge(session, slot)
            } else {
                close(session, now: batches[session].to)
                session = slot
            }
            slot = next
        }
        if session == OpenBatch.none {
            if time + gap <= watermark { return false }
            session = open(line, from: time, to: time, now: time + gap)
        }
        batches[session].from = min(batches[session].from, time)
        if time > batches[session].to {
            batches[session].to = time
            order.postpone(session, to: time)
        }
        append(line, to: session, now: time)
        return true
    }

    /// True when two sessions and one line more make one batch.
    private func fit(_ one: Int, _ other: Int, _ line: borrowing Line) -> Bool {
        let size = batches[one].writtenSize(limits) + batches[other].size + line.bytes.count + 1
        return batches[one].count + batches[other].count < limits.count
            && size <= limits.maxBytes ?? .max
    }

    /// Makes a session and the next one of its key one, the lines of that behind its own.
    private mutating func merge(_ first: Int, _ second: Int) {
        batches[first].count += batches[second].count
        batches[first].size += batches[second].size
        var lines: [UInt8] = []
        swap(&lines, &batches[first].lines)
        pieces.append(&lines, to: &batches[first].pieces)
        pieces.append(batches[second].pieces, to: &batches[first].pieces)
        swap(&lines, &batches[second].lines)
        swap(&lines, &batches[first].lines)
        batches[first].to = batches[second].to
        if limits.isAggregated {
            aggregates.merge(states[second], into: &states[first])
        }
        journal?.merge(batches[second].journalID, into: batches[first].journalID)
        take(out: second)
        order.postpone(first, to: batches[first].to)
    }
}
