import Foundation
import Glibc
import Testing

/// stream-batch: commands that fail, hang, are killed or are not there, and dead letters.
@Suite(.serialized) struct DeliverFailureTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    // MARK: Files

    /// One would destroy what is written for the other.
    @Test func aFileHasOnePurpose() throws {
        _ = try place.shell("mkdir j; ln -s dead soft; cp /dev/null dead")
        for options in [
            "--dead-letter dead --stats=dead", "--dead-letter new --stats=./new",
            "--dead-letter soft --metrics-file dead", "--dead-letter dead --rejects dead",
            "--rejects new --metrics-file new", "--dead-letter j/journal --journal j",
        ] {
            let result = try place.run("-q -n 1 " + options, "exit 65", "1\n")
            #expect(result.ending == .exit(64), "\(options)")
            #expect(result.errors.contains(" name the same file: "))
        }
        #expect(try place.lines("dead").isEmpty && !place.has("new"))
        let devices = try place.run(
            "-n 1 --dead-letter /dev/null --stats=/dev/null --rejects /dev/stderr", "cat", "1\n")
        #expect(devices.ending == .exit(0))
    }

    /// Reading what it writes would never end.
    @Test func theInputIsNoOutput() throws {
        _ = try place.folder.write("1\n", to: "l")
        for option in ["--dead-letter", "--rejects", "--stats", "--metrics-file"] {
            for operand in ["l", "< l"] {
                let line = "stream-batch -q -n1 -x 'exit 65' \(option)=l \(operand)"
                let result = try place.shell(line)
                #expect(result.ending == .exit(64), "\(line)")
                #expect(result.errors.contains("input file is output file (\(option))"))
            }
        }
        #expect(try place.lines("l") == ["1"])
    }

    @Test func aLetterBeginsALine() throws {
        _ = try place.folder.write("{\"time\":", to: "dead")
        _ = try place.folder.write("{\"input\":", to: "bad")
        for _ in 1...2 {
            let result = try place.run(
                "-q -n 1 --dead-letter dead --rejects bad", "exit 65", "1\nx\n2\n")
            #expect(result.ending == .exit(1))
        }
        let letters = try place.lines("dead")
        #expect(letters.count == 5 && letters[0] == "{\"time\":")
        #expect(letters.dropFirst().allSatisfy { object($0)["items"] != nil })
        let bad = try place.lines("bad")
        #expect(bad.count == 3 && bad[0] == "{\"input\":" && object(bad[1])["raw"] != nil)
    }

    // MARK: Ways to fail

    @Test(arguments: [
        ("exit 3", "exit status 3"), ("kill -9 $$", "killed by signal 9"),
        ("kill -TERM $$", "killed by signal 15"), ("exit 255", "exit status 255"),
        ("echo one >&2; echo '  two\u{1B}[1m ' >&2; echo >&2; exit 1", "exit status 1: two [1m "),
        ("cat; exit 1", "exit status 1"), ("exec >&-; exit 1", "exit status 1"),
    ]) func theLineSaysWhy(_ line: String, _ reason: String) throws {
        let result = try place.run("-n 2", line, numbers(1...5))
        #expect(result.ending == .exit(69))
        #expect(result.output.isEmpty)
        #expect(result.errors.contains("batch 1 cannot be delivered: \(reason); 5 lines that were"))
        #expect(try place.spilled(result) == numbers(1...5))
    }

    @Test func aCommandThatIsNotThere() throws {
        for (name, reason) in [
            ("no-such-command", "No such file or directory"), ("./no", "No such file or directory"),
            ("/etc/passwd", "Permission denied"), ("/tmp", "Permission denied"),
            ("", "No such file or directory"),
        ] {
            // Before anything is read: nothing comes, and the input stays open.
            let session = try place.start(["-n1", "--", name])
            let result = session.finish()
            #expect(result.ending == .exit(69))
            #expect(result.errors.contains("cannot run '\(name)': \(reason)"))
        }
    }

    @Test func aCommandThatDisappears() throws {
        let line = "rm -f ./mine; cat"
        _ = try place.shell("cp /bin/sh ./mine")
        let result = try place.run(["-n1", "--", "./mine", "-c", line], numbers(1...5))
        #expect(result.ending == .exit(69))
        #expect(result.text == "[1]\n")
        #expect(result.errors.contains("batch 2 cannot be delivered: cannot be started: No such"))
        #expect(try place.spilled(result) == numbers(2...5))
    }

    /// More arguments than the system takes: E2BIG at each start.
    @Test func whatCannotBeStartedIsAFailure() throws {
        let result = try place.run(
            "-n 1 --dead-letter dead --retries 1 --backoff 1ms..1ms", "ulimit -n 3; exit 1", "1\n")
        #expect(result.ending == .exit(1))
        #expect(try place.letters().map { $0["attempts"] as? Int } == [2])
    }

    @Test func aCommandThatHangs() throws {
        let began = now()
        let result = try place.run(
            "-n 1 --timeout 500ms --kill-after 100ms",
            "trap '' TERM; echo $$ >> pids; while :; do sleep 0.05; done", "1\n")
        #expect(now() - began >= 0.6)
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("batch 1 cannot be delivered: timed out after 500ms"))
        for pid in try place.lines("pids") {
            #expect(kill(try #require(pid_t(pid)), 0) != 0, "the command still runs")
        }
    }

    @Test func aTimeoutEndsWhatTheCommandStarted() throws {
        let result = try place.run(
            "-n 1 -j 2 --timeout 700ms --dead-letter dead --stats",
            "sleep 100 & echo $! >> pids; sleep 100", numbers(1...4))
        #expect(result.ending == .exit(1))
        #expect(result.counter("timeouts") == 4)
        #expect(try place.letters().count == 4)
        let pids = try place.lines("pids").compactMap { pid_t($0) }
        #expect(pids.count == 4)
        // Whoever inherited it may be slow to reap it.
        for pid in pids { #expect(isGone(pid), "what the command started still runs") }
    }

    private func isGone(_ pid: pid_t) -> Bool {
        let limit = now() + patience
        while now() < limit {
            if kill(pid, 0) != 0 { return true }
            let state = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
            if state?.contains(") Z ") == true { return true }
            usleep(1000)
        }
        return false
    }

    @Test func aCommandThatEndsInTimeIsNotKilled() throws {
        let result = try place.run("-n 1 --timeout 20s --kill-after 1ms", "sleep 0.1; cat", "1\n")
        #expect(result.text == "[1]\n")
        #expect(result.ending == .exit(0))
    }

    // MARK: Trying again

    @Test func attemptsAreCounted() throws {
        let result = try place.run(
            "-n 1 --retries 3 --backoff 1ms..4ms --stats", "echo $BATCH_ATTEMPT >> log; exit 1",
            numbers(1...2))
        #expect(result.ending == .exit(69))
        #expect(try place.lines("log") == ["1", "2", "3", "4"])
        #expect(result.counter("deliveries") == 4)
        #expect(result.counter("retries") == 3)
        #expect(result.counter("failed_attempts") == 4)
        #expect(try place.spilled(result) == "1\n2\n")
        #expect((0...30).contains(result.elapsed))
    }

    /// The wait is a random time up to MIN; with that of a minute, one of 20 is longer than this.
    @Test func theFirstWaitIsUpToMin() throws {
        var longest = 0.0
        for _ in 0..<8 {
            let began = now()
            _ = try place.run(
                "-n 1 --retries 1 --backoff 200ms..200ms --dead-letter dead", "exit 1", "1\n")
            longest = max(longest, now() - began)
        }
        // All eight below 20 ms: one in a hundred million.
        #expect(longest > 0.02)
    }

    @Test(arguments: [
        ("", 64, 1), ("", 65, 1), ("", 126, 1), ("", 127, 1), ("", 3, 3),
        // What psql says of a database that is being restarted.
        ("", 2, 3), ("--permanent 3,4", 4, 1), ("--permanent 3,4", 65, 3),
        ("--permanent=", 64, 3),
    ])
    func someStatusesArePermanent(_ options: String, _ status: Int, _ attempts: Int) throws {
        let result = try place.run(
            options + " -n 1 --retries 2 --backoff 1ms..1ms --dead-letter dead",
            "echo x >> log; exit \(status)", numbers(1...2))
        #expect(result.ending == .exit(1))
        #expect(try place.lines("log").count == 2 * attempts)
        let letters = try place.letters()
        #expect(letters.map { $0["attempts"] as? Int } == [attempts, attempts])
        #expect(letters.map { $0["status"] as? Int } == [status, status])
    }

    @Test func aSignalAndATimeoutAreNotPermanent() throws {
        for (line, count) in [("kill -2 $$", 3), ("sleep 20", 3)] {
            let result = try place.run(
                "-n 1 --retries 2 --backoff 1ms..1ms --timeout 50ms --dead-letter dead --stats",
                line, "1\n")
            #expect(result.counter("deliveries") == count)
        }
    }

    /// With one job nothing overtakes a batch that waits to be tried again.
    @Test func oneJobKeepsTheOrder() throws {
        let result = try place.run(
            "-n 1 --retries 5 --backoff 1ms..30ms",
            "[ $BATCH_ATTEMPT = $((BATCH_SEQ % 3 + 1)) ] && cat >> log", numbers(1...12))
        #expect(result.ending == .exit(0))
        #expect(try place.lines("log") == (1...12).map { "[\($0)]" })
    }

    // MARK: Dead letters

    @Test func aDeadLetterSaysAll() throws {
        let result = try place.run(
            "-n 2 -k .k --dead-letter dead --stats", "echo 'no such table' >&2; exit 7",
            #"{"k":"a","n":1.00}"# + "\n" + #"{"k":"a" , "n":1e400}"# + "\n")
        #expect(result.ending == .exit(1))
        let text = try place.folder.read("dead")
        let expected =
            #/
            {"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","run":"[0-9a-f]{32}","seq":1,"key":"a",
            "count":2,"part":"1-2","from":"20[-0-9T:.]{21}Z","to":"20[-0-9T:.]{21}Z","attempts":1,
            "error":"exit\ status\ 7","status":7,
            "stderr":"no\ such\ table","items":\[{"k":"a","n":1.00},{"k":"a"\ ,\ "n":1e400}\]}\n
            /#
        #expect(try expected.wholeMatch(in: text) != nil, "\(text)")
        #expect(
            result.errors.contains(
                "batch 1 cannot be delivered: exit status 7: no such table; it is in dead\n"))
        #expect(result.counter("dead_lettered") == 2)
        #expect(result.counter("records_out") == 0)
    }

    @Test func lettersAreAppended() throws {
        for number in 1...3 {
            _ = try place.run("-n 1 --dead-letter dead", "kill -9 $$", "\(number)\n")
        }
        let letters = try place.letters()
        #expect(letters.map { $0["items"] as? [Int] } == [[1], [2], [3]])
        #expect(letters.allSatisfy { $0["signal"] as? Int == 9 && $0["status"] == nil })
        #expect(letters.allSatisfy { $0["key"] == nil && $0["stderr"] == nil })
    }

    /// What is no JSON cannot be items.
    @Test func rawLetters() throws {
        let session = try place.start(
            ["--no-validate", "-n2", "--dead-letter", "dead", "-x", "exit 1"])
        session.write(Array("1\n2\nx\"y\n3\n".utf8) + [0xFF, 0x0A] + Array("z".utf8))
        session.closeInput()
        #expect(session.finish().ending == .exit(1))
        let letters = try place.letters()
        try #require(letters.count == 3)
        #expect(letters[0]["items"] as? [Int] == [1, 2])
        #expect(letters[1]["raw"] as? [String] == ["x\"y", "3"])
        #expect(letters[2]["raw_base64"] as? [String] == ["/w==", "eg=="])
        #expect(letters[1]["items"] == nil && letters[2]["raw"] == nil)
    }

    @Test(arguments: ["array", "json-seq", "object"])
    func aLetterOfAggregatesHasTheSummary(_ format: String) throws {
        let result = try place.run(
            "-n 2 -k .k -a sum(.n) -f \(format) --dead-letter dead", "exit 1",
            "{\"k\":1,\"n\":0.1}\n{\"k\":1,\"n\":0.2}\n")
        #expect(result.ending == .exit(1))
        let letters = try place.letters()
        try #require(letters.count == 1)
        let batch = letters[0]["batch"] as? [String: Any]
        #expect(batch?["sum_n"] as? Double == 0.3)
        #expect(batch?["key"] as? Int == 1)
        #expect((batch?["seq"] != nil) == (format == "object"))
        #expect(letters[0]["items"] == nil)
        #expect(try place.folder.read("dead").contains("\"sum_n\":0.3}"))
    }

    @Test func lettersMayGoToATerminalOrAPipe() throws {
        let result = try place.run("-q -n 2 --dead-letter /dev/stdout", "exit 1", numbers(1...3))
        #expect(result.ending == .exit(1))
        #expect(result.lines.map { object($0)["items"] as? [Int] } == [[1, 2], [3]])
        #expect(result.errors.isEmpty)
    }

    // MARK: --bisect

    @Test func badLinesStandAlone() throws {
        let bad: Set = [3, 4, 11, 20]
        let result = try place.run(
            "-f lines -n 10 --bisect --dead-letter dead",
            "echo $BATCH_SEQ $BATCH_PART $BATCH_COUNT >> log;"
                + " grep -qxE '3|4|11|20' && exit 1; cat /dev/stdin",
            numbers(1...20))
        #expect(result.ending == .exit(1))
        #expect(result.lines == (1...20).filter { !bad.contains($0) }.map { "\($0)" })
        let letters = try place.letters()
        #expect(letters.map { $0["items"] as? [Int] } == [[3], [4], [11], [20]])
        #expect(letters.map { $0["part"] as? String } == ["3-3", "4-4", "1-1", "10-10"])
        #expect(letters.allSatisfy { $0["count"] as? Int == 1 })
        #expect(try place.lines("log").prefix(3) == ["1 1-10 10", "1 1-5 5", "1 1-2 2"])
        #expect(result.errors.contains("batch 1, lines 3-3 cannot be delivered: exit status 1"))
    }

    /// Each part is tried as often as a batch, and only what cannot be split is given up.
    @Test func partsAreTriedAgain() throws {
        let result = try place.run(
            "-n 2 --bisect --retries 1 --backoff 1ms..1ms --dead-letter dead",
            "echo $BATCH_PART $BATCH_ATTEMPT >> log; exit 1", numbers(1...2))
        #expect(result.ending == .exit(1))
        #expect(
            try place.lines("log")
                == ["1-2 1", "1-2 2", "1-1 1", "1-1 2", "2-2 1", "2-2 2"])
    }

    @Test func aPermanentFailureIsSplitAtOnce() throws {
        let result = try place.run(
            "-n 4 --bisect --retries 9 --dead-letter dead --stats",
            "grep -q 2 && exit 65; exit 0", numbers(1...4))
        #expect(result.ending == .exit(1))
        #expect(try place.letters().map { $0["items"] as? [Int] } == [[2]])
        #expect(result.counter("retries") == 0)
    }

    @Test func withoutLettersTheBadLineIsSpilled() throws {
        let result = try place.run(
            "-f lines -n 4 --bisect", "grep -qx 6 && exit 1; cat /dev/stdin", numbers(1...12))
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("batch 2, lines 2-2 cannot be delivered"))
        #expect(result.text == numbers(1...5))
        #expect(try place.spilled(result) == numbers(6...12))
    }

    // MARK: Usage

    @Test(arguments: [
        "--retries 1", "-j 2", "--bisect", "--journal j", "--dead-letter d", "--timeout 1",
        "-n 1 --breaker 1:1s", "--keep-order", "--max-queue 2", "--grace 1s", "--kill-after 1s",
    ]) func optionsThatNeedACommand(_ options: String) throws {
        let result = try place.run(words(options), "1\n")
        #expect(result.ending == .exit(64))
        #expect(result.errors.contains("needs a command: -x LINE, or -- COMMAND at the end"))
        #expect(!place.has("j") && !place.has("d"))
    }

    @Test(arguments: [
        ["-x", "true", "--", "true"], ["--bisect", "-a", "count", "-x", "true"],
        ["--backoff", "1s", "-x", "true"], ["--backoff", "2s..1s", "-x", "true"],
        ["--breaker", "5", "-x", "true"], ["--breaker", "0:1s", "-x", "true"],
        ["--breaker", "5:1s:0", "-x", "true"], ["--breaker", "5:1s:1:1", "-x", "true"],
        ["--permanent", "0", "-x", "true"], ["--permanent", "1,,2", "-x", "true"],
        ["--permanent", "256", "-x", "true"], ["-j", "0", "-x", "true"],
        ["-j", "1025", "--", "true"],
        ["--backoff", "1s..2s", "--retries", "0x", "-x", "true"],
    ]) func refused(_ arguments: [String]) throws {
        let result = try place.run(arguments, "1\n")
        #expect(result.ending == .exit(64), "\(arguments)")
        #expect(result.errors.split(separator: "\n").count == 1)
        #expect(result.output.isEmpty)
    }
}
