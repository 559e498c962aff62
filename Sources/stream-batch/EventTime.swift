import StreamCodec

/// The time that the lines say, and up to when all of them have come.
struct EventTime: ~Copyable {
    private var judge: TimeJudge
    /// Nanoseconds that a line may come after one with a later time.
    private let late: UInt64
    /// Of --watermark-by.
    private var senders: Senders
    private let hasSenders: Bool
    private var sender = ByteQueue(capacity: 64)
    /// Nanoseconds without input, by the clock, that close what is open; nil: none do.
    let idleClose: UInt64?
    /// When input came last, by the clock.
    var heard: UInt64 = 0

    /// 366 days.
    private static let standardMaxGap: UInt64 = 366 * 86_400_000_000_000

    init(_ settings: BatchOptions) {
        late = settings.late ?? 0
        // What is no later than --late allows is no reason for doubt.
        judge = TimeJudge(
            ahead: settings.maxGap ?? Self.standardMaxGap,
            behind: late + (settings.maxAge ?? settings.idle ?? 0))
        senders = Senders(limit: settings.watermarkKeys, silence: settings.watermarkIdle)
        hasSenders = settings.watermarkBy != nil
        idleClose = settings.idleClose
    }

    /// The latest time of the lines that were believed, as they came.
    private(set) var now: UInt64 = 0
    /// That of those that came into their batches: others may still wait for their turn.
    private var passed: UInt64 = 0

    /// Senders that were given up for others.
    var evictions: Int { senders.evictions }

    mutating func verdict(on time: UInt64) -> TimeJudge.Verdict { judge.judge(time) }

    func isAhead(_ time: UInt64) -> Bool { judge.isAhead(time) }

    /// Time goes on to that of a line that is believed, or that is only late.
    mutating func goOn(to time: UInt64) { now = max(now, min(time, judge.latest)) }

    /// The time up to which all lines have come, now that this one did.
    mutating func watermark(after line: borrowing Line) -> UInt64 {
        passed = max(passed, min(line.time, judge.latest))
        var passed = self.passed
        if hasSenders {
            // A clock that stands in 1970 is waited for by nobody.
            guard judge.isLikely(line.time) else { return 0 }
            sender.removeAll()
            line.appendSender(to: &sender)
            passed = senders.hear(sender.bytes, line.time)
        }
        return passed > late ? passed - late : 0
    }

    /// What waited for others that agree does so no more.
    mutating func dismiss() { judge.dismiss() }

    /// The times before were wrong.
    mutating func beginAnew() {
        now = 0
        passed = 0
        senders.removeAll()
    }
}
