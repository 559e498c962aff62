import CLinux
import Glibc
import StreamCodec
import StreamTool

/// The attempts of the batches that have their turn: how each starts, and what its end means.
extension Delivery {
    mutating func startAttempt(_ index: Int, _ piece: Int, _ now: UInt64) {
        if schedule.start(index, piece, at: now) { report.add(to: "rate_limited") }
        let part = turns[index].pieces[piece].part
        input.removeAll()
        form.append(turns[index].content(of: part), to: &input, forCommand: true)
        report.add(to: "deliveries")
        let attempt = turns[index].pieces[piece].state.attempts
        if attempt > 1 { report.add(to: "retries") }
        switch program.start(part, of: turns[index].batch, attempt: attempt, input: input.bytes) {
        case .success(let child):
            schedule.turns[index].child = Child(child, deadline: settings.timeout.map { now + $0 })
        case .failure(let error):
            end(index, .cannotStart(errno: error.code), nil, now)
        }
    }

    /// Takes in what waits in the pipes.
    func receive() throws {
        var descriptors: [pollfd] = []
        watch(&descriptors)
        if descriptors.isEmpty { return }
        let count = clinux_poll(&descriptors, descriptors.count, 0)
        if count < 0 && errno != EINTR { throw Failure(.systemError, errno: errno, "poll") }
        if count <= 0 { return }
        var ready = descriptors[...]
        for turn in turns { turn.child?.receive(&ready, report) }
    }

    /// Takes in which commands ended.
    mutating func endAttempts(_ now: UInt64) {
        if clinux_child_ended() == 0 { return }
        // Before they are looked at: one that ends meanwhile sets it again.
        clinux_clear_child_ended()
        for index in turns.indices {
            guard let child = turns[index].child, let ending = child.reap(settings, report) else {
                continue
            }
            end(index, ending, child, now)
        }
    }

    private mutating func end(_ index: Int, _ ending: Ending, _ child: Child?, _ now: UInt64) {
        guard let piece = schedule.turns[index].stopRunning() else { return }
        let count = turns[index].pieces[piece].part.count
        let said = child.map { child in
            Result { () throws(Results.Problem) in
                try Results(child.resultLines.bytes, count: count)
            }
        }
        if case .success(let results) = said, let wait = results.retryAfter {
            schedule.delay(index, piece, until: now + wait)
        }
        var ending = ending
        if ending == .status(0), let child, let said {
            switch said {
            case .success(let results) where results.isEmpty: break
            case .success(let results):
                if results.takesNothing(of: count) {
                    ending = .item(results.firstError)
                } else {
                    endItems(index, piece, results, child, now)
                    return
                }
            case .failure(let problem):
                ending = .badResults("line \(problem.line): \(problem.reason)")
            }
        }
        end(index, piece, ending, child, now)
    }

    private mutating func end(
        _ index: Int, _ piece: Int, _ ending: Ending, _ child: Child?, _ now: UInt64
    ) {
        let isAnswer =
            if case .status(let status) = ending {
                status == 0 || settings.permanent.contains(status)
            } else { false }
        if isAnswer {
            answer(index, piece)
        } else if schedule.fail(index, piece, at: now) {
            report.add(to: "breaker_opened")
            let pause = durationText(settings.breaker?.duration ?? 0)
            report.warn("\(ending): too many attempts failed in a row: waiting \(pause)")
        }
        if ending == .status(0) {
            schedule.turns[index].deliver(piece, child)
        } else {
            report.add(to: "failed_attempts")
            if case .timeout = ending { report.add(to: "timeouts") }
            schedule.turns[index].change(piece) {
                $0.ending = ending
                $0.errorLine = child?.lastErrorLine ?? ""
            }
            retry(index, piece, isPermanent: isAnswer, now)
        }
        if isAnswer { followSettled(now) }
    }

    private mutating func answer(_ index: Int, _ piece: Int) {
        if schedule.answer(index, piece) { report.info("a command was answered: going on") }
    }

    /// What an answer says of others.
    private mutating func followSettled(_ now: UInt64) {
        while !hasFailed, let (index, piece, verdict) = schedule.settled() {
            follow(verdict, index, piece, now)
        }
    }

    /// Some items of an attempt failed, and the others are delivered or refused for good.
    private mutating func endItems(
        _ index: Int, _ piece: Int, _ results: Results, _ child: Child, _ now: UInt64
    ) {
        answer(index, piece)
        report.add(results.failures.count, to: "failed_items")
        let whole = turns[index].pieces[piece]
        let lines = turns[index].batch.lines
        let taken = whole.part.choose(from: lines) { results.failures[$0] == nil }
        let refused = results.refused().flatMap { error, items in
            pieces(whole, whole.part.choose(from: lines) { items.contains($0) }, error)
        }
        var again = pieces(
            whole,
            whole.part.choose(from: lines) { results.failures[$0]?.mayBeRetried == true },
            results.firstError)
        for place in again.indices { schedule.failItems(of: &again[place].state) }
        schedule.turns[index].deliver(piece, taken, child, left: refused + again)
        for _ in refused where !hasFailed { giveUp(index, piece) }
        for place in (piece..<piece + again.count).reversed() where !hasFailed {
            retry(index, place, isPermanent: false, now)
        }
        followSettled(now)
    }

    private func pieces(_ whole: Piece, _ parts: [Part], _ error: String) -> [Piece] {
        parts.map { part in
            var piece = whole
            piece.part = part
            piece.ending = .item(error)
            piece.errorLine = ""
            return piece
        }
    }

    /// An attempt failed: what now.
    private mutating func retry(_ index: Int, _ piece: Int, isPermanent: Bool, _ now: UInt64) {
        let turn = turns[index]
        let ending = turn.pieces[piece].ending
        if hasFailed { return }
        let isStop = [SIGTERM, SIGINT, SIGHUP].contains { ending == .signal($0) }
        if isStopping, !turn.wasInterrupted, isStop {
            // A supervisor sends it to all processes of a service.
            schedule.turns[index].wasInterrupted = true
        } else if isStopping {
            // With a journal the next run tries it again.
            follow(journal == nil ? .refused : .left, index, piece, now)
        } else if isPermanent {
            follow(schedule.canBeSplit(turn, piece) ? .split : .refused, index, piece, now)
        } else if case .badResults = ending,
            turn.pieces[piece].state.attempts > settings.retries
        {
            // That is no fault of the lines, and no receiver that is away.
            fail(Failure(.unavailable, "batch \(turn.batch.seq) cannot be delivered: \(ending)"))
        } else {
            let backoff = settings.backoff
            var generator = generator
            let verdict = schedule.verdict(index, piece, at: now) {
                backoff.wait(before: $0, using: &generator)
            }
            self.generator = generator
            follow(verdict, index, piece, now)
        }
    }

    private mutating func follow(
        _ verdict: Policy.Verdict, _ index: Int, _ piece: Int, _ now: UInt64
    ) {
        switch verdict {
        case .again:
            tellRetry(index, piece, now)
        case .split:
            report.add(to: "bisected")
            schedule.split(index, piece)
        case .aside:
            if turns[index].pieces[piece].state.attempts == settings.retries + 1 {
                report.add(to: "set_aside")
            }
        case .refused:
            giveUp(index, piece)
        case .left:
            schedule.turns[index].isGivenUp = true
        }
    }

    private func tellRetry(_ index: Int, _ piece: Int, _ now: UInt64) {
        let (turn, piece) = (turns[index], turns[index].pieces[piece])
        guard piece.state.notBefore > now else { return }
        let wait = durationText(piece.state.notBefore - now)
        report.info("batch \(turn.batch.seq): \(piece.ending); trying again in \(wait)")
    }

    /// A part that cannot be delivered becomes a dead letter, or ends the run.
    private mutating func giveUp(_ index: Int, _ piece: Int) {
        let turn = turns[index]
        let letter = DeadLetter(turn.batch, turn.pieces[piece])
        let name =
            letter.part.count == letter.batch.count && letter.part.first == 1
            ? "batch \(letter.batch.seq)" : "batch \(letter.batch.seq), lines \(letter.part.name)"
        let message = "\(name) cannot be delivered: \(letter.reason)"
        guard let deadLetters else {
            fail(Failure(.unavailable, message))
            return
        }
        do {
            try deadLetters.append(letter)
            report.warn("\(message); it is in \(deadLetters.path)")
            report.add(letter.part.count, to: "dead_lettered")
            report.gaveUp = true
            schedule.turns[index].remove(piece, isRefused: true)
        } catch {
            fail(error)
        }
    }

    /// All that is left of a batch becomes dead letters: there was no time to deliver it.
    mutating func buryAll(_ index: Int) {
        while !turns[index].pieces.isEmpty, !hasFailed {
            schedule.turns[index].change(0) {
                $0.ending = .stopped
                $0.errorLine = ""
            }
            giveUp(index, 0)
        }
    }
}
