import CLinux
import Glibc
import StreamCodec
import StreamTool

/// A whole server on one thread: its own clients, history and logs. Workers share nothing but the
/// events that the publisher hands to each.
final class Worker {
    let number: Int
    let settings: ServeOptions
    let shared: Shared
    let mailbox: Mailbox
    /// What the process agrees on: all workers have it.
    let listeners: [Listener]

    var clients = ClientTable()
    var sessions: ContiguousArray<Session?> = []
    var history: History
    /// Events that came and are not yet in the history: clients are waited for.
    var incoming = ByteQueue(capacity: 0)
    /// The mailbox was not emptied, because these had to go first.
    private var mayHoldMore = false
    var counters = Counters()

    // Feeds.
    var feeds: ContiguousArray<Feed?> = []
    var freeFeeds: [Int] = []
    var feedIndex: [Feed.Key: Int] = [:]
    var routes = Routes()
    /// Feeds with something that was not offered to all of their members.
    var news: [Int] = []
    /// One of them has so much that waiting for the next flush would save nothing.
    var hasBurst = false

    /// Indices of clients that wait with /poll.
    var polls: ContiguousArray<Int32> = []
    var pollDeadline = UInt64.max
    var pollsHaveNews = false
    /// Clients with bytes left to read.
    var readable: [Int32] = []
    /// Clients that do not take what they should: the slowest of them decides, with --slow=block.
    var behind = 0

    // Time: monotonic nanoseconds, and milliseconds of a clock that starts at 1.
    let started: UInt64
    var now: UInt64
    var milliseconds: UInt32 = 1
    var lastFlush: UInt64 = 0
    var lastTick: UInt64 = 0
    private var lastPost: UInt64 = 0
    private var hasUnposted = false
    var needsFlush = false
    /// Accepting stopped for want of descriptors, until then.
    var acceptAgain: UInt64 = 0

    // The end.
    var ending: Ending?
    var endDeadline = UInt64.max
    var isOver = false

    let poller: Int32
    /// Where every receive puts what came.
    let scratch = UnsafeMutablePointer<UInt8>.allocate(capacity: Worker.scratchSize)
    static let scratchSize = 64 << 10
    var random = SystemRandomNumberGenerator()

    init(number: Int, _ settings: ServeOptions, _ shared: Shared, _ listeners: [Listener]) throws {
        self.number = number
        self.settings = settings
        self.shared = shared
        self.listeners = listeners
        mailbox = shared.mailboxes[number]
        history = History(settings.history, keepsKeys: settings.slow == .conflate)
        started = monotonicNanoseconds()
        now = started
        poller = clinux_epoll_create()
        guard poller >= 0 else { throw Failure(.systemError, errno: errno, "epoll_create1") }
        watch(mailbox.descriptor, Token.mailbox)
        for listener in listeners { watchListener(listener) }
    }

    deinit {
        close(poller)
        scratch.deallocate()
    }

    /// What epoll gives back: a client's index and generation, or one of these.
    enum Token {
        static let mailbox = UInt64.max
        static let listener = UInt64.max - 1

        static func client(_ index: Int, _ generation: UInt32) -> UInt64 {
            UInt64(generation) << 32 | UInt64(index)
        }
    }

    private func watch(_ descriptor: Int32, _ token: UInt64) {
        _ = clinux_epoll_add(poller, descriptor, UInt32(CLINUX_READABLE), token)
    }

    func watchListener(_ listener: Listener) {
        let events = UInt32(CLINUX_READABLE | CLINUX_EXCLUSIVE)
        _ = clinux_epoll_add(poller, listener.descriptor, events, Token.listener)
    }

    // MARK: The loop

    /// Serves until the stream has ended and every client has what it should get.
    func run() {
        let ready = UnsafeMutablePointer<clinux_ready>.allocate(capacity: 256)
        defer { ready.deallocate() }
        while !isOver {
            let count = clinux_epoll_wait(poller, ready, 256, timeout)
            now = monotonicNanoseconds()
            milliseconds = UInt32(truncatingIfNeeded: (now - started) / 1_000_000 + 1)
            let begin = now
            for index in 0..<max(0, Int(count)) { serve(ready[index]) }
            readMore()
            takeEvents()
            flushIfDue()
            answerPolls()
            keepTime()
            end()
            counters.loop.add(nanoseconds: monotonicNanoseconds() - begin)
            if now &- lastPost >= Self.postInterval { post() } else { hasUnposted = true }
        }
        for index in 0..<clients.end where clients.memory[index].descriptor >= 0 {
            drop(index, .end)
        }
        post()
        shared.board.leave()
        mailbox.tellPublisher()
    }

    /// The counters are shown so often, in nanoseconds, while there is much to do.
    private static let postInterval: UInt64 = 2_000_000

    private func post() {
        lastPost = now
        hasUnposted = false
        counters.historyEvents = history.count
        counters.historyBytes = history.bytes
        counters.feeds = feedIndex.count
        shared.board.post(counters, of: number)
    }

    /// Nanoseconds until something is due by the clock.
    private var timeout: Int64 {
        if !readable.isEmpty { return 0 }
        if incoming.isEmpty ? mayHoldMore : mayTake > 0 { return 0 }
        var next = lastTick + tick
        if hasUnposted { next = min(next, lastPost + Self.postInterval) }
        if needsFlush { next = min(next, lastFlush + settings.flushInterval) }
        next = min(next, pollDeadline, endDeadline)
        let now = monotonicNanoseconds()
        return next > now ? Int64(next - now) : 0
    }

    private func serve(_ ready: clinux_ready) {
        switch ready.data {
        case Token.mailbox: break
        case Token.listener: accept()
        default:
            let index = Int(ready.data & 0xFFFF_FFFF)
            let generation = UInt32(ready.data >> 32)
            guard isClient(index, generation) else { return }
            if ready.events & UInt32(CLINUX_WRITABLE) != 0,
                clients.memory[index].flags.contains(.blocked)
            {
                clients.memory[index].flags.remove(.blocked)
                clients.memory[index].lastSent = milliseconds
                advance(index)
            }
            guard isClient(index, generation) else { return }
            let isHungUp = ready.events & UInt32(CLINUX_HANGUP) != 0
            if isHungUp || ready.events & UInt32(CLINUX_READABLE) != 0 {
                read(index, isHungUp: isHungUp)
            }
        }
    }

    func isClient(_ index: Int, _ generation: UInt32) -> Bool {
        index < clients.end && clients.memory[index].descriptor >= 0
            && clients.memory[index].generation == generation
    }

    private func readMore() {
        if readable.isEmpty { return }
        let indices = readable
        readable.removeAll(keepingCapacity: true)
        for index in indices.map(Int.init) where clients.memory[index].flags.contains(.readable) {
            clients.memory[index].flags.remove(.readable)
            read(index, isHungUp: true)
        }
    }

    // MARK: Events

    /// Bytes of events that are taken before clients get them.
    private static let quantum = 128 << 10

    /// How many events may be taken now: with `--slow=block` as many as the slowest client has
    /// room for.
    private var mayTake: Int {
        guard settings.slow == .block, behind > 0 else { return .max }
        var most = 0
        for index in 0..<clients.end where clients.memory[index].behindSince != 0 {
            most = max(most, lag(index))
        }
        return settings.buffer - most
    }

    func takeEvents() {
        mayHoldMore = !incoming.isEmpty
        for note in mailbox.take(&incoming, takesEvents: !mayHoldMore) { take(note) }
        if incoming.isEmpty { return }
        var left = min(mayTake, settings.slow == .block ? settings.buffer : .max)
        let first = history.next
        let rest = incoming.count - Self.quantum
        while left > 0 && !incoming.isEmpty && incoming.count > rest {
            let event = StoredEvent(
                UnsafeMutableRawPointer(mutating: incoming.bytes.baseAddress!))
            history.append(event)
            incoming.consume(event.head.pointee.size)
            left -= 1
        }
        route(first..<history.next)
        if !polls.isEmpty { pollsHaveNews = true }
        trimHistory()
    }

    func trimHistory() {
        history.trim(now: now, isLagged: behind > 0)
    }

    private func take(_ note: Note) {
        switch note {
        case .adopt(let descriptor, let address): adopt(descriptor, address, nil)
        case .published(let receipt): acknowledge(receipt)
        case .end(let reason): ending = reason
        }
    }
}

/// What all workers and the publisher share.
struct Shared {
    let mailboxes: [Mailbox]
    let inbox: Inbox
    let board: Board
    let admission: Admission
    /// What all clients together may publish.
    let allowance: SharedAllowance
    /// Held while a batch is handed to the workers.
    let posting = Lock()
    /// The first part of each id, which tells one run from another.
    let epoch: [UInt8]
}
