import StreamClient
import StreamCodec
import StreamTool

// The opening handshake, from both sides. RFC 6455, section 4.
extension Connection {
    /// Bytes of a request or an answer, without its body.
    private static let maxHead = 64 << 10
    /// Bytes of a body that a diagnostic shows.
    private static let shownBody = 400
    /// How long the body of a refusal may take.
    private static let bodyTime: UInt64 = 500_000_000

    /// Begins a connection to where the request leads.
    mutating func connect() throws(Ending) {
        guard let url = request.url else { preconditionFailure("a server does not connect") }
        role = .client
        reset()
        state = .connecting
        do throws(TransportError) {
            try transport.connect(to: url)
        } catch {
            throw .broken(error)
        }
    }

    /// Begins a connection that somebody else made.
    mutating func adopt(_ descriptor: Int32) {
        role = .server
        reset()
        transport.adopt(descriptor)
        state = .handshaking
    }

    /// Goes on as far as it goes without waiting. True once the connection is open.
    mutating func advance() throws(Ending) -> Bool {
        if case .connecting = state {
            let isConnected: Bool
            do throws(TransportError) {
                isConnected = try transport.proceed()
            } catch {
                throw .broken(error)
            }
            if isConnected {
                request.handshake?.append(to: &wire)
                state = .handshaking
            }
        }
        if case .handshaking = state {
            send()
            while case .handshaking = state, receive() {
                if let isOpen = try readHead() { return isOpen }
            }
        }
        if case .refused(let head) = state { try readBody(head) }
        if isOpening, let deadline, monotonicNanoseconds() >= deadline { throw .broken(timeout) }
        return false
    }

    private var isOpening: Bool {
        switch state {
        case .connecting, .handshaking, .refused: true
        case .down, .open, .closing, .finishing: false
        }
    }

    private var timeout: TransportError {
        let place = role == .server ? "the peer" : request.url?.authority ?? ""
        return TransportError(
            .timeout, "\(place): no WebSocket connection in time (see --connect-timeout)")
    }

    /// Nil while the head is not complete.
    private mutating func readHead() throws(Ending) -> Bool? {
        let parsed: (head: HTTPHead, size: Int)?
        do throws(HTTPHeadError) {
            parsed = try HTTPHead.parse(received.bytes, limit: Self.maxHead)
        } catch {
            if role == .server { return turnAway(ServerHandshake.answer(error)) }
            throw .handshake("no HTTP answer: \(error)")
        }
        guard let (head, size) = parsed else {
            if !sawEnd { return nil }
            let what = role == .server ? "request" : "answer"
            throw .broken(
                problem
                    ?? TransportError(.lost, "the connection ended before the \(what) was complete")
            )
        }
        received.consume(size)
        return role == .server ? try answer(head) : try check(head)
    }

    // MARK: As a client

    private mutating func check(_ head: HTTPHead) throws(Ending) -> Bool? {
        guard case .response(let status, _, _) = head.start else {
            throw .handshake("the answer is no HTTP response")
        }
        if status == 101 {
            try open(try agree(head))
            return true
        }
        // RFC 9110, section 15.2: answers that only say that another comes.
        if (100..<200).contains(status) { return try readHead() }
        if settings.followsRedirects && [301, 302, 303, 307, 308].contains(status) {
            try request.follow(head.first("Location"))
            transport.close()
            let limit = deadline
            try connect()
            deadline = limit
            return try advance()
        }
        state = .refused(head)
        deadline = monotonicNanoseconds() + Self.bodyTime
        return nil
    }

    private func agree(_ head: HTTPHead) throws(Ending) -> ClientHandshake.Agreement {
        do throws(HandshakeError) {
            guard let handshake = request.handshake else {
                preconditionFailure("a client has a request")
            }
            return try handshake.check(head)
        } catch {
            throw .handshake(error.reason)
        }
    }

    /// Takes the head of the body in, for people.
    private mutating func readBody(_ head: HTTPHead) throws(Ending) {
        guard case .response(let status, let reason, _) = head.start else { return }
        let length = head.first("Content-Length").flatMap { Int($0) } ?? .max
        while received.count < min(length, 4 * Self.shownBody), receive() {
            if sawEnd { break }
        }
        let isDone = sawEnd || received.count >= min(length, 4 * Self.shownBody)
        guard isDone || monotonicNanoseconds() >= deadline ?? 0 else { return }
        var body = Array(received.bytes)
        if head.hasToken("chunked", in: "Transfer-Encoding"),
            let end = body.firstIndex(of: UInt8(ascii: "\n"))
        {
            let size = Int(
                String(decoding: body[..<end], as: UTF8.self).prefix { $0.isHexDigit }, radix: 16)
            body = Array(body[(end + 1)...].prefix(size ?? 0))
        }
        let text = String(decoding: body.prefix(Self.shownBody), as: UTF8.self)
            .split(whereSeparator: \.isNewline).joined(separator: " ")
        throw .refused(
            Refusal(
                status: status, reason: reason, body: text,
                retryAfter: head.first("Retry-After").flatMap {
                    RetryAfter.wait($0, now: realtimeNanoseconds())
                }))
    }

    // MARK: As a server

    private mutating func answer(_ head: HTTPHead) throws(Ending) -> Bool? {
        if let origin = head.first("Origin"), !settings.origins.contains("*"),
            !settings.origins.contains(origin)
        {
            wire.append("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n")
            wire.append("Content-Length: 0\r\n\r\n")
            return endRefused("a page of \(origin) may not connect (see --origin)")
        }
        let answer = ServerHandshake.answer(
            head, subprotocols: settings.subprotocols, compress: settings.offer)
        switch answer {
        case .accepted(let response, let agreement):
            wire.append(string: response)
            try open(agreement)
            return true
        case .refused: return turnAway(answer)
        }
    }

    private mutating func turnAway(_ answer: ServerHandshake.Answer) -> Bool {
        guard case .refused(let response, let reason) = answer else { return false }
        wire.append(string: response)
        return endRefused(reason)
    }

    private mutating func endRefused(_ reason: String) -> Bool {
        finish(.handshake(reason))
        return false
    }

    // MARK: Open

    private mutating func open(_ agreement: ClientHandshake.Agreement) throws(Ending) {
        if settings.compression == .required && agreement.deflate == nil {
            throw .handshake("the peer does not compress (see --compress)")
        }
        self.agreement = agreement
        do {
            receiver = try WebSocketReceiver(
                role: role, maxMessage: settings.maxMessage, deflate: agreement.deflate)
            sender = try WebSocketSender(
                role: role, deflate: agreement.deflate, level: settings.compressionLevel,
                fragment: settings.fragment)
        } catch {
            throw .handshake("out of memory for compression")
        }
        state = .open
        deadline = nil
    }
}
