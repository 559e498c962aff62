import CLinux
import Glibc
import StreamClient
import StreamCodec
import StreamTool

// How connections begin and end.
extension Exchange {
    /// Begins a connection that is due, and goes on with one that is not open yet.
    mutating func connect(_ run: inout Run<CatOptions>) throws {
        do {
            if connection.isDown {
                if try !begin() { return }
            }
            if try connection.advance() { try open(&run) }
        } catch let ending as Ending {
            try end(ending, &run)
        }
    }

    /// False when there is nothing to begin.
    private mutating func begin() throws -> Bool {
        if isLeaving {
            isOver = true
            return false
        }
        if let listener {
            guard let peer = try listener.accept() else { return false }
            connection.adopt(peer)
            return true
        }
        guard monotonicNanoseconds() >= retry.next else { return false }
        retry.begin()
        if attempts > 0 {
            var request = connection.request
            try passing { try request.begin() }
            connection.request = request
        }
        attempts += 1
        try connection.connect()
        return true
    }

    /// A file that cannot be read just now is one more reason to try again later.
    private func passing(_ read: () throws -> Void) throws {
        do {
            try read()
        } catch let failure as Failure where settings.reconnects {
            throw Ending.broken(TransportError(.cannotConnect, failure.message))
        }
    }

    private mutating func open(_ run: inout Run<CatOptions>) throws {
        connections += 1
        sentHere = 0
        confirmedHere = 0
        let now = monotonicNanoseconds()
        opened = now
        keepalive.open(now)
        let place = connection.request.url?.redacted ?? connection.transport.peerAddress
        run.report.info("connected to \(place)")
        writer.append(
            event: "open", to: &run.output.buffer,
            [
                ("url", .text(place)), ("status", .number("101")),
                ("subprotocol", .text(connection.agreement.subprotocol)),
                ("extensions", .text(connection.agreement.extensions)),
            ])
        var lines: [(kind: WebSocketReceiver.Kind, payload: [UInt8])] = []
        try passing { lines = try settings.greetingLines() }
        for line in lines {
            line.payload.withUnsafeBufferPointer { connection.sendControl(line.kind, $0) }
            sent += 1
            sentHere += 1
        }
    }

    /// Begins to close, if there is anything to close.
    mutating func leave(_ code: UInt16) {
        isLeaving = true
        intake.end()
        connection.close(code, Array(settings.closeReason.utf8), within: settings.closeTimeout)
    }

    /// What is due by the clock, and what the end of the input or a signal asks for.
    mutating func keepTime(_ run: inout Run<CatOptions>) throws {
        let now = monotonicNanoseconds()
        count(in: run.report)
        if isStopped() && !isStopping { stop() }
        if let maxTime = settings.maxTime, now >= started + maxTime, !isLeaving {
            run.report.info("--max-time is over")
            leave(settings.closeCode)
        }
        if !hasRoom(run.output) { keepalive.sawMessage(now) }
        if outbox.isEmpty { try intake.clearSpill() }
        if !isLeaving { closeAtEnd(now) }
        if isLeaving && !connection.isReceiving && !connection.isFinishing {
            // There is nobody to say good-bye to.
            connection.hangUp()
            isOver = true
            return
        }
        do {
            try checkPeer(now, &run)
        } catch {
            try end(error, &run)
        }
    }

    /// A signal came: what was handed over is closed behind, the rest is left.
    private mutating func stop() {
        let limit = min(settings.closeTimeout, 3_000_000_000)
        isStopping = true
        isLeaving = true
        connection.close(WebSocketClose.goingAway, [], within: limit)
        connection.hurry(monotonicNanoseconds() + limit)
    }

    /// Closes once all of the input was handed over and --wait is over.
    private mutating func closeAtEnd(_ now: UInt64) {
        let isDone = intake.isDone && outbox.isEmpty
        if !isDone || !connection.isOpen || connection.hasUnsent && farewell == nil {
            farewell = nil
            return
        }
        let hasNothingToAsk = settings.isOneShot && sentHere == 0
        if settings.keepsReceiving && intake.problem == nil && !hasNothingToAsk { return }
        if farewell == nil {
            if settings.wait == nil { sendPing(keepalive.lastPing(now, sent: sentHere)) }
            farewell = now + (settings.wait ?? Self.longestWait)
            answered = nil
        } else if settings.wait == nil && (answered != nil || keepalive.isAnswered) {
            let since = answered ?? now
            answered = since
            farewell = max(since, keepalive.lastMessage) + Self.silence
        }
        if let farewell, now >= farewell { leave(settings.closeCode) }
    }

    /// A peer may take so long to answer the ping behind the last message, and so long to write
    /// the rest of its replies.
    private static var longestWait: UInt64 { 2_000_000_000 }
    private static var silence: UInt64 { 50_000_000 }

    private mutating func sendPing(_ payload: [UInt8]) {
        acknowledged = connection.acknowledged
        payload.withUnsafeBufferPointer { connection.sendControl(.ping, $0) }
        pings += 1
    }

    private mutating func checkPeer(
        _ now: UInt64, _ run: inout Run<CatOptions>
    ) throws(Ending) {
        // What we do not read, we cannot blame on the peer.
        let isBehind = !hasRoom(run.output) && !isStopping
        if isBehind { connection.extend(now + settings.closeTimeout) }
        if case .closing = connection.state, let limit = connection.deadline, now >= limit {
            throw .unanswered
        }
        guard connection.isOpen else { return }
        if let ping = keepalive.ping(now, sent: sentHere) {
            sendPing(ping)
        }
        guard !isBehind else {
            keepalive.sawBytes(now)
            keepalive.sawMessage(now)
            return
        }
        if keepalive.pongIsOverdue(now) {
            // A peer that takes what we send is there.
            guard connection.acknowledged > acknowledged else {
                throw .silent("the peer is dead: no pong (see --pong-timeout)")
            }
            acknowledged = connection.acknowledged
            keepalive.sawBytes(now)
        }
        if keepalive.isIdle(now) { throw .silent("no message came (see --idle-timeout)") }
    }

    // MARK: The end of a connection

    mutating func end(_ ending: Ending, _ run: inout Run<CatOptions>) throws {
        countLost(ending, run.report)
        let wasOpen = opened != nil
        let lasted = opened.map { monotonicNanoseconds() - $0 }
        tellClose(ending, wasOpen: wasOpen, &run)
        connection.hangUp()
        outbox.rewind()
        opened = nil
        farewell = nil
        self.ending = ending
        if isLeaving {
            isOver = true
        } else if listener != nil {
            try endServed(ending, wasOpen: wasOpen, run)
        } else if !hasMore && wasOpen {
            // All was sent: there is nothing to come back for.
            isOver = true
        } else if let wait = retry.wait(after: ending, lasted: lasted) {
            run.report.warn(
                "\(ending.description); connecting again in \(seconds(wait))")
            run.report.add(to: "reconnections")
            writer.append(
                event: "reconnect", to: &run.output.buffer,
                [
                    ("attempt", .number("\(retry.failures)")), ("wait_ms", .milliseconds(wait)),
                    ("reason", .text(ending.description)),
                ])
        } else {
            isOver = true
        }
    }

    /// There is something to send or to receive.
    private var hasMore: Bool {
        // One reply is to what was sent: if that is gone, none comes.
        settings.keepsReceiving && (!settings.isOneShot || !settings.greetings.isEmpty)
            || !intake.isDone || !outbox.isEmpty
    }

    /// Another peer may come, unless this one was the last.
    private mutating func endServed(
        _ ending: Ending, wasOpen: Bool, _ run: borrowing Run<CatOptions>
    ) throws {
        if !wasOpen {
            run.report.warn("a peer was turned away: \(ending.description)")
            self.ending = nil
            return
        }
        if !settings.keepsListening || connections >= settings.maxConnections ?? .max {
            isOver = true
        } else if ending.status != .success {
            run.report.warn(ending.description)
        }
    }

    /// What the socket took and nobody confirmed.
    private mutating func countLost(_ ending: Ending, _ report: Report) {
        countHanded()
        if case .closed = ending, isLeaving { confirmedHere = sentHere }
        let lost = sentHere - confirmedHere
        if lost == 0 { return }
        unconfirmed += lost
        sentHere = confirmedHere
        let text = "\(lost) sent messages were not confirmed"
        // Messages that cross a Close are usual.
        if ending.status == .success { return report.info(text) }
        mayHaveLost = true
        report.warn(text)
    }

    private func tellClose(
        _ ending: Ending, wasOpen: Bool, _ run: inout Run<CatOptions>
    ) {
        guard wasOpen else { return }
        var reason: Member = .none
        var isClean = false
        if case .closed(_, let bytes) = ending {
            reason = .text(bytes)
            isClean = true
        } else {
            reason = .text(ending.description)
        }
        writer.append(
            event: "close", to: &run.output.buffer,
            [
                ("code", .number("\(ending.code)")), ("reason", reason),
                ("clean", .number(isClean ? "true" : "false")),
            ])
    }

    // MARK: The end of the run

    /// Something else than the connection failed: what was read and not sent is told, or kept.
    mutating func giveUp(_ run: inout Run<CatOptions>, tells: Bool) throws {
        connection.close(WebSocketClose.goingAway, [], within: 0)
        connection.send()
        countHanded()
        connection.hangUp()
        outbox.rewind()
        try keepUnsent(run, tells: tells)
        count(in: run.report)
    }

    mutating func finish(_ run: inout Run<CatOptions>) throws -> ExitStatus {
        let report = run.report
        try keepUnsent(run)
        count(in: report)
        report.set(.times(latency), as: "rtt_seconds")
        if intake.dropped > 0 {
            report.gaveUp = true
            report.warn("\(intake.dropped) lines were dropped (see --overflow)")
        }
        if let problem = intake.problem { throw problem }
        // A follower that is told to stop has done its work.
        if isStopped() && !report.gaveUp { report.isComplete = true }
        return try outcome()
    }

    /// Counters that are kept here.
    private func count(in report: Report) {
        report.recordsIn = intake.accepted
        report.dropped = intake.dropped
        report.set(sent, as: "sent")
        report.set(unconfirmed, as: "unconfirmed")
        report.set(connections, as: "connections")
        report.set(pings, as: "pings_sent")
    }

    private func outcome() throws -> ExitStatus {
        if settings.isOneShot && wanted > 0 && !isStopped() {
            if sent == 0 && isLeaving { throw Failure(.badData, "no line to send") }
            let why = ending?.description ?? "--max-time is over"
            let status = ending?.status ?? .unavailable
            throw Failure(status == .success ? .unavailable : status, "no reply: \(why)")
        }
        if connections == 0 && ending == nil && listener == nil && !isStopped() {
            throw Failure(.unavailable, "there was no connection before --max-time was over")
        }
        // All that was wanted came, however the peer leaves.
        if wanted == 0 { return .success }
        let done: ExitStatus = mayHaveLost ? .partial : .success
        guard let ending, ending.status != .success else { return done }
        // A peer that does not answer our last word to it has no say in how we end.
        if isStopped() { return .success }
        throw Failure(ending.status, ending.description)
    }

    /// Lines that were read and not sent: left in the spill file, or told.
    private mutating func keepUnsent(
        _ run: borrowing Run<CatOptions>, tells: Bool = true
    ) throws {
        let count = outbox.count
        let report = run.report
        if count > 0 { report.set(count, as: "unsent") }
        if intake.spill != nil {
            var lines = ByteQueue()
            outbox.forEach { kind, payload in
                writer.append(isText: kind == .text, payload, to: &lines)
            }
            try intake.leaveSpill(lines)
        } else if count > 0 && !endsByChoice && tells {
            report.gaveUp = true
            report.warn("\(count) lines were read and not sent")
        }
        // A peer that closes early leaves a file half sent.
        let isUnread = !intake.pending.isEmpty || (run.input.mayGrow && !intake.isAtEnd)
        if tells && isUnread && !intake.isDone && !endsByChoice && intake.problem == nil {
            report.gaveUp = true
            report.warn("the connection ended before all of the input was sent")
        }
    }

    /// An option said when to end.
    private var endsByChoice: Bool { wanted == 0 }
}

/// `4.2 s`.
private func seconds(_ nanoseconds: UInt64) -> String {
    "\(decimal(Double(nanoseconds) / 1e9, places: 1)) s"
}
