import StreamCodec
import StreamTool

// What clients ask for in messages of WebSocket.
extension Worker {
    /// Events that one answer or one subscription brings at the most.
    private static let maxReplay = 1000

    /// Does what a message asks for. False when the connection is over or closing.
    func obey(
        _ index: Int, _ session: Session, _ message: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        let command: ClientCommand
        do throws(ClientCommand.Problem) {
            command = try ClientCommand(message, maxDepth: settings.common.maxDepth)
        } catch {
            counters.publishErrors += 1
            refuse(index, session, error.ref.map { Array(message.slice($0)) }, error.description)
            return true
        }
        let ref = command.ref.map { Array(message.slice($0)) }
        switch command.kind {
        case .ping:
            say(index, session, "pong", ref) {
                $0.append(",\"time\":"); $0.append(quoting: timestamp())
            }
        case .subscribe, .unsubscribe: subscribe(index, session, command, ref)
        case .history: tellHistory(index, session, command, ref)
        case .publish:
            guard let data = command.data else { return true }
            return publish(index, session, command, message.slice(data), ref)
        }
        return true
    }

    /// Queues an answer: `members` appends what it has besides type and ref.
    func say(
        _ index: Int, _ session: Session, _ type: String, _ ref: [UInt8]?,
        _ members: (inout ByteQueue) -> Void
    ) {
        var text = ByteQueue(capacity: 256)
        text.append("{\"type\":")
        text.append(quoting: type)
        if let ref {
            text.append(",\"ref\":")
            text.append(ref)
        }
        members(&text)
        text.append("}")
        replyFrame(index, session, 0x81, text.bytes)
    }

    func refuse(_ index: Int, _ session: Session, _ ref: [UInt8]?, _ reason: String) {
        say(index, session, "error", ref) {
            $0.append(",\"error\":")
            $0.append(quoting: reason)
        }
    }

    // MARK: Subscribing

    private func subscribe(
        _ index: Int, _ session: Session, _ command: ClientCommand, _ ref: [UInt8]?
    ) {
        guard let feed = feeds[Int(clients.memory[index].feed)] else { return }
        var patterns: [ChannelPattern] = []
        for text in command.channels {
            do throws(ChannelPattern.ParseError) {
                patterns.append(try ChannelPattern(text))
            } catch {
                return refuse(index, session, ref, "channel: \(error.description)")
            }
        }
        var filter = feed.filter
        // Who got everything gets from now on what it asks for.
        var channels = filter.channels ?? []
        if command.kind == .subscribe {
            for pattern in patterns where !channels.contains(pattern) { channels.append(pattern) }
        } else {
            channels.removeAll(where: patterns.contains)
        }
        if channels.count > settings.maxSubscriptions {
            return refuse(
                index, session, ref, "more than \(settings.maxSubscriptions) subscriptions")
        }
        let had = filter
        filter.channels = channels
        let form = feed.form
        detach(index)
        let sequence = clients.memory[index].sequence
        leaveFeed(index)
        guard joinFeed(index, Feed.Key(form: form, filter: filter), sequence: sequence) else {
            return drop(index, .end)
        }
        say(index, session, "ok", ref) { text in
            text.append(",\"channels\":[")
            for (offset, channel) in channels.enumerated() {
                if offset > 0 { text.append(",") }
                text.append(quoting: channel.description)
            }
            text.append("]")
        }
        if let since = command.since, command.kind == .subscribe {
            replay(
                index, session, form, since, Filter(channels: patterns, events: had.events),
                sequence)
        }
    }

    /// The events of new channels from before, in front of what comes next.
    private func replay(
        _ index: Int, _ session: Session, _ form: Form, _ since: String, _ filter: Filter,
        _ end: UInt64
    ) {
        let start = start(since: since, filter)
        // Plain frames may stand between compressed ones: RFC 7692, section 6.
        var plain = form
        plain.isCompressed = false
        var missed = start.missed
        var sequence = start.sequence
        let newest = newest(Self.maxReplay, filter, maxBytes: Self.maxAnswer)
        var gap = start.gap
        if newest > sequence {
            gap = .expired
            missed = nil
            sequence = newest
        }
        if let gap {
            plain.append(gapNotice(gap, missed, id: id(before: sequence)), to: &session.output)
        }
        var count = 0
        while sequence < min(end, history.next) {
            let event = history[sequence]
            sequence += 1
            guard filter.matches(event) else { continue }
            plain.append(event, to: &session.output)
            count += 1
        }
        counters.eventsOut[Transport.ws.rawValue.int] += count
    }

    private func tellHistory(
        _ index: Int, _ session: Session, _ command: ClientCommand, _ ref: [UInt8]?
    ) {
        guard let feed = feeds[Int(clients.memory[index].feed)] else { return }
        var filter = Filter(channels: nil, events: feed.filter.events)
        if !command.channels.isEmpty {
            filter.channels = []
            for text in command.channels {
                do throws(ChannelPattern.ParseError) {
                    filter.channels?.append(try ChannelPattern(text))
                } catch {
                    return refuse(index, session, ref, "channel: \(error.description)")
                }
            }
        } else {
            filter.channels = feed.filter.channels
        }
        let count = min(command.count ?? 100, Self.maxReplay)
        let from =
            command.since.map { start(since: $0, filter) }
            ?? Start(sequence: newest(count, filter, maxBytes: Self.maxAnswer))
        say(index, session, "history", ref) { text in
            if let gap = from.gap {
                text.append(",\"gap\":")
                text.append(quoting: gap.reason)
            }
            text.append(",\"events\":")
            appendEvents(from: from.sequence, filter, max: count, to: &text)
        }
    }
}
