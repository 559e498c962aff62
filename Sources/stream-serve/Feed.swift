import StreamCodec

/// What clients of one form and filter receive: rendered once, compressed once, sent to each.
final class Feed {
    struct Key: Hashable {
        var form: Form
        var filter: Filter
    }

    let form: Form
    let filter: Filter
    /// Indices of its clients in the worker's table.
    var members: ContiguousArray<Int32> = []
    var log = Log()
    /// The log has every event that it wants from this sequence on.
    private(set) var start: UInt64
    /// Something is in the log that was not offered to all members.
    var hasNews = false
    /// When the oldest of that came, monotonic nanoseconds.
    var newsArrival: UInt64 = 0

    // Compression.
    private var deflater: SharedDeflater?
    /// Rendered, and not yet compressed.
    private var fresh = ByteQueue(capacity: 0)
    /// Behind this place a receiver can begin: nothing there refers to what was before.
    private var boundary = 0
    /// The last event before it, and the last of all: one piece of gzip holds several.
    private var boundarySequence: UInt64 = 0
    private var lastSequence: UInt64 = 0
    private var wantsBoundary = false
    private var lastBoundary: UInt64 = 0
    /// Clients that join ask for a boundary, which costs everyone compression: one in so long, in
    /// nanoseconds, is enough.
    private static let boundaryInterval: UInt64 = 250_000_000
    /// More is not held back for the next flush.
    private static let maxFresh = 64 << 10

    /// `next` is the sequence of the event that comes next. Throws when there is no memory.
    init(_ key: Key, next: UInt64, level: Int) throws(GzipError) {
        form = key.form
        filter = key.filter
        start = next
        if form.isCompressed { deflater = try SharedDeflater(level: level) }
    }

    /// Renders an event that it wants.
    func append(_ event: StoredEvent, now: UInt64) {
        let sequence = event.head.pointee.sequence
        lastSequence = sequence
        if !hasNews {
            hasNews = true
            newsArrival = event.head.pointee.arrival
        }
        guard form.isCompressed else {
            log.mark(sequence)
            log.events += 1
            return form.append(event, to: &log.bytes)
        }
        if form.wire == .webSocket { return appendMessage(event, now) }
        if fresh.isEmpty { log.mark(sequence, tally) }
        log.events += 1
        form.append(event, to: &fresh)
        if fresh.count > Self.maxFresh { seal(now: now) }
    }

    private func appendMessage(_ event: StoredEvent, _ now: UInt64) {
        log.mark(event.head.pointee.sequence)
        log.events += 1
        var message = ByteQueue(capacity: 0)
        let isBoundary = wantsBoundary && isTimeForBoundary(now)
        if form.isRecord {
            deflater?.deflateMessage(event.record, into: &message, endsAtBoundary: isBoundary)
        } else {
            swap(&fresh, &message)
            if event.head.pointee.isText {
                message.append(replacing: event.payload)
            } else {
                message.append(event.payload)
            }
            deflater?.deflateMessage(message.bytes, into: &fresh, endsAtBoundary: isBoundary)
            swap(&fresh, &message)
            fresh.removeAll()
        }
        // FIN, reserved bit 1, text.
        log.bytes.appendFrame(0xC1, message.bytes)
        // An empty message is no boundary.
        if isBoundary && deflater?.isAtBoundary ?? false { reachBoundary(now) }
    }

    /// Compresses what waits for that.
    func seal(now: UInt64) {
        if fresh.isEmpty || form.wire == .webSocket { return }
        let isBoundary = wantsBoundary && isTimeForBoundary(now)
        deflater?.deflate(fresh.bytes, into: &log.bytes, endsAtBoundary: isBoundary)
        fresh.removeAll()
        if isBoundary { reachBoundary(now) }
    }

    private func isTimeForBoundary(_ now: UInt64) -> Bool {
        now &- lastBoundary >= Self.boundaryInterval
    }

    private func reachBoundary(_ now: UInt64) {
        boundary = log.end
        boundarySequence = lastSequence
        lastBoundary = now
        wantsBoundary = false
    }

    /// A comment for all members of a compressed stream: one for each of them would end their share
    /// of the window.
    func appendHeartbeat(next: UInt64, now: UInt64) {
        if fresh.isEmpty { log.mark(next, tally) }
        fresh.append(":\n\n")
        seal(now: now)
        hasNews = true
        newsArrival = now
    }

    /// What the compressed stream has given out so far.
    var tally: GzipTally { deflater?.tally ?? GzipTally() }

    /// The state of the compressed stream at a place where a frame begins.
    func tally(at place: Int) -> GzipTally { log.mark(from: place)?.tally ?? tally }

    /// Where a client joins that has everything before an event; nil while it cannot: the log does
    /// not go back so far, or the compressed stream refers to what the client does not have.
    func place(of sequence: UInt64) -> Int? {
        let place = log.place(of: sequence, start: start)
        guard form.isCompressed, let place else { return place }
        if place == boundary && sequence > boundarySequence && fresh.isEmpty { return place }
        wantsBoundary = true
        return nil
    }

    /// The event with which the first frame at or behind a place begins, and that place.
    func frame(from place: Int, next: UInt64) -> (place: Int, sequence: UInt64) {
        log.mark(from: place).map { ($0.place, $0.sequence) } ?? (log.end, next)
    }

    /// Everybody has everything.
    func clear(next: UInt64) {
        guard fresh.isEmpty || form.wire == .webSocket else { return }
        log.removeAll()
        start = next
    }

    func cut(to place: Int, next: UInt64) {
        start = frame(from: place, next: next).sequence
        log.cut(to: place)
    }
}
