import CLinux
import StreamCodec
import StreamTool

// What is due by the clock, and the end.
extension Worker {
    /// How often the clients are looked at, in nanoseconds: often enough for the shortest time that
    /// the settings name.
    var tick: UInt64 {
        let times = [
            settings.heartbeat, settings.ping, settings.pongTimeout, settings.sendTimeout,
            settings.headTimeout, settings.bodyTimeout, settings.slowAfter,
            settings.history.age ?? 0,
        ]
        let least = times.filter { $0 > 0 }.min() ?? 1_000_000_000
        return min(max(least / 4, 10_000_000), 1_000_000_000)
    }

    func keepTime() {
        guard now &- lastTick >= tick else { return }
        lastTick = now
        if acceptAgain != 0 && now >= acceptAgain {
            acceptAgain = 0
            for listener in listeners { watchListener(listener) }
        }
        trimHistory()
        for index in 0..<clients.end where clients.memory[index].descriptor >= 0 {
            keepTime(index)
        }
        for feed in feeds {
            if let feed { keepTime(feed) }
        }
    }

    /// Compressed streams have their heartbeats in common.
    private func keepTime(_ feed: Feed) {
        guard feed.form.isCompressed, feed.form.wire == .sse, settings.heartbeat > 0 else { return }
        let last = feed.members.map { clients.memory[Int($0)].lastSent }.max() ?? milliseconds
        guard UInt64(milliseconds &- last) * 1_000_000 >= settings.heartbeat else { return }
        feed.appendHeartbeat(next: history.next, now: now)
        if let index = feedIndex[Feed.Key(form: feed.form, filter: feed.filter)] {
            news.append(index)
            needsFlush = true
        }
    }

    private func keepTime(_ index: Int) {
        let client = clients.memory + index
        if client.pointee.flags.contains(.blocked) {
            let waited = UInt64(milliseconds &- client.pointee.lastSent) * 1_000_000
            if settings.sendTimeout > 0 && waited >= settings.sendTimeout {
                return drop(index, .sendTimeout)
            }
            if settings.slow == .disconnect && client.pointee.feed >= 0 && isSlow(index) {
                return disconnectSlow(index)
            }
        }
        if let session = sessions[index], session.deadline != 0, now >= session.deadline {
            return endInTime(index, session)
        }
        switch client.pointee.transport {
        case .sse: beat(index)
        case .ws: ping(index)
        case .http, .stream, .poll: break
        }
    }

    /// A time limit of the connection is over.
    private func endInTime(_ index: Int, _ session: Session) {
        if clients.memory[index].flags.contains(.lingering) || session.isClosing
            || session.isBetweenRequests && session.input.isEmpty
        {
            return drop(index, .end)
        }
        session.deadline = 0
        let isBody: Bool
        switch session.phase {
        case .head: isBody = false
        case .body: isBody = true
        case .acknowledgement, .poll, .streaming: return drop(index, .end)
        }
        answer(
            index,
            RequestProblem(
                status: "408 Request Timeout",
                reason: "the \(isBody ? "body" : "head") did not come in time", refusal: .timeout),
            keepsAlive: false)
    }

    /// A comment, when nothing else was sent for so long.
    private func beat(_ index: Int) {
        let client = clients.memory + index
        guard client.pointee.heartbeat > 0, client.pointee.feed >= 0,
            milliseconds &- client.pointee.lastSent >= client.pointee.heartbeat,
            client.pointee.flags.isSubset(of: [.attached]),
            let feed = feeds[Int(client.pointee.feed)], !feed.form.isCompressed
        else { return }
        var comment = ByteQueue(capacity: 16)
        comment.append(":\n\n")
        output(comment.bytes, to: index)
        advance(index)
    }

    /// Asks a client that has been silent whether it is there, and ends one that does not answer.
    private func ping(_ index: Int) {
        let client = clients.memory + index
        guard settings.ping > 0, client.pointee.feed >= 0 else { return }
        let silent = UInt64(milliseconds &- client.pointee.lastHeard) * 1_000_000
        if client.pointee.flags.contains(.awaitsPong) {
            if silent >= settings.ping + settings.pongTimeout { drop(index, .pongTimeout) }
            return
        }
        guard silent >= settings.ping else { return }
        replyFrame(index, session(index), 0x89, UnsafeBufferPointer(start: nil, count: 0))
        client.pointee.flags.insert(.awaitsPong)
        if !client.pointee.flags.contains(.blocked) { advance(index) }
    }

    // MARK: The end

    /// Once the stream has ended: tells each client when it has everything, and waits until all
    /// are gone, or the time for that is over.
    func end() {
        guard let ending else { return }
        if endDeadline == .max { endDeadline = now + settings.drain }
        // What came last may still be on its way here.
        if incoming.isEmpty && mailbox.isEmpty() {
            for index in 0..<clients.end where clients.memory[index].descriptor >= 0 {
                endClient(index, ending)
            }
        }
        let isDone = incoming.isEmpty && mailbox.isEmpty() && !clients.hasAny(where: isWaitedFor)
        isOver = isDone || now >= endDeadline || clinux_is_hurried() != 0
    }

    /// It has a stream, an answer that is on its way, or its last bytes. Whoever has not asked for
    /// anything yet keeps nobody waiting.
    private func isWaitedFor(_ index: Int) -> Bool {
        guard clients.memory[index].feed < 0, !clients.memory[index].flags.contains(.hasOutput),
            !clients.memory[index].flags.contains(.lingering), let session = sessions[index],
            case .head = session.phase
        else { return true }
        return false
    }

    private func endClient(_ index: Int, _ ending: Ending) {
        let client = clients.memory + index
        if client.pointee.flags.contains(.lingering) { return }
        guard client.pointee.feed >= 0, let feed = feeds[Int(client.pointee.feed)] else { return }
        guard client.pointee.flags.isSubset(of: [.attached, .awaitsPong]) else { return }
        let hasAll =
            client.pointee.flags.contains(.attached)
            ? client.pointee.place == feed.log.end && !feed.hasNews
            : client.pointee.sequence >= history.next
        if hasAll { sayGoodbye(index, feed, ending) }
    }

    private func sayGoodbye(_ index: Int, _ feed: Feed, _ ending: Ending) {
        var last = ByteQueue(capacity: 64)
        switch ending {
        case .input:
            feed.form.append(
                Notice(name: "end", data: "{\"reason\":\"eof\"}", id: nil), to: &last)
        case .signal where feed.form.wire == .sse:
            last.appendRetry(milliseconds: Int.random(in: 1000...10_000, using: &random))
            last.appendBlockEnd()
        case .signal: break
        }
        countEnd(index, .end)
        let form = feed.form
        detach(index)
        output(last.bytes, to: index)
        let session = session(index)
        if form.wire == .webSocket {
            return closeWebSocket(
                index, WebSocketClose.goingAway, ending == .input ? "end" : "shutting down")
        }
        if form.wire == .chunks { session.output.append("0\r\n\r\n") }
        if form.isCompressed { clients.memory[index].tally.appendEnd(to: &session.output) }
        session.then = .close
        clients.memory[index].flags.insert(.hasOutput)
        advance(index)
    }
}
