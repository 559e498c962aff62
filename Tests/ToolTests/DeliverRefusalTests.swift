import Glibc
import Testing

/// stream-batch --breaker: a receiver that refuses is told from one that is away.
@Suite(.serialized) struct DeliverRefusalTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    private static let retries = "--retries 2 --backoff 1ms..2ms --breaker 5:20ms "

    // MARK: Refusals

    /// Probed without end; stopped, the good line 5 was a dead letter beside 6.
    @Test(arguments: ["6", "1", "8", "4|5", "7|8", "1|8"], ["", "-j 2", "-j 4", "--keep-order"])
    func badLinesAreDeadLettersAlone(_ bad: String, _ options: String) throws {
        let result = try place.run(
            "-n 1000 -f lines --bisect --dead-letter dead " + Self.retries + options,
            "! grep -qxE '\(bad)' && cat /dev/stdin", numbers(1...8))
        #expect(result.ending == .exit(1))
        try check(result, 1...8, bad)
    }

    /// Two bad batches in a row, and nothing to split.
    @Test(
        arguments: ["3|4", "1", "20", "1|2|3|10|11", "19|20"], ["", "-j 2", "-j 4 --keep-order"])
    func badBatchesAreDeadLetters(_ bad: String, _ options: String) throws {
        let result = try place.run(
            "-n 1 -f lines --dead-letter dead " + Self.retries + options,
            "! grep -qxE '\(bad)' && cat /dev/stdin", numbers(1...20))
        #expect(result.ending == .exit(1))
        try check(result, 1...20, bad)
        if options.contains("order") {
            #expect(result.lines == result.lines.sorted { Int($0)! < Int($1)! })
        }
    }

    private func check(_ result: Finished, _ all: ClosedRange<Int>, _ bad: String) throws {
        let bad = bad.split(separator: "|").compactMap { Int($0) }
        let good = all.filter { !bad.contains($0) }
        #expect(result.lines.compactMap { Int($0) }.sorted() == good, "\(result.errors)")
        let dead = try place.letters().flatMap { $0["items"] as? [Int] ?? [] }
        #expect(dead.sorted() == bad, "\(result.errors)")
    }

    @Test func withoutLettersTheFirstOneEndsTheRun() throws {
        let result = try place.run(
            "-n 1 -f lines " + Self.retries, "! grep -qx 3 && cat /dev/stdin", numbers(1...9))
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("batch 3 cannot be delivered: exit status 1"))
        let all = result.text + (try place.spilled(result))
        #expect(all.split(separator: "\n").compactMap { Int($0) }.sorted() == Array(1...9))
        #expect(try place.spilled(result).contains("3\n"))
    }

    /// The next line of a daemon is what tells about the last one.
    @Test func aSilentInputIsAwaited() throws {
        let session = try place.start(
            "-n 1 -f lines --retries 0 --breaker 2:5ms --dead-letter dead",
            "echo x >> tried; [ $BATCH_SEQ != 2 ] && cat /dev/stdin")
        session.write("1\n2\n")
        #expect(session.prints("1\n"))
        // Tried on and on, and not given up.
        let limit = now() + patience
        while try place.lines("tried").count < 9, now() < limit { usleep(1000) }
        #expect(try place.letters().isEmpty)
        var given = "1\n"
        for line in 3...9 where try place.letters().isEmpty {
            session.write("\(line)\n")
            given += "\(line)\n"
            #expect(session.prints(given))
        }
        #expect(place.waitFor("dead"))
        session.closeInput()
        #expect(session.finish().ending == .exit(1))
        #expect(try place.letters().map { $0["items"] as? [Int] } == [[2]])
    }

    // MARK: Outages

    /// Longer than many pauses, and than all retries.
    @Test(arguments: [
        "-n 1", "-n 3 --bisect", "-n 2 -j 3", "-n 100 --bisect -j 2", "-n 2 --journal j",
    ]) func anOutageBuriesNothing(_ options: String) throws {
        let result = try place.run(
            "-f lines --retries 1 --backoff 1ms..1ms --breaker 3:2ms --dead-letter dead --stats "
                + options,
            "echo x >> tried; [ $(wc -l < tried) -gt 40 ] && cat /dev/stdin", numbers(1...9))
        #expect(result.ending == .exit(0), "\(result.errors)")
        #expect(result.lines.compactMap { Int($0) }.sorted() == Array(1...9))
        #expect(result.counter("breaker_opened") >= 10)
    }

    /// It never answers: it is tried until a signal comes.
    @Test func whatNeverAnswersIsHeld() throws {
        let session = try place.start(
            "-n 1 -f lines --breaker 2:1ms:5 --dead-letter dead", "echo x >> tried; exit 1")
        session.write(numbers(1...5))
        session.closeInput()
        let limit = now() + patience
        while try place.lines("tried").count < 60, now() < limit { usleep(1000) }
        #expect(try place.letters().isEmpty)
        session.send(SIGTERM)
        #expect(session.finish().ending == .signal(SIGTERM))
    }

    /// With a journal the next run knows more: a log may have new lines by then.
    @Test func whatNeverAnswersStaysInTheJournal() throws {
        let options = "-n 1 -f lines --breaker 2:1ms:20 --dead-letter dead --journal j"
        let result = try place.run(options, "exit 1", numbers(1...3))
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("3 lines that were not delivered stay in the journal"))
        #expect(try place.letters().isEmpty)
        let again = try place.run(options, "[ $BATCH_SEQ != 2 ] && cat /dev/stdin", "4\n5\n")
        #expect(again.ending == .exit(1))
        #expect(again.lines.sorted() == ["1", "3", "4", "5"])
        #expect(try place.letters().map { $0["items"] as? [Int] } == [[2]])
    }

    @Test func anAnswerThatIsNoOutageClosesTheBreaker() throws {
        let result = try place.run(
            "-n 1 -f lines --breaker 1:2ms --retries 9 --backoff 1ms..1ms --dead-letter dead"
                + " --stats",
            "exit 64", numbers(1...5))
        #expect(result.ending == .exit(1))
        #expect(result.counter("breaker_opened") == 0)
        #expect(try place.letters().count == 5)
    }

    // MARK: Both

    /// Some options, some lines that are refused, and an outage.
    private struct Mix {
        var options = ["-f", "lines", "-q", "--dead-letter", "dead"]
        let bad: [Int]
        let good: [Int]
        let line: String

        init(_ random: inout SeededGenerator, isKilled: Bool) {
            let count = Int.random(in: 1...30, using: &random)
            let bad = (1...count).filter { _ in Int.random(in: 0..<8, using: &random) == 0 }
            self.bad = bad
            // The last one is taken: a receiver that answers nothing is away.
            good = (1...count + 1).filter { !bad.contains($0) }
            let takesResults = Int.random(in: 0..<3, using: &random) == 0
            let splits = takesResults || Bool.random(using: &random)
            options += ["-n", splits ? "\(Int.random(in: 1...9, using: &random))" : "1"]
            if takesResults { options.append("--results") }
            if splits && !takesResults { options.append("--bisect") }
            let retries = Int.random(in: 1...3, using: &random)
            options += ["--retries", "\(retries)", "--backoff", "1ms..3ms"]
            options += ["--breaker", "\(Int.random(in: 1...6, using: &random)):2ms"]
            options += ["-j", "\(Int.random(in: 1...4, using: &random))"]
            if Bool.random(using: &random) { options.append("--keep-order") }
            if isKilled || Bool.random(using: &random) { options += ["--journal", "j"] }
            let start = Int.random(in: 0...20, using: &random)
            let end = start + Int.random(in: 0...9, using: &random)
            let death = isKilled ? Int.random(in: 1...15, using: &random) : 0
            let pattern = "'none\(bad.map { "|\($0)" }.joined())'"
            let refuses =
                takesResults
                ? "in=$(cat); echo \"$in\" | grep -nxE \(pattern)"
                    + #" | sed 's/:.*/}/; s/^/{"item":/' >&3;"#
                    + " echo \"$in\" | grep -vxE \(pattern); exit 0"
                : "grep -qxE \(pattern) && exit 1; exec cat /dev/stdin"
            line = """
                echo x >> tried; n=$(wc -l < tried)
                [ $n = \(death) ] && kill -9 $PPID
                [ $n -gt \(start) ] && [ $n -le \(end) ] && exit 1
                \(refuses)
                """
        }
    }

    @Test func whatIsTakenIsDeliveredAndWhatIsRefusedIsADeadLetter() throws {
        var random = SeededGenerator.announced("whatIsTakenIsDelivered")
        for _ in 0..<24 {
            let place = try Workplace()
            let mix = Mix(&random, isKilled: false)
            let input = numbers(1...(mix.good.max() ?? 1))
            let result = try place.run(mix.options + ["-x", mix.line], input)
            let what: Comment = "\(mix) \(result.errors)"
            #expect(result.lines.compactMap { Int($0) }.sorted() == mix.good, what)
            let dead = try place.letters().flatMap { $0["items"] as? [Int] ?? [] }
            #expect(dead.sorted() == mix.bad, what)
            #expect(result.ending == .exit(mix.bad.isEmpty ? 0 : 1), what)
        }
    }

    /// Killed with SIGKILL and run again: some may come twice, none is lost.
    @Test func alsoWhenTheToolIsKilled() throws {
        var random = SeededGenerator.announced("alsoWhenTheToolIsKilled")
        for _ in 0..<16 {
            let place = try Workplace()
            let mix = Mix(&random, isKilled: true)
            var good = mix.good
            let last = good.max() ?? 1
            _ = try place.folder.write(numbers(1...last), to: "in")
            let what: Comment = "\(mix)"
            let options = mix.options + ["in", "-x", mix.line]
            var result = try place.run(options)
            var lines = result.lines.compactMap { Int($0) }
            if result.ending == .signal(SIGKILL) {
                // One more that is taken, for that may be all that the next run is answered.
                good.append(last + 1)
                _ = try place.shell("echo \(last + 1) >> in")
                result = try place.run(options)
                lines += result.lines.compactMap { Int($0) }
            }
            #expect(Set(lines).sorted() == good, what)
            let dead = try place.letters().flatMap { $0["items"] as? [Int] ?? [] }
            #expect(Set(dead).sorted() == mix.bad, what)
            #expect(result.ending == .exit(dead.isEmpty ? 0 : 1) || !mix.bad.isEmpty, what)
        }
    }
}
