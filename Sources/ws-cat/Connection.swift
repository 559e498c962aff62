import CLinux
import Glibc
import StreamClient
import StreamCodec
import StreamTool

/// One connection after the other, each from its first packet to its last. It never waits.
struct Connection: ~Copyable {
    enum State {
        case down
        /// On the way to the peer, or through its proxy.
        case connecting
        /// The request, or as a server the answer, is on its way.
        case handshaking
        /// The body of an answer that is no upgrade.
        case refused(HTTPHead)
        case open
        /// Our Close is out, the peer's is not in.
        case closing
        /// Nothing more is said: what is on the wire goes, and then the connection.
        case finishing(Ending)
    }

    /// Bytes that one read takes, and that are encoded at once.
    static let step = 128 << 10
    /// How long a peer that has nothing more to say may take to hang up.
    private static let lingering: UInt64 = 1_000_000_000

    let settings: CatOptions
    var state = State.down
    var transport: Transport
    /// Received and not understood.
    var received = ByteQueue(capacity: 64 << 10)
    /// Encoded and not handed over: control frames first, then messages.
    var wire = ByteQueue(capacity: 64 << 10)
    private var urgent = ByteQueue()
    /// Bytes of this connection that the socket has taken, and where the control frames end.
    private(set) var handed = 0
    private var urgentEnd = 0
    /// Messages of this connection that were encoded.
    private(set) var encoded = 0
    var receiver: WebSocketReceiver
    var sender: WebSocketSender
    var role = WebSocketRole.client
    var request: Request
    /// When what is going on must have come to an end.
    var deadline: UInt64?
    /// The peer said that it sends nothing more.
    var sawEnd = false
    var agreement = ClientHandshake.Agreement(subprotocol: nil, deflate: nil, extensions: nil)

    init(_ settings: CatOptions, _ request: Request) throws {
        let receiver = try WebSocketReceiver(
            role: .client, maxMessage: settings.maxMessage, deflate: nil)
        let sender = try WebSocketSender(role: .client, deflate: nil, level: 1, fragment: nil)
        self.settings = settings
        self.request = request
        transport = Transport(settings.connect)
        self.receiver = receiver
        self.sender = sender
    }

    var isOpen: Bool { if case .open = state { true } else { false } }
    var isDown: Bool { if case .down = state { true } else { false } }

    /// Messages may go.
    var isUp: Bool { isOpen && problem == nil }
    var isFinishing: Bool { if case .finishing = state { true } else { false } }

    /// What is received is understood as far as it goes.
    var isDrained = true

    /// Something can be done without anything new from outside.
    func mayGoOn(reads: Bool) -> Bool {
        let isMore = !isDrained || sawEnd || transport.mayHoldBytes
        return isReceiving ? reads && isMore : isFinishing && (sawEnd || transport.mayHoldBytes)
    }

    /// While connecting: when libcurl wants to be called again.
    var transportDeadline: UInt64? {
        if case .connecting = state { transport.deadline } else { nil }
    }

    /// What to wait for; `reads`: there is room for what the peer sends.
    func watched(reads: Bool) -> [pollfd] {
        switch state {
        case .down: return []
        case .connecting: return transport.descriptors
        case .handshaking, .refused, .open, .closing, .finishing: break
        }
        var events: Int16 = 0
        if (reads || !isReceiving) && !sawEnd { events |= Int16(POLLIN) }
        if hasUnsent && problem == nil { events |= Int16(POLLOUT) }
        return events == 0 ? [] : [pollfd(fd: transport.descriptor, events: events, revents: 0)]
    }

    /// The peer is gone, in the middle of something.
    func lost(isLeaving: Bool) -> Ending {
        let isCutOff = receiver.isInside(received)
        return .broken(
            problem
                ?? TransportError(
                    .lost,
                    "the connection was lost" + (isCutOff ? " in the middle of a message" : "")
                        + (isLeaving ? " before the peer answered the close" : "")))
    }

    /// Messages may come.
    @inline(__always)
    var isReceiving: Bool {
        switch state {
        case .open, .closing: true
        default: false
        }
    }

    // MARK: Sending

    /// Queues a control frame in front of the messages that are not encoded.
    mutating func sendControl(
        _ kind: WebSocketReceiver.Kind, _ payload: UnsafeBufferPointer<UInt8>
    ) {
        sender.append(kind, payload, to: &urgent)
    }

    /// Control frames of a peer that sends pings and reads no pongs.
    var hasRoomForControl: Bool { urgent.count < 64 << 10 }

    /// Encodes what waits, once everything before has gone.
    @inline(__always)
    mutating func fill(_ outbox: inout Outbox, limit: Int) {
        guard wire.isEmpty, problem == nil else { return }
        wire.append(urgent.bytes)
        urgent.removeAll()
        urgentEnd = handed + wire.count
        var left = limit
        while left > 0 && wire.count < Self.step && outbox.mayEncode {
            outbox.encodeNext(&sender, to: &wire, handed: handed)
            left -= 1
        }
        encoded += limit - left
    }

    var hasUnsent: Bool { !wire.isEmpty || !urgent.isEmpty || transport.hasStaged }

    /// Hands over what the socket takes. Forgets what an ended connection does not take.
    mutating func send() {
        if isDown { return }
        if case .connecting = state { return }
        if wire.isEmpty && !urgent.isEmpty {
            wire.append(urgent.bytes)
            urgent.removeAll()
            urgentEnd = handed + wire.count
        }
        if wire.isEmpty && !transport.hasStaged {
            if isFinishing && role == .server { finishSending() }
            return
        }
        let before = wire.count
        var problem: TransportError?
        do throws(TransportError) {
            _ = try transport.send(&wire)
        } catch {
            problem = error
        }
        handed += before - wire.count
        if let problem {
            // What the peer said before it left is still to be read, its Close above all.
            self.problem = self.problem ?? problem
            wire.removeAll()
            urgent.removeAll()
        }
        if isFinishing && role == .server && !hasUnsent { finishSending() }
    }

    /// RFC 6455, section 7.1.1: the server is the first to close.
    private mutating func finishSending() {
        if hasFinishedSending { return }
        hasFinishedSending = true
        transport.finishSending()
    }

    /// What broke the connection: nothing can be sent any more.
    private(set) var problem: TransportError?
    private var hasFinishedSending = false

    /// Begins the closing handshake.
    mutating func close(_ code: UInt16, _ reason: [UInt8], within limit: UInt64) {
        guard isUp else { return }
        sender.appendClose(code, reason, to: &urgent)
        closeCode = code
        state = .closing
        deadline = monotonicNanoseconds() + limit
    }

    /// What we closed with.
    private var closeCode: UInt16 = 0
    /// The peer's Close answers ours: it has all that went before.
    private(set) var closeIsAnswered = false

    /// A closing handshake, and what is behind it, takes no longer than this.
    mutating func hurry(_ limit: UInt64) {
        switch state {
        case .closing, .finishing: deadline = min(deadline ?? limit, limit)
        case .down, .connecting, .handshaking, .refused, .open: break
        }
    }

    /// A closing handshake may take until then, for it is we who do not read.
    mutating func extend(_ limit: UInt64) {
        if case .closing = state { deadline = max(deadline ?? limit, limit) }
    }

    /// The peer's Close came: it is answered, unless it is an answer.
    mutating func answerClose(_ outbox: inout Outbox) {
        let ending = Ending.closed(code: receiver.closeCode, reason: receiver.closeReason)
        if isOpen {
            keepBegunFrame(&outbox)
            sender.appendClose(receiver.closeCode, [], to: &urgent)
        } else {
            // One that crossed ours on its way is no answer, and an answer says what ours said, or
            // that all is well.
            closeIsAnswered =
                !hasUnsent && [closeCode, 1000, WebSocketClose.none].contains(receiver.closeCode)
        }
        finish(ending)
    }

    /// Ends a connection whose peer broke the rules, telling it why. RFC 6455, section 7.1.7.
    mutating func fail(_ error: WebSocketError, _ outbox: inout Outbox) {
        if isOpen {
            keepBegunFrame(&outbox)
            sender.appendClose(error.code, Array(error.reason.utf8), to: &urgent)
        }
        finish(.violation(error))
    }

    /// What nobody will read stays unsent: messages of which no byte has gone.
    private mutating func keepBegunFrame(_ outbox: inout Outbox) {
        let end =
            outbox.takeBack(handed: handed, start: urgentEnd)
            ?? max(handed, min(urgentEnd, handed + wire.count))
        wire.truncate(end - handed)
    }

    mutating func finish(_ ending: Ending) {
        state = .finishing(ending)
        received.removeAll()
        isDrained = true
        deadline = monotonicNanoseconds() + min(Self.lingering, settings.closeTimeout)
    }

    /// Bytes of this connection that the peer's system has acknowledged. TLS makes it less, but it
    /// grows with what the peer takes all the same.
    var acknowledged: Int { handed - Int(clinux_unacknowledged(transport.descriptor)) }

    // MARK: Receiving

    /// Appends what came to `received`. False when there was nothing.
    mutating func receive() -> Bool {
        if sawEnd { return false }
        do throws(TransportError) {
            switch try transport.receive(into: &received, upTo: Self.step) {
            case .bytes: return true
            case .wouldBlock: return false
            case .end:
                sawEnd = true
                return true
            }
        } catch {
            // What came before is understood first.
            problem = problem ?? error
            sawEnd = true
            return true
        }
    }

    /// Lets go of what the peer still sends, until it hangs up: then the connection is over.
    mutating func finishIfDone() throws(Ending) {
        guard case .finishing(let ending) = state else { return }
        while !sawEnd, !isOverdue, receive() { received.removeAll() }
        if sawEnd || isOverdue { throw ending }
    }

    private var isOverdue: Bool { deadline.map { monotonicNanoseconds() >= $0 } ?? false }

    /// The end of the connection as a whole.
    mutating func hangUp() {
        transport.close()
        state = .down
        received.removeAll()
        wire.removeAll()
        urgent.removeAll()
        deadline = nil
    }

    /// The state of a connection that begins.
    mutating func reset() {
        received.removeAll()
        wire.removeAll()
        urgent.removeAll()
        handed = 0
        urgentEnd = 0
        sawEnd = false
        problem = nil
        hasFinishedSending = false
        closeIsAnswered = false
        encoded = 0
        isDrained = true
        deadline = monotonicNanoseconds() + settings.connect.timeout
    }
}
