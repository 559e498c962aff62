import Glibc
import StreamTool

/// Why clients did not get events, ended, or were turned away.
enum Drop: Int, CaseIterable {
    case slow, conflated
    var name: String { self == .slow ? "slow" : "conflated" }
}

enum Closure: Int, CaseIterable {
    case slow, sendTimeout, pongTimeout, protocolError, policy, peer, end

    /// By the error of a socket.
    init(errno code: Int32) { self = code == ETIMEDOUT ? .sendTimeout : .peer }

    var name: String {
        switch self {
        case .slow: "slow"
        case .sendTimeout: "send_timeout"
        case .pongTimeout: "pong_timeout"
        case .protocolError: "protocol"
        case .policy: "policy"
        case .peer: "peer"
        case .end: "end"
        }
    }
}

enum Refusal: Int, CaseIterable {
    case full, address, head, timeout, body, uploads, rate, origin

    var name: String {
        switch self {
        case .full: "full"
        case .address: "address"
        case .head: "head"
        case .timeout: "timeout"
        case .body: "body"
        case .uploads: "uploads"
        case .rate: "rate"
        case .origin: "origin"
        }
    }
}

/// What a worker counts, or all of them together.
struct Counters {
    private static let transports = Transport.allCases.count

    // By transport.
    var connections = [Int](repeating: 0, count: transports)
    var opened = [Int](repeating: 0, count: transports)
    var eventsOut = [Int](repeating: 0, count: transports)
    var bytesOut = [Int](repeating: 0, count: transports)
    // By reason.
    var dropped = [Int](repeating: 0, count: Drop.allCases.count)
    var closed = [Int](repeating: 0, count: Closure.allCases.count)
    var refused = [Int](repeating: 0, count: Refusal.allCases.count)
    var replayHits = 0
    var replayMisses = 0
    var published = 0
    var publishErrors = 0
    var lag = Histogram()
    var loop = Histogram()
    var historyEvents = 0
    var historyBytes = 0
    var feeds = 0

    mutating func add(_ other: Counters) {
        for index in 0..<Self.transports {
            connections[index] += other.connections[index]
            opened[index] += other.opened[index]
            eventsOut[index] += other.eventsOut[index]
            bytesOut[index] += other.bytesOut[index]
        }
        for index in dropped.indices { dropped[index] += other.dropped[index] }
        for index in closed.indices { closed[index] += other.closed[index] }
        for index in refused.indices { refused[index] += other.refused[index] }
        replayHits += other.replayHits
        replayMisses += other.replayMisses
        published += other.published
        publishErrors += other.publishErrors
        lag.add(other.lag)
        loop.add(other.loop)
        // Each worker has a whole history.
        historyEvents = max(historyEvents, other.historyEvents)
        historyBytes = max(historyBytes, other.historyBytes)
        feeds += other.feeds
    }
}

/// The counters of all workers, and what they agree on. Each worker puts its own there when it has
/// nothing else to do.
final class Board: @unchecked Sendable {
    private let lock = Lock()
    private var workers: [Counters]
    private var eventsIn = 0
    /// What the publisher counts.
    private var common: [(name: String, value: Metric.Value)] = []
    private var isReady = false
    private var isRunning: Int
    let started = monotonicNanoseconds()

    init(workers: Int) {
        self.workers = Array(repeating: Counters(), count: workers)
        isRunning = workers
    }

    func post(_ counters: Counters, of worker: Int) {
        lock.lock()
        workers[worker] = counters
        lock.unlock()
    }

    /// A worker has ended.
    func leave() {
        lock.lock()
        isRunning -= 1
        lock.unlock()
    }

    /// How many workers have not ended.
    func running() -> Int {
        lock.lock()
        defer { lock.unlock() }
        return isRunning
    }

    func post(eventsIn: Int, _ common: [(name: String, value: Metric.Value)]) {
        lock.lock()
        self.eventsIn = eventsIn
        self.common = common
        lock.unlock()
    }

    func setReady(_ isReady: Bool) {
        lock.lock()
        self.isReady = isReady
        lock.unlock()
    }

    func ready() -> Bool {
        lock.lock()
        defer { lock.unlock() }
        return isReady
    }

    /// How many events came in, which a worker may ask for each client.
    func eventsCame() -> Int {
        lock.lock()
        defer { lock.unlock() }
        return eventsIn
    }

    func total() -> (Counters, eventsIn: Int, common: [(name: String, value: Metric.Value)]) {
        lock.lock()
        defer { lock.unlock() }
        var total = Counters()
        for counters in workers { total.add(counters) }
        return (total, eventsIn, common)
    }

    /// How many connections each worker has.
    func loads() -> [Int] {
        lock.lock()
        defer { lock.unlock() }
        return workers.map { $0.connections.reduce(0, +) }
    }
}
