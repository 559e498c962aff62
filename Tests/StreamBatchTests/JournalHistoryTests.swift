import Testing

@testable import stream_batch

/// Random histories, ended anywhere: what had counted comes back, once, and nothing else.
@Suite struct JournalHistoryTests {
    /// One run after the other, and what must come back of them.
    private struct History {
        let place: JournalPlace
        let limit: Int
        var random: Random
        var journal: Journal!
        /// What was recorded, and what of it counted with the last write.
        var now = JournalModel()
        var counted = JournalModel()
        /// The size of the file behind each write, and what had counted then.
        var entries: [(size: Int, expected: JournalModel.Expected)] = []

        init(seed: UInt64, limit: Int = Journal.compactedSize) throws {
            place = JournalPlace()
            self.limit = limit
            random = Random(seed)
            journal = try place.open(limit: limit)
            entries = [(try place.bytes().count, counted.expected)]
        }

        mutating func step() throws {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<50: append()
            case 50..<60:
                guard let id = now.open.keys.sorted().randomElement(using: &random) else { return }
                journal.close(now.close(id, &random))
            case 60..<72:
                guard let id = now.closed.keys.sorted().randomElement(using: &random) else {
                    return
                }
                now.closed[id] = nil
                journal.finish(id)
            case 72..<80:
                let ids = now.open.keys.sorted().shuffled(using: &random)
                guard ids.count > 1 else { return }
                now.merge(ids[0], into: ids[1])
                journal.merge(ids[0], into: ids[1])
            case 80..<87:
                let number = Int.random(in: 1...4, using: &random)
                let position = Position(
                    offset: Int(random.next() >> 1), lines: Int(random.next() >> 1),
                    head: random.next(), tail: random.next(), inode: random.next(),
                    born: random.next())
                now.positions[number] = position
                journal.positions.set(number, position)
            default:
                try write()
            }
        }

        mutating func append() {
            let line = random.line()
            let isNew = now.open.isEmpty || random.chance(20)
            let id = isNew ? journal.open() : now.open.keys.sorted().randomElement(using: &random)!
            now.append(line, to: id)
            journal.append(line, to: id)
        }

        mutating func write() throws {
            try journal.write()
            counted = now
            entries.append((try place.bytes().count, counted.expected))
        }

        /// The end of the process, at once.
        mutating func crash() {
            journal = nil
        }

        /// The next run: what counted is there again, and its lines are taken in anew.
        mutating func restart(_ what: String) throws {
            journal = try place.open(limit: limit)
            let recovered = journal.takeRecovered()
            counted.expected.check(recovered, journal, what)
            now = counted
            now.open = [:]
            let ids = [journal.open(), journal.open()]
            for line in counted.openLines {
                let id = ids.randomElement(using: &random)!
                now.append(line, to: id)
                journal.append(line, to: id)
            }
        }
    }

    private static func recover(_ bytes: some Collection<UInt8>) throws -> (Recovered, Journal) {
        let place = try JournalPlace(bytes)
        let journal = try place.open()
        return (journal.takeRecovered(), journal)
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>) func cutAnywhere(_ seed: UInt64) throws {
        var history = try History(seed: seed)
        for _ in 0..<40 { try history.step() }
        try history.write()
        let bytes = try history.place.bytes()
        for cut in history.entries[0].size...bytes.count {
            let expected = history.entries.last { $0.size <= cut }!.expected
            let (recovered, journal) = try Self.recover(bytes[..<cut])
            expected.check(recovered, journal, "seed \(seed), cut at \(cut)")
        }
    }

    /// The run after a crash ends at any byte of its first entry, too.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func cutAgain(_ seed: UInt64) throws {
        var history = try History(seed: seed)
        for _ in 0..<40 { try history.step() }
        history.crash()
        try history.restart("seed \(seed)")
        let before = history.counted.expected
        let start = try history.place.bytes().count
        history.crash()
        // Nothing was written: the same comes back.
        try history.restart("seed \(seed), at once")
        try history.write()
        let bytes = try history.place.bytes()
        let after = history.counted.expected
        for cut in start...bytes.count {
            let expected = cut < bytes.count ? before : after
            let (recovered, journal) = try Self.recover(bytes[..<cut])
            expected.check(recovered, journal, "seed \(seed), cut at \(cut)")
        }
    }

    /// Many runs, each ended anywhere in its last write, with compaction or without.
    @Test(arguments: [100, 700, 3000, 1 << 20], 1...10 as ClosedRange<UInt64>)
    func manyRuns(limit: Int, seed: UInt64) throws {
        var history = try History(seed: seed, limit: limit)
        for run in 1...20 {
            for _ in 0..<history.random.next() % 200 { try history.step() }
            let before = try history.place.bytes()
            let model = history.counted
            let written = history.random.chance(60)
            if written { try history.write() }
            history.crash()
            let after = try history.place.bytes()
            if written && after.count > before.count && after.starts(with: before) {
                let cut = Int.random(in: before.count...after.count, using: &history.random)
                try history.place.write(after[..<cut])
                if cut < after.count { history.counted = model }
            }
            // Compaction may have been under way: whatever it left is not the journal.
            if history.random.chance(30) {
                let half = after[..<(after.count / 2)]
                try JournalPlace.write(half, to: history.place.file + ".new")
            }
            try history.restart("seed \(seed), limit \(limit), run \(run)")
        }
    }
}
