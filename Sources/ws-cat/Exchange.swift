import CLinux
import Glibc
import StreamClient
import StreamCodec
import StreamTool

/// Lines to messages and messages to lines, over one connection after the other.
func exchange(_ run: inout Run<CatOptions>) throws -> ExitStatus {
    var exchange = try Exchange(run)
    try exchange.begin(&run)
    exchange.openPrompt(&run)
    var drawn = run.output.buffer.count
    defer { exchange.closePrompt(&run, from: drawn) }
    do {
        while !exchange.isOver { try exchange.turn(&run, &drawn) }
    } catch {
        try exchange.giveUp(&run, error)
        throw error
    }
    return try exchange.finish(&run)
}

struct Exchange: ~Copyable {
    let settings: CatOptions
    var connection: Connection
    var intake: Intake
    var outbox: Outbox
    var writer: MessageWriter
    var keepalive: Keepalive
    var retry: Retry
    var pace: Pace?
    var latency = Histogram()
    let listener: Listener?
    let started = monotonicNanoseconds()
    /// Once a signal asked to stop.
    private static let graceSeconds: Int32 = 5

    /// Nothing more is to be done.
    var isOver = false
    /// Received text is written as it is, and no end is near.
    let isPlainText: Bool
    /// How the last connection ended.
    var ending: Ending?
    /// Why the close is ours to begin; nil while it is not.
    var leaving: Leaving?
    /// A connection was closed for that.
    var leftOpen = false
    /// The reader of standard output has left.
    var lacksReader = false
    /// Since when there is nothing to send any more; nil while there is.
    var quietSince: UInt64?
    /// Since when there is no connection, and when the line of --one was there.
    var downSince: UInt64
    var lineCame: UInt64?
    /// Messages that are still wanted.
    var wanted: Int
    /// What a new connection goes on behind.
    var place: ResumePlace?

    // This connection. Greetings are no lines: they go on each, and are never lost.
    var sentHere = 0
    var confirmedHere = 0
    var greetedHere = 0
    /// Messages that came behind one that was sent, no more than were sent.
    var repliesHere = 0
    /// When it was opened; nil while there is none.
    var opened: UInt64?
    /// What the peer's system had acknowledged when a ping went, and when all was sent, in bytes.
    var acknowledged = 0
    var taken = 0

    // Counters of the whole run.
    var received = 0
    var sent = 0
    var unconfirmed = 0
    var resent = 0
    /// Some line may not have come to where it should go.
    var mayHaveLost = false
    var attempts = 0
    var connections = 0
    var pings = 0

    init(_ run: borrowing Run<CatOptions>) throws {
        let settings = run.settings
        let url = try settings.check(run.operands)
        _ = try settings.greetingMessages()
        let connection = try Connection(settings, try Request(settings, url: url))
        let intake = try Intake(settings)
        let listener = try settings.listen.map { try Listener($0) }
        self.listener = listener
        self.settings = settings
        downSince = started
        self.connection = connection
        self.intake = intake
        outbox = Outbox(window: settings.resends ? settings.bufferBytes : nil)
        place = settings.resumePath.map { ResumePlace($0, settings) }
        writer = MessageWriter(settings)
        keepalive = Keepalive(settings)
        retry = Retry(settings)
        pace = settings.rate.map { Pace($0) }
        isPlainText =
            settings.form == .text && settings.count == nil && !settings.isOneShot
            && !settings.echoes && settings.resumePath == nil
        wanted = settings.isOneShot ? 1 : settings.count ?? .max
    }

    mutating func begin(_ run: inout Run<CatOptions>) throws {
        if settings.connect.isInsecure {
            run.report.warn("--insecure: the peer's certificate is not verified")
        }
        run.output.watchReader()
        // A second signal ends the closing, a third the process.
        clinux_set_grace(Self.graceSeconds)
        run.report.isTwoWay = true
        run.read()
        run.input.inflates = settings.form != .binary
        if try !run.openInput() { intake.end() }
        try tellPort(run.report)
    }

    private func tellPort(_ report: Report) throws {
        guard let port = listener?.port, port > 0 else { return }
        report.info("listening at port \(port)")
        if let file = settings.portFile { try replaceFile(file, with: "\(port)\n") }
    }

    /// Waits, and does what can be done. `drawn` is how much of the output is what it should be on
    /// the screen: what a turn appends behind it was received.
    mutating func turn(_ run: inout Run<CatOptions>, _ drawn: inout Int) throws {
        try wait(&run)
        try connect(&run)
        try receive(&run)
        send()
        try keepTime(&run)
        drawPrompt(&run.output, from: drawn)
        _ = try run.output.writeAvailable()
        drawn = run.output.buffer.count
    }

    // MARK: Waiting

    /// Waits until something can be done, and reads standard input when that is it.
    mutating func wait(_ run: inout Run<CatOptions>) throws {
        let isUp = connection.isUp
        run.input.watched = watched(run.output)
        let mayGoOn =
            connection.mayGoOn(reads: hasRoom(run.output)) || intake.mayMove(outbox, isUp: isUp)
        let deadline = mayGoOn ? 0 : self.deadline
        if !isLeaving && intake.wantsInput(outbox, isUp: isUp) {
            do {
                let start = intake.pending.count
                switch try run.input.read(into: &intake.pending, deadline: deadline) {
                case .end: intake.end()
                case .bytes: intake.edit(from: start)
                case .timeout, .request, .stopped: break
                }
            } catch {
                intake.end(with: error)
            }
        } else {
            try run.report.wait(for: &run.input.watched, until: deadline)
        }
        if !isLeaving { intake.move(to: &outbox, isUp: isUp, run) }
    }

    private func watched(_ output: borrowing Output) -> [pollfd] {
        var watched = connection.watched(reads: connection.isDrained && hasRoom(output))
        if let prompt = intake.prompt { watched.append(prompt.readiness) }
        if output.waiting > 0, let readiness = output.readiness { watched.append(readiness) }
        if let listener, connection.isDown, !isLeaving {
            watched.append(pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0))
        }
        return watched
    }

    /// Standard output has not fallen behind, nor a peer to whom everything is sent back.
    @inline(__always)
    func hasRoom(_ output: borrowing Output) -> Bool {
        output.waiting < settings.receiveBuffer
            && (!settings.echoes || outbox.weight < Connection.step)
    }

    private var deadline: UInt64? {
        var deadline = min(connection.deadline ?? .max, connection.transportDeadline ?? .max)
        if connection.isDown && listener == nil { deadline = min(deadline, retry.next) }
        deadline = min(deadline, intake.prompt?.deadline ?? .max)
        if let maxTime = settings.maxTime, !isLeaving {
            deadline = min(deadline, started + maxTime)
        }
        if !isLeaving { deadline = min(deadline, openLimit ?? .max) }
        if connection.isOpen {
            deadline = min(deadline, keepalive.deadline)
            if let pace, outbox.mayEncode, !connection.hasUnsent {
                deadline = min(deadline, pace.next)
            }
            if let farewell, !isLeaving { deadline = min(deadline, farewell) }
        }
        return deadline == .max ? nil : deadline
    }

    // MARK: Receiving

    /// Takes in what came, as far as standard output keeps up.
    mutating func receive(_ run: inout Run<CatOptions>) throws {
        guard connection.isReceiving || connection.isFinishing else { return }
        do {
            try connection.finishIfDone()
            guard connection.isReceiving else { return }
            if connection.isDrained, hasRoom(run.output), connection.receive() {
                keepalive.sawBytes(monotonicNanoseconds())
            }
            understand(&run)
            if connection.sawEnd && connection.isReceiving && connection.isDrained {
                throw connection.lost(isLeaving: isLeaving)
            }
        } catch let ending as Ending {
            try end(ending, &run)
        }
    }

    private mutating func understand(_ run: inout Run<CatOptions>) {
        let before = received
        defer {
            run.report.recordsOut += received - before
            repliesHere = min(repliesHere + received - before, sentHere + greetedHere)
            if received > before { keepalive.sawMessage(monotonicNanoseconds()) }
        }
        do throws(WebSocketError) {
            while hasRoom(run.output) {
                if isPlainText { takeTexts(&run.output.buffer) }
                guard let kind = try connection.receiver.next(&connection.received) else {
                    connection.isDrained = true
                    return
                }
                switch kind {
                case .text, .binary:
                    if wanted == 0 { continue }
                    writer.append(
                        isText: kind == .text, connection.receiver.payload(connection.received),
                        to: &run.output.buffer)
                    if settings.echoes {
                        outbox.append(kind, connection.receiver.payload(connection.received))
                    }
                    place?.take(connection.receiver.payload(connection.received), run.report)
                    received += 1
                    wanted -= 1
                    if wanted == 0 {
                        sendEchoes()
                        leave(.counted)
                    }
                case .ping: ping(&run)
                case .pong: pong(&run)
                case .close:
                    connection.answerClose(&outbox)
                    return
                }
            }
            connection.isDrained = false
        } catch {
            sendEchoes()
            connection.fail(error, &outbox)
        }
    }

    /// Replies to what came so far go before a Close.
    private mutating func sendEchoes() {
        guard settings.echoes else { return }
        connection.fill(&outbox, limit: pace?.allowed(monotonicNanoseconds()) ?? .max)
        connection.send()
        countHanded()
    }

    /// Many short messages at once, where nothing is to be done with each of them.
    private mutating func takeTexts(_ buffer: inout ByteQueue) {
        received += connection.receiver.takeTexts(
            &connection.received, to: &buffer, end: writer.end)
    }

    private mutating func ping(_ run: inout Run<CatOptions>) {
        let payload = Array(connection.receiver.payload(connection.received))
        run.report.add(to: "pings_received")
        writer.append(event: "ping", to: &run.output.buffer, [("data", .text(payload))])
        // A later pong answers an earlier ping, too (RFC 6455, section 5.5.3).
        guard connection.isOpen, connection.hasRoomForControl else { return }
        payload.withUnsafeBufferPointer { connection.sendControl(.pong, $0) }
    }

    private mutating func pong(_ run: inout Run<CatOptions>) {
        let payload = connection.receiver.payload(connection.received)
        let answer = keepalive.pong(payload, monotonicNanoseconds())
        if let answer {
            confirm(answer.confirmed)
            latency.add(nanoseconds: answer.roundTrip)
        }
        run.report.add(to: "pongs_received")
        writer.append(
            event: "pong", to: &run.output.buffer,
            [
                ("data", .text(Array(payload))),
                ("rtt_ms", answer.map { .milliseconds($0.roundTrip) } ?? .none),
            ])
    }

    // MARK: Sending

    /// Encodes and hands over what the socket takes.
    mutating func send() {
        if !connection.isOpen {
            connection.send()
            countHanded()
        }
        while connection.isUp {
            let limit = pace?.allowed(monotonicNanoseconds()) ?? .max
            let before = connection.encoded
            connection.fill(&outbox, limit: limit)
            pace?.spend(connection.encoded - before)
            let handed = connection.handed
            connection.send()
            countHanded()
            // More may go at once when all of this went.
            if connection.handed == handed || connection.hasUnsent { break }
            if !outbox.mayEncode || pace != nil { break }
        }
    }

    mutating func countHanded() {
        let (lines, greetings) = outbox.handOver(connection.handed)
        sent += lines + greetings
        sentHere += lines
        greetedHere += greetings
        // Nothing of the rest goes on this connection any more.
        if connection.problem != nil { outbox.rewind() }
    }
}
