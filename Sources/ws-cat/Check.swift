import StreamClient
import StreamCodec
import StreamTool

extension CatOptions {
    /// Where to connect to, nil with --listen. Throws for options that do not go together.
    func check(_ operands: [Operand]) throws -> ClientURL? {
        try checkLines()
        if !WebSocketClose.isAllowed(closeCode) {
            throw UsageError("--close-code: \(closeCode) may not be sent (RFC 6455, 7.4)")
        }
        if closeReason.utf8.count > 123 {
            throw UsageError("--close-reason: longer than 123 bytes")
        }
        guard listen == nil else {
            if !operands.isEmpty { throw UsageError("--listen takes no URL") }
            try checkServer()
            return nil
        }
        if keepsListening || maxConnections != nil || portFile != nil {
            throw UsageError("--keep-listening, --max-connections and --port-file need --listen")
        }
        if origins.count > 1 { throw UsageError("a client has one --origin") }
        guard operands.count == 1 else {
            throw UsageError(
                operands.isEmpty
                    ? "expected a URL (see --help)" : "expected one URL, not \(operands.count)")
        }
        let url: ClientURL
        do throws(URLError) {
            url = try ClientURL(operands[0].name)
        } catch {
            throw UsageError("\(error)")
        }
        if !url.isSecure && !followsRedirects && connect.namesPeer {
            throw UsageError(
                "--cacert, --cert, --key, --servername and --pinnedpubkey need wss://: nothing"
                    + " is verified without TLS")
        }
        return url
    }

    /// A server that takes options for protection which it does not have would be a trap.
    private func checkServer() throws {
        if reconnects { throw UsageError("--reconnect is for a client (see --keep-listening)") }
        if !request.isEmpty {
            throw UsageError("--listen asks no client for credentials or fields, and sends none")
        }
        if connect.namesPeer || connect.isInsecure || connect.proxy != nil
            || connect.unixSocket != nil
        {
            throw UsageError("--listen has no TLS and no proxy")
        }
        if maxConnections != nil && !keepsListening {
            throw UsageError("--max-connections needs --keep-listening")
        }
    }

    private func checkLines() throws {
        if endsLinesWithNull && form != .text { throw UsageError("--null needs --text") }
        if hasLengthPrefix && form != .binary { throw UsageError("--length-prefix needs --binary") }
        if hasLengthPrefix && maxMessage > Int(UInt32.max) {
            throw UsageError("--length-prefix: --max-message must be less than 4G")
        }
        if all && form != .records { throw UsageError("--all needs --records") }
        if form == .binary, case .spill = overflow {
            throw UsageError("--overflow=spill keeps lines, and --binary has none")
        }
        if !reconnects && listen == nil && (overflow != .block) {
            throw UsageError("--overflow needs --reconnect")
        }
        if isOneShot && (count != nil || staysOpen) {
            throw UsageError("--one writes one reply and closes: no --count, no --no-close")
        }
        if isOneShot && wait == 0 { throw UsageError("--one waits for a reply: no --wait 0") }
        try checkReconnecting()
    }

    private func checkReconnecting() throws {
        if resends {
            if !reconnects { throw UsageError("--resend-unconfirmed needs --reconnect") }
            if ping == 0 {
                throw UsageError("--resend-unconfirmed needs pings, whose answers confirm lines")
            }
        }
        if (resumePath == nil) != (resumeParameter == nil) {
            throw UsageError("--resume-from and --resume-param need each other")
        }
        if resumePath != nil && !reconnects { throw UsageError("--resume-from needs --reconnect") }
    }
}
