import CLinux
import StreamClient
import StreamCodec
import StreamTool

// What the whole run came to.
extension Exchange {
    /// Something else than the connection failed: what was read and not sent is told, or kept.
    mutating func giveUp(_ run: inout Run<CatOptions>, _ error: any Error) throws {
        lacksReader = error is ReaderGone
        // What nobody reads must not keep the counters from being written.
        if lacksReader { run.output.buffer.removeAll() }
        connection.close(WebSocketClose.goingAway, [], within: 0)
        connection.send()
        countHanded()
        connection.hangUp()
        outbox.rewind()
        isOver = true
        countLost(nil, run.report)
        try keepUnsent(run)
        count(in: run.report)
    }

    mutating func finish(_ run: inout Run<CatOptions>) throws -> ExitStatus {
        let report = run.report
        try keepUnsent(run)
        count(in: report)
        report.set(.times(latency), as: "rtt_seconds")
        if intake.dropped > 0 {
            report.gaveUp = true
            report.warn("\(number(of: intake.dropped, "line")) dropped (see --overflow)")
        }
        if let problem = intake.problem { throw problem }
        // A follower that is told to stop has done its work, unless it was told twice.
        if isStopped() && !report.gaveUp && clinux_is_hurried() == 0 { report.isComplete = true }
        return try outcome()
    }

    /// Counters that are kept here.
    func count(in report: Report) {
        report.recordsIn = intake.accepted
        report.dropped = intake.dropped
        report.set(sent, as: "sent")
        report.set(unconfirmed, as: "unconfirmed")
        report.set(resent, as: "resent")
        report.set(connections, as: "connections")
        report.set(pings, as: "pings_sent")
    }

    private func outcome() throws -> ExitStatus {
        if settings.isOneShot && wanted > 0 && !isStopped() { throw noReply }
        if connections == 0 && ending == nil && listener == nil && !isStopped() {
            throw Failure(.unavailable, "there was no connection before --max-time was over")
        }
        let done: ExitStatus = mayHaveLost ? .partial : .success
        // All that was wanted came, however the peer leaves.
        if wanted == 0 { return done }
        guard let ending, ending.status != .success else { return done }
        // A peer that does not answer our last word to it has no say in how we end.
        if isStopped() { return done }
        throw Failure(ending.status, ending.description)
    }

    /// Why there is no reply for --one. What our own clock ended, no peer did.
    private var noReply: Failure {
        if intake.isDone && intake.accepted == 0 && settings.greetings.isEmpty {
            return Failure(.badData, "no line to send")
        }
        let how = ending?.description ?? "there was no connection"
        switch leaving {
        case .noReply:
            let why = leftOpen ? "" : ": \(how)"
            return Failure(
                .unavailable, "no reply within \(readable(settings.patience)) (see --wait)" + why)
        case .maxTime:
            let why = leftOpen ? "" : ": \(how)"
            return Failure(.unavailable, "no reply before --max-time was over" + why)
        case .inputEnded, .counted, .signal, nil:
            let status = ending?.status ?? .unavailable
            return Failure(status == .success ? .unavailable : status, "no reply: \(how)")
        }
    }

    /// Lines that were read and not sent: left in the spill file, or told.
    private mutating func keepUnsent(_ run: borrowing Run<CatOptions>) throws {
        let count = outbox.count
        let report = run.report
        if count > 0 { report.set(count, as: "unsent") }
        if intake.spill != nil {
            var lines = ByteQueue()
            outbox.forEach { kind, payload in
                writer.append(isText: kind == .text, payload, to: &lines)
            }
            try intake.leaveSpill(lines)
        } else if count > 0 && !endsByChoice {
            report.gaveUp = true
            if !lacksReply { report.warn("\(number(of: count, "line")) read and not sent") }
        }
        // A peer that closes early leaves a file half sent.
        let isOpen = run.input.mayGrow && !intake.isAtEnd && !lacksReader
        let isUnread = !intake.pending.isEmpty || isOpen
        if isUnread && !intake.isDone && !endsByChoice && intake.problem == nil && !lacksReply {
            report.gaveUp = true
            report.warn("the connection ended before all of the input was sent")
        }
    }

    /// An option said when to end.
    private var endsByChoice: Bool { wanted == 0 }
}
