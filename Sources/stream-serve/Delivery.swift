import CLinux
import Glibc
import StreamCodec
import StreamTool

// Bytes from the logs to the sockets. The fast way is `flush`: one send for each client from its
// place to the end of its feed's log. Everything else is `advance`.
extension Worker {
    /// Bytes of a log that are kept for clients that did not take them; who is further behind gets
    /// the rest from the history.
    private static let maxLog = 1 << 20
    /// Bytes that are rendered for one client at once.
    private static let piece = 64 << 10
    /// So many bytes are sent before the flush interval is over: waiting would not save sends.
    private static let burst = 64 << 10

    /// Immediately when idle, and else once in a flush interval, so that a send carries several
    /// events.
    func flushIfDue() {
        guard needsFlush else { return }
        let isDue =
            now &- lastFlush >= settings.flushInterval || hasBurst
            || ending != nil || (settings.slow == .block && !incoming.isEmpty)
        guard isDue else { return }
        lastFlush = now
        needsFlush = false
        hasBurst = false
        let indices = news
        news.removeAll(keepingCapacity: true)
        for index in indices {
            if let feed = feeds[index] { flush(feed) }
        }
    }

    /// Gives events to the feeds that want them.
    func route(_ events: Range<UInt64>) {
        for index in routes.all {
            guard let feed = feeds[index] else { continue }
            for sequence in events { append(history[sequence], to: feed, index) }
        }
        if !routes.hasChoices { return }
        for sequence in events {
            let event = history[sequence]
            for index in routes.choices(of: event, in: feeds) {
                if let feed = feeds[index] { append(event, to: feed, index) }
            }
        }
    }

    @inline(__always)
    private func append(_ event: StoredEvent, to feed: Feed, _ index: Int) {
        if !feed.hasNews { news.append(index) }
        feed.append(event, now: now)
        needsFlush = true
        if feed.log.bytes.count >= Self.burst { hasBurst = true }
    }

    private func flush(_ feed: Feed) {
        feed.seal(now: now)
        feed.hasNews = false
        let transport = Int(feed.form.transport.rawValue)
        let end = feed.log.end
        let base = feed.log.base
        let bytes = feed.log.bytes.bytes.baseAddress
        let clients = clients.memory
        // Most clients are at the same place, and get as many events.
        var place = -1
        var eventCount = 0
        var delivered = 0
        var sentBytes = 0
        var rest = feed.members.count
        while rest > 0 {
            rest -= 1
            // A member that ends has the last one put in its place, which was served already.
            if rest >= feed.members.count { continue }
            let index = Int(feed.members[rest])
            let client = clients + index
            if client.pointee.flags.rawValue == Client.Flags.attached.rawValue {
                let from = client.pointee.place
                let left = end - from
                if left == 0 { continue }
                let sent = send(
                    client.pointee.descriptor, bytes! + (from - base), left, Int32(MSG_NOSIGNAL))
                if sent == left {
                    client.pointee.place = end
                    client.pointee.lastSent = milliseconds
                    sentBytes += left
                    if from != place {
                        place = from
                        eventCount = feed.log.count(from: from)
                    }
                    delivered += eventCount
                    if client.pointee.behindSince != 0 { catchUp(index) }
                    continue
                }
                took(index, sent, errno)
            } else if !client.pointee.flags.contains(.blocked) {
                advance(index)
            }
        }
        counters.eventsOut[transport] += delivered
        counters.bytesOut[transport] += sentBytes
        if delivered > 0 {
            counters.lag.add(
                nanoseconds: monotonicNanoseconds() &- feed.newsArrival, times: delivered)
        }
        tidy(feed)
    }

    /// Lets go of what everybody has; who is far behind goes on from the history.
    private func tidy(_ feed: Feed) {
        var least = feed.log.end
        for index in feed.members where clients.memory[Int(index)].flags.contains(.attached) {
            least = min(least, clients.memory[Int(index)].place)
        }
        if least == feed.log.end { return feed.clear(next: history.next) }
        guard feed.log.bytes.count > Self.maxLog else { return }
        let half = feed.frame(from: feed.log.end - Self.maxLog / 2, next: history.next).place
        for index in feed.members.map(Int.init)
        where clients.memory[index].flags.contains(.attached) && clients.memory[index].place < half
        {
            detach(index)
        }
        feed.cut(to: half, next: history.next)
    }

    /// A send took so much of what it was given from the log.
    private func took(_ index: Int, _ sent: Int, _ code: Int32) {
        let client = clients.memory + index
        if sent > 0 {
            if let feed = feeds[Int(client.pointee.feed)] {
                let from = client.pointee.place
                let transport = Int(client.pointee.transport.rawValue)
                let count = feed.log.count(from: from) - feed.log.count(from: from + sent)
                counters.eventsOut[transport] += count
                counters.bytesOut[transport] += sent
            }
            client.pointee.place += sent
            client.pointee.lastSent = milliseconds
        } else if code != EAGAIN && code != EINTR {
            return drop(index, Closure(errno: code))
        }
        block(index)
    }

    /// The socket is full: it tells when it is not.
    func block(_ index: Int) {
        clients.memory[index].flags.insert(.blocked)
        if clients.memory[index].behindSince == 0 {
            clients.memory[index].behindSince = max(milliseconds, 1)
            behind += 1
        }
    }

    /// The client has everything.
    private func catchUp(_ index: Int) {
        if clients.memory[index].behindSince != 0 {
            clients.memory[index].behindSince = 0
            behind -= 1
        }
    }

    // MARK: One client

    /// Gives a client what it has not, until its socket is full: bytes of its own, then events from
    /// the history, then those of the log.
    func advance(_ index: Int) {
        let client = clients.memory + index
        while client.pointee.descriptor >= 0, !client.pointee.flags.contains(.blocked) {
            if client.pointee.flags.contains(.hasOutput) {
                guard sendOutput(index) else { return }
                continue
            }
            guard client.pointee.feed >= 0, let feed = feeds[Int(client.pointee.feed)] else {
                return
            }
            if client.pointee.behindSince != 0 && isSlow(index) {
                applyPolicy(index)
                if client.pointee.descriptor < 0 { return }
                continue
            }
            if client.pointee.flags.contains(.attached) {
                guard sendLog(index, feed) else { return }
            } else if !replay(index, feed) {
                return
            }
        }
    }

    /// False when nothing more is to be done now.
    private func sendLog(_ index: Int, _ feed: Feed) -> Bool {
        let client = clients.memory + index
        let left = feed.log.end - client.pointee.place
        if left == 0 {
            catchUp(index)
            return false
        }
        let start = client.pointee.place - feed.log.base
        let bytes = feed.log.bytes.bytes(start..<(start + left))
        let sent = send(
            client.pointee.descriptor, bytes.baseAddress, left, Int32(MSG_NOSIGNAL))
        if sent == left {
            counters.eventsOut[Int(client.pointee.transport.rawValue)] += feed.log.count(
                from: client.pointee.place)
            counters.bytesOut[Int(client.pointee.transport.rawValue)] += left
            client.pointee.place = feed.log.end
            client.pointee.lastSent = milliseconds
            return true
        }
        took(index, sent, errno)
        return false
    }

    /// Renders what comes next from the history, or joins the feed's log. False when there is
    /// nothing to do until something comes.
    private func replay(_ index: Int, _ feed: Feed) -> Bool {
        let client = clients.memory + index
        // Another worker was ahead, and the client has what comes here in a moment.
        if client.pointee.sequence > history.next {
            catchUp(index)
            return false
        }
        if client.pointee.sequence < history.first { skipExpired(index, feed) }
        // Slow clients first get what their policy leaves them: joining now would begin anew.
        if client.pointee.limit == 0, !client.pointee.flags.contains(.conflates),
            let place = feed.place(of: client.pointee.sequence)
        {
            attach(index, feed, place)
            return true
        }
        var plain = ByteQueue(capacity: 0)
        let sequence = render(index, feed, to: &plain)
        if plain.isEmpty {
            if sequence < history.next { return true }
            if let place = feed.place(of: sequence) {
                attach(index, feed, place)
                return true
            }
            catchUp(index)
            return false
        }
        output(plain.bytes, to: index)
        return true
    }

    private func attach(_ index: Int, _ feed: Feed, _ place: Int) {
        clients.memory[index].place = place
        clients.memory[index].joined = feed.tally(at: place)
        clients.memory[index].flags.insert(.attached)
        clients.memory[index].flags.remove(.conflates)
    }

    /// Renders a piece of the history for one client. The sequence of what comes behind it.
    private func render(_ index: Int, _ feed: Feed, to plain: inout ByteQueue) -> UInt64 {
        let client = clients.memory + index
        var sequence = client.pointee.sequence
        var count = 0
        var conflated = 0
        let conflates = client.pointee.flags.contains(.conflates)
        let end = client.pointee.limit == 0 ? history.next : client.pointee.limit
        while sequence < end && plain.count < Self.piece {
            let event = history[sequence]
            sequence += 1
            guard feed.filter.matches(event) else { continue }
            if conflates && event.head.pointee.successor != 0 {
                conflated += 1
                continue
            }
            count += 1
            feed.form.append(event, to: &plain)
        }
        client.pointee.sequence = sequence
        counters.eventsOut[Int(client.pointee.transport.rawValue)] += count
        if conflated > 0 {
            // In front of the events that stand for what was left out.
            var notice = ByteQueue(capacity: 256)
            tellGap(index, .conflated, missed: conflated, behind: &notice)
            notice.append(plain.bytes)
            swap(&notice, &plain)
        }
        if sequence == client.pointee.limit { skipToNewest(index, feed, behind: &plain) }
        return client.pointee.sequence
    }

    /// From now on the client gets events from the history. What is left of a frame that it has
    /// begun to receive goes first.
    func detach(_ index: Int) {
        let client = clients.memory + index
        guard client.pointee.flags.contains(.attached),
            let feed = feeds[Int(client.pointee.feed)]
        else { return }
        let (place, sequence) = finishFrame(index, feed)
        client.pointee.flags.remove(.attached)
        if feed.form.isCompressed && feed.form.wire != .webSocket {
            client.pointee.tally.add(from: client.pointee.joined, to: feed.tally(at: place))
        }
        client.pointee.sequence = sequence
    }

    /// Moves what is left of a frame that an attached client has begun to receive to its own bytes,
    /// so that something else may follow. The place behind it, and the event that begins there.
    @discardableResult
    func finishFrame(_ index: Int, _ feed: Feed) -> (place: Int, sequence: UInt64) {
        let client = clients.memory + index
        let next = feed.frame(from: client.pointee.place, next: history.next)
        if next.place > client.pointee.place {
            let start = client.pointee.place - feed.log.base
            let rest = feed.log.bytes.bytes(start..<next.place - feed.log.base)
            session(index).output.append(rest)
            client.pointee.flags.insert(.hasOutput)
            client.pointee.place = next.place
        }
        return next
    }

    /// Bytes of the stream for this client alone, which go behind what it has.
    func output(_ bytes: UnsafeBufferPointer<UInt8>, to index: Int) {
        let client = clients.memory + index
        let session = session(index)
        client.pointee.flags.insert(.hasOutput)
        let isGzip =
            client.pointee.feed >= 0 && client.pointee.transport != .ws
            && feeds[Int(client.pointee.feed)]?.form.isCompressed ?? false
        guard isGzip else { return session.output.append(bytes) }
        client.pointee.tally.add(bytes)
        GzipTally.appendStored(bytes, to: &session.output)
    }

    /// True when all of it was sent.
    private func sendOutput(_ index: Int) -> Bool {
        let client = clients.memory + index
        let session = session(index)
        while !session.output.isEmpty {
            let sent = send(
                client.pointee.descriptor, session.output.bytes.baseAddress, session.output.count,
                Int32(MSG_NOSIGNAL))
            if sent < 0 {
                if errno == EINTR { continue }
                let code = errno
                if code == EAGAIN { block(index) } else { drop(index, Closure(errno: code)) }
                return false
            }
            counters.bytesOut[Int(client.pointee.transport.rawValue)] += sent
            client.pointee.lastSent = milliseconds
            session.output.consume(sent)
        }
        client.pointee.flags.remove(.hasOutput)
        if session.output.isEmpty { session.output = ByteQueue(capacity: 0) }
        switch session.then {
        case .close:
            linger(index)
            return false
        case .goOn:
            if client.pointee.transport == .ws && !session.isReceiving {
                return goOnReceiving(index, session)
            }
            guard client.pointee.feed < 0 else {
                forgetSession(index)
                return true
            }
            catchUp(index)
            if !session.input.isEmpty { understand(index) }
            return client.pointee.descriptor >= 0
        }
    }
}
