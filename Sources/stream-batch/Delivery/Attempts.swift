import CLinux
import Glibc
import StreamCodec
import StreamTool

/// The attempts of the batches that have their turn: how each starts, and what its end means.
extension Delivery {
    mutating func startAttempt(_ index: Int, _ now: UInt64) {
        guard let part = turns[index].parts.last else { return }
        input.removeAll()
        form.append(turns[index].content(of: part), to: &input, forCommand: true)
        turns[index].start(isProbe: breaker?.start() == true)
        report.add(to: "deliveries")
        let attempt = turns[index].attempts
        if attempt > 1 { report.add(to: "retries") }
        switch program.start(part, of: turns[index].batch, attempt: attempt, input: input.bytes) {
        case .success(let child):
            turns[index].child = Child(child, deadline: settings.timeout.map { now + $0 })
        case .failure(let error):
            end(index, .cannotStart(errno: error.code), "", now)
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
            turns[index].child = nil
            if ending == .status(0) { turns[index].finishPart(child) }
            end(index, ending, child.lastErrorLine, now)
        }
    }

    private mutating func end(
        _ index: Int, _ ending: Ending, _ errorLine: String, _ now: UInt64
    ) {
        if case .status(let status) = ending, status == 0 || settings.permanent.contains(status) {
            if breaker?.succeed() == true { report.info("a command succeeded: going on") }
        } else if breaker?.fail(at: now, wasProbe: turns[index].isProbe) == true {
            report.add(to: "breaker_opened")
            let pause = durationText(settings.breaker?.duration ?? 0)
            report.warn("\(ending): too many attempts failed in a row: waiting \(pause)")
        }
        if ending == .status(0) { return }
        report.add(to: "failed_attempts")
        if case .timeout = ending { report.add(to: "timeouts") }
        retry(index, ending, errorLine, now)
    }

    /// An attempt failed: what now.
    private mutating func retry(
        _ index: Int, _ ending: Ending, _ errorLine: String, _ now: UInt64
    ) {
        let turn = turns[index]
        guard let part = turn.parts.last else { return }
        if hasFailed { return }
        let isStop = [SIGTERM, SIGINT, SIGHUP].contains { ending == .signal($0) }
        if isStopping, !turn.wasInterrupted, isStop {
            // A supervisor sends it to all processes of a service.
            turns[index].wasInterrupted = true
            return
        }
        if isStopping && journal != nil {
            // The next run tries it again.
            turns[index].isGivenUp = true
            return
        }
        let isPermanent =
            if case .status(let status) = ending { settings.permanent.contains(status) } else {
                false
            }
        let wasProbe = turn.isProbe && !isPermanent
        if !isStopping && !isPermanent && (wasProbe || turn.countedAttempts <= settings.retries) {
            if wasProbe { return }
            let wait = settings.backoff.wait(
                before: turn.countedAttempts, using: &generator)
            turns[index].notBefore = now + wait
            report.info("batch \(turn.batch.seq): \(ending); trying again in \(durationText(wait))")
        } else if !isStopping && settings.bisects && turn.canBeSplit {
            report.add(to: "bisected")
            turns[index].split()
        } else {
            giveUp(
                index,
                DeadLetter(
                    batch: turn.batch, part: part, attempts: turn.attempts,
                    ending: ending, errorLine: errorLine))
        }
    }

    /// A part that cannot be delivered becomes a dead letter, or ends the run.
    private mutating func giveUp(_ index: Int, _ letter: DeadLetter) {
        let name =
            letter.part.count == letter.batch.count && letter.batch.first == 1
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
            turns[index].finishPart()
        } catch {
            fail(error)
        }
    }

    /// All that is left of a batch becomes dead letters: there was no time to deliver it.
    mutating func buryAll(_ index: Int) {
        while let part = turns[index].parts.last, !hasFailed {
            giveUp(
                index,
                DeadLetter(
                    batch: turns[index].batch, part: part, attempts: turns[index].attempts,
                    ending: .stopped, errorLine: ""))
        }
    }
}
