import StreamCodec

/// What happens to a client for which more than `--buffer` events wait.
enum SlowPolicy: String, CaseIterable {
    case dropOldest = "drop-oldest"
    case dropNewest = "drop-newest"
    case conflate, disconnect, block
}

/// Events that a client does not get, and why.
enum Gap: Equatable {
    /// It did not take what it was sent.
    case slow
    /// Newer events with the same keys stand for them.
    case conflated
    /// They are no longer in the history.
    case expired
    /// The id that it named is none that this server knows.
    case unknown

    var reason: String {
        switch self {
        case .slow: "slow"
        case .conflated: "conflated"
        case .expired: "expired"
        case .unknown: "unknown"
        }
    }
}

// The one place where it is decided what a client does not get.
extension Worker {
    /// More events wait for it than it may have waiting, for longer than it may catch up.
    func isSlow(_ index: Int) -> Bool {
        let client = clients.memory + index
        guard settings.slow != .block, client.pointee.limit == 0,
            !client.pointee.flags.contains(.conflates),
            UInt64(milliseconds &- client.pointee.behindSince) * 1_000_000 >= settings.slowAfter
        else { return false }
        return lag(index) > settings.buffer
    }

    /// How many events wait for it; counts no further than the first that is too many.
    func lag(_ index: Int) -> Int {
        let client = clients.memory + index
        guard client.pointee.feed >= 0, let feed = feeds[Int(client.pointee.feed)] else { return 0 }
        if client.pointee.flags.contains(.attached) {
            return feed.log.count(from: client.pointee.place)
        }
        var sequence = max(client.pointee.sequence, history.first, client.pointee.joinedAt)
        var count = 0
        while sequence < history.next && count <= settings.buffer {
            if feed.filter.matches(history[sequence]) { count += 1 }
            sequence += 1
        }
        return count
    }

    /// Does what `--slow` says with a client that is slow.
    func applyPolicy(_ index: Int) {
        let client = clients.memory + index
        guard let feed = feeds[Int(client.pointee.feed)] else { return }
        switch settings.slow {
        case .block: return
        case .disconnect: return disconnectSlow(index)
        case .dropOldest:
            detach(index)
            dropOldest(index, feed)
        case .dropNewest:
            detach(index)
            client.pointee.limit = position(index, feed, behind: settings.buffer)
        case .conflate:
            detach(index)
            client.pointee.flags.insert(.conflates)
        }
    }

    /// Only the newest `--buffer` of the events that wait are left.
    private func dropOldest(_ index: Int, _ feed: Feed) {
        let client = clients.memory + index
        var start = history.next
        var kept = 0
        while start > client.pointee.sequence && start > history.first && kept < settings.buffer {
            start -= 1
            if feed.filter.matches(history[start]) { kept += 1 }
        }
        let missed = count(feed, client.pointee.sequence..<start)
        client.pointee.sequence = start
        if missed == 0 { return }
        var notice = ByteQueue(capacity: 256)
        tellGap(index, .slow, missed: missed, behind: &notice)
        output(notice.bytes, to: index)
    }

    /// The sequence behind so many events that wait.
    private func position(_ index: Int, _ feed: Feed, behind count: Int) -> UInt64 {
        var sequence = max(clients.memory[index].sequence, history.first)
        var left = count
        while sequence < history.next && left > 0 {
            if feed.filter.matches(history[sequence]) { left -= 1 }
            sequence += 1
        }
        return sequence
    }

    private func count(_ feed: Feed, _ range: Range<UInt64>) -> Int {
        var count = 0
        // What is no longer kept cannot be looked at, and counts as wanted.
        if range.lowerBound < history.first {
            count = Int(min(history.first, range.upperBound) - range.lowerBound)
        }
        var sequence = max(range.lowerBound, history.first)
        while sequence < range.upperBound {
            if feed.filter.matches(history[sequence]) { count += 1 }
            sequence += 1
        }
        return count
    }

    /// It has the oldest events that waited for it, and goes on with the next that comes.
    func skipToNewest(_ index: Int, _ feed: Feed, behind plain: inout ByteQueue) {
        let client = clients.memory + index
        let missed = count(feed, client.pointee.sequence..<history.next)
        client.pointee.limit = 0
        client.pointee.sequence = history.next
        if missed > 0 { tellGap(index, .slow, missed: missed, behind: &plain) }
    }

    /// It is further behind than the history goes back.
    func skipExpired(_ index: Int, _ feed: Feed) {
        let client = clients.memory + index
        let missed = Int(history.first - client.pointee.sequence)
        client.pointee.sequence = history.first
        if client.pointee.limit != 0 && client.pointee.limit < history.first {
            client.pointee.limit = 0
        }
        var notice = ByteQueue(capacity: 256)
        let isSlow = client.pointee.behindSince != 0
        tellGap(
            index, isSlow ? .slow : .expired, missed: feed.filter.isAll ? missed : nil,
            behind: &notice)
        output(notice.bytes, to: index)
    }

    /// It gets the rest of what it has begun to receive, and the end, if it takes them soon.
    func disconnectSlow(_ index: Int) {
        countEnd(index, .slow)
        if clients.memory[index].transport == .ws {
            return closeWebSocket(index, 1013, "too slow")
        }
        detach(index)
        leaveFeed(index)
        let session = session(index)
        session.then = .close
        session.deadline = now + Self.lingering
        clients.memory[index].flags.insert(.hasOutput)
    }

    /// Appends what tells a client that it does not get some events, up to the one before its next.
    /// `missed` is nil when their number is not known.
    func tellGap(_ index: Int, _ gap: Gap, missed: Int?, behind plain: inout ByteQueue) {
        let client = clients.memory + index
        guard let feed = feeds[Int(client.pointee.feed)] else { return }
        switch gap {
        case .slow: counters.dropped[Drop.slow.rawValue] += missed ?? 1
        case .conflated: counters.dropped[Drop.conflated.rawValue] += missed ?? 1
        case .expired, .unknown: break
        }
        // A stream that goes on behind a conflated event has not lost its place.
        let last = gap == .conflated ? nil : id(before: client.pointee.sequence)
        feed.form.append(gapNotice(gap, missed, id: last), to: &plain)
    }

    func gapNotice(_ gap: Gap, _ missed: Int?, id: [UInt8]?) -> Notice {
        let number = missed.map { "\($0)" } ?? "null"
        return Notice(
            name: "gap", data: "{\"reason\":\"\(gap.reason)\",\"missed\":\(number)}", id: id)
    }

    /// What a client names that has everything before a sequence, as contents of a JSON string: the
    /// id of the event before it, or its number where that event, and with it an id of its own, is
    /// no longer kept.
    func id(before sequence: UInt64) -> [UInt8] {
        if sequence > history.first && sequence <= history.next {
            return Array(history[sequence - 1].id)
        }
        return shared.epoch + Array("-\(sequence - 1)".utf8)
    }
}
