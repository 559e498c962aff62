import StreamClient
import StreamCodec
import StreamTool

// How connections end, and what comes then.
extension Source {
    func end(
        _ step: HTTPTransfer.Step, _ now: UInt64, _ run: inout Run<DecodeOptions>
    ) throws {
        if case .failed(let error) = step {
            guard passes(error) else { throw error }
            try checkBeginning(run)
            return try again("\(name): \(error.message)", isLost: true, &run)
        }
        guard case .receiving = phase else {
            return try again("\(name): the answer had no head", isLost: true, &run)
        }
        do throws(GzipError) {
            try inflater?.finish(&raw)
        } catch {
            return try again("\(name): the compressed answer ends too early", isLost: true, &run)
        }
        try understandEnd(&run)
        if isUntyped && reader.format == .sse && !reader.decoder.sawField {
            throw Failure(
                .protocolError, "\(name): no event stream: neither a Content-Type nor an event")
        }
        if pipeline.isDone || pipeline.sawEnd { return try finish(&run) }
        if isPolling { return try pollAgain(now, &run) }
        if reader.format != .sse && settings.follow.reconnects != .always {
            return try complete(&run)
        }
        try again("\(name): the stream ended", isLost: false, &run)
    }

    /// An answer that began as no event stream can is no outage.
    private func checkBeginning(_ run: borrowing Run<DecodeOptions>) throws {
        if isOpen { try reader.checkBeginning(&queue, name, run) }
    }

    /// What is unfinished in the queue goes, as far as it counts.
    private func understandEnd(_ run: inout Run<DecodeOptions>) throws {
        let events = run.report.recordsIn
        defer { noteEvents(since: events, run) }
        try reader.finish(&queue, &pipeline, &run)
    }

    /// All came that there is.
    private func complete(_ run: inout Run<DecodeOptions>) throws {
        try pipeline.endInput(&run)
        run.tell("closed", of: name)
        try finish(&run)
    }

    /// The next poll, at once unless the server answers at once with nothing, or with nothing that
    /// the next one would go on behind.
    private func pollAgain(_ now: UInt64, _ run: inout Run<DecodeOptions>) throws {
        try hangUp(run)
        let isAhead = sawEvent && pipeline.lastID != askedBehind
        let pause = settings.follow.backoff.range.lowerBound
        _ = reconnection.wait(lasted: nil, sawEvent: true, using: &generator)
        isNextPoll = true
        phase = .waiting(until: isAhead || now >= began + pause ? now : now + pause)
    }

    func stall(_ run: inout Run<DecodeOptions>) throws {
        try checkBeginning(run)
        run.report.add(to: "stalls")
        if opened != nil && !sawByte { withheld += 1 }
        run.tell("stalled", of: name)
        let what = opened == nil ? "no answer" : "nothing came"
        let limit = decimal(Double(idleLimit) / 1e9, places: 1)
        rhythm = Rhythm()
        if !isPolling && !isPollUseless && withheld >= Self.withheldAfter, let pollURL {
            run.report.warn("\(name): the stream is withheld, polling \(pollURL.redacted)")
            isPolling = true
            pollsUntil = monotonicNanoseconds() + settings.follow.pollFor
            asking = Asking(settings, pollURL, isPoll: true, for: stream)
            try hangUp(run, isLost: true)
            phase = .waiting(until: 0)
            return
        }
        try again("\(name): stalled: \(what) for \(limit) s", isLost: true, &run)
    }

    func refuse(_ refusal: Answer.Refusal, _ run: inout Run<DecodeOptions>) throws {
        let reason = "\(name): the server answers \(refusal.status)" + raw.shown(Self.shownBody)
        if refusal.isPassing {
            return try again(reason, isLost: true, retryAfter: refusal.retryAfter, &run)
        }
        let isForbidden = [401, 403, 407].contains(refusal.status)
        throw Failure(isForbidden ? .noPermission : .unavailable, reason)
    }

    /// Another attempt, unless that would not help or was tried too often.
    func again(
        _ reason: String, isLost: Bool, retryAfter: UInt64? = nil,
        _ run: inout Run<DecodeOptions>
    ) throws {
        let now = monotonicNanoseconds()
        trouble = reason
        let lasted = opened.map { now - $0 }
        try hangUp(run, isLost: isLost)
        isNextPoll = false
        if isPolling, let stream { leavePoll(for: stream) }
        if !settings.follow.asksAgain(isLost: isLost) {
            if isLost { throw Failure(.unavailable, reason) }
            return try complete(&run)
        }
        if cannotResume && settings.follow.reconnects == .auto && !settings.follow.isSafe {
            throw Failure(
                .unavailable,
                "\(reason); not asked again, for that would bring it all again (see"
                    + " --reconnect)")
        }
        let wait = reconnection.wait(
            lasted: lasted, sawEvent: sawEvent, retryAfter: retryAfter, using: &generator)
        guard let wait else {
            run.tell("given-up", of: name, [("reason", .text(reason))])
            throw Failure(
                .unavailable, "\(reason); given up after \(reconnection.failures) attempts")
        }
        let seconds = decimal(Double(wait) / 1e9, places: wait < 100_000_000 ? 3 : 1)
        run.report.warn("\(reason); retrying in \(seconds) s")
        run.tell(
            "retrying", of: name,
            [("wait_ms", .number(Int(wait / 1_000_000))), ("reason", .text(reason))])
        phase = .waiting(until: now + wait)
    }

    /// `isLost`: what comes next goes over another connection.
    private func hangUp(_ run: borrowing Run<DecodeOptions>, isLost: Bool = false) throws {
        if isLost { try transfer.abandon() } else { transfer.end() }
        let now = monotonicNanoseconds()
        if let opened {
            run.report.observe(Double(now - opened) / 1e9, as: "connection_duration_seconds")
            closed = now
        }
        opened = nil
    }

    func finish(_ run: inout Run<DecodeOptions>) throws {
        try hangUp(run)
        phase = .over
    }

    /// Ends the source, unless it only stood in for the stream.
    func fail(_ failure: Failure, _ run: inout Run<DecodeOptions>) throws {
        if isPolling, stream != nil {
            isPollUseless = true
            do {
                return try again(failure.message, isLost: true, &run)
            } catch let last as Failure where last.concernsPeer {
                return try fail(last, &run)
            }
        }
        try finish(&run)
        self.failure = failure
        run.report.error(failure.message, at: failure.place)
    }

    /// Nothing more is wanted, or `left` events: what was held back goes. With `isLate` time is up,
    /// and who never had an answer has failed. What one source failed at is not the others' loss.
    func stop(left: Int, isLate: Bool, _ run: inout Run<DecodeOptions>) throws {
        pipeline.left = left
        // What is held back comes again: --state has the place before it.
        let isLeft = settings.follow.stateFile != nil && (isLate || isStopped())
        do {
            if !isOver {
                let wasOpen = opened != nil || closed != nil
                try finish(&run)
                if isLate && !wasOpen {
                    let trouble = trouble ?? "\(name): no answer"
                    throw Failure(.unavailable, "\(trouble); --max-time is over")
                }
                try pipeline.endInput(&run)
            }
            if !isLeft { try pipeline.flush(&run) }
        } catch let failure as Failure where failure.concernsPeer {
            try fail(failure, &run)
        }
        if isLeft && pipeline.isHolding {
            pipeline.count(in: run.report)
        } else {
            release(&run)
        }
    }

    /// Writes what was held back, and notes the place.
    func release(_ run: inout Run<DecodeOptions>) {
        pipeline.releaseAll(&run)
        pipeline.count(in: run.report)
        pipeline.noteEnd(nil, run.output)
    }
}
