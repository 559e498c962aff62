import StreamCodec
import StreamTool

/// Whether the peer is still there: pings, their pongs, and how long no message came.
struct Keepalive {
    private let interval: UInt64
    private let timeout: UInt64
    private let idleTimeout: UInt64?
    private var nextPing: UInt64 = .max
    /// The ping that is not answered: its number, and when it went.
    private var outstanding: (number: UInt64, sent: UInt64)?
    private var number: UInt64 = 0
    private(set) var lastBytes: UInt64 = 0
    /// When a message came.
    private(set) var lastMessage: UInt64 = 0
    /// Lines that had been handed over when the ping was sent.
    private var mark = 0

    init(_ settings: CatOptions) {
        interval = settings.ping ?? (settings.measuresLatency ? 1_000_000_000 : 30_000_000_000)
        timeout = settings.pongTimeout
        idleTimeout = settings.idleTimeout
    }

    mutating func open(_ now: UInt64) {
        nextPing = interval > 0 ? now + interval : .max
        outstanding = nil
        lastBytes = now
        lastMessage = now
    }

    mutating func sawBytes(_ now: UInt64) { lastBytes = now }
    mutating func sawMessage(_ now: UInt64) { lastMessage = now }

    /// The payload of the ping that is due, or nil. `sent` are the lines that were handed over;
    /// `isUrgent`: its answer is waited for, for it confirms them.
    mutating func ping(_ now: UInt64, sent: Int, isUrgent: Bool) -> [UInt8]? {
        guard now >= nextPing || isUrgent && outstanding == nil && interval > 0 else { return nil }
        nextPing = now + interval
        // One at a time: a peer that is slow to answer is not asked more.
        guard outstanding == nil else { return nil }
        number += 1
        outstanding = (number, now)
        mark = sent
        return Array("\(number)".utf8)
    }

    /// The round trip, nanoseconds, and the messages that the pong confirms; nil for a pong to
    /// nothing, which RFC 6455 (5.5.3) allows.
    mutating func pong(
        _ payload: UnsafeBufferPointer<UInt8>, _ now: UInt64
    ) -> (roundTrip: UInt64, confirmed: Int)? {
        guard let ping = outstanding, payload.isEqual(to: Array("\(ping.number)".utf8)) else {
            return nil
        }
        outstanding = nil
        return (now - ping.sent, mark)
    }

    /// When the next thing is due.
    var deadline: UInt64 {
        min(nextPing, pongDeadline ?? .max, idleTimeout.map { lastMessage + $0 } ?? .max)
    }

    /// Whatever comes from the peer shows that it is there, and so does what it takes.
    private var pongDeadline: UInt64? {
        outstanding.map { max($0.sent, lastBytes) + timeout }
    }

    func pongIsOverdue(_ now: UInt64) -> Bool { pongDeadline.map { now >= $0 } ?? false }

    /// No message came for too long.
    func isIdle(_ now: UInt64) -> Bool {
        idleTimeout.map { now >= lastMessage + $0 } ?? false
    }
}
