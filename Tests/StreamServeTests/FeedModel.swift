import StreamCodec
import StreamTool
import Testing

@testable import stream_serve

/// An event as a client must see it.
struct Sent {
    var sequence: UInt64
    var channel: String
    var type: String
    var id: String
    /// The text that the data stands for, and the same as JSON.
    var data: String
    var json: String
    var record: String

    /// What a client of a form has received when this has come.
    func received(_ form: Form) -> Received {
        switch (form.wire, form.isRecord) {
        case (.sse, true): Received(id: id, data: record)
        case (.sse, false): Received(type: type, id: id, data: data.withLineFeeds)
        case (.webSocket, false): Received(data: data)
        case (_, false): Received(data: json)
        case (_, true): Received(data: record)
        }
    }
}

/// What a client has received: of messages and lines there is only the data.
struct Received: Equatable {
    var type = ""
    var id = ""
    var data: String
}

extension String {
    /// As EventSource has it: CR and CR LF end lines, too.
    var withLineFeeds: String {
        var text: [UInt8] = []
        var previous: UInt8 = 0
        for byte in utf8 {
            if byte == 0x0D {
                text.append(0x0A)
            } else if byte != 0x0A || previous != 0x0D {
                text.append(byte)
            }
            previous = byte
        }
        return text.text
    }

    var quoted: String {
        var queue = ByteQueue()
        queue.append(quoting: self)
        return text(queue.bytes)
    }
}

/// One feed, and what a worker does with it: see Delivery.swift.
final class FeedModel {
    let key: Feed.Key
    let feed: Feed
    let events = Events { $0.form = .records }
    let history = History(HistoryLimits(), keepsKeys: false)
    private(set) var sent: [Sent] = []
    private(set) var clients: [FeedClient] = []
    var random: Random
    var now: UInt64 = 1_000_000_000

    init(_ form: Form, _ filter: Filter, _ random: Random) throws {
        key = Feed.Key(form: form, filter: filter)
        feed = try Feed(key, next: 1, level: 3)
        self.random = random
    }

    var next: UInt64 { history.next }

    /// Publishes an event, at random.
    func publish() throws {
        let sequence = history.next
        let isText = random.oneIn(2)
        let type = random.oneIn(4) ? random.pick(["tick", "a b", "é"]) : ""
        let channel = random.pick(["", "a", "a.b", "a.c", "b.c"])
        let data = isText ? randomText() : "{\"n\":\(sequence),\"x\":[\(random.below(1000))]}"
        let json = isText ? data.quoted : data
        let id = random.oneIn(6) ? "own \(random.below(1 << 20))" : ""
        func member(_ name: String, _ value: String) -> String {
            value.isEmpty ? "" : "\"\(name)\":\(value),"
        }
        let hasData = !random.oneIn(20)
        let line =
            "{" + member("event", type.isEmpty ? "" : type.quoted)
            + member("id", id.isEmpty ? "" : id.quoted) + (hasData ? "\"data\":\(json)," : "")
            + member("channel", channel.isEmpty ? "" : channel.quoted) + "\"retry\":1}"
        try events.add(line)
        let event = events.last
        sent.append(
            Sent(
                sequence: sequence, channel: channel, type: type,
                id: id.isEmpty ? "e-\(sequence)" : id,
                data: hasData ? data : "", json: hasData ? json : "", record: text(event.record)))
        history.append(event)
        if key.filter.matches(event) { feed.append(event, now: now) }
    }

    private func randomText() -> String {
        let words = ["x", "\n", "\r\n", "\r", " ", "é", "\"", "\\", "\u{1F600}", "word", "\t"]
        let count = random.oneIn(100) ? random.below(20_000) : random.below(12)
        return (0..<count).map { _ in random.pick(words) }.joined()
    }

    /// Adds a client that has everything before a sequence.
    func join(at sequence: UInt64) throws {
        let client = try FeedClient(self, sequence)
        clients.append(client)
        client.advance()
    }

    /// Offers the members what came.
    func flush() {
        feed.seal(now: now)
        feed.hasNews = false
        for client in clients {
            if client.isBlocked && random.oneIn(2) { client.unblock() }
            client.advance()
        }
        let least = clients.compactMap(\.place).min() ?? feed.log.end
        if least == feed.log.end { return feed.clear(next: next) }
        if random.oneIn(10) { cut() }
    }

    /// Whoever is far behind goes on from the history.
    private func cut() {
        let half = feed.frame(from: feed.log.base + feed.log.bytes.count / 2, next: next).place
        for client in clients where client.place.map({ $0 < half }) ?? false { client.detach() }
        feed.cut(to: half, next: next)
    }

    func heartbeat() {
        if key.form.wire != .sse { return }
        guard key.form.isCompressed else {
            return clients.forEach { if $0.isIdle { $0.output(Array(":\n\n")) } }
        }
        feed.appendHeartbeat(next: next, now: now)
    }

    /// A client goes in order, and must have received what it should.
    func leave(_ client: FeedClient) throws {
        clients.removeAll { $0 === client }
        try client.end()
    }
}

/// A connection of a feed.
final class FeedClient {
    private unowned let model: FeedModel
    private var feed: Feed { model.feed }
    private var form: Form { model.key.form }
    /// In the log, while it is attached.
    private(set) var place: Int?
    private var sequence: UInt64
    private var joined = GzipTally()
    private var tally = GzipTally()
    private var pending: [UInt8] = []
    private var received: [UInt8] = []
    private(set) var isBlocked = false
    private var expected: [Received] = []
    /// Events before this one are in `expected`, or left out.
    private var known: UInt64

    fileprivate init(_ model: FeedModel, _ sequence: UInt64) throws {
        self.model = model
        self.sequence = sequence
        known = sequence
        if form.isCompressed && form.wire == .sse {
            var header = ByteQueue()
            GzipTally.appendHeader(to: &header)
            received = Array(header.bytes)
        }
    }

    func unblock() { isBlocked = false }

    /// It is attached, and has everything that it was offered.
    var isIdle: Bool { place != nil && pending.isEmpty && !isBlocked }

    /// Takes what is there until its socket is full.
    func advance() {
        while !isBlocked {
            if !pending.isEmpty {
                let count = room(pending.count)
                received += pending.prefix(count)
                pending.removeFirst(count)
            } else if let place {
                let left = feed.log.end - place
                if left == 0 { return }
                let start = place - feed.log.base
                let count = room(left)
                received += feed.log.bytes.bytes(start..<(start + count))
                self.place = place + count
            } else if !replay() {
                return
            }
        }
    }

    /// How much of so many bytes the socket takes now.
    private func room(_ count: Int) -> Int {
        guard model.random.oneIn(8) else { return count }
        isBlocked = true
        return model.random.below(count + 1)
    }

    private func replay() -> Bool {
        if attach() { return true }
        var plain = ByteQueue()
        var left = 1 + model.random.below(5)
        while sequence < model.next && left > 0 {
            let event = model.history[sequence]
            sequence += 1
            guard feed.filter.matches(event) else { continue }
            left -= 1
            form.append(event, to: &plain)
        }
        if plain.isEmpty { return sequence < model.next || attach() }
        output(Array(plain.bytes))
        return true
    }

    private func attach() -> Bool {
        guard let place = feed.place(of: sequence) else { return false }
        self.place = place
        joined = feed.tally(at: place)
        return true
    }

    func detach() {
        guard let old = place else { return }
        place = nil
        let (next, sequence) = feed.frame(from: old, next: model.next)
        if next > old {
            pending += feed.log.bytes.bytes(old - feed.log.base..<next - feed.log.base)
        }
        if form.isCompressed && form.wire == .sse {
            tally.add(from: joined, to: feed.tally(at: next))
        }
        self.sequence = sequence
    }

    /// Bytes for this client alone.
    func output(_ bytes: [UInt8]) {
        guard form.isCompressed && form.wire == .sse else { return pending += bytes }
        detach()
        var stored = ByteQueue()
        bytes.withUnsafeBufferPointer {
            tally.add($0)
            GzipTally.appendStored($0, to: &stored)
        }
        pending += stored.bytes
    }

    /// As --slow=drop-oldest does: the client is told, and goes on later.
    func skip(_ count: Int) {
        detach()
        learn(before: sequence)
        sequence = min(sequence + UInt64(count), model.next)
        known = sequence
        var notice = ByteQueue()
        form.append(Notice(name: "gap", data: "{\"missed\":\(count)}", id: Array("g")), to: &notice)
        output(Array(notice.bytes))
        let data = "{\"missed\":\(count)}"
        expected.append(
            form.wire == .sse
                ? Received(type: "gap", id: "g", data: data)
                : Received(data: "{\"event\":\"gap\",\"id\":\"g\",\"data\":\(data)}"))
    }

    /// Expects the events up to a sequence that the filter lets through.
    private func learn(before end: UInt64) {
        while known < end {
            let event = model.history[known]
            let sent = model.sent[Int(known) - 1]
            known += 1
            guard feed.filter.matches(event) else { continue }
            let received = sent.received(form)
            // What has no data is no event of EventSource, and no line.
            let isNothing = event.payload.isEmpty && !event.head.pointee.isText && !form.isRecord
            if isNothing && form.wire != .webSocket { continue }
            expected.append(received)
        }
    }

    fileprivate func end() throws {
        while true {
            isBlocked = false
            advance()
            if !isBlocked && pending.isEmpty { break }
        }
        detach()
        learn(before: sequence)
        var last = ByteQueue()
        if form.wire == .chunks { last.append("0\r\n\r\n") }
        if form.isCompressed && form.wire == .sse { tally.appendEnd(to: &last) }
        received += pending
        received += last.bytes
        let seen = try decode(received, form)
        let isSame = seen == expected
        let first = zip(seen, expected).first { $0 != $1 }
        #expect(
            isSame,
            "\(form): \(seen.count) of \(expected.count), \(first as Any), seed \(Seed.value)"
        )
    }
}
