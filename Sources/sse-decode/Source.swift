import Glibc
import StreamClient
import StreamCodec
import StreamTool

/// A stream from a URL, over one connection after the other: HTML 9.2.3, and what operators need
/// besides. It never waits.
final class Source {
    enum Phase {
        /// Until then (monotonic nanoseconds).
        case waiting(until: UInt64)
        /// The request is on its way; the head of the answer did not come.
        case asking
        case receiving
        /// The head of a body that says why not.
        case refused(Answer.Refusal)
        case over
    }

    /// Bytes of the body of a refusal that a diagnostic shows.
    static let shownBody = 400
    /// Bytes that wait to be inflated: 512 KiB.
    static let maxRaw = 512 << 10
    /// So many connections behind one another that bring a head and nothing more are withheld.
    static let withheldAfter = 2

    /// Without what may be a secret.
    let name: String
    let settings: DecodeOptions
    var asking: Asking
    let stream: ClientURL?
    /// What --poll names, or the server.
    var pollURL: ClientURL?
    var transfer: HTTPTransfer
    var reader: EventReader
    var pipeline: Pipeline
    var phase = Phase.waiting(until: 0)
    var reconnection: Reconnection
    var generator = SystemRandomNumberGenerator()
    /// What went wrong for good.
    var failure: Failure?

    // This connection.
    /// As it came, when it is to be inflated or no stream.
    var raw = ByteQueue(capacity: 64 << 10)
    var queue = ByteQueue(capacity: 512 << 10)
    var inflater: GzipInflater?
    /// How it ended, while some of it is still to be understood.
    var ended: HTTPTransfer.Step?
    var began: UInt64 = 0
    /// When the head came.
    var opened: UInt64?
    var lastByte: UInt64 = 0
    /// The head did not say what it is.
    var isUntyped = false
    var sawByte = false
    var sawEvent = false

    // All connections.
    var isPolling: Bool
    /// When to try the stream again.
    var pollsUntil: UInt64 = .max
    var withheld = 0
    /// There is something to poll, but not for us.
    var isPollUseless = false
    /// What the last request went on behind.
    var askedBehind: [UInt8]?
    var rhythm = Rhythm()
    /// When the last answer ended; nil while there was none.
    var closed: UInt64?
    var isFirst = true
    /// An answer came, so that what was given for the connection is right.
    var wasAnswered = false
    /// Why the last attempt failed.
    var trouble: String?
    /// A poll behind one that went well, which is no news.
    var isNextPoll = false
    /// Some event had no id, so that another request would bring it again.
    var cannotResume = false

    /// `stream` is nil when there is nothing but long polling.
    init(
        _ settings: DecodeOptions, name: String, stream: ClientURL?, poll: ClientURL?
    ) throws {
        guard let url = stream ?? poll else { preconditionFailure("a source has a URL") }
        self.settings = settings
        self.name = name
        self.stream = stream
        pollURL = poll
        isPolling = stream == nil
        asking = Asking(settings, url, isPoll: stream == nil)
        do throws(TransportError) {
            transfer = try HTTPTransfer(settings.connect, jar: settings.follow.cookieJar)
        } catch {
            throw Failure(error.status, error.message)
        }
        reader = try EventReader(settings, settings.input, isAnswer: true)
        pipeline = try Pipeline(settings)
        pipeline.notesIDs = true
        pipeline.beginInput(name)
        reconnection = Reconnection(settings.follow)
    }

    var isOver: Bool { if case .over = phase { true } else { false } }
    var isOpen: Bool { if case .receiving = phase { true } else { false } }

    /// What to wait for, and when `advance` has something to do; monotonic nanoseconds.
    func wanted(hasRoom: Bool) -> (descriptors: [pollfd], deadline: UInt64?) {
        switch phase {
        case .over: return ([], pipeline.deadline)
        case .waiting(let until): return ([], min(until, pipeline.deadline ?? .max))
        case .asking, .receiving, .refused: break
        }
        // What we do not read, we cannot blame on the peer.
        guard hasRoom else { return ([], pipeline.deadline) }
        // What is to be inflated waits for room only; a refusal's body waits for its rest.
        if ended != nil || (inflater != nil && !raw.isEmpty) { return ([], 0) }
        let (descriptors, deadline) = transfer.wanted
        let clock = min(lastByte + idleLimit, pipeline.deadline ?? .max)
        return (descriptors, min(clock, deadline ?? .max))
    }

    /// Goes on as far as it goes without waiting.
    func advance(_ run: inout Run<DecodeOptions>, hasRoom: Bool) throws {
        let now = monotonicNanoseconds()
        if let due = pipeline.deadline, now >= due { try pipeline.expire(&run) }
        do {
            switch phase {
            case .over: break
            case .waiting(let until): if now >= until { try begin(now, &run) }
            case .asking, .receiving, .refused:
                if hasRoom { try receive(now, &run) } else { lastByte = now }
            }
        } catch let error as TransportError {
            let reason = "\(name): \(error.message)"
            guard passes(error) else { return try fail(Failure(error.status, reason), &run) }
            do {
                try again(reason, isLost: true, &run)
            } catch let failure as Failure where failure.concernsPeer {
                try fail(failure, &run)
            }
        } catch let failure as Failure where failure.concernsPeer {
            try fail(failure, &run)
        }
    }

    /// The same may succeed later. A certificate that was there before is being replaced.
    func passes(_ error: TransportError) -> Bool {
        error.isPassing || error.mayBeReplaced && wasAnswered
    }

    /// How long nothing may come: what the user said, or what the server's rhythm says.
    var idleLimit: UInt64 {
        let follow = settings.follow
        if let limit = follow.idleTimeout { return limit }
        if !follow.isSafe && !isPolling { return FollowOptions.longIdle }
        return isOpen && !isPolling ? rhythm.idleLimit : FollowOptions.answerIdle
    }

    // MARK: Asking

    func begin(_ now: UInt64, _ run: inout Run<DecodeOptions>) throws {
        if isPolling && now >= pollsUntil, let stream {
            leavePoll(for: stream)
            run.report.info("\(name): trying the stream again")
        }
        if !isNextPoll {
            if !isFirst { run.report.add(to: "reconnections") }
            run.tell("connecting", of: name)
        }
        let wasFirst = isFirst
        isFirst = false
        let request: HTTPRequest
        askedBehind = pipeline.resumeID
        do {
            request = try asking.begin(id: askedBehind)
        } catch let failure as Failure where !wasFirst {
            // A file that was there before is being replaced, or comes back.
            return try again(failure.message, isLost: true, &run)
        }
        try start(request, now, &run)
    }

    func start(
        _ request: HTTPRequest, _ now: UInt64, _ run: inout Run<DecodeOptions>
    ) throws {
        run.report.add(to: "connection_attempts")
        raw.removeAll()
        queue.removeAll()
        inflater = nil
        ended = nil
        opened = nil
        sawByte = false
        sawEvent = false
        began = now
        lastByte = now
        phase = .asking
        try transfer.begin(request)
    }

    // MARK: Receiving

    func receive(_ now: UInt64, _ run: inout Run<DecodeOptions>) throws {
        if ended == nil && raw.count < Self.maxRaw {
            let isPlain = isOpen && inflater == nil
            let before = isPlain ? queue.count : raw.count
            let step = isPlain ? transfer.proceed(into: &queue) : transfer.proceed(into: &raw)
            let count = (isPlain ? queue.count : raw.count) - before
            if count > 0 {
                if isOpen { rhythm.note(now - lastByte) }
                lastByte = now
                run.report.inputBytes += count
                run.report.add(count, to: "bytes_received")
                if isPlain { try understand(from: before, &run) }
            }
            if case .waiting = step {} else { ended = step }
            if try takeHead(now, &run) { return }
        }
        switch phase {
        case .receiving: try inflate(&run)
        case .refused(let refusal):
            let isLate = now >= lastByte + idleLimit
            if ended != nil || isLate || raw.count > 4 * Self.shownBody {
                return try refuse(refusal, &run)
            }
        case .waiting, .asking, .over: break
        }
        if pipeline.isDone || pipeline.sawEnd { return try finish(&run) }
        if raw.isEmpty, let step = ended { return try end(step, now, &run) }
        if ended == nil && now >= lastByte + idleLimit { try stall(&run) }
    }

    /// Takes the head when it came. True when that began another request, or ended this one.
    func takeHead(_ now: UInt64, _ run: inout Run<DecodeOptions>) throws -> Bool {
        guard case .asking = phase else { return false }
        let head: HTTPHead
        do throws(HTTPHeadError) {
            guard let taken = try transfer.takeHead() else { return false }
            head = taken
        } catch {
            throw Failure(.protocolError, "\(name): no HTTP answer: \(error)")
        }
        lastByte = now
        wasAnswered = true
        guard case .response(let status, let reason, _) = head.start else { return false }
        switch Answer(head, settings, isPoll: isPolling) {
        case .over:
            run.tell("closed", of: name, [("status", .number(status))])
            try finish(&run)
            return true
        case .redirect(let location):
            try start(try asking.follow(location, status: status), now, &run)
            return true
        case .refusal(let refusal):
            run.report.info("\(name): \(status) \(reason)")
            phase = .refused(refusal)
        case .wrongType(let type):
            throw Failure(
                .protocolError,
                "\(name): no event stream but '\(type)'" + raw.shown(Self.shownBody))
        case .untyped:
            run.report.warn("\(name): the answer has no Content-Type")
            try open(isPolling ? .jsonStream : .sse, head, status, now, &run)
            isUntyped = true
        case .stream(let format):
            try open(format, head, status, now, &run)
        }
        return false
    }

    func open(
        _ format: Format, _ head: HTTPHead, _ status: Int, _ now: UInt64,
        _ run: inout Run<DecodeOptions>
    ) throws {
        phase = .receiving
        opened = now
        isUntyped = false
        notePoll(head)
        if let closed, !isNextPoll {
            run.report.observe(Double(now - closed) / 1e9, as: "time_to_reconnect_seconds")
        }
        reader = try EventReader(settings, format, isAnswer: true)
        pipeline.beginConnection(run)
        pipeline.polled = isPolling ? try PolledEvents(settings.follow.pollCursor) : nil
        if !isNextPoll {
            run.tell(
                "open", of: name,
                [("status", .number(status)), ("type", .text(head.first("Content-Type") ?? ""))])
        }
        if closed != nil, !isNextPoll, let id = pipeline.lastID, !id.isEmpty {
            run.tell(
                "resumed", of: name, [("last_event_id", .text(String(decoding: id, as: UTF8.self)))]
            )
        }
        switch Answer.coding(head) {
        case .other(let coding):
            throw Failure(
                .protocolError, "\(name): Content-Encoding '\(coding)', which was not asked for")
        case .gzip:
            do throws(GzipError) {
                inflater = try GzipInflater(maxRatio: settings.common.maxRatio)
            } catch {
                throw Failure(.systemError, error.description)
            }
        case .none:
            queue.append(raw.bytes)
            raw.removeAll()
            if !queue.isEmpty { try understand(from: 0, &run) }
        }
    }

    /// Inflates what came, as long as there is room for what it becomes.
    func inflate(_ run: inout Run<DecodeOptions>) throws {
        guard inflater != nil else { return }
        while !pipeline.isDone && !pipeline.sawEnd && run.hasRoom {
            let received = queue.count
            do throws(GzipError) {
                guard try inflater?.inflate(&raw, into: &queue) == true else { break }
                if queue.count == received { continue }
            } catch {
                if queue.count > received { try understand(from: received, &run) }
                raw.removeAll()
                let reason = "the compressed answer is broken: \(error.description)"
                ended = .failed(TransportError(.lost, reason))
                return
            }
            try understand(from: received, &run)
        }
    }

    /// Hands out the events in the queue; what is behind `received` came just now.
    func understand(from received: Int, _ run: inout Run<DecodeOptions>) throws {
        sawByte = true
        withheld = 0
        let events = run.report.recordsIn
        // Also when one of them ends the stream: those before it came.
        defer { noteEvents(since: events, run) }
        _ = try reader.read(&queue, from: received, &pipeline, &run)
    }

    func noteEvents(since events: Int, _ run: borrowing Run<DecodeOptions>) {
        if reader.format == .sse {
            pipeline.noteEnd(reader.decoder.lastEventID, run.output)
            if let milliseconds = reader.decoder.reconnectionTime {
                reconnection.setReconnectionTime(milliseconds: milliseconds)
            }
        } else {
            pipeline.noteEnd(nil, run.output)
        }
        guard run.report.recordsIn > events else { return }
        run.report.add(run.report.recordsIn - events, to: "events")
        sawEvent = true
        if pipeline.lastID == nil { cannotResume = true }
        run.report.setGauge(Double(realtimeNanoseconds()) / 1e9, as: "last_event_timestamp_seconds")
    }
}

extension Failure {
    /// The peer's fault, which is none of the other sources'.
    var concernsPeer: Bool {
        [.protocolError, .unavailable, .noPermission].contains(status)
    }
}
