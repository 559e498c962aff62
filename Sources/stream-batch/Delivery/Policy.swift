import StreamTool

/// What a failed attempt means. Without clock, processes or memory of lines: it is told what
/// happened when, and says what may start and what is to be done.
///
/// Without --breaker a part of a batch that has used up its --retries is split (--bisect), or
/// given up. With it this is the rule:
///
/// 1. A failure by itself says nothing: the receiver may refuse this part, or be away. An answer
///    (exit status 0, or one of --permanent) says that the receiver works.
/// 2. FAILURES failed attempts in a row open the breaker. While it is open, one part after the
///    other is tried, one each DURATION, in turn; these probes are attempts like all others. An
///    answer closes it.
/// 3. A part that has used up its retries is split where --bisect allows it: pieces bury nothing.
///    While the breaker is open only the oldest batch is, so that an outage does not shred all.
/// 4. One that cannot be split is put aside. It keeps no slot, and others, new ones too, are
///    tried: they are the witnesses. After each answer what is aside is tried again.
/// 5. A failure counts against its part when the receiver answered before it began and answers one
///    that began after it, and fewer than FAILURES parts (at least two) failed in between. One
///    counts for each such pair of answers, so that an outage counts once at most. What is left of
///    a batch that was split, once all else of it is delivered, takes over the count of the whole.
/// 6. A part whose retries are used up and against which --retries + 1 failures count, at least
///    two, is refused. Nothing else is.
/// 7. Where no witness can come, for the input is at its end and nothing else is left, what is
///    aside is probed PROBES times, a tenth of it where a failure counts already; if none is
///    answered, it is refused. If the receiver answered nothing in the whole run, nothing is:
///    it is held, or left in the journal for the next run.
struct Policy {
    struct Breaker: Equatable {
        var failures: Int
        /// Nanoseconds.
        var duration: UInt64
        var probes = 100
    }

    /// What is known of a part.
    struct Case {
        fileprivate(set) var attempts = 0
        /// In nanoseconds: by itself it is not tried earlier.
        fileprivate(set) var notBefore: UInt64 = 0
        /// When it was tried last, in starts and ends of attempts; 0: never.
        fileprivate(set) var startedAt = 0
        private(set) var id: Int
        fileprivate var endedAt = 0
        fileprivate var isProbe = false
        /// The receiver had answered before it began.
        fileprivate var isAfterAnswer = false
        /// The end of a failure that counts as soon as the receiver answers again.
        fileprivate var pending: Int?
        /// Too many failed with it.
        fileprivate var isTainted = false
        /// The answers after failures that count against it.
        fileprivate var shown: Set<Int> = []

        init(id: Int) { self.id = id }

        /// How many failures count against it, as a piece of what was split.
        fileprivate func count(in family: Family?) -> Int {
            family.map { $0.shown.union(shown).count } ?? shown.count
        }
    }

    /// A part that was split.
    final class Family {
        fileprivate(set) var whole: Case
        let parent: Family?
        /// Pieces of which something is left.
        fileprivate var left: Int

        init(_ whole: Case, pieces: Int, in parent: Family?) {
            self.whole = whole
            self.parent = parent
            left = pieces
        }

        /// What its last piece takes over.
        fileprivate var shown: Set<Int> {
            left == 1 ? whole.shown.union(parent?.shown ?? []) : []
        }
    }

    /// What else there is.
    struct View {
        var canSplit = false
        /// No older batch can be split.
        var isOldest = true
        /// All that is left is aside, and nothing else can come: the input is at its end, or as
        /// much is held as may be.
        var isAlone = false
        var isAtEnd = false
        var hasJournal = false
    }

    enum Verdict: Equatable {
        /// When its turn comes, not before `notBefore`.
        case again
        case split
        /// It keeps no slot.
        case aside
        case refused
        /// The next run may know more.
        case left
    }

    private enum State: Equatable {
        case closed
        case open(until: UInt64)
        /// The probe is under way.
        case probing
    }

    let retries: Int
    let breaker: Breaker?
    private var state = State.closed
    private var failuresInRow = 0
    /// Those that failed since the last answer, up to `limit`.
    private var failed: Set<Int> = []
    private(set) var hasAnswered = false
    /// The start of the attempt that was answered last.
    private var answerStart = 0
    private var clock = 0
    private var lastFailure: UInt64 = 0
    private(set) var probesSinceAnswer = 0
    private var lastID = 0
    /// One that is aside is tried, for nothing else is left.
    private var isTryingAgain = false
    /// The last attempt was of a part that had been tried before: a new one should be next.
    private(set) var wantsNew = false

    init(retries: Int, breaker: Breaker?) {
        self.retries = retries
        self.breaker = breaker
    }

    mutating func newCase() -> Case {
        lastID += 1
        return Case(id: lastID)
    }

    /// So many parts that fail in a row are an outage, or may be.
    private var limit: Int { max(2, breaker?.failures ?? 0) }
    /// So many failures must count against a part.
    private var needed: Int { max(2, retries + 1) }

    // MARK: What may start

    var isOpen: Bool { state != .closed }

    /// It has used up its retries, and keeps no slot.
    func isAside(_ part: Case) -> Bool { breaker != nil && part.attempts > retries }

    /// When a part may be tried: nil while that depends on others. `isAlone`: all that there is
    /// is aside.
    func start(of part: Case, isAlone: Bool) -> UInt64? {
        guard let breaker else { return part.notBefore }
        switch state {
        case .probing: return nil
        case .open(let until): return max(until, part.notBefore)
        case .closed where !isAside(part) || isNews(for: part): return part.notBefore
        case .closed where isAlone && !isTryingAgain:
            return max(lastFailure + breaker.duration, part.notBefore)
        case .closed: return nil
        }
    }

    /// The receiver answered since, and not so many failed that it is somebody else's turn.
    private func isNews(for part: Case) -> Bool {
        answerStart > part.endedAt && failed.count < max(1, limit - 1)
    }

    mutating func start(_ part: inout Case) {
        clock += 1
        let isFirst = part.startedAt == 0
        part.isProbe = isOpen || (isAside(part) && !isNews(for: part))
        part.startedAt = clock
        part.isAfterAnswer = hasAnswered
        part.attempts += 1
        part.notBefore = 0
        wantsNew = !isFirst
        if isOpen {
            state = .probing
        } else if part.isProbe {
            isTryingAgain = true
        }
    }

    // MARK: What an end means

    /// An attempt was answered. True when that closes the breaker.
    mutating func answer(_ part: inout Case) -> Bool {
        clock += 1
        part.endedAt = clock
        part.isProbe = false
        hasAnswered = true
        answerStart = max(answerStart, part.startedAt)
        probesSinceAnswer = 0
        failuresInRow = 0
        failed = []
        isTryingAgain = false
        defer { state = .closed }
        return isOpen
    }

    /// Comes before `answer`, for each part: an attempt that was answered may show that a failure
    /// counts.
    func settle(_ part: inout Case, _ family: Family?, by witness: Case) {
        settle(&part, by: witness)
        var next = family
        while let family = next {
            settle(&family.whole, by: witness)
            next = family.parent
        }
    }

    private func settle(_ part: inout Case, by witness: Case) {
        guard let end = part.pending else { return }
        if failed.count >= limit { part.isTainted = true }
        guard witness.startedAt > end else { return }
        if !part.isTainted { part.shown.insert(witness.startedAt) }
        part.pending = nil
        part.isTainted = false
    }

    /// An attempt failed. True when that opens the breaker, which a probe does again.
    mutating func fail(_ part: inout Case, at now: UInt64) -> Bool {
        clock += 1
        part.endedAt = clock
        lastFailure = now
        guard let breaker else { return false }
        if part.pending == nil && part.isAfterAnswer { part.pending = clock }
        if failed.count < limit { failed.insert(part.id) }
        if part.isProbe {
            probesSinceAnswer += 1
            isTryingAgain = false
            // That one fails again that is aside says nothing of the others.
            if !isOpen { return false }
        }
        failuresInRow += 1
        switch state {
        case .closed where failuresInRow >= breaker.failures: break
        case .probing where part.isProbe: break
        // What started before the breaker opened says nothing new.
        default: return false
        }
        state = .open(until: now + breaker.duration)
        return true
    }

    /// What is to be done with a part that failed. `wait`: nanoseconds before the next retry.
    func verdict(
        _ part: inout Case, _ family: Family?, _ view: View, at now: UInt64,
        wait: (_ attempt: Int) -> UInt64
    ) -> Verdict {
        let isUsedUp = part.attempts > retries
        if breaker == nil {
            if isUsedUp { return view.canSplit ? .split : .refused }
            part.notBefore = max(part.notBefore, now + wait(part.attempts))
            return .again
        }
        if let verdict = settled(part, family, view) { return verdict }
        if !part.isProbe { part.notBefore = max(part.notBefore, now + wait(part.attempts)) }
        if !isUsedUp { return .again }
        if view.canSplit { return !isOpen || view.isOldest ? .split : .aside }
        return alone(part, family, view)
    }

    /// What the failures say that count: nil if they say nothing yet.
    func settled(_ part: Case, _ family: Family?, _ view: View) -> Verdict? {
        if view.canSplit { return family != nil && !part.shown.isEmpty ? .split : nil }
        if breaker == nil || part.attempts <= retries { return nil }
        return part.count(in: family) >= needed ? .refused : nil
    }

    /// A part that no witness can tell about.
    private func alone(_ part: Case, _ family: Family?, _ view: View) -> Verdict {
        guard view.isAlone, part.isProbe, let probes = breaker?.probes else { return .aside }
        if part.count(in: family) > 0 {
            return probesSinceAnswer >= max(1, probes / 10) ? .refused : .aside
        }
        if !view.isAtEnd || probesSinceAnswer < probes { return .aside }
        return hasAnswered ? .refused : view.hasJournal ? .left : .aside
    }

    /// Items of an attempt that was answered failed, to be tried again: what is left of the part.
    func failItems(of part: inout Case) {
        if breaker != nil && part.isAfterAnswer { part.shown.insert(part.startedAt) }
    }

    /// The receiver says when it is to be tried again.
    static func delay(_ part: inout Case, until time: UInt64) {
        part.notBefore = max(part.notBefore, time)
    }

    // MARK: Pieces

    /// A piece has become several, one at least.
    static func divide(_ family: Family?, into count: Int) {
        family?.left += count - 1
    }

    /// A piece is over. What is refused explains why those failed that it was part of.
    static func end(of family: Family?, isRefused: Bool) {
        var next = family
        var isOver = true
        while let family = next {
            if isRefused {
                family.whole.shown = []
                family.whole.pending = nil
            }
            if isOver { family.left -= 1 }
            isOver = isOver && family.left == 0
            if !isOver && !isRefused { return }
            next = family.parent
        }
    }
}
