import StreamCodec
import Testing

@testable import stream_batch

/// Batches on a clock that the test moves.
@Suite("Open batches on a simulated clock") struct OpenBatchesTests {
    private static let second: UInt64 = 1_000_000_000

    /// What happens in a run: a line comes, or time passes.
    private enum Step {
        case line(key: Int, number: Int)
        case pass(UInt64)
    }

    /// A closed batch by what is in it.
    private struct Closed: Equatable {
        var key: Int
        var numbers: [Int]
        var from: UInt64
        var to: UInt64
    }

    /// Runs the steps and returns the closed batches, each with the time of the step.
    private func run(
        _ settings: BatchOptions, _ steps: [Step], closesAll: Bool = true
    ) throws -> [(time: UInt64, batch: Closed)] {
        let aggregates = try Aggregates([], quantileError: 0.01)
        var line = try Line(settings, aggregated: [])
        var open = OpenBatches(settings, aggregates, form: Form(settings), nil)
        var now: UInt64 = 1000 * Self.second
        var found: [(UInt64, Closed)] = []
        for step in steps {
            switch step {
            case .pass(let time): now += time
            case .line(let key, let number):
                var text = Array(#"{"k":\#(key),"n":\#(number)}"#.utf8)
                text.reserveCapacity(text.count)
                try text.withUnsafeBufferPointer {
                    try line.read($0)
                    line.time = now
                    _ = try open.take(line, now: now)
                }
            }
            open.expire(now: now)
            while let batch = open.nextClosed() { found.append((now, closed(batch))) }
        }
        if closesAll {
            open.closeAll(now: now)
            while let batch = open.nextClosed() { found.append((now, closed(batch))) }
        }
        return found
    }

    private func closed(_ batch: Batch) -> Closed {
        let texts = String(decoding: batch.lines, as: UTF8.self).split(separator: "\n")
        let numbers = texts.map { Int($0.split(separator: ":")[2].dropLast()) ?? -1 }
        #expect(batch.count == numbers.count)
        return Closed(
            key: Int(String(decoding: batch.key, as: UTF8.self)) ?? 0, numbers: numbers,
            from: batch.from, to: batch.to)
    }

    private func settings(_ change: (inout BatchOptions) throws -> Void) rethrows -> BatchOptions {
        var settings = BatchOptions()
        try change(&settings)
        return settings
    }

    @Test("The wait starts at the first line, to the nanosecond, and no later line prolongs it")
    func age() throws {
        let settings = settings { $0.maxAge = Self.second }
        let almost = Self.second - 1
        let early = try run(settings, [.line(key: 0, number: 1), .pass(almost)], closesAll: false)
        #expect(early.isEmpty)
        let due = try run(
            settings,
            [.line(key: 0, number: 1), .pass(almost), .line(key: 0, number: 2), .pass(1)],
            closesAll: false)
        #expect(due.map(\.batch.numbers) == [[1, 2]])
        let next = try run(
            settings,
            [
                .line(key: 0, number: 1), .pass(Self.second), .pass(almost),
                .line(key: 0, number: 2), .pass(almost),
            ], closesAll: false)
        #expect(next.map(\.batch.numbers) == [[1]])
    }

    @Test("Each line prolongs --idle, and --max-age bounds that")
    func idle() throws {
        let settings = settings {
            $0.idle = 10
            $0.maxAge = 25
        }
        let steps: [Step] = (1...5).flatMap { [.line(key: 0, number: $0), .pass(9)] }
        let found = try run(settings, steps, closesAll: false)
        #expect(found.map(\.batch.numbers) == [[1, 2, 3]])
        #expect(found.map(\.time) == [1000 * Self.second + 27])
        let alone = try run(settings, [.line(key: 0, number: 1), .pass(10)], closesAll: false)
        #expect(alone.map(\.batch.numbers) == [[1]])
    }

    /// The same rules over an array of open batches that is searched at each nanosecond.
    private func expected(_ settings: BatchOptions, _ steps: [Step]) -> [Closed] {
        var open: [Closed] = []
        var found: [Closed] = []
        var now: UInt64 = 1000 * Self.second
        func due(_ batch: Closed) -> UInt64 {
            min(
                settings.maxAge.map { batch.from + $0 } ?? .max,
                settings.idle.map { batch.to + $0 } ?? .max)
        }
        for step in steps {
            switch step {
            case .pass(let time):
                for _ in 0..<time {
                    now += 1
                    // At the same time the one that was opened first goes first.
                    found += open.filter { due($0) <= now }
                    open.removeAll { due($0) <= now }
                }
            case .line(let key, let number):
                if let index = open.firstIndex(where: { $0.key == key }) {
                    open[index].numbers.append(number)
                    open[index].to = now
                } else {
                    if open.count == settings.maxKeys { found.append(open.removeFirst()) }
                    open.append(Closed(key: key, numbers: [number], from: now, to: now))
                }
                if let full = open.firstIndex(where: { $0.numbers.count == settings.count }) {
                    found.append(open.remove(at: full))
                }
            }
        }
        return found + open
    }

    @Test("Any lines at any times fall into the batches that the plain rules say")
    func random() throws {
        let seed = Seed.given ?? UInt64.random(in: 0...UInt64.max)
        print("random: SEED=\(seed)")
        var random = Random(exactly: seed)
        for _ in 0..<300 {
            let settings = try settings {
                $0.key = [try JSONPath(".k")]
                if random.below(2) == 0 { $0.count = 1 + random.below(5) }
                if random.below(2) == 0 { $0.maxAge = UInt64(1 + random.below(30)) }
                if random.below(2) == 0 { $0.idle = UInt64(1 + random.below(20)) }
                $0.maxKeys = 1 + random.below(6)
            }
            let keys = 1 + random.below(8)
            let steps: [Step] = (0..<60).map { number in
                random.below(3) == 0
                    ? .pass(UInt64(random.below(8)))
                    : .line(key: random.below(keys), number: number)
            }
            let found = try run(settings, steps).map(\.batch)
            let wanted = expected(settings, steps)
            // The order of batches that one wake-up closes is that of their times.
            let difference = zip(found, wanted).first { $0 != $1 }
            #expect(difference == nil && found.count == wanted.count, "SEED=\(seed)")
        }
    }

    @Test("A session is one batch however its lines come, as long as they may be late")
    func sessions() throws {
        let settings = try settings {
            $0.time = try JSONPath(".n")
            $0.timeUnit = .ns
            $0.idle = 10
        }
        let aggregates = try Aggregates([], quantileError: 0.01)
        var line = try Line(settings, aggregated: [])
        var open = OpenBatches(settings, aggregates, form: Form(settings), nil)
        // 100 and 118 are apart until 109 bridges them; 95 comes late and still belongs.
        for time in [100, 118, 109, 95] {
            let text = Array(#"{"k":1,"n":\#(time)}"#.utf8)
            try text.withUnsafeBufferPointer {
                try line.read($0)
                #expect(try open.take(line, now: 0))
            }
        }
        open.expire(now: 127)
        let isEarly = open.hasClosed
        #expect(!isEarly)
        open.expire(now: 128)
        let found = open.nextClosed().map(closed)
        let isAlone = open.nextClosed() == nil
        #expect(isAlone)
        #expect(found.map { Set($0.numbers) } == [100, 118, 109, 95])
        #expect(found?.from == 95 && found?.to == 118)
    }
}
