import Glibc
import Testing

/// stream-batch --journal: a hundred times and more the run is cut off at a random moment, and
/// afterwards of every line it is known what became of it.
@Suite(.serialized) struct JournalKillTests {
    /// How a command fails: not at all, by what it gets, or by chance.
    private enum Failing: CaseIterable {
        case never, badLines, byChance
    }

    private struct Choice {
        var options: [String] = []
        var jobs = 1
        var failing = Failing.never

        init(_ random: inout SeededGenerator) {
            jobs = [1, 1, 3].randomElement(using: &random) ?? 1
            failing = Failing.allCases.randomElement(using: &random) ?? .never
            options = ["-n", "\(Int.random(in: 1...20, using: &random))"]
            let more = [
                [], [], ["-k", ".k"], ["-t", "5ms"], ["-k", ".k", "-t", "3ms"], ["-b", "300"],
                ["--journal-sync"], ["-k", ".k", "--max-keys", "2"], ["-i", "2ms"],
            ]
            options += more.randomElement(using: &random) ?? []
            if jobs > 1 {
                options += ["-j", "\(jobs)"]
                if Bool.random(using: &random) { options.append("--keep-order") }
            }
            if failing != .never {
                options += ["--dead-letter", "dead", "--backoff", "1ms..2ms", "--retries"]
                options.append("\(Int.random(in: 0...2, using: &random))")
                if Bool.random(using: &random) { options.append("--bisect") }
            }
        }

        var before: String {
            switch failing {
            case .never: ""
            case .badLines: "grep -q bad && exit 3; exec < /dev/stdin; "
            case .byChance: "[ $(($$ % 5)) = 0 ] && exit 3; "
            }
        }
    }

    private func runs(
        _ choice: Choice, _ count: ClosedRange<Int>, signal: Int32,
        _ random: inout SeededGenerator
    ) throws -> JournaledRuns {
        let lines = JournaledRuns.randomLines(
            Int.random(in: count, using: &random), bad: choice.failing == .badLines ? 30 : 0,
            &random)
        var runs = try JournaledRuns(choice.options.joined(separator: " "), lines: lines)
        runs.before = choice.before
        runs.signal = signal
        return runs
    }

    private func check(_ runs: JournaledRuns, _ choice: Choice, _ result: Finished) throws {
        let what: Comment = "\(choice.options) \(choice.failing) \(runs.cuts) cuts"
        let hasLetters = runs.place.has("dead")
        let endings: [Ending] = hasLetters ? [.exit(0), .exit(1)] : [.exit(0)]
        #expect(endings.contains(result.ending), "\(what) \(result.errors)")
        try runs.check(jobs: choice.jobs, what: what)
    }

    @Test func killedAndAFileAgain() throws {
        var random = SeededGenerator.announced("killedAndAFileAgain")
        var kills = 0
        while kills < 100 {
            let choice = Choice(&random)
            var runs = try runs(choice, 100...600, signal: SIGKILL, &random)
            let result = try runs.runFile(most: 12, delay: 0...50_000, &random)
            try check(runs, choice, result)
            kills += runs.cuts
        }
    }

    @Test func killedAndAPipeGoesOn() throws {
        var random = SeededGenerator.announced("killedAndAPipeGoesOn")
        var kills = 0
        while kills < 60 {
            let choice = Choice(&random)
            var runs = try runs(choice, 300...1000, signal: SIGKILL, &random)
            let result = try runs.runPipe(most: 10, delay: 2000...40_000, &random)
            try check(runs, choice, result)
            kills += runs.cuts
        }
    }

    /// An orderly end delivers nothing twice.
    @Test(arguments: [SIGTERM, SIGINT, SIGHUP]) func stopped(_ signal: Int32) throws {
        var random = SeededGenerator.announced("stopped")
        var stops = 0
        while stops < 25 {
            let choice = Choice(&random)
            var runs = try runs(choice, 200...600, signal: signal, &random)
            let fromFile = Bool.random(using: &random)
            let result =
                try fromFile
                ? runs.runFile(most: 5, delay: 3000...50_000, &random)
                : runs.runPipe(most: 5, delay: 10_000...40_000, &random)
            try check(runs, choice, result)
            stops += max(1, runs.cuts)
        }
    }
}
