import StreamClient
import StreamCodec
import StreamTool

/// Why the close is ours to begin.
enum Leaving {
    /// The input is at its end, and neither side says anything.
    case inputEnded
    /// All came that was wanted.
    case counted
    /// No reply came to --one.
    case noReply
    case maxTime, signal
}

extension CatOptions {
    /// The end of the input does not close the connection.
    var keepsReceiving: Bool { staysOpen || keepsListening || count != nil }

    /// Nanoseconds of silence that end it, once all is sent. That a library answers pings says
    /// nothing of the application behind it, which may think for a while.
    var patience: UInt64 { wait ?? (isOneShot ? 30_000_000_000 : 2_000_000_000) }
}

// When and how the last connection is closed.
extension Exchange {
    var isLeaving: Bool { leaving != nil }

    /// Begins to close, if there is anything to close.
    mutating func leave(_ why: Leaving) {
        leaving = why
        leftOpen = connection.isUp
        intake.end()
        // Who waited in vain for a reply waits for no Close.
        let isTimedOut = why == .noReply
        connection.close(
            settings.closeCode, Array(settings.closeReason.utf8),
            within: isTimedOut ? 0 : settings.closeTimeout)
        if isTimedOut { connection.send() }
    }

    /// A signal came: what was handed over is closed behind, the rest is left.
    mutating func stop() {
        let limit = min(settings.closeTimeout, 3_000_000_000)
        leaving = .signal
        connection.close(WebSocketClose.goingAway, [], within: limit)
        connection.hurry(monotonicNanoseconds() + limit)
    }

    /// Closes once all of the input was handed over, and neither side has said anything since.
    mutating func closeAtEnd(_ now: UInt64, _ report: Report) {
        guard connection.isOpen, isAllSent, !connection.hasUnsent || quietSince != nil else {
            quietSince = nil
            return
        }
        if quietSince == nil {
            quietSince = now
            taken = connection.acknowledged
        }
        guard let farewell, now >= farewell else { return }
        // A slow peer that still takes what was sent has not come to the end of it.
        let acknowledged = connection.acknowledged
        if settings.patience > 0, acknowledged < connection.handed, acknowledged > taken {
            taken = acknowledged
            quietSince = now
        } else if settings.isOneShot && hasAsked {
            leave(.noReply)
        } else {
            tellSilence(report)
            leave(.inputEnded)
        }
    }

    /// When to close unless something is said until then; nil while there is something to send, and
    /// where the end of the input closes nothing.
    var farewell: UInt64? {
        guard let quietSince, !settings.keepsReceiving || intake.problem != nil else { return nil }
        if settings.isOneShot { return hasAsked ? quietSince + settings.patience : quietSince }
        let isInside = connection.receiver.isInside(connection.received)
        let heard = isInside ? keepalive.lastBytes : keepalive.lastMessage
        return max(quietSince, heard) + settings.patience
    }

    /// When --one gives up a connection that is not open; nil while it is, and as a server.
    var openLimit: UInt64? {
        guard settings.isOneShot, wanted > 0, listener == nil, !connection.isReceiving,
            !connection.isFinishing
        else { return nil }
        let asked = settings.greetings.isEmpty ? lineCame : started
        return (asked ?? downSince) + settings.patience
    }

    /// --one ends without its reply: why is what is told.
    var lacksReply: Bool { settings.isOneShot && wanted > 0 && !isStopped() && !lacksReader }

    /// All came that was wanted: each message that came behind a line is a reply to one.
    var hasAllReplies: Bool { wanted == 0 || lacksReader }

    private var isAllSent: Bool {
        outbox.isEmpty && (intake.isDone || settings.isOneShot && greetedHere > 0)
    }

    private var hasAsked: Bool { sentHere + greetedHere > 0 }

    private func tellSilence(_ report: Report) {
        let isOfNoInterest = listener != nil || intake.prompt != nil || settings.patience == 0
        if isOfNoInterest || received > 0 || sent == 0 { return }
        report.warn(
            "nothing came back within \(readable(settings.patience)) of the last line (see --wait)")
    }
}
