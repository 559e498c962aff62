import CLinux
import Glibc
import StreamCodec
import StreamTool

// Connections come, are read from, and go.
extension Worker {
    /// Connections that are accepted in one turn.
    private static let acceptedAtOnce = 64
    /// When there are no descriptors left, accepting waits so long, in nanoseconds.
    private static let acceptPause: UInt64 = 100_000_000
    /// A worker with so many more connections than another hands new ones over.
    private static let imbalance = 16
    /// Bytes of a connection that are read in one turn, so that no one keeps the others waiting.
    private static let readAtOnce = 256 << 10
    /// How long a connection may linger for the peer's end behind ours: RFC 9112, section 9.6.
    static let lingering: UInt64 = 2_000_000_000

    func accept() {
        if now < acceptAgain || ending != nil && clients.count == 0 { return }
        for listener in listeners {
            for _ in 0..<Self.acceptedAtOnce {
                var address = clinux_address()
                let descriptor = clinux_accept_from(listener.descriptor, &address)
                if descriptor >= 0 {
                    admit(descriptor, address)
                } else if errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM
                {
                    pauseAccepting()
                    return
                } else if errno == EAGAIN {
                    break
                }
                // Anything else was wrong with that connection only: accept(2).
            }
        }
    }

    private func pauseAccepting() {
        acceptAgain = now + Self.acceptPause
        for listener in listeners { _ = clinux_epoll_remove(poller, listener.descriptor) }
    }

    private func admit(_ descriptor: Int32, _ address: clinux_address) {
        switch shared.admission.ask(address) {
        case .close:
            counters.refused[Refusal.full.rawValue] += 1
            close(descriptor)
        case .tooMany(let reason, let entry): adopt(descriptor, entry, reason)
        case .welcome(let entry):
            let target = lightest()
            if target == number { return adopt(descriptor, entry, nil) }
            shared.mailboxes[target].post(.adopt(descriptor: descriptor, address: entry))
        }
    }

    /// The worker that should have the next connection: this one, unless another has much fewer.
    private func lightest() -> Int {
        if shared.mailboxes.count == 1 { return number }
        let loads = shared.board.loads()
        let least = loads.indices.min { loads[$0] < loads[$1] } ?? number
        return clients.count > loads[least] + Self.imbalance ? least : number
    }

    func adopt(_ descriptor: Int32, _ address: Int32, _ refusal: Refusal?) {
        let index = clients.add(descriptor)
        let client = clients.memory + index
        client.pointee.address = address
        client.pointee.lastHeard = milliseconds
        client.pointee.lastSent = milliseconds
        if index >= sessions.count { sessions.append(nil) }
        counters.connections[Transport.http.rawValue.int] += 1
        counters.opened[Transport.http.rawValue.int] += 1
        let session = session(index)
        session.deadline = now + settings.headTimeout
        if let refusal {
            client.pointee.flags.insert(.isRefused)
            session.refusal = refusal
        }
        let events = UInt32(
            CLINUX_READABLE | CLINUX_WRITABLE | CLINUX_HANGUP | CLINUX_EDGE)
        let token = Token.client(index, client.pointee.generation)
        if clinux_epoll_add(poller, descriptor, events, token) != 0 { return drop(index, .peer) }
        // What came with the connection needs no turn of its own.
        read(index)
    }

    // MARK: Sessions

    func session(_ index: Int) -> Session {
        if let session = sessions[index] { return session }
        let session = Session()
        session.phase = clients.memory[index].transport == .http ? .head : .streaming
        sessions[index] = session
        return session
    }

    func forgetSession(_ index: Int) {
        guard let session = sessions[index], session.isIdle else { return }
        release(session)
        sessions[index] = nil
    }

    /// Counts what waits for the rest of its request or message. When all clients together have
    /// sent too much of that, this one must send it again.
    func holdUploads(_ index: Int, _ session: Session) {
        if clients.memory[index].flags.contains(.lingering) { session.forgetUploads() }
        let uploads = session.uploads
        if uploads == session.held { return }
        if shared.admission.hold(uploads - session.held) {
            session.held = uploads
            return
        }
        session.forgetUploads()
        release(session)
        if clients.memory[index].transport == .ws {
            if session.isClosing { return }
            counters.refused[Refusal.uploads.rawValue] += 1
            countEnd(index, .policy)
            closeWebSocket(index, 1013, "too much is on its way", isLast: true)
            return
        }
        switch session.phase {
        case .head: answer(index, tooManyUploads, keepsAlive: false)
        case .body(let upload):
            counters.publishErrors += 1
            var problem = tooManyUploads
            problem.fields += upload.fields
            answer(index, problem, keepsAlive: false)
        case .acknowledgement, .poll, .streaming: drop(index, .policy)
        }
    }

    private var tooManyUploads: RequestProblem {
        RequestProblem(
            status: "503 Service Unavailable",
            reason: "too much is on its way from all clients (see --max-uploads)",
            fields: "Retry-After: 1\r\n", refusal: .uploads)
    }

    private func release(_ session: Session) {
        if session.held == 0 { return }
        _ = shared.admission.hold(-session.held)
        session.held = 0
    }

    // MARK: Reading

    /// Reads what came, and does what it asks for.
    func read(_ index: Int, isHungUp: Bool = false) {
        let generation = clients.memory[index].generation
        var total = 0
        while isClient(index, generation) {
            let client = clients.memory + index
            if let session = sessions[index], client.pointee.transport == .ws, isStalled(session) {
                session.hasUnread = true
                return
            }
            let size = recv(client.pointee.descriptor, scratch, Self.scratchSize, 0)
            if size > 0 {
                client.pointee.lastHeard = milliseconds
                client.pointee.flags.remove(.awaitsPong)
                take(index, UnsafeBufferPointer(start: scratch, count: size))
                total += size
                // Less than there was room for: there is no more, and what comes is told of
                // (epoll(7), "Questions and answers").
                if size < Self.scratchSize && !isHungUp { return }
                if total >= Self.readAtOnce && isClient(index, generation) {
                    clients.memory[index].flags.insert(.readable)
                    readable.append(Int32(index))
                    return
                }
            } else if size < 0 && errno == EINTR {
                continue
            } else if size < 0 && errno == EAGAIN {
                return
            } else {
                return hangUp(index, errno: size < 0 ? errno : 0)
            }
        }
    }

    /// The peer sends no more. It may still wait for the answer to a request, unless there is an
    /// error.
    private func hangUp(_ index: Int, errno code: Int32) {
        if code == 0, let session = sessions[index], clients.memory[index].transport != .ws,
            !clients.memory[index].flags.contains(.lingering)
        {
            if case .acknowledgement = session.phase {
                session.phase = .acknowledgement(keepsAlive: false)
                return
            }
            if clients.memory[index].flags.contains(.hasOutput) && clients.memory[index].feed < 0 {
                session.then = .close
                return
            }
        }
        drop(index, Closure(errno: code))
    }

    private func take(_ index: Int, _ bytes: UnsafeBufferPointer<UInt8>) {
        let client = clients.memory + index
        if client.pointee.flags.contains(.lingering) { return }
        switch client.pointee.transport {
        // Whoever listens to a stream has nothing more to say.
        case .sse, .stream: return
        case .ws:
            session(index).input.append(bytes)
            receive(index)
        case .http, .poll:
            session(index).input.append(bytes)
            understand(index)
        }
    }

    // MARK: Ending

    /// Ends what is sent, and waits a moment for the peer to end, too: closing at once could take
    /// what was sent last away from it.
    func linger(_ index: Int) {
        let client = clients.memory + index
        leaveFeed(index)
        client.pointee.flags = client.pointee.flags.union(.lingering)
        client.pointee.flags.remove(.hasOutput)
        shutdown(client.pointee.descriptor, Int32(SHUT_WR))
        let session = session(index)
        session.deadline = now + Self.lingering
        session.input.removeAll()
        // What is being looked at must stay until that is done.
        if !session.isServing && !session.isReceiving { holdUploads(index, session) }
    }

    /// The connection is over.
    func drop(_ index: Int, _ reason: Closure) {
        let client = clients.memory + index
        guard client.pointee.descriptor >= 0 else { return }
        leaveFeed(index)
        if client.pointee.behindSince != 0 { behind -= 1 }
        if client.pointee.flags.contains(.polls) { polls.removeAll { Int($0) == index } }
        counters.connections[client.pointee.transport.rawValue.int] -= 1
        countEnd(index, reason)
        shared.admission.leave(
            client.pointee.address, wasRefused: client.pointee.flags.contains(.isRefused))
        close(client.pointee.descriptor)
        if let session = sessions[index] { release(session) }
        sessions[index] = nil
        clients.remove(index)
    }

    /// Counts the end of a stream, once, for the reason that comes first.
    func countEnd(_ index: Int, _ reason: Closure) {
        let client = clients.memory + index
        if client.pointee.transport == .http || client.pointee.flags.contains(.isCounted) { return }
        client.pointee.flags.insert(.isCounted)
        counters.closed[reason.rawValue] += 1
    }

    func setTransport(_ index: Int, _ transport: Transport) {
        let client = clients.memory + index
        counters.connections[client.pointee.transport.rawValue.int] -= 1
        client.pointee.transport = transport
        counters.connections[transport.rawValue.int] += 1
        if transport != .http { counters.opened[transport.rawValue.int] += 1 }
    }

    // MARK: Feeds

    /// Compressors take a quarter of a megabyte each: streams beyond so many are sent plain.
    private static let maxCompressed = 64

    /// Whether a stream of this kind may be compressed.
    func mayCompress(_ key: Feed.Key) -> Bool {
        if feedIndex[key] != nil { return true }
        return feedIndex.keys.reduce(0) { $0 + ($1.form.isCompressed ? 1 : 0) }
            < Self.maxCompressed
    }

    /// Puts a client among those that get this, from an event on. False when there is no memory.
    func joinFeed(_ index: Int, _ key: Feed.Key, sequence: UInt64) -> Bool {
        let place: Int
        if let known = feedIndex[key] {
            place = known
        } else {
            do throws(GzipError) {
                let feed = try Feed(key, next: history.next, level: settings.compressLevel)
                place = freeFeeds.popLast() ?? feeds.count
                if place == feeds.count { feeds.append(feed) } else { feeds[place] = feed }
            } catch {
                return false
            }
            feedIndex[key] = place
            routes.add(place, key.filter)
        }
        guard let feed = feeds[place] else { return false }
        let client = clients.memory + index
        client.pointee.feed = Int32(place)
        client.pointee.slot = Int32(feed.members.count)
        client.pointee.sequence = sequence
        client.pointee.joinedAt = max(history.next, sequence)
        client.pointee.flags.remove(.attached)
        feed.members.append(Int32(index))
        return true
    }

    func leaveFeed(_ index: Int) {
        let client = clients.memory + index
        guard client.pointee.feed >= 0, let feed = feeds[Int(client.pointee.feed)] else { return }
        let last = feed.members.removeLast()
        if Int(last) != index {
            feed.members[Int(client.pointee.slot)] = last
            clients.memory[Int(last)].slot = client.pointee.slot
        }
        let place = Int(client.pointee.feed)
        client.pointee.feed = -1
        client.pointee.flags.remove(.attached)
        guard feed.members.isEmpty else { return }
        feedIndex[Feed.Key(form: feed.form, filter: feed.filter)] = nil
        routes.remove(place)
        news.removeAll { $0 == place }
        feeds[place] = nil
        freeFeeds.append(place)
    }
}

extension UInt8 {
    var int: Int { Int(self) }
}
