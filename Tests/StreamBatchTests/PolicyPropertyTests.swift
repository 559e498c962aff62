import StreamTool
import Testing

@testable import stream_batch

/// A receiver that is nowhere, and a clock that nobody waits for: whatever it refuses and whenever
/// it is away, every record that it would take is delivered once it is back, every one that it
/// would not is given up, and nothing waits for ever.
@Suite struct PolicyPropertyTests {
    @Test func whatItTakesIsDeliveredAndWhatItRefusesIsGivenUp() {
        let first = Seed.given ?? 1
        for seed in first..<first + 300 {
            var simulation = Simulation(seed: seed)
            let problem = simulation.run()
            #expect(problem == nil, "SEED=\(seed): \(problem ?? "")")
            if problem != nil { return }
        }
    }

    /// However long it is away: while it answers nothing, nothing is given up.
    @Test func aReceiverThatNeverAnswers() {
        for seed in 1...50 as ClosedRange<UInt64> {
            var simulation = Simulation(seed: seed)
            simulation.receiver.outages = [0...UInt64.max]
            _ = simulation.run(attempts: 2000)
            #expect(simulation.buried.isEmpty && simulation.delivered.isEmpty)
            #expect(simulation.held < 64 << 20)
        }
    }
}

/// What it does with records, by their number.
struct SimulatedReceiver {
    var refused: Set<Int> = []
    /// Refused with a status of --permanent.
    var refusedForGood: Set<Int> = []
    /// Refused so many times more.
    var refusedForNow: [Int: Int] = [:]
    /// When it is away.
    var outages: [ClosedRange<UInt64>] = []
    /// So many attempts more fail, now and then: it is half dead.
    var failures = 0

    enum Answer { case taken, never, failure }

    mutating func answer(
        _ records: [Int], _ time: ClosedRange<UInt64>, _ random: inout Random
    ) -> Answer {
        if outages.contains(where: { $0.overlaps(time) }) { return .failure }
        if failures > 0 && random.below(3) == 0 {
            failures -= 1
            return .failure
        }
        if !refusedForGood.isDisjoint(with: records) { return .never }
        if !refused.isDisjoint(with: records) { return .failure }
        if let record = records.first(where: { refusedForNow[$0, default: 0] > 0 }) {
            refusedForNow[record]! -= 1
            return .failure
        }
        return .taken
    }
}

struct Simulation {
    private static let millisecond: UInt64 = 1_000_000
    private var random: Random
    private var options = DeliveryOptions()
    private let batches: [[Int]]
    private var schedule: Schedule
    var receiver = SimulatedReceiver()
    private(set) var delivered: [Int] = []
    private(set) var buried: [Int] = []
    /// The most bytes that were held at a time.
    private(set) var held = 0

    private var now: UInt64 = 0
    private var given = 0
    private var running: [(turn: Int, end: UInt64, start: UInt64)] = []

    init(seed: UInt64) {
        var random = Random(exactly: seed)
        options.retries = random.below(4)
        options.jobs = [1, 1, 2, 4][random.below(4)]
        options.bisects = random.below(2) == 0
        options.keepsOrder = random.below(3) == 0
        options.backoff = Backoff(range: 1_000_000...[2_000_000, 50_000_000][random.below(2)])
        let breaker = Policy.Breaker(
            failures: [1, 2, 3, 5, 20][random.below(5)],
            duration: [5, 100][random.below(2)] * Self.millisecond)
        options.breaker = breaker
        let size = [1, 1, 3, 8, 40][random.below(5)]
        let count = 1 + random.below(12)
        batches = (0..<count).map { batch in (0..<size).map { batch * size + $0 } }
        schedule = Schedule(options, hasJournal: false)
        self.random = random
        spoil(breaker, records: count * size)
    }

    /// No part is to fail as often as it would have to be refused, but those that are to be.
    private mutating func spoil(_ breaker: Policy.Breaker, records: Int) {
        let share = [0, 1, 10, 50][random.below(4)]
        for record in 0..<records where random.below(100) < share {
            if random.below(4) == 0 {
                receiver.refusedForGood.insert(record)
            } else {
                receiver.refused.insert(record)
            }
        }
        var budget = max(2, options.retries + 1) - 1
        // Short of what ends the run where a failure counts already.
        var longest = breaker.duration * UInt64(breaker.probes / 10 - 2)
        if random.below(4) == 0 {
            budget = 1
            longest = breaker.duration * UInt64(breaker.probes - 2)
        }
        var start: UInt64 = 0
        while budget > 0 {
            budget -= 1
            switch random.below(4) {
            case 0:
                start += UInt64(random.below(400)) * Self.millisecond / 4
                let end = start + 1 + longest / 1000 * UInt64(random.below(1000))
                receiver.outages.append(start...end)
                start = end + 1
            case 1: receiver.refusedForNow[random.below(records), default: 0] += 1
            case 2: receiver.failures += 1
            default: break
            }
        }
    }

    /// What is wrong; nil if all is as it should be.
    mutating func run(attempts: Int = 60_000) -> String? {
        var left = attempts
        while left > 0 {
            takeIn()
            while let (turn, piece) = schedule.next(at: now) {
                left -= 1
                _ = schedule.start(turn, piece, at: now)
                let time = UInt64(random.below(20)) * Self.millisecond / 4 + 1
                running.append((schedule.turns[turn].batch.seq, now + time, now))
            }
            schedule.turns.removeAll { $0.isDelivered }
            if schedule.isAtEnd, schedule.turns.isEmpty, schedule.waiting.count == 0 {
                return problem
            }
            guard let next = nextTime else { return "nothing more happens" }
            now = max(now, next)
            endAttempts()
        }
        // One that answers nothing at all may be away.
        if expected.isEmpty && !schedule.policy.hasAnswered && buried.isEmpty { return nil }
        return "it does not end: \(problem ?? "")"
    }

    private mutating func takeIn() {
        schedule.takeTurns()
        while !schedule.isFull, given < batches.count {
            let text = batches[given].map { "\($0)\n" }.joined()
            let lines = Array(text.utf8)
            schedule.add(
                Batch(
                    seq: given + 1, key: [], count: batches[given].count, lines: lines,
                    summary: nil, from: 0, to: 0, journalID: 0))
            given += 1
            schedule.takeTurns()
        }
        schedule.isAtEnd = given == batches.count
        schedule.takeTurns()
        held = max(held, schedule.turns.reduce(0) { $0 + $1.batch.lines.count })
    }

    private var nextTime: UInt64? {
        (running.map(\.end) + (schedule.nextStart.map { [$0] } ?? [])).min()
    }

    private func records(_ turn: Turn, _ part: Part) -> [Int] {
        String(decoding: turn.content(of: part).lines, as: UTF8.self).split(separator: "\n")
            .compactMap { Int($0) }
    }

    private mutating func endAttempts() {
        while let index = running.firstIndex(where: { $0.end <= now }) {
            let attempt = running.remove(at: index)
            let turn = schedule.turns.firstIndex { $0.batch.seq == attempt.turn }!
            let piece = schedule.turns[turn].stopRunning()!
            let records = records(schedule.turns[turn], schedule.turns[turn].pieces[piece].part)
            switch receiver.answer(records, attempt.start...attempt.end, &random) {
            case .taken:
                _ = schedule.answer(turn, piece)
                schedule.turns[turn].deliver(piece, nil)
                delivered += records
                settle()
            case .never:
                _ = schedule.answer(turn, piece)
                let canSplit = schedule.canBeSplit(schedule.turns[turn], piece)
                follow(canSplit ? .split : .refused, turn, piece)
                settle()
            case .failure:
                _ = schedule.fail(turn, piece, at: now)
                let wait = UInt64(random.below(50)) * Self.millisecond
                follow(schedule.verdict(turn, piece, at: now) { _ in wait }, turn, piece)
            }
        }
    }

    private mutating func settle() {
        while let (turn, piece, verdict) = schedule.settled() { follow(verdict, turn, piece) }
    }

    private mutating func follow(_ verdict: Policy.Verdict, _ turn: Int, _ piece: Int) {
        switch verdict {
        case .again, .aside, .left: break
        case .split: schedule.split(turn, piece)
        case .refused:
            buried += records(schedule.turns[turn], schedule.turns[turn].pieces[piece].part)
            schedule.turns[turn].remove(piece, isRefused: true)
        }
    }

    /// Without --bisect a batch is refused with its bad records.
    private var expected: [Int] {
        let bad = receiver.refused.union(receiver.refusedForGood)
        return batches.filter { options.bisects || bad.isDisjoint(with: $0) }.joined()
            .filter { !bad.contains($0) }
    }

    private var problem: String? {
        let expected = expected
        let gone = Set(batches.joined()).subtracting(expected)
        if delivered.sorted() == expected.sorted() && buried.sorted() == gone.sorted() {
            return nil
        }
        return "lost \(Set(expected).subtracting(delivered).sorted())"
            + " buried \(Set(buried).subtracting(gone).sorted())"
            + " kept \(gone.subtracting(buried).sorted())"
            + " doubled \(delivered.count - Set(delivered).count)"
            + " \(options.retries) \(options.jobs) \(options.bisects) \(options.breaker!)"
            + " \(receiver) \(batches.count) x \(batches[0].count)"
    }
}
