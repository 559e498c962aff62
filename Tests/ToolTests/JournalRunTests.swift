import Glibc
import Testing

/// stream-batch --journal: what is in it and when, who may use it, and what a next run does.
@Suite(.serialized) struct JournalRunTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    private static let take = "cat >> taken"

    /// The lines of the journal that are neither head nor seal, without the name of the runs.
    private func records() throws -> [String] {
        try place.lines("j/journal").dropFirst().filter { !$0.hasPrefix(";") }
            .map { $0.replacing(#/^(#\d+) [0-9a-f]{32}$/#, with: { "\($0.1)" }) }
    }

    // MARK: Runs that end

    @Test func aCleanEndLeavesNothing() throws {
        _ = try place.folder.write(numbers(1...5), to: "in")
        for run in 1...3 {
            let result = try place.run(
                "-n 2 -f lines --journal j in", "echo $BATCH_SEQ >> seqs; " + Self.take)
            #expect(result.ending == .exit(0))
            #expect(result.errors.isEmpty)
            // The file is read from its start again, and the numbers go on.
            #expect(try place.lines("taken").count == 5 * run)
            #expect(try place.lines("seqs") == (1...(3 * run)).map { "\($0)" })
            #expect(try records() == ["#\(3 * run)"])
        }
    }

    @Test func theJournalIsPrivate() throws {
        _ = try place.run("-n 2 --journal j", "ls -l j > list; stat -c %a j >> list", "1\n")
        let text = try place.folder.read("list")
        #expect(text.contains("-rw------- ") && text.hasSuffix("700\n"))
        #expect(!text.contains("-rw-r"))
    }

    @Test func whatFailedStaysAndComesAgain() throws {
        _ = try place.folder.write(numbers(1...10), to: "in")
        let line = "[ $BATCH_SEQ = 2 ] && [ ! -e well ] && exit 1; echo $BATCH_SEQ >> seqs; "
        let failed = try place.run("-n 2 -f lines --journal j in", line + Self.take)
        #expect(failed.ending == .exit(69))
        #expect(failed.errors.contains("8 lines that were not delivered stay in the journal"))
        #expect(try place.lines("taken") == ["1", "2"])
        _ = try place.shell("touch well; printf '11\\n12\\n' >> in")
        let again = try place.run("-n 2 -f lines --journal j in", line + Self.take)
        #expect(again.ending == .exit(0))
        #expect(again.errors.contains("an earlier run was cut off: "))
        // What came to the file meanwhile, too.
        #expect(try place.lines("taken") == (1...12).map { "\($0)" })
        #expect(try place.lines("seqs") == (1...6).map { "\($0)" })
    }

    @Test func otherFilesAreReadToo() throws {
        _ = try place.folder.write(numbers(1...4), to: "a")
        _ = try place.folder.write(numbers(5...8), to: "b")
        let line = "[ -e well ] || [ $BATCH_SEQ -lt 3 ] || exit 1; " + Self.take
        let failed = try place.run("-n 2 -f lines --journal j a b", line)
        #expect(failed.ending == .exit(69))
        _ = try place.shell("touch well; echo 9 > c")
        #expect(try place.run("-n 2 -f lines --journal j a b c", line).ending == .exit(0))
        #expect(try place.lines("taken") == (1...9).map { "\($0)" })
    }

    /// A file that was written anew is another one, whatever its inode.
    @Test func aNewFileIsReadFromItsStart() throws {
        _ = try place.folder.write(numbers(1...4), to: "in")
        #expect(try place.run("-n 1 --journal j in", "exit 1").ending == .exit(69))
        _ = try place.shell("printf '7\\n8\\n' > in")
        let result = try place.run("-n 1 -f lines --journal j in", Self.take)
        #expect(result.ending == .exit(0))
        #expect(try place.lines("taken") == ["1", "2", "3", "4", "7", "8"])
    }

    @Test func deadLettersAreDone() throws {
        let result = try place.run(
            "-n 2 --journal j --dead-letter dead", "exit 1", numbers(1...5))
        #expect(result.ending == .exit(1))
        #expect(try place.letters().map { $0["items"] as? [Int] } == [[1, 2], [3, 4], [5]])
        #expect(try records() == ["#3"])
        let next = try place.run("-n 2 -f lines --journal j --dead-letter dead", "cat", "6\n")
        #expect(next.text == "6\n")
        #expect(next.errors.isEmpty)
    }

    // MARK: Cut off

    /// Nobody is given a line that is not in the journal.
    @Test func linesAreRecordedFirst() throws {
        let line = "cp j/journal copy.$BATCH_SEQ; " + Self.take
        let session = try place.start("-n 2 -f lines --journal j --journal-sync", line)
        for number in 1...3 {
            session.write("\(2 * number - 1)\n\(2 * number)\n")
            #expect(place.waitFor("copy.\(number)"))
        }
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
        for number in 1...3 {
            let lines = try place.lines("copy.\(number)")
            let close = try #require(lines.firstIndex { $0.hasPrefix("=\(number) \(number) 2 ") })
            let line = try #require(lines.firstIndex { $0 == " \(2 * number)" })
            #expect(line < close && lines.last?.hasPrefix(";") == true)
        }
    }

    @Test func openLinesComeBack() throws {
        let session = try place.start("-n 3 -f lines --journal j", Self.take)
        session.write(numbers(1...5))
        #expect(place.waitFor("taken"))
        #expect(session.isAsleep())
        session.send(SIGKILL)
        #expect(session.finish().ending == .signal(SIGKILL))
        try waitForLock()
        let result = try place.run("-n 3 -f lines --journal j", "cat", "6\n7\n")
        #expect(result.ending == .exit(0))
        let lines = result.lines.drop { ["1", "2", "3"].contains($0) }
        #expect(Array(lines) == ["4", "5", "6", "7"])
    }

    @Test func aFileThatGrewGoesOnBehindAKill() throws {
        _ = try place.folder.write(numbers(1...4) + "5", to: "in")
        let options = "-n 2 -f lines --journal j in"
        let session = try place.start(options, "[ $BATCH_SEQ = 1 ] || kill -9 $PPID; " + Self.take)
        #expect(session.finish().ending == .signal(SIGKILL))
        // The last line was read without its line feed.
        _ = try place.shell("printf '\\n6\\n7\\n' >> in")
        try waitForLock()
        let result = try place.run(options, "echo $BATCH_SEQ >> seqs; cat")
        #expect(result.ending == .exit(0))
        #expect(result.text.hasSuffix(numbers(3...7)))
        #expect(try Set(place.lines("taken") + result.lines) == Set((1...7).map { "\($0)" }))
    }

    private func waitForLock() throws {
        let result = try place.shell("flock -w 20 j/lock true")
        try #require(result.ending == .exit(0))
    }

    /// What aggregates made of the lines comes back, not the lines.
    @Test func aggregatesComeBackWithTheirResult() throws {
        let options = "-n 2 -k .k -a count -a sum(.n) --journal j"
        let input = "{\"k\":\"x\",\"n\":0.1}\n{\"k\":\"x\",\"n\":0.2}\n{\"k\":\"y\",\"n\":5}\n"
        let failed = try place.run(options, "exit 1", input)
        #expect(failed.ending == .exit(69))
        let again = try place.run(options, "echo $BATCH_SEQ $BATCH_KEY $BATCH_COUNT; cat")
        #expect(again.ending == .exit(0))
        #expect(
            again.text == """
                1 x 2
                {"key":"x","count":2,"sum_n":0.3}
                2 y 1
                {"key":"y","count":1,"sum_n":5}

                """)
    }

    /// Nothing of it is lost when the run that delivers what is left is cut off in its turn.
    @Test func cutOffWhileItRecovers() throws {
        #expect(try place.run("-n 2 --journal j", "exit 1", numbers(1...9)).ending == .exit(69))
        for _ in 0..<8 {
            try waitForLock()
            let session = try place.start(
                "-n 2 -f lines --journal j", "sleep 0.02; echo $BATCH_SEQ >> seqs; " + Self.take)
            usleep(25_000)
            session.send(SIGKILL)
            _ = session.finish()
        }
        try waitForLock()
        let result = try place.run(
            "-n 2 -f lines --journal j", "echo $BATCH_SEQ >> seqs; " + Self.take)
        #expect(result.ending == .exit(0))
        #expect(try Set(place.lines("taken")) == Set((1...9).map { "\($0)" }))
        let seqs = try place.lines("seqs").compactMap { Int($0) }
        #expect(Set(seqs) == Set(1...5))
    }

    /// The lock goes with the process, also when it was just starting a command.
    @Test func theNextRunMayStartAtOnce() throws {
        _ = try place.folder.write(numbers(1...5000), to: "in")
        let result = try place.shell(
            """
            for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
              for pause in 004 006 008 011 014 017 004 006 008 011 014 017; do
                stream-batch -q -n 1 -j 3 --journal j -x 'cat > /dev/null' in &
                sleep 0.$pause
                kill -9 $!
                wait $!
                [ $? = 73 ] && echo refused
              done
            done 2> /dev/null
            """)
        #expect(result.lines.isEmpty, "in use by nobody")
    }

    @Test func theFileIsBounded() throws {
        // 200 MB through a journal of at most 64 MiB and a little.
        let command =
            "yes '{\"x\":\"\(String(repeating: "x", count: 990))\"}' | head -n 150000"
            + " | stream-batch -b 4M --journal j -x 'stat -c %s j/journal >> sizes'"
        let result = try place.shell(command)
        #expect(result.ending == .exit(0))
        let sizes = try place.lines("sizes").compactMap { Int($0) }
        #expect(sizes.count > 30)
        #expect((sizes.max() ?? 0) > 60 << 20 && (sizes.max() ?? 0) < 80 << 20)
        #expect(try records().count == 1)
    }

    // MARK: Refused

    @Test func onlyOneRunAtATime() throws {
        let session = try place.start("-n 1 --journal j", "touch started; cat")
        session.write("1\n")
        #expect(place.waitFor("started"))
        let before = try place.folder.read("j/journal")
        let second = try place.run("-n 1 --journal j", "touch second", "2\n")
        #expect(second.ending == .exit(73))
        #expect(second.errors == "stream-batch: j: in use by another stream-batch\n")
        #expect(second.output.isEmpty && !place.has("second"))
        #expect(try place.folder.read("j/journal").hasPrefix(before))
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
        #expect(try place.run("-n 1 --journal j", "cat", "2\n").ending == .exit(0))
    }

    @Test func somethingElseIsLeftAlone() throws {
        _ = try place.shell("mkdir j")
        for other in ["something else\n", "stream-batch journal 3\n", "{\"a\":1}\n;0\n"] {
            _ = try place.folder.write(other, to: "j/journal")
            let result = try place.run("-n 2 --journal j", "touch started", "10\n")
            #expect(result.ending == .exit(65), "\(other)")
            #expect(
                result.errors == "stream-batch: j/journal:1: not a journal that this version of"
                    + " stream-batch can read\n")
            #expect(try place.folder.read("j/journal") == other)
            #expect(!place.has("started"))
        }
    }

    /// It refused to run, and what was sound in it waited, too.
    @Test func aDamagedJournalIsKept() throws {
        #expect(try place.run("-n 2 --journal j", "exit 1", numbers(1...9)).ending == .exit(69))
        let whole = try place.folder.read("j/journal")
        for damaged in [
            "", whole.replacing("\n 4\n", with: "\n 5\n"), whole.replacing("\n+2\n", with: "\nx\n"),
        ] {
            _ = try place.folder.write(damaged, to: "j/journal")
            let result = try place.run("-n 2 -f lines --journal j", "cat", "10\n")
            #expect(result.ending == .exit(1), "\(damaged)")
            #expect(result.errors.contains("stream-batch: j/journal"))
            #expect(result.errors.contains("damaged"))
            #expect(result.errors.contains("the damaged journal is j/journal.damaged now"))
            #expect(result.text.hasSuffix("10\n"))
            #expect(try place.folder.read("j/journal.damaged") == damaged)
            _ = try place.shell("rm j/journal.damaged")
        }
        // What was not written to its end is no damage, but told.
        _ = try place.folder.write(whole + "+77\n 1", to: "j/journal")
        let result = try place.run("-n 2 -f lines --journal j", "cat", "10\n")
        #expect(result.ending == .exit(0))
        #expect(result.text == numbers(1...10))
        let line = whole.count { $0 == "\n" } + 1
        #expect(
            result.errors.contains(
                "stream-batch: j/journal:\(line): the last 6 bytes, from byte"
                    + " \(whole.utf8.count + 1) on, were not written to their end"))
    }

    /// Damage to what was read of a file: its lines are read again.
    @Test func linesOfAFileOutliveDamage() throws {
        _ = try place.folder.write(numbers(1...9), to: "in")
        #expect(try place.run("-n 2 --journal j in", "exit 1").ending == .exit(69))
        let whole = try place.folder.read("j/journal")
        _ = try place.folder.write(whole.replacing("\n 4\n", with: "\n 5\n"), to: "j/journal")
        let result = try place.run("-n 2 -f lines --journal j in", "cat")
        #expect(result.ending == .exit(1))
        #expect(Set(result.lines) == Set((1...9).map { "\($0)" }))
    }

    /// Commands have neither the journal nor the input.
    @Test func commandsDoNotInherit() throws {
        _ = try place.folder.write(numbers(1...3), to: "in")
        let result = try place.run("-n 2 --journal j --resume in", "ls -l /proc/self/fd")
        #expect(result.ending == .exit(0))
        #expect(!result.text.contains("/j/") && !result.text.contains("/in\n"))
    }

    @Test(arguments: [
        "-t 2s --sliding 1s", "--reorder .", "--join-chunks",
    ]) func whatDoesNotGoTogether(_ options: String) throws {
        let result = try place.run(options + " --journal j", "cat", "1\n")
        #expect(result.ending == .exit(64))
        #expect(result.errors.contains("--journal excludes --sliding, --reorder and --join-chunks"))
        #expect(!place.has("j"))
    }

    @Test func syncNeedsAJournal() throws {
        let sync = try place.run("--journal-sync", "cat", "1\n")
        #expect(sync.ending == .exit(64))
        #expect(sync.errors.contains("--journal-sync needs --journal"))
    }

    @Test func aFolderThatCannotBe() throws {
        _ = try place.folder.write("", to: "file")
        for folder in ["file", "no/where", "/proc/j"] {
            let result = try place.run("-n 1 --journal \(folder)", "touch started", "1\n")
            #expect(result.ending == .exit(73))
            #expect(!place.has("started"))
        }
    }

    // MARK: Signals

    /// All input is read, and the last batch is under way.
    @Test(arguments: ["exit 1", "sleep 20"]) func stoppedBehindTheEndOfTheInput(
        _ last: String
    ) throws {
        _ = try place.folder.write(numbers(1...3), to: "in")
        let line = "touch started; until [ -e go ]; do sleep 0.01; done; " + last
        let session = try place.start("-n 9 --journal j --grace 100ms in", line)
        #expect(place.waitFor("started"))
        #expect(session.isAsleep())
        session.send(SIGTERM)
        _ = try place.folder.write("", to: "go")
        let result = session.finish()
        #expect(result.ending == .signal(SIGTERM))
        #expect(
            result.errors == "stream-batch: 3 lines that were not delivered stay in the journal\n")
        let again = try place.run("-n 9 -f lines --journal j in", "echo $BATCH_SEQ; cat")
        #expect(again.ending == .exit(0))
        #expect(again.text == "1\n1\n2\n3\n")
    }

    /// All was read and is delivered. Whatever the status is, the same command must not deliver a
    /// file again that it says it was stopped in.
    @Test func stoppedWhileTheLastBatchIsDelivered() throws {
        _ = try place.folder.write(numbers(1...3), to: "in")
        let options = "-n 9 -f lines --journal j in"
        let session = try place.start(
            options, "touch started; until [ -e go ]; do sleep 0.01; done; cat")
        #expect(place.waitFor("started"))
        #expect(session.isAsleep())
        session.send(SIGTERM)
        _ = try place.folder.write("", to: "go")
        let result = session.finish()
        #expect(result.text == numbers(1...3))
        if result.ending != .exit(0) {
            #expect(result.ending == .signal(SIGTERM))
            let again = try place.run(options, "cat")
            #expect(again.ending == .exit(0))
            #expect(again.text.isEmpty)
        }
    }

    @Test func stoppedWhileItWaitsToTryAgain() throws {
        let session = try place.start(
            "-n 2 --journal j --retries 9 --backoff 50s..60s --dead-letter dead",
            "echo $$ > pid; exit 1")
        session.write(numbers(1...5))
        try place.waitForEnd(of: "pid")
        #expect(session.isAsleep())
        session.send(SIGTERM)
        let result = session.finish()
        #expect(result.ending == .signal(SIGTERM))
        #expect(result.errors.contains("5 lines that were not delivered stay in the journal"))
        #expect(try place.letters().isEmpty)
        let again = try place.run("-n 2 -f lines --journal j", "cat")
        #expect(again.text == numbers(1...5))
    }

    /// With one job no batch overtakes another, also when the run is told to stop.
    @Test func oneJobKeepsTheOrderOverAStop() throws {
        let session = try place.start(
            "-n 1 -f lines --journal j --retries 9 --backoff 30s..40s",
            "[ $BATCH_SEQ != 2 ] || touch tried; [ $BATCH_SEQ != 2 ] && " + Self.take)
        session.write(numbers(1...4))
        #expect(place.waitFor("tried"))
        #expect(session.isAsleep())
        session.send(SIGTERM)
        #expect(session.finish().ending == .signal(SIGTERM))
        #expect(try place.run("-n 1 -f lines --journal j", Self.take).ending == .exit(0))
        #expect(try place.lines("taken") == ["1", "2", "3", "4"])
    }
}
