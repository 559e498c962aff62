import StreamCodec
import StreamTool

// WebSocket: RFC 6455. What the server says to one client is never compressed; only the feeds are.
extension Worker {
    /// A client for which so many bytes of answers wait is asked no more until it has read them.
    private static let maxReplies = 64 << 10

    func serveWebSocket(
        _ index: Int, _ request: Request, echoes: Bool
    ) throws(RequestProblem) {
        if let origin = request.foreignOrigin, !settings.allows(origin: origin) {
            throw RequestProblem(
                status: "403 Forbidden", reason: "pages of this origin may not connect",
                refusal: .origin)
        }
        let filter = try request.filter(maxSubscriptions: settings.maxSubscriptions)
        let start = try start(request)
        let answer = ServerHandshake.answer(
            request.head, subprotocols: [],
            compress: settings.compresses ? (15, false) : nil, clientForgets: !echoes)
        switch answer {
        case .refused(let response, _):
            let session = session(index)
            session.output.append(string: response)
            session.then = .close
            clients.memory[index].flags.insert(.hasOutput)
            advance(index)
        case .accepted(let response, let agreement):
            session(index).output.append(string: response)
            try open(index, request, filter, start, agreement.deflate, echoes: echoes)
        }
    }

    private func open(
        _ index: Int, _ request: Request, _ filter: Filter, _ start: Start,
        _ deflate: DeflateParameters?, echoes: Bool
    ) throws(RequestProblem) {
        var form = Form(wire: .webSocket, isRecord: !request.target.has("raw"))
        // Who wants no window that takes over, or a smaller one, gets plain frames.
        form.isCompressed =
            deflate.map { !$0.serverNoContextTakeover && $0.serverMaxWindowBits == 15 } ?? false
        var filter = filter
        if echoes { filter.channels = [] }
        if echoes || !mayCompress(Feed.Key(form: form, filter: filter)) {
            form.isCompressed = false
        }
        clients.memory[index].deflates = deflate != nil
        guard begin(index, Feed.Key(form: form, filter: filter), start) else { return }
        let session = session(index)
        if echoes {
            do throws(GzipError) {
                session.receiver = try WebSocketReceiver(
                    role: .server, maxMessage: settings.maxMessage, deflate: deflate)
                session.sender = try WebSocketSender(
                    role: .server, deflate: deflate, level: settings.compressLevel, fragment: nil)
            } catch {
                return drop(index, .end)
            }
        } else {
            tell(start, index)
        }
        let generation = clients.memory[index].generation
        advance(index)
        // Frames may have come right behind the request.
        if isClient(index, generation), !session.input.isEmpty { receive(index) }
    }

    // MARK: Receiving

    /// Takes the messages that came.
    func receive(_ index: Int) {
        let session = session(index)
        // Answers that are sent at once come back here.
        if session.isReceiving { return }
        let generation = clients.memory[index].generation
        session.isReceiving = true
        receiveMessages(index, session)
        session.isReceiving = false
        guard isClient(index, generation) else { return }
        holdUploads(index, session)
        if isClient(index, generation) { forgetSession(index) }
    }

    private func receiveMessages(_ index: Int, _ session: Session) {
        let generation = clients.memory[index].generation
        do throws(WebSocketError) {
            if session.receiver == nil { session.receiver = try receiver(index) }
            while isClient(index, generation), !session.isClosing || session.receiver != nil {
                if isStalled(session) { return reply(index) }
                guard let kind = try session.receiver?.next(&session.input) else { break }
                if !take(index, session, kind) { return }
            }
        } catch {
            if isClient(index, generation) {
                countEnd(index, .protocolError)
                closeWebSocket(index, error.code, error.reason, isLast: true)
            }
            return
        }
        guard isClient(index, generation) else { return }
        // A client that listens needs no receiver between its messages.
        if session.sender == nil && !(session.receiver?.isInside(session.input) ?? false) {
            session.receiver = nil
            session.input = ByteQueue(capacity: 0)
        }
        reply(index)
    }

    /// Answers wait to be read: nothing more is taken in.
    func isStalled(_ session: Session) -> Bool { session.output.count > Self.maxReplies }

    /// All answers are sent: takes in what came meanwhile. False when the connection is over.
    func goOnReceiving(_ index: Int, _ session: Session) -> Bool {
        let generation = clients.memory[index].generation
        let hasUnread = session.hasUnread
        session.hasUnread = false
        if !session.input.isEmpty { receive(index) }
        if hasUnread && isClient(index, generation) { read(index, isHungUp: true) }
        if isClient(index, generation) { forgetSession(index) }
        return isClient(index, generation)
    }

    private func receiver(_ index: Int) throws(WebSocketError) -> WebSocketReceiver {
        do throws(GzipError) {
            var parameters: DeflateParameters?
            if clients.memory[index].deflates {
                parameters = DeflateParameters()
                // What we asked for in the handshake: so that nothing need be kept.
                parameters?.clientNoContextTakeover = true
            }
            return try WebSocketReceiver(
                role: .server, maxMessage: settings.maxMessage, deflate: parameters)
        } catch {
            throw WebSocketError(code: WebSocketClose.internalError, reason: "out of memory")
        }
    }

    /// False when the connection is over or closing.
    private func take(
        _ index: Int, _ session: Session, _ kind: WebSocketReceiver.Kind
    ) -> Bool {
        guard let payload = session.receiver?.payload(session.input) else { return false }
        switch kind {
        case .ping:
            if session.isClosing { return true }
            replyFrame(index, session, 0x8A, payload)
        case .pong: break
        case .close:
            let code = session.receiver?.closeCode ?? WebSocketClose.none
            if !session.isClosing {
                closeWebSocket(index, code, "", isLast: true)
            } else {
                finishClose(index, session)
            }
            return false
        case .text, .binary:
            if session.isClosing { return true }
            if session.sender != nil {
                prepareReply(index)
                session.sender?.append(kind, payload, to: &session.output)
                return true
            }
            if kind == .binary {
                countEnd(index, .policy)
                closeWebSocket(index, 1003, "messages are JSON in text")
                return false
            }
            return obey(index, session, payload)
        }
        return true
    }

    // MARK: Replying

    /// What is appended to the output from here on goes behind a whole frame.
    private func prepareReply(_ index: Int) {
        let client = clients.memory + index
        if client.pointee.flags.contains(.attached), let feed = feeds[Int(client.pointee.feed)] {
            finishFrame(index, feed)
        }
        client.pointee.flags.insert(.hasOutput)
    }

    func replyFrame(
        _ index: Int, _ session: Session, _ first: UInt8, _ payload: UnsafeBufferPointer<UInt8>
    ) {
        prepareReply(index)
        session.output.appendFrame(first, payload)
    }

    /// Sends what was queued, as far as it goes.
    private func reply(_ index: Int) {
        if clients.memory[index].flags.contains(.hasOutput),
            !clients.memory[index].flags.contains(.blocked)
        {
            advance(index)
        }
    }

    // MARK: Closing

    /// Sends a Close frame and nothing behind it. The connection ends once that was sent, and the
    /// peer has answered or some time has passed. RFC 6455, section 7.1.1: the server ends TCP.
    /// `isLast`: the peer has sent its own, or nothing that it sends can be understood any more.
    func closeWebSocket(_ index: Int, _ code: UInt16, _ reason: String, isLast: Bool = false) {
        let session = session(index)
        guard !session.isClosing else { return }
        prepareReply(index)
        session.isClosing = true
        leaveFeed(index)
        do throws(GzipError) {
            var sender = try WebSocketSender(role: .server, deflate: nil, level: 1, fragment: nil)
            sender.appendClose(code, Array(reason.utf8), to: &session.output)
        } catch {
            return drop(index, .end)
        }
        session.deadline = now + Self.lingering
        if isLast { session.then = .close }
        if !clients.memory[index].flags.contains(.blocked) { advance(index) }
    }

    /// The peer has answered our Close.
    private func finishClose(_ index: Int, _ session: Session) {
        session.then = .close
        if session.output.isEmpty { linger(index) }
    }
}
