import StreamCodec
import StreamTool

// What clients publish goes to the publisher, who gives it its id and answers.
extension Worker {
    /// The path of a request that publishes.
    func servePublish(
        _ index: Int, _ session: Session, _ request: Request
    ) throws(RequestProblem) {
        if request.method == "OPTIONS" {
            return answer(
                index, "204 No Content", "", UnsafeBufferPointer(start: nil, count: 0),
                fields: preflightFields(request), keepsAlive: request.keepsAlive)
        }
        guard request.method == "POST" else {
            throw RequestProblem(
                status: "405 Method Not Allowed", reason: "the method is not POST",
                fields: "Allow: POST, OPTIONS\r\n")
        }
        guard settings.publishes else {
            throw RequestProblem(status: "403 Forbidden", reason: "clients may not publish here")
        }
        if let origin = request.foreignOrigin, !settings.allows(origin: origin) {
            throw RequestProblem(
                status: "403 Forbidden", reason: "pages of this origin may not publish",
                refusal: .origin)
        }
        let upload = try upload(request)
        if request.head.hasToken("100-continue", in: "Expect") {
            session.output.append("HTTP/1.1 100 Continue\r\n\r\n")
            clients.memory[index].flags.insert(.hasOutput)
            session.phase = .body(upload)
            session.deadline = now + settings.bodyTimeout
            return advance(index)
        }
        session.phase = .body(upload)
        session.deadline = now + settings.bodyTimeout
    }

    private func upload(_ request: Request) throws(RequestProblem) -> Upload {
        let channel = request.target.first("channel") ?? ""
        let event = request.target.first("event") ?? ""
        if !channel.isEmpty, !channel.isChannelName { throw .bad("channel: no valid name") }
        if !event.isEventName { throw .bad("event: a name cannot hold a line break") }
        let isChunked = request.head.first("Transfer-Encoding") != nil
        if isChunked,
            !(request.head.joined("Transfer-Encoding") ?? "").isEqualIgnoringCase("chunked")
        {
            throw RequestProblem(
                status: "501 Not Implemented", reason: "only the chunked transfer coding is known")
        }
        let lengths = request.head.values("Content-Length")
        // Both together are how requests are smuggled: RFC 9112, section 6.1.
        if lengths.count > 1 || (isChunked && !lengths.isEmpty) { throw .bad("two body lengths") }
        var length: Int?
        if !isChunked {
            guard let text = lengths.first else {
                throw RequestProblem(
                    status: "411 Length Required", reason: "the request needs a Content-Length")
            }
            guard let number = Int(text), number >= 0, text.utf8.allSatisfy({ $0 >= 0x30 }) else {
                throw .bad("Content-Length is no number")
            }
            if number > settings.maxBody { throw tooLarge }
            length = number
        }
        let type = request.head.first("Content-Type")?.utf8.split(separator: UInt8(ascii: ";"))
            .first
            .map { String(decoding: $0.trimmed, as: UTF8.self).lowercased() }
        if let type, !type.hasSuffix("+json"), !Self.types.contains(type),
            !Self.lines.contains(type)
        {
            throw RequestProblem(
                status: "415 Unsupported Media Type",
                reason: "expected application/json or application/x-ndjson")
        }
        let coding = request.head.joined("Content-Encoding") ?? ""
        guard
            coding.isEmpty || coding.isEqualIgnoringCase("gzip")
                || coding.isEqualIgnoringCase("identity")
        else {
            throw RequestProblem(
                status: "415 Unsupported Media Type", reason: "the content coding is not gzip",
                fields: "Accept-Encoding: gzip\r\n")
        }
        return Upload(
            channel: Array(channel.utf8), event: event.jsonContents,
            isRecords: request.target.has("records"),
            isLines: type.map(Self.lines.contains) ?? false,
            isGzip: coding.isEqualIgnoringCase("gzip"), keepsAlive: request.keepsAlive,
            fields: fields(for: request), length: length,
            chunks: ChunkedReader(maxBody: settings.maxBody))
    }

    /// What a body may be called: curl calls everything a form unless told otherwise.
    private static let types: Set<String> = [
        "application/json", "application/gzip", "application/x-www-form-urlencoded",
        "application/octet-stream",
    ]
    private static let lines: Set<String> = [
        "application/x-ndjson", "application/jsonl", "application/json-lines",
    ]

    private var tooLarge: RequestProblem {
        RequestProblem(
            status: "413 Content Too Large",
            reason: "the body is longer than \(settings.maxBody) bytes (see --max-body)",
            refusal: .body)
    }

    /// Takes in what came of a body, and publishes it when it is complete. False when more must
    /// come.
    func readBody(_ index: Int, _ session: Session, _ upload: Upload) -> Bool {
        do throws(RequestProblem) {
            if let length = upload.length {
                guard session.input.count >= length else { return false }
                session.body.append(session.input.bytes(0..<length))
                session.input.consume(length)
            } else {
                var upload = upload
                var isDone = false
                do throws(ChunkedError) {
                    isDone = try upload.chunks.read(&session.input, into: &session.body)
                } catch {
                    if case .tooLong = error { throw tooLarge }
                    throw .bad(error.description)
                }
                session.phase = .body(upload)
                if !isDone { return false }
            }
            session.deadline = 0
            // Who waits for an answer needs no room for another body.
            if session.input.isEmpty { session.input = ByteQueue(capacity: 0) }
            try publish(index, session, upload)
        } catch {
            session.body = ByteQueue(capacity: 0)
            counters.publishErrors += 1
            var problem = error
            problem.fields += upload.fields
            // What is left of the body would be taken for a request.
            answer(index, problem, keepsAlive: error.keepsConnection && upload.keepsAlive)
        }
        return true
    }

    private func publish(
        _ index: Int, _ session: Session, _ upload: Upload
    ) throws(RequestProblem) {
        var body = ByteQueue(capacity: 0)
        swap(&body, &session.body)
        let messages = try PublishedMessages.read(&body, upload, settings)
        if messages.isEmpty {
            throw RequestProblem(
                status: "400 Bad Request", reason: "the body has no JSON value",
                keepsConnection: true)
        }
        try spend(index, session, messages.count)
        let item = Inbox.Item(sender: sender(index, nil, isHTTP: true), messages: messages)
        guard shared.inbox.post(item) else { throw busy }
        session.unacknowledged += 1
        session.acknowledgementFields = upload.fields
        session.phase = .acknowledgement(keepsAlive: upload.keepsAlive)
    }

    private var busy: RequestProblem {
        RequestProblem(
            status: "503 Service Unavailable", reason: "too much waits to be written",
            fields: "Retry-After: 1\r\n", keepsConnection: true)
    }

    /// Takes so many messages from what a client may publish, and from what all may.
    private func spend(
        _ index: Int, _ session: Session, _ count: Int
    ) throws(RequestProblem) {
        let most = Int(max(1, min(settings.publishRate, settings.publishRateTotal)))
        if count > most {
            throw RequestProblem(
                status: "413 Content Too Large",
                reason: "more than \(most) messages at once (see --publish-rate)", refusal: .rate,
                keepsConnection: true)
        }
        var own = session.allowance ?? Allowance(settings.publishRate, now: now)
        let mayPublish = own.take(count, now: now) && shared.allowance.take(count, now: now)
        session.allowance = own
        if mayPublish { return }
        throw RequestProblem(
            status: "429 Too Many Requests", reason: "too many messages (see --publish-rate)",
            fields: "Retry-After: 1\r\n", refusal: .rate, keepsConnection: true)
    }

    private func sender(_ index: Int, _ ref: [UInt8]?, isHTTP: Bool) -> Sender {
        let client = clients.memory + index
        return Sender(
            worker: number, client: index, generation: client.pointee.generation,
            number: Int(client.pointee.number) * shared.mailboxes.count + number, ref: ref,
            isHTTP: isHTTP)
    }

    /// A message of WebSocket that publishes. False when the connection is over or closing.
    func publish(
        _ index: Int, _ session: Session, _ command: ClientCommand,
        _ data: UnsafeBufferPointer<UInt8>, _ ref: [UInt8]?
    ) -> Bool {
        let channel = command.channels.first ?? ""
        let problem: String? =
            if !settings.publishes {
                "clients may not publish here"
            } else if command.channels.count > 1 || !channel.isEmpty && !channel.isChannelName {
                "channel: no valid name"
            } else {
                nil
            }
        if let problem {
            counters.publishErrors += 1
            refuse(index, session, ref, problem)
            return true
        }
        do throws(RequestProblem) {
            try spend(index, session, 1)
            var line = ByteQueue(capacity: data.count)
            line.append(jsonOnOneLine: data)
            let message = Inbox.Message(
                channel: Array(channel.utf8), event: (command.event ?? "").jsonContents,
                data: Array(line.bytes))
            let item = Inbox.Item(sender: sender(index, ref, isHTTP: false), messages: [message])
            guard shared.inbox.post(item) else { throw busy }
            session.unacknowledged += 1
        } catch {
            counters.publishErrors += 1
            if let refusal = error.refusal { counters.refused[refusal.rawValue] += 1 }
            session.excess += 1
            if session.excess > Self.maxExcess {
                countEnd(index, .policy)
                closeWebSocket(index, 1008, "too many messages")
                return false
            }
            refuse(index, session, ref, error.reason)
        }
        return true
    }

    /// Messages beyond the rate that are only refused: whoever goes on is sent away.
    private static let maxExcess = 1000

    /// Tells a client what became of what it published.
    func acknowledge(_ receipt: Receipt) {
        let sender = receipt.sender
        if receipt.problem == nil {
            counters.published += receipt.count
        } else {
            counters.publishErrors += receipt.count
        }
        guard isClient(sender.client, sender.generation), let session = sessions[sender.client]
        else { return }
        session.unacknowledged -= 1
        if sender.isHTTP { return answerPublish(sender.client, session, receipt) }
        guard !session.isClosing, clients.memory[sender.client].feed >= 0 else { return }
        if let problem = receipt.problem {
            refuse(sender.client, session, sender.ref, problem)
        } else {
            say(sender.client, session, "ok", sender.ref) {
                $0.append(",\"id\":")
                $0.append(string: receipt.ids)
            }
        }
        if !clients.memory[sender.client].flags.contains(.blocked) { advance(sender.client) }
    }

    private func answerPublish(_ index: Int, _ session: Session, _ receipt: Receipt) {
        guard case .acknowledgement(let keepsAlive) = session.phase else { return }
        if let reason = receipt.problem {
            return answer(
                index,
                RequestProblem(
                    status: "400 Bad Request", reason: reason, fields: session.acknowledgementFields
                ), keepsAlive: keepsAlive)
        }
        var text = "{\"accepted\":\(receipt.count),\"ids\":[\(receipt.ids)]}\n"
        text.withUTF8 {
            answer(
                index, "200 OK", "application/json", $0, fields: session.acknowledgementFields,
                keepsAlive: keepsAlive)
        }
    }
}
