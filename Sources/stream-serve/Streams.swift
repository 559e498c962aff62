import StreamCodec
import StreamTool

// Requests that are answered with events.
extension Worker {
    /// Where a client goes on, and what it is told first.
    struct Start {
        var sequence: UInt64
        var gap: Gap?
        /// How many events are missing; nil: that is not known.
        var missed: Int?
    }

    /// The shortest heartbeat that a client may ask for, in nanoseconds.
    private static let minHeartbeat: UInt64 = 1_000_000_000
    /// The longest that a request of /poll waits, in nanoseconds.
    private static let maxWait: UInt64 = 60_000_000_000
    /// Bytes of events in one answer, but at least one event.
    static let maxAnswer = 1 << 20

    // MARK: Streams

    func serveEvents(_ index: Int, _ request: Request) throws(RequestProblem) {
        let filter = try request.filter(maxSubscriptions: settings.maxSubscriptions)
        let start = try start(request)
        let asked = try request.duration("heartbeat", or: settings.heartbeat)
        let heartbeat =
            asked > 0 && asked < settings.heartbeat ? max(asked, Self.minHeartbeat) : asked
        var form = Form(wire: .sse, isRecord: request.target.has("records"))
        // Heartbeats of a compressed stream are for all who share it.
        if heartbeat == settings.heartbeat { form.isCompressed = compresses(request, filter, form) }
        let head = streamHead(request, "text/event-stream", start, form)
        if request.isHead { return answerHead(index, head) }
        session(index).output.append(string: head)
        if form.isCompressed { GzipTally.appendHeader(to: &session(index).output) }
        guard begin(index, Feed.Key(form: form, filter: filter), start) else { return }
        clients.memory[index].heartbeat = UInt32(clamping: heartbeat / 1_000_000)
        var opening = ByteQueue(capacity: 64)
        opening.appendRetry(milliseconds: jittered(settings.retry))
        opening.appendBlockEnd()
        output(opening.bytes, to: index)
        tell(start, index)
        advance(index)
    }

    func serveLines(_ index: Int, _ request: Request) throws(RequestProblem) {
        let filter = try request.filter(maxSubscriptions: settings.maxSubscriptions)
        let start = try start(request)
        var form = Form(wire: .lines, isRecord: !request.target.has("raw"))
        // Chunks would go around what is compressed for several clients: gzip has its own end.
        form.isCompressed = compresses(request, filter, form)
        if !form.isCompressed && request.minor >= 1 { form.wire = .chunks }
        let head = streamHead(request, "application/x-ndjson", start, form)
        if request.isHead { return answerHead(index, head) }
        session(index).output.append(string: head)
        if form.isCompressed { GzipTally.appendHeader(to: &session(index).output) }
        guard begin(index, Feed.Key(form: form, filter: filter), start) else { return }
        tell(start, index)
        advance(index)
    }

    /// Whether a stream of this form is compressed for who asks.
    private func compresses(_ request: Request, _ filter: Filter, _ form: Form) -> Bool {
        var form = form
        form.isCompressed = true
        return settings.compresses && request.acceptsGzip
            && mayCompress(Feed.Key(form: form, filter: filter))
    }

    private func answerHead(_ index: Int, _ head: String) {
        let session = session(index)
        session.output.append(string: head)
        session.then = .close
        clients.memory[index].flags.insert(.hasOutput)
        advance(index)
    }

    /// Buffering proxies are asked not to: `X-Accel-Buffering` for nginx, `no-transform` (RFC 9111,
    /// section 5.2.2.6) for those that would compress.
    private func streamHead(
        _ request: Request, _ type: String, _ start: Start, _ form: Form
    ) -> String {
        "HTTP/1.1 200 OK\r\nContent-Type: \(type)\r\nCache-Control: no-cache, no-transform\r\n"
            + "X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\n"
            + (form.wire == .chunks ? "Transfer-Encoding: chunked\r\n" : "Connection: close\r\n")
            + (form.isCompressed ? "Content-Encoding: gzip\r\n" : "")
            + (settings.compresses ? "Vary: Accept-Encoding\r\n" : "")
            // Where sse-decode finds the same events when a proxy holds this back.
            + (form.wire == .sse ? "Stream-Poll: poll\r\n" : "")
            + (start.gap.map { "Stream-Gap: \($0.reason)\r\n" } ?? "")
            + self.fields(for: request) + "\r\n"
    }

    /// The connection becomes a stream. False when there is no memory for it, and it is over.
    func begin(_ index: Int, _ key: Feed.Key, _ start: Start) -> Bool {
        let session = session(index)
        session.phase = .streaming
        session.deadline = 0
        setTransport(index, key.form.transport)
        clients.memory[index].flags.insert(.hasOutput)
        if joinFeed(index, key, sequence: start.sequence) { return true }
        drop(index, .end)
        return false
    }

    /// Tells a client of the events that it does not get.
    func tell(_ start: Start, _ index: Int) {
        guard let gap = start.gap else { return }
        var notice = ByteQueue(capacity: 256)
        tellGap(index, gap, missed: start.missed, behind: &notice)
        output(notice.bytes, to: index)
    }

    /// Between half and one and a half times as much, in milliseconds, so that clients that lost
    /// their connection at the same time do not come back at the same time.
    func jittered(_ nanoseconds: UInt64) -> Int {
        let milliseconds = Int(nanoseconds / 1_000_000)
        return Int.random(in: milliseconds / 2...milliseconds + milliseconds / 2, using: &random)
    }

    // MARK: Where to begin

    /// What a request says of where it wants to go on.
    func start(_ request: Request) throws(RequestProblem) -> Start {
        let filter = try request.filter(maxSubscriptions: settings.maxSubscriptions)
        if let id = request.head.first("Last-Event-ID"), !id.isEmpty {
            return resume(behind: id, filter)
        }
        // A client that resumes by itself adds its own to what it was given.
        if let id = request.target.values("last_event_id").last, !id.isEmpty {
            return resume(behind: id, filter)
        }
        guard let since = request.target.values("since").last, !since.isEmpty else {
            return Start(sequence: history.next)
        }
        return start(since: since, filter)
    }

    /// `earliest`, an id, a number of events, or a duration. `last:50` is 50 where 50 is an id.
    func start(since: String, _ filter: Filter) -> Start {
        if since == "earliest" { return Start(sequence: history.first) }
        let text = Array(since.utf8)
        if history.hasOwnIDs || settings.idFrom != nil,
            let known = history.find(id: text) ?? findComing(id: text)
        {
            counters.replayHits += 1
            return Start(sequence: known + 1)
        }
        let number = since.hasPrefix("last:") ? since.dropFirst("last:".count) : since[...]
        if let count = Int(number), count >= 0 {
            return Start(sequence: newest(count, filter))
        }
        if since.first?.isNumber ?? false, !since.contains("-"),
            let age = duration(since)
        {
            return Start(sequence: history.find(arrival: now > age ? now - age : 0))
        }
        return resume(behind: since, filter)
    }

    private func duration(_ text: String) -> UInt64? {
        do throws(UsageError) {
            return try Value.duration(text)
        } catch {
            return nil
        }
    }

    /// Where the newest so many events that a filter lets through begin, as far as their records
    /// have no more than `maxBytes`; one at least.
    func newest(_ count: Int, _ filter: Filter, maxBytes: Int = .max) -> UInt64 {
        var sequence = history.next
        var left = count
        var room = maxBytes
        while sequence > history.first && left > 0 {
            let event = history[sequence - 1]
            if filter.matches(event) {
                left -= 1
                room -= event.head.pointee.recordSize
                if room < 0 && left < count - 1 { break }
            }
            sequence -= 1
        }
        return sequence
    }

    private func resume(behind id: String, _ filter: Filter) -> Start {
        let prefix = shared.epoch + [UInt8(ascii: "-")]
        let text = Array(id.utf8)
        // Another worker may be ahead of this one, and so may the client.
        if text.starts(with: prefix), let number = UInt64(id.dropFirst(prefix.count)),
            number <= shared.board.eventsCame()
        {
            if number + 1 >= history.first {
                counters.replayHits += 1
                return Start(sequence: number + 1)
            }
            counters.replayMisses += 1
            return Start(
                sequence: history.first, gap: .expired,
                missed: filter.isAll ? Int(history.first - number - 1) : nil)
        }
        if let known = history.find(id: text) ?? findComing(id: text) {
            counters.replayHits += 1
            return Start(sequence: known + 1)
        }
        counters.replayMisses += 1
        return Start(sequence: history.first, gap: .unknown)
    }

    /// An event that came and is not in the history yet: another worker may have been faster with
    /// it, and so may the client.
    private func findComing(id: [UInt8]) -> UInt64? {
        var found: UInt64?
        incoming.forEachEvent { if $0.id.unescapes(to: id) { found = $0.head.pointee.sequence } }
        if found != nil { return found }
        // The publisher gives each batch to all workers before it lets go of this.
        shared.posting.lock()
        shared.posting.unlock()
        mailbox.forEachEvent {
            if $0.id.unescapes(to: id) { found = $0.head.pointee.sequence }
        }
        return found
    }

    // MARK: Long polling, and the newest

    func servePoll(_ index: Int, _ request: Request) throws(RequestProblem) {
        let filter = try request.filter(maxSubscriptions: settings.maxSubscriptions)
        let start = try start(request)
        let wait = min(try request.duration("wait", or: 30_000_000_000), Self.maxWait)
        let poll = Poll(
            filter: filter, sequence: start.sequence, max: try request.count("max", or: 100),
            deadline: now + wait, keepsAlive: request.keepsAlive,
            isHead: request.isHead, gap: start.gap, missed: start.missed,
            fields: fields(for: request))
        let session = session(index)
        session.phase = .poll(poll)
        setTransport(index, .poll)
        if answer(index, poll, isDue: ending == nil && (wait == 0 || request.isHead)) { return }
        // Who polls gets what is left, as the others do, and no more empty answers.
        if ending != nil { throw .ended }
        clients.memory[index].flags.insert(.polls)
        polls.append(Int32(index))
        pollDeadline = min(pollDeadline, poll.deadline)
    }

    /// Answers those who wait for what has come, and those whose time is over.
    func answerPolls() {
        guard pollsHaveNews || now >= pollDeadline || ending != nil else { return }
        pollsHaveNews = false
        pollDeadline = .max
        let waiting = polls
        polls.removeAll(keepingCapacity: true)
        for index in waiting.map(Int.init) {
            guard let session = sessions[index], case .poll(let poll) = session.phase else {
                continue
            }
            let isDue = now >= poll.deadline || ending != nil
            if answer(index, poll, isDue: isDue) { continue }
            polls.append(Int32(index))
            pollDeadline = min(pollDeadline, poll.deadline)
        }
    }

    /// False when there is nothing yet.
    private func answer(_ index: Int, _ poll: Poll, isDue: Bool) -> Bool {
        var body = ByteQueue(capacity: 256)
        body.append("[")
        var sequence = max(poll.sequence, history.first)
        var gap = poll.gap
        var missed = poll.missed
        if sequence > poll.sequence && gap == nil {
            gap = .expired
            missed = poll.filter.isAll ? Int(sequence - poll.sequence) : nil
        }
        if let gap {
            gapNotice(gap, missed, id: id(before: sequence)).appendRecord(to: &body)
        }
        var count = 0
        while sequence < history.next && count < poll.max && body.count < Self.maxAnswer {
            let event = history[sequence]
            sequence += 1
            guard poll.filter.matches(event) else { continue }
            if body.count > 1 { body.append(",") }
            body.append(event.record)
            count += 1
        }
        if count == 0 && gap == nil && !isDue { return false }
        body.append("]\n")
        counters.eventsOut[Transport.poll.rawValue.int] += count
        var fields = poll.fields
        // Another worker may be ahead of this one, and so may the client.
        var cursor = ByteQueue(capacity: 64)
        id(before: max(sequence, poll.sequence)).withUnsafeBufferPointer {
            cursor.append(replacing: $0)
        }
        fields += "Stream-Cursor: \(String(decoding: cursor.bytes, as: UTF8.self))\r\n"
        if let gap { fields += "Stream-Gap: \(gap.reason)\r\n" }
        clients.memory[index].flags.remove(.polls)
        answer(
            index, "200 OK", "application/json", body.bytes, fields: fields,
            keepsAlive: poll.keepsAlive, isHead: poll.isHead)
        return true
    }

    func serveLast(_ index: Int, _ request: Request) throws(RequestProblem) {
        let filter = try request.filter(maxSubscriptions: settings.maxSubscriptions)
        var body = ByteQueue(capacity: 256)
        let count = try request.count("n", or: 1)
        let first = newest(count, filter, maxBytes: Self.maxAnswer)
        appendEvents(from: first, filter, to: &body)
        body.append("\n")
        answer(
            index, "200 OK", "application/json", body.bytes, fields: fields(for: request),
            keepsAlive: request.keepsAlive, isHead: request.isHead)
    }

    /// Appends an array of the events from a sequence on.
    func appendEvents(
        from first: UInt64, _ filter: Filter, max: Int = .max, to body: inout ByteQueue
    ) {
        body.append("[")
        var sequence = first
        var left = max
        let start = body.count
        while sequence < history.next && left > 0 && body.count - start <= Self.maxAnswer {
            let event = history[sequence]
            sequence += 1
            guard filter.matches(event) else { continue }
            left -= 1
            if body.count > start { body.append(",") }
            body.append(event.record)
        }
        body.append("]")
    }
}
