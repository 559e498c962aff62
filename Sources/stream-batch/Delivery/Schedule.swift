/// Which part of which batch is tried next, without the commands that do it: batches wait, take
/// their turn in one of --jobs slots, and leave when all of them is delivered or recorded as
/// undeliverable. What a failure means is the policy's to say.
struct Schedule {
    let settings: DeliveryOptions
    let hasJournal: Bool
    private(set) var policy: Policy
    private(set) var waiting = Waiting()
    /// In the order of their numbers.
    var turns: [Turn] = []
    /// No more batches come.
    var isAtEnd = false
    /// Told to stop: each batch is tried once more, at once.
    var isStopping = false
    /// Nothing is started any more.
    var isHeld = false
    /// --command-rate: when the next attempt may start, and that one had to wait for it.
    private var nextAllowed: UInt64 = 0
    private var isDelayed = false

    /// With --keep-order so many batches for each job are under way or wait, delivered, for one
    /// before them.
    private static let orderWindow = 16
    /// What may be aside before no more is read: batches, and bytes of them (but two batches
    /// always).
    private static let maxAside = (batches: 1000, bytes: 64 << 20)

    init(_ settings: DeliveryOptions, hasJournal: Bool) {
        self.settings = settings
        self.hasJournal = hasJournal
        policy = Policy(retries: settings.retries, breaker: settings.breaker)
    }

    // MARK: What comes and goes

    mutating func add(_ batch: Batch) { waiting.append(batch) }

    /// True while no more batches should be added: enough of them wait, or the breaker is open and
    /// has a batch to try.
    var isFull: Bool {
        if waiting.count >= settings.maxQueue ?? settings.jobs { return true }
        return policy.isOpen && (waiting.count > 0 || !takesNew)
    }

    /// What waits takes its turn where there is a slot.
    mutating func takeTurns() {
        if isHeld || turns.contains(where: \.isGivenUp) { return }
        while waiting.count > 0, takesNew, let next = waiting.next() {
            turns.append(Turn(next, policy.newCase()))
        }
    }

    /// What waits and has had no turn.
    mutating func takeRest() {
        while let batch = waiting.next() { turns.append(Turn(batch, policy.newCase())) }
    }

    private var takesNew: Bool {
        if !hasRoom { return false }
        let live = turns.filter { !$0.isOver }
        if live.isEmpty { return true }
        guard policy.isOpen && !isStopping else {
            return live.count { needsSlot($0) } < settings.jobs
        }
        return policy.wantsNew
            && !live.contains { $0.pieces.contains { $0.state.startedAt == 0 } }
    }

    /// A batch of which all that is left is aside needs none.
    private func needsSlot(_ turn: Turn) -> Bool {
        !turn.isOver && turn.pieces.contains { !policy.isAside($0.state) }
    }

    /// False when what waits with --keep-order for a batch before it, or is aside, is enough.
    private var hasRoom: Bool {
        var (count, bytes) = (0, 0)
        for turn in turns where !turn.isOver && !needsSlot(turn) {
            count += 1
            bytes += turn.batch.lines.count
        }
        let limit = Self.maxAside
        if count >= limit.batches || (count >= 2 && bytes >= limit.bytes) { return false }
        guard settings.keepsOrder else { return true }
        let held = turns.reduce(0) { sum, turn in
            sum + turn.delivered.reduce(0) { $0 + $1.child.written.count }
        }
        return held <= settings.maxOutput && turns.count < Self.orderWindow * settings.jobs
    }

    // MARK: What is next

    /// When the next attempt starts, as far as the clock knows.
    var nextStart: UInt64? {
        guard let (_, _, start) = next(before: .max) else { return nil }
        return max(start, nextAllowed)
    }

    /// The part that may be tried now.
    mutating func next(at now: UInt64) -> (turn: Int, piece: Int)? {
        guard let (turn, piece, _) = next(before: now) else { return nil }
        if now >= nextAllowed { return (turn, piece) }
        isDelayed = true
        return nil
    }

    /// The first batch of which something may be tried; of its pieces the one that has waited
    /// longest. While the breaker is open, or all is aside, that of all batches. Before `.max`:
    /// what may be tried first.
    private func next(before now: UInt64) -> (turn: Int, piece: Int, start: UInt64)? {
        if isHeld || turns.count(where: { $0.running != nil }) >= settings.jobs { return nil }
        let isAlone = !hasFresh
        let takesTurns = policy.isOpen || isAlone
        var best: (turn: Int, piece: Int, start: UInt64)?
        var bestTried = 0
        for (index, turn) in turns.enumerated() where turn.isWaiting {
            for (place, piece) in turn.pieces.enumerated() {
                // Without a breaker the pieces of a batch follow each other.
                if settings.breaker == nil && place > 0 { break }
                guard let start = start(piece, isAlone: isAlone), start <= now else { continue }
                let tried = piece.state.startedAt
                if let best {
                    if now == .max {
                        if start >= best.start { continue }
                    } else if tried >= bestTried || (index != best.turn && !takesTurns) {
                        continue
                    }
                }
                best = (index, place, start)
                bestTried = tried
            }
            if best != nil && now != .max && !takesTurns { break }
        }
        return best
    }

    private func start(_ piece: Piece, isAlone: Bool) -> UInt64? {
        isStopping ? 0 : policy.start(of: piece.state, isAlone: isAlone)
    }

    /// There is more than what is aside.
    private var hasFresh: Bool {
        turns.contains { needsSlot($0) } || (waiting.count > 0 && hasRoom)
    }

    // MARK: Attempts

    /// An attempt starts. True when --command-rate delayed it.
    mutating func start(_ turn: Int, _ piece: Int, at now: UInt64) -> Bool {
        turns[turn].change(piece) { policy.start(&$0.state) }
        turns[turn].run(piece)
        if let rate = settings.commandRate {
            nextAllowed = now + UInt64(min(rate.seconds / rate.count * 1e9, 1e18))
        }
        defer { isDelayed = false }
        return isDelayed
    }

    /// The attempt of a part was answered. True when that closes the breaker.
    mutating func answer(_ turn: Int, _ piece: Int) -> Bool {
        let witness = turns[turn].pieces[piece].state
        if settings.breaker != nil {
            for index in turns.indices {
                for place in turns[index].pieces.indices {
                    turns[index].change(place) {
                        policy.settle(&$0.state, $0.family, by: witness)
                    }
                }
            }
        }
        var isClosed = false
        turns[turn].change(piece) { isClosed = policy.answer(&$0.state) }
        return isClosed
    }

    /// Of an attempt that was answered some items failed, which are what is left of a part.
    func failItems(of part: inout Policy.Case) { policy.failItems(of: &part) }

    /// The receiver says that a part is not to be tried earlier.
    mutating func delay(_ turn: Int, _ piece: Int, until time: UInt64) {
        turns[turn].change(piece) { Policy.delay(&$0.state, until: time) }
    }

    /// The attempt of a part failed. True when that opens the breaker.
    mutating func fail(_ turn: Int, _ piece: Int, at now: UInt64) -> Bool {
        var isOpened = false
        turns[turn].change(piece) { isOpened = policy.fail(&$0.state, at: now) }
        return isOpened
    }

    /// What is to be done with a part that failed.
    mutating func verdict(
        _ turn: Int, _ piece: Int, at now: UInt64, wait: (_ attempt: Int) -> UInt64
    ) -> Policy.Verdict {
        let view = view(turn, piece)
        var verdict = Policy.Verdict.again
        turns[turn].change(piece) {
            verdict = policy.verdict(&$0.state, $0.family, view, at: now, wait: wait)
        }
        return verdict
    }

    /// A part about which the last answer told what is to be done.
    func settled() -> (turn: Int, piece: Int, verdict: Policy.Verdict)? {
        for (index, turn) in turns.enumerated() where settings.breaker != nil && !turn.isOver {
            for (place, piece) in turn.pieces.enumerated() where turn.running != place {
                let view = Policy.View(canSplit: canBeSplit(turn, place))
                if let verdict = policy.settled(piece.state, piece.family, view) {
                    return (index, place, verdict)
                }
            }
        }
        return nil
    }

    mutating func split(_ turn: Int, _ piece: Int) {
        turns[turn].split(piece, (policy.newCase(), policy.newCase()))
    }

    func canBeSplit(_ turn: Turn, _ piece: Int) -> Bool {
        settings.bisects && turn.canBeSplit(piece)
    }

    private func view(_ turn: Int, _ piece: Int) -> Policy.View {
        let isOldest = !turns[..<turn].contains { turn in
            !turn.isOver && turn.pieces.indices.contains { canBeSplit(turn, $0) }
        }
        return Policy.View(
            canSplit: canBeSplit(turns[turn], piece), isOldest: isOldest,
            isAlone: !hasFresh && ((isAtEnd && waiting.count == 0) || !hasRoom),
            isAtEnd: isAtEnd && waiting.count == 0, hasJournal: hasJournal)
    }
}
