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
    }

    /// The end of the input does not close the connection.
    var keepsReceiving: Bool { staysOpen || keepsListening || count != nil || isOneShot }

    /// The messages of --on-open and --on-open-line, files read just now.
    func greetingLines() throws -> [(kind: WebSocketReceiver.Kind, payload: [UInt8])] {
        var messages: [(kind: WebSocketReceiver.Kind, payload: [UInt8])] = []
        var scratch = ByteQueue()
        for greeting in greetings {
            switch greeting {
            case .line(var line):
                try line.withUTF8 { try append($0, of: "-e", 1, &scratch, to: &messages) }
            case .file(let path):
                var queue = ByteQueue()
                queue.append(try request.files.contents(path))
                var lines = LineReader(maxLine: common.maxLine)
                try append(&lines, &queue, of: path, &scratch, to: &messages)
            }
        }
        return messages
    }

    private func append(
        _ lines: inout LineReader, _ queue: inout ByteQueue, of path: String,
        _ scratch: inout ByteQueue,
        to messages: inout [(kind: WebSocketReceiver.Kind, payload: [UInt8])]
    ) throws {
        while true {
            switch lines.next(&queue, atEnd: true) {
            case .more: return
            case .line(let range):
                try append(queue.bytes(range), of: path, lines.number, &scratch, to: &messages)
            case .tooLong:
                throw Failure(
                    .badData, "line longer than \(common.maxLine) bytes (see --max-line)",
                    at: Place(path, line: lines.number))
            }
        }
    }

    private func append(
        _ line: UnsafeBufferPointer<UInt8>, of name: String, _ number: Int,
        _ scratch: inout ByteQueue,
        to messages: inout [(kind: WebSocketReceiver.Kind, payload: [UInt8])]
    ) throws {
        do throws(LineError) {
            _ = try message(from: line, &scratch) { messages.append(($0, Array($1))) }
        } catch {
            throw Failure(
                .badData, error.reason,
                at: Place(name, line: number, byte: error.offset.map { $0 + 1 }))
        }
    }
}
