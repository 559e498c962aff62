import StreamClient
import StreamCodec
import StreamTool

// How a connection ends, what that says of what was sent, and what comes then.
extension Exchange {
    mutating func end(_ ending: Ending, _ run: inout Run<CatOptions>) throws {
        countHanded()
        if isConfirmation(ending) { confirm(sentHere) }
        let wasOpen = opened != nil
        let lasted = opened.map { monotonicNanoseconds() - $0 }
        tellClose(ending, wasOpen: wasOpen, &run)
        connection.hangUp()
        outbox.rewind()
        opened = nil
        quietSince = nil
        self.ending = ending
        downSince = monotonicNanoseconds()
        // Nobody said that the last lines came: they go again.
        if leaving == .inputEnded && settings.resends && !outbox.isEmpty { leaving = nil }
        try decide(ending, wasOpen: wasOpen, lasted: lasted, &run)
        countLost(ending, run.report)
    }

    /// Whether another connection comes, and when.
    private mutating func decide(
        _ ending: Ending, wasOpen: Bool, lasted: UInt64?, _ run: inout Run<CatOptions>
    ) throws {
        if isLeaving {
            isOver = true
        } else if listener != nil {
            try endServed(ending, wasOpen: wasOpen, run)
        } else if !hasMore && wasOpen {
            // All was sent: there is nothing to come back for.
            isOver = true
        } else if let wait = retry.wait(after: ending, lasted: lasted) {
            run.report.warn(
                "\(ending.description); connecting again in \(seconds(wait))")
            run.report.add(to: "reconnections")
            writer.append(
                event: "reconnect", to: &run.output.buffer,
                [
                    ("attempt", .number("\(retry.failures)")), ("wait_ms", .milliseconds(wait)),
                    ("reason", .text(ending.description)),
                ])
        } else {
            isOver = true
        }
    }

    /// There is something to send or to receive.
    private var hasMore: Bool {
        // One reply is to what was sent: if that is gone, none comes.
        settings.keepsReceiving || settings.isOneShot && !settings.greetings.isEmpty
            || !intake.isDone || !outbox.isEmpty
    }

    /// Another peer may come, unless this one was the last.
    private mutating func endServed(
        _ ending: Ending, wasOpen: Bool, _ run: borrowing Run<CatOptions>
    ) throws {
        if !wasOpen {
            run.report.warn("a peer was turned away: \(ending.description)")
            self.ending = nil
            return
        }
        if !settings.keepsListening || connections >= settings.maxConnections ?? .max {
            isOver = true
        } else if ending.status != .success {
            run.report.warn(ending.description)
        }
    }

    // MARK: What was sent

    /// The peer has the first lines of this connection, so many.
    mutating func confirm(_ lines: Int) {
        guard lines > confirmedHere else { return }
        outbox.confirm(lines - confirmedHere)
        confirmedHere = lines
    }

    /// An answer to our Close confirms all that went before it; and so does a peer's that takes
    /// leave when it has replied to each line. Any other may have crossed lines on their way.
    private func isConfirmation(_ ending: Ending) -> Bool {
        guard case .closed(let code, _) = ending else { return false }
        if connection.closeIsAnswered { return true }
        let hasReplied = repliesHere > 0 && repliesHere >= sentHere + greetedHere
        return [WebSocketClose.normal, WebSocketClose.none].contains(code) && hasReplied
            && intake.isDone && outbox.isEmpty && !settings.resends
    }

    /// What the socket took and nobody confirmed is sent again, or told.
    mutating func countLost(_ ending: Ending?, _ report: Report) {
        if hasAllReplies { confirm(min(repliesHere, sentHere)) }
        let lost = sentHere - confirmedHere
        sentHere = 0
        confirmedHere = 0
        if lost == 0 { return }
        let text = "\(number(of: lost, "sent message")) not confirmed"
        if settings.resends && !isOver {
            resent += lost
            return report.warn("\(text), and are sent again")
        }
        // They are behind us, unless a file keeps them for another run.
        if intake.spill == nil { outbox.confirm(lost) }
        unconfirmed += lost
        // Who comes to a server leaves as it likes.
        if listener != nil, case .closed = ending, ending?.status == .success {
            return report.info(text)
        }
        mayHaveLost = true
        if isOver && lacksReply { return }
        let mayResend = settings.reconnects && !settings.resends
        report.warn(text + (mayResend ? " (see --resend-unconfirmed)" : ""))
    }

    private func tellClose(
        _ ending: Ending, wasOpen: Bool, _ run: inout Run<CatOptions>
    ) {
        guard wasOpen else { return }
        var reason: Member = .none
        var isClean = false
        if case .closed(_, let bytes) = ending {
            reason = .text(bytes)
            isClean = true
        } else {
            reason = .text(ending.description)
        }
        writer.append(
            event: "close", to: &run.output.buffer,
            [
                ("code", .number("\(ending.code)")), ("reason", reason),
                ("clean", .number(isClean ? "true" : "false")),
            ])
    }
}

/// `1 line was`, `2 lines were`.
func number(of count: Int, _ name: String) -> String {
    count == 1 ? "1 \(name) was" : "\(count) \(name)s were"
}

/// `4.2 s`.
private func seconds(_ nanoseconds: UInt64) -> String {
    "\(decimal(Double(nanoseconds) / 1e9, places: 1)) s"
}
