import StreamCodec
import StreamTool

/// What happens to a line before it comes into a batch: --join-chunks, --dedup, --reorder.
struct Stages: ~Copyable {
    private var joiner: ChunkJoiner?
    private let dedups: Bool
    private var recent: RecentKeys
    private let dedupKeys: Int
    private let dedupFor: UInt64?
    private let reorders: Bool
    private var reorderer: Reorderer<HeldLine>
    private var identity = ByteQueue(capacity: 64)
    private var orderKey = ByteQueue(capacity: 64)
    private let maxDepth: Int
    private let report: Report

    /// Lines whose number came after a higher one had gone.
    private(set) var late = 0

    /// A line that waits for its turn.
    struct HeldLine {
        var bytes: [UInt8]
        var place: Place
    }

    init(_ settings: BatchOptions, _ report: Report) {
        let common = settings.common
        joiner = settings.joinChunks.map {
            ChunkJoiner(limit: $0, maxSize: common.maxLine, maxDepth: common.maxDepth)
        }
        dedups = settings.dedup != nil
        dedupKeys = settings.dedupKeys
        dedupFor = settings.dedupFor
        recent = RecentKeys(limit: dedupKeys, lifetime: dedupFor)
        reorders = settings.reorder != nil
        reorderer = Reorderer(
            window: settings.window, maxWait: settings.maxWait, maxKeys: settings.byKeys)
        maxDepth = common.maxDepth
        self.report = report
    }

    /// True when lines pass as they come.
    var isEmpty: Bool { joiner == nil && !dedups && !reorders }

    // MARK: --join-chunks

    /// The line to go on with: the one that came, or the message that its chunks make; nil while
    /// chunks are missing.
    mutating func join(
        _ line: UnsafeBufferPointer<UInt8>, _ place: Place
    ) throws -> [UInt8]? {
        defer { report.set(joined, as: "messages_joined") }
        // Where the message began: its chunks may come from several inputs.
        var origin = EventFields()
        origin.type = Array(place.input.utf8)
        switch joiner?.take(origin, line, line: place.line) ?? .plain {
        case .plain: return Array(line)
        case .incomplete:
            try rejectAbandoned()
            return nil
        case .invalid(let reason): throw LineError(offset: 0, reason: reason)
        case .complete(let event):
            joined += 1
            try rejectAbandoned()
            return event.data.withUnsafeBufferPointer { data in
                var whole = ByteQueue(capacity: data.count + 64)
                if JSON.isValid(data, maxDepth: maxDepth) {
                    whole.append(jsonOnOneLine: data)
                } else {
                    whole.append(quoting: data)
                }
                return Array(whole.bytes)
            }
        }
    }

    private var joined = 0
    var joinsChunks: Bool { joiner != nil }

    /// Rejects messages whose chunks do not come any more.
    mutating func rejectAbandoned(atEnd: Bool = false) throws {
        for event in joiner?.takeAbandoned(atEnd: atEnd) ?? [] {
            try event.data.withUnsafeBufferPointer { raw in
                let input = String(decoding: event.fields.type, as: UTF8.self)
                try report.reject(
                    Place(input, line: event.line), "chunks of a message are missing", raw: raw)
            }
        }
    }

    // MARK: --dedup

    /// True when the value of the line came before.
    mutating func isDuplicate(_ line: borrowing Line, now: UInt64) -> Bool {
        guard dedups else { return false }
        identity.removeAll()
        guard line.appendIdentity(to: &identity) else { return false }
        let isNew = recent.insert(identity.bytes, now: now)
        if recent.evictions > 0 { report.set(recent.evictions, as: "forgotten_keys") }
        return !isNew
    }

    /// The line was rejected: another with its value is none that came before.
    mutating func forget(_ line: borrowing Line) {
        guard dedups else { return }
        identity.removeAll()
        if line.appendIdentity(to: &identity) { recent.remove(identity.bytes) }
    }

    /// The time that values were remembered by was wrong.
    mutating func beginAnew() {
        if dedupFor != nil { recent = RecentKeys(limit: dedupKeys, lifetime: dedupFor) }
    }

    // MARK: --reorder

    /// Holds a line that has a number. False when it has none: it passes at once.
    mutating func hold(_ line: borrowing Line, _ place: Place, now: UInt64) -> Bool {
        guard reorders, let number = line.number else { return false }
        let held = HeldLine(bytes: Array(line.bytes), place: place)
        orderKey.removeAll()
        line.appendOrderKey(to: &orderKey)
        let arrival = reorderer.hold(held, number: number, key: orderKey.bytes, now: now)
        if case .restart(let first) = arrival { report.tell(restartAt: first, at: place) }
        return true
    }

    /// The next held line whose turn it is.
    mutating func next(now: UInt64, atEnd: Bool = false) -> HeldLine? {
        guard reorders, let next = reorderer.next(now: now, atEnd: atEnd) else { return nil }
        if let gap = next.gap { report.tell(missing: gap, at: next.item.place) }
        if next.isLate {
            late += 1
            report.tell(late: next.number, at: next.item.place)
        }
        if reorderer.evictions > 0 { report.set(reorderer.evictions, as: "forgotten_orders") }
        return next.item
    }

    /// When the line that waited longest must go; nil when none does.
    var deadline: UInt64? { reorders ? reorderer.deadline : nil }
}
