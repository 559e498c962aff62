import Foundation
import Glibc
import Testing

/// Runs of stream-batch with a journal that are cut off, until one ends by itself. The command
/// appends each batch to a file.
struct JournaledRuns {
    let place: Workplace
    /// Beside --journal and the command.
    var options: String
    /// What the command does before it takes a batch.
    var before = ""
    /// The lines, each with its number at `i`, and `k` and `bad`.
    var lines: [String]
    /// What ends a run.
    var signal = SIGKILL
    private(set) var cuts = 0

    init(_ options: String, lines: [String]) throws {
        place = try Workplace()
        self.options = options
        self.lines = lines
    }

    /// A batch that the command took.
    struct Taken: Equatable {
        var seq: Int
        var part: String
        var key: String
        var lines: [String]
    }

    static func randomLines(_ count: Int, bad: Int, _ random: inout SeededGenerator) -> [String] {
        (0..<count).map { index in
            let key = ["a", "b", "c"].randomElement(using: &random) ?? ""
            let isBad = bad > 0 && Int.random(in: 0..<bad, using: &random) == 0
            return "{\"i\":\(index),\"k\":\"\(key)\"\(isBad ? ",\"bad\":1" : "")}"
        }
    }

    /// All of a batch comes with one write, so that no two mix.
    private var command: String {
        before + "x=$(cat); printf '#%s %s %s\\n%s\\n' $BATCH_SEQ $BATCH_PART"
            + " \"${BATCH_KEY:--}\" \"$x\" >> taken"
    }

    private func start(_ more: [String] = []) throws -> Session {
        try waitForLock()
        return try place.start(
            words(options) + ["-q", "-f", "lines", "--journal", "j", "-x", command] + more)
    }

    /// A command that was just being started has the lock, too, until it is another program.
    private func waitForLock() throws {
        let descriptor = open(place.folder.file("j/lock"), O_RDWR | O_CLOEXEC)
        if descriptor < 0 { return }
        defer { close(descriptor) }
        let limit = now() + patience
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            try #require(now() < limit, "the journal stays locked")
            usleep(500)
        }
    }

    // MARK: A file

    /// The same command again and again. Returns how the last one ended, which was not cut off.
    mutating func runFile(
        most: Int, delay: ClosedRange<UInt32>, _ random: inout SeededGenerator
    ) throws -> Finished {
        _ = try place.folder.write(lines.map { $0 + "\n" }.joined(), to: "in")
        while cuts < most {
            let session = try start(["in"])
            let isEarly = Int.random(in: 0..<4, using: &random) == 0
            usleep(UInt32.random(in: isEarly ? 0...4000 : delay, using: &random))
            session.send(signal)
            let result = session.finish()
            if result.ending != .signal(signal) { return result }
            cuts += 1
            if try signal == SIGKILL && hasEnded() {
                return Finished(output: [], errors: "", ending: .exit(0))
            }
        }
        return try start(["in"]).finish()
    }

    /// It was killed between its last word to the journal, that all is delivered, and its exit:
    /// the next run would begin the file anew.
    private func hasEnded() throws -> Bool {
        let lines = try place.lines("j/journal")
        return lines.count == 3 && lines[1].hasPrefix("#") && !lines[1].hasPrefix("#0 ")
    }

    // MARK: A pipe

    /// A feeder that goes on behind the last line that the journal has.
    mutating func runPipe(
        most: Int, delay: ClosedRange<UInt32>, _ random: inout SeededGenerator
    ) throws -> Finished {
        while true {
            let session = try start()
            let end = now() + Double(UInt32.random(in: delay, using: &random)) / 1e6
            var next = try lastInJournal() + 1
            while next < lines.count && (now() < end || cuts == most) {
                let count = min(Int.random(in: 1...40, using: &random), lines.count - next)
                session.write(lines[next..<(next + count)].map { $0 + "\n" }.joined())
                next += count
                usleep(UInt32.random(in: 0...2000, using: &random))
            }
            if next == lines.count {
                session.closeInput()
                return session.finish()
            }
            session.send(signal)
            #expect(session.finish().ending == .signal(signal))
            cuts += 1
        }
    }

    /// Lines come in order, so behind the last one that counts nothing does.
    private func lastInJournal() throws -> Int {
        guard place.has("j/journal") else { return -1 }
        var last = -1
        var read = -1
        for line in try place.folder.read("j/journal").split(separator: "\n") {
            if line.hasPrefix(" "), let index = object(String(line))["i"] as? Int {
                read = max(read, index)
            }
            if line.hasPrefix(";") { last = read }
        }
        return last
    }

    // MARK: What came of it

    func taken() throws -> [Taken] {
        var taken: [Taken] = []
        for line in try place.lines("taken") {
            if line.hasPrefix("#") {
                let words = line.dropFirst().split(separator: " ").map(String.init)
                try #require(words.count == 3)
                taken.append(
                    Taken(seq: Int(words[0]) ?? 0, part: words[1], key: words[2], lines: []))
            } else {
                try #require(!taken.isEmpty)
                taken[taken.count - 1].lines.append(line)
            }
        }
        return taken
    }

    /// Every line was taken or is a dead letter, in one batch; a batch that came again is the same
    /// one; and no more of them came again than were under way at a cut.
    func check(jobs: Int, what: Comment) throws {
        let taken = try taken()
        var batches: [String: Taken] = [:]
        var order: [Taken] = []
        for batch in taken {
            let name = "\(batch.seq) \(batch.part)"
            if let first = batches[name] {
                #expect(batch == first, what)
            } else {
                batches[name] = batch
                order.append(batch)
            }
        }
        try checkLines(order, what)
        let again = taken.count - order.count
        if !options.contains("--bisect") {
            // With --keep-order what waits for the output of another is not done.
            let most = jobs * (options.contains("--keep-order") ? 17 : 1)
            #expect(again <= (signal == SIGKILL ? cuts * most : 0), what)
        }
        if jobs == 1 && !options.contains("--bisect") {
            #expect(order.map(\.seq) == order.map(\.seq).sorted(), what)
            for key in Set(order.map(\.key)) {
                let indices = order.filter { $0.key == key }.flatMap(\.lines).map(index)
                #expect(indices == indices.sorted(), what)
            }
        }
        // Nothing waits any more.
        let journal = try place.lines("j/journal")
        #expect(journal.count == 3 && journal[1].hasPrefix("#"), what)
    }

    private func checkLines(_ order: [Taken], _ what: Comment) throws {
        var seqs: [String: Set<Int>] = [:]
        for batch in order {
            for line in batch.lines { seqs[line, default: []].insert(batch.seq) }
            guard batch.key != "-" else { continue }
            #expect(batch.lines.allSatisfy { object($0)["k"] as? String == batch.key }, what)
        }
        for letter in try place.lines("dead") {
            let seq = try #require(object(letter)["seq"] as? Int)
            // Verbatim, which a JSON parser does not give back.
            let items = try #require(letter.firstMatch(of: #/"items":\[({.*})\]}$/#)?.1)
            for line in items.replacing("},{", with: "}\n{").split(separator: "\n") {
                seqs[String(line), default: []].insert(seq)
            }
        }
        #expect(Set(seqs.keys) == Set(lines), what)
        #expect(seqs.values.allSatisfy { $0.count == 1 }, what)
    }

    private func index(_ line: String) -> Int { object(line)["i"] as? Int ?? -1 }
}
