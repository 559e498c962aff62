import Glibc
import Testing

/// stream-batch: disks that are full, readers that are gone, and what is spilled then.
@Suite(.serialized) struct DeliverDiskTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    @Test(arguments: ["", "--bisect", "-j 3"]) func noRoomForDeadLetters(_ options: String) throws {
        let result = try place.run(
            "-n 2 --dead-letter /dev/full " + options, "exit 1", numbers(1...5))
        #expect(result.ending == .exit(74))
        #expect(result.errors.contains("/dev/full: No space left on device"))
        #expect(try place.spilled(result) == numbers(1...5))
    }

    @Test func noPlaceForDeadLetters() throws {
        for name in ["no/where", "."] {
            let result = try place.run(
                "-n 2 --dead-letter \(name)", "touch started", numbers(1...5))
            #expect(result.ending == .exit(73))
            #expect(!place.has("started"))
        }
    }

    /// The file keeps whole letters; what has no room is spilled with all behind it.
    private func check(_ result: Finished, _ range: ClosedRange<Int>, letters name: String) throws {
        #expect(result.ending == .exit(74), "\(result.errors)")
        let letters = try place.letters(name)
        let dead = letters.flatMap { $0["items"] as? [Int] ?? [] }
        #expect(!dead.isEmpty && dead.count < range.count)
        let spilled = try place.spilled(result)
        #expect(dead.map { "\($0)\n" }.joined() + spilled == numbers(range))
    }

    @Test(arguments: ["trap '' XFSZ; ", ""]) func aLimitOfFileSize(_ trap: String) throws {
        // 2 blocks of 512 bytes.
        let result = try place.shell(
            trap + "ulimit -f 2; stream-batch --spill-dir . -q -n 20 --dead-letter dead -- false",
            numbers(1...120))
        try check(result, 1...120, letters: "dead")
    }

    /// Runs the test with a file system of a size at `full`; where none can be mounted, says so.
    private func withFileSystem(_ size: String, _ body: () throws -> Void) throws {
        let mount = try place.shell("mkdir full && mount -t tmpfs -o size=\(size) tmpfs full")
        try withKnownIssue("no tmpfs can be mounted here: \(mount.errors)") {
            try #require(mount.ending == .exit(0))
        } when: {
            mount.ending != .exit(0)
        }
        if mount.ending != .exit(0) { return }
        defer { _ = try? place.shell("umount full || umount -l full") }
        try body()
    }

    @Test func aFullFileSystem() throws {
        try withFileSystem("8k") {
            let result = try place.run(
                "-q -n 500 --dead-letter full/dead", "exit 1", numbers(1...5000))
            try check(result, 1...5000, letters: "full/dead")
            let journal = try place.run(
                "-n 500 -f lines --journal full/j", "cat", numbers(1...5000))
            #expect(journal.ending == .exit(74) || journal.ending == .exit(73))
            #expect(journal.errors.contains("No space left on device"))
        }
    }

    /// The run ends in order: what is at work is waited for, and its output is written.
    @Test func aJournalThatGetsFull() throws {
        try withFileSystem("40k") {
            let session = try place.start(
                "-n 1 --journal full/j", "sleep 0.1; cat >> taken; echo $BATCH_SEQ")
            for number in 1...60 {
                session.write("\"\(number)\(String(repeating: "x", count: 1000))\"\n")
                usleep(2000)
            }
            session.closeInput()
            let result = session.finish()
            #expect(result.ending == .exit(74))
            #expect(result.errors.contains("full/j/journal: No space left on device"))
            // A command that nobody waited for may still be at work.
            usleep(400_000)
            #expect(try place.lines("taken").count == result.lines.count)
        }
    }

    @Test func standardOutputIsFull() throws {
        let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
        defer { close(full) }
        for options in ["-n 2", "-n 2 -j 3", "-n 2 -j 3 --keep-order", "-n 2 --dead-letter dead"] {
            let session = try place.start(options, "cat", stdout: .descriptor(full))
            session.write(numbers(1...10))
            session.closeInput()
            let result = session.finish()
            #expect(result.ending == .exit(74), "\(options)")
            #expect(
                try place.spilled(result).split(separator: "\n").compactMap { Int($0) }.sorted()
                    == Array(1...10))
        }
    }

    /// What a command wrote was delivered, but its output could not be: with a journal the batch
    /// comes again.
    @Test func standardOutputIsFullWithAJournal() throws {
        let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
        defer { close(full) }
        let session = try place.start(
            "-n 2 -f lines --journal j", "cat", stdout: .descriptor(full))
        session.write(numbers(1...10))
        session.closeInput()
        #expect(session.finish().ending == .exit(74))
        let again = try place.run("-n 2 -f lines --journal j", "cat")
        #expect(again.ending == .exit(0))
        #expect(again.text == numbers(1...10))
    }

    @Test func aReaderThatGoesAway() throws {
        let result = try place.shell(
            "{ stream-batch -n 2 -- cat; echo $? > status; } | head -n 1", numbers(1...100_000))
        #expect(result.text == "[1,2]\n")
        #expect(try place.lines("status") == ["141"])
    }

    @Test func theSpillFileIsForTheNextRun() throws {
        let result = try place.run(
            "-n 2 -f lines", "[ $BATCH_SEQ -lt 3 ] && cat", numbers(1...10) + "11")
        #expect(result.ending == .exit(69))
        let name = try #require(result.errors.firstMatch(of: #/ are in (\./\S+\.jsonl)\n/#)?.1)
        #expect(try place.shell("stat -c %a " + name).text == "600\n")
        let next = try place.run(["-n", "2", "-f", "lines", String(name), "--", "cat"])
        #expect(result.text + next.text == numbers(1...11))
    }

    /// A read ends anywhere in a line, which the next run must not take for one.
    @Test func whatIsSpilledEndsInAWholeLine() throws {
        let all = numbers(10_000_000...10_099_999)
        _ = try place.folder.write(all, to: "n")
        let result = try place.run(words("-q -n 5000 n -x") + ["exit 1"])
        #expect(result.ending == .exit(69))
        let spilled = try place.spilled(result)
        #expect(all.hasPrefix(spilled) && spilled.hasSuffix("\n"))
        let count = spilled.utf8.count { $0 == 10 }
        #expect(result.errors.contains("; n was not read from line \(count + 1) on\n"))
        let piped = try place.shell(
            "cat n | { stream-batch --spill-dir . -q -n 5000 -x 'exit 1'; cat; }")
        #expect(try place.spilled(piped) + piped.text == all)
    }

    @Test func aLineThatDoesNotEndIsNotSpilled() throws {
        let session = try place.start("-q -n 3 --grace 10ms", "exit 1")
        session.write("1\n2\n3\n45")
        let result = session.finish()
        session.closeInput()
        #expect(result.ending == .exit(69))
        #expect(try place.spilled(result) == numbers(1...3))
        #expect(result.errors.contains("; left out the last 2 bytes that were read of -"))
    }

    @Test func anotherFolderTakesTheSpill() throws {
        let result = try place.run(
            ["--spill-dir", "/no/where", "-n2", "-x", "exit 1"], numbers(1...3))
        #expect(result.ending == .exit(69))
        let name = try #require(result.errors.firstMatch(of: #/ are in (/tmp/\S+\.jsonl)\n/#)?.1)
        #expect(try place.shell("cat \(name); rm \(name)").text == numbers(1...3))
    }

    @Test func aggregatesAreSpilledAsTheyAreWritten() throws {
        let result = try place.run("-n 2 -a count", "exit 1", numbers(1...3))
        #expect(result.ending == .exit(69))
        #expect(result.errors.contains("2 lines that were not delivered are in"))
        #expect(try place.spilled(result) == "{\"count\":2}\n{\"count\":1}\n")
    }

    /// Bad input ends the run, too, but what came before it is delivered.
    @Test func badInputBehindGoodLines() throws {
        let result = try place.run("-n 2 -f lines", "sleep 0.1; cat", "1\n2\n3\nx\n5\n")
        #expect(result.ending == .exit(65))
        #expect(result.text == "1\n2\n3\n")
        #expect(result.errors.contains("-:4:1: "))
    }
}
