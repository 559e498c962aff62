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
            try passing { try request.begin(behind: place?.value) }
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
        greetedHere = 0
        repliesHere = 0
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
        tellSubprotocol(run.report)
        var greetings: [Message] = []
        try passing { greetings = try settings.greetingMessages() }
        outbox.begin(with: greetings)
    }

    private func tellSubprotocol(_ report: Report) {
        guard listener == nil, !settings.subprotocols.isEmpty,
            connection.agreement.subprotocol == nil
        else { return }
        let names = settings.subprotocols.joined(separator: ", ")
        report.warn("the server took none of the subprotocols that were offered: \(names)")
    }

    /// What is due by the clock, and what the end of the input or a signal asks for.
    mutating func keepTime(_ run: inout Run<CatOptions>) throws {
        let now = monotonicNanoseconds()
        count(in: run.report)
        if isStopped() && leaving != .signal { stop() }
        if clinux_is_hurried() != 0 { connection.hurry(now) }
        if let maxTime = settings.maxTime, now >= started + maxTime, !isLeaving {
            run.report.info("--max-time is over")
            leave(.maxTime)
        }
        if intake.isDone { lineCame = lineCame ?? now }
        if let openLimit, now >= openLimit, !isLeaving { leave(.noReply) }
        if !hasRoom(run.output) { keepalive.sawMessage(now) }
        if outbox.isSettled { try intake.clearSpill() }
        if !isLeaving { closeAtEnd(now, run.report) }
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

    private mutating func checkPeer(
        _ now: UInt64, _ run: inout Run<CatOptions>
    ) throws(Ending) {
        // What we do not read, we cannot blame on the peer.
        let isBehind = !hasRoom(run.output) && leaving != .signal
        if isBehind { connection.extend(now + settings.closeTimeout) }
        if case .closing = connection.state, let limit = connection.deadline, now >= limit {
            throw .unanswered
        }
        guard connection.isOpen else { return }
        let isUrgent = outbox.wantsConfirmation && sentHere > confirmedHere
        if let ping = keepalive.ping(now, sent: sentHere, isUrgent: isUrgent) {
            acknowledged = connection.acknowledged
            ping.withUnsafeBufferPointer { connection.sendControl(.ping, $0) }
            pings += 1
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
}
