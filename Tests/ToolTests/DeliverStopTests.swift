import Glibc
import Testing

/// stream-batch: SIGTERM and SIGINT while commands run, wait to be tried again, or hang.
@Suite(.serialized) struct DeliverStopTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    /// Starts, gives it the lines, waits for the file that the command makes, and stops it.
    private func stop(
        _ options: String, _ line: String, _ input: String = numbers(1...5),
        _ signals: [Int32] = [SIGTERM], file: String = "started",
        ready: () throws -> Void = {}
    ) throws -> Finished {
        let session = try place.start(options, "touch started; " + line)
        session.write(input)
        try #require(place.waitFor(file))
        try ready()
        // So that what came with the line that started the command is taken, too.
        #expect(session.isAsleep())
        session.send(signals[0])
        for signal in signals.dropFirst() {
            // Sooner it would be taken for the same one, which timeout(1) sends twice.
            #expect(session.isAsleep())
            usleep(550_000)
            session.send(signal)
        }
        return session.finish()
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
    func allThatWasReadIsDelivered(_ signal: Int32) throws {
        for (options, line) in [
            ("-n 2", "cat"), ("-n 2", "sleep 0.1; cat"),
            ("-n 2 -j 3 --keep-order", "sleep 0.1; cat"),
            ("-n 1 -j 2 --max-queue 3", "sleep 0.05; cat"), ("-n 2 --journal j", "sleep 0.1; cat"),
            // A batch that waits to be tried again is, at once.
            (
                "-n 2 --retries 9 --backoff 30s..40s",
                "[ -e pid ] || echo $$ > pid;"
                    + " [ $BATCH_SEQ -gt 1 ] || [ $BATCH_ATTEMPT -gt 1 ] && cat"
            ),
        ] {
            _ = try place.shell("rm -rf started pid j")
            let result = try stop("-f lines " + options, line, numbers(1...5), [signal]) {
                if line.contains("> pid") { try place.waitForEnd(of: "pid") }
            }
            #expect(result.ending == .signal(signal), "\(options) \(result.errors)")
            #expect(result.lines.sorted() == (1...5).map { "\($0)" }, "\(options)")
        }
    }

    /// What timeout(1) does: the process, then its group.
    @Test func theSameSignalTwiceIsOne() throws {
        let session = try place.start("-n 2 -f lines", "touch started; sleep 0.3; cat")
        session.write(numbers(1...5))
        try #require(place.waitFor("started"))
        #expect(session.isAsleep())
        session.send(SIGTERM)
        session.send(SIGTERM)
        let result = session.finish()
        #expect(result.ending == .signal(SIGTERM))
        #expect(result.text == numbers(1...5))
    }

    /// The reader of standard output takes nothing: the tool was killed, and all lines were lost.
    @Test func whatNobodyReadsIsSpilled() throws {
        let session = try place.start(
            "-n 1 -f lines --grace 300ms", "touch started; head -c 300000 /dev/zero")
        session.write(numbers(1...5))
        try #require(place.waitFor("started"))
        // The pipe is full: whoever writes to it waits.
        let full = now() + patience
        while session.unread < 1 << 16 && now() < full { usleep(1000) }
        #expect(session.isAsleep())
        session.send(SIGTERM)
        let limit = now() + patience
        while now() < limit, try place.shell("ls *.jsonl").text.isEmpty { usleep(10_000) }
        let result = session.finish()
        #expect(result.ending == .exit(74), "\(result.errors)")
        #expect(try place.spilled(result) == numbers(1...5))
    }

    /// As `systemctl stop` does it: the signal comes to the command, too.
    @Test func aCommandThatIsStoppedTooIsTriedAgain() throws {
        let session = try place.start(
            "-n 2 -f lines --dead-letter dead",
            "[ -e pid ] || { echo $$ > pid; touch started; exec sleep 60; }; cat")
        session.write(numbers(1...5))
        try #require(place.waitFor("started"))
        #expect(session.isAsleep())
        let pid = try place.pids("pid")[0]
        session.send(SIGTERM)
        kill(pid, SIGTERM)
        let result = session.finish()
        #expect(result.text == numbers(1...5))
        #expect(try place.letters().isEmpty)
        #expect(result.ending == .signal(SIGTERM))
    }

    @Test func whatHangsIsSpilled() throws {
        let result = try stop("-n 2 --grace 100ms", "sleep 60")
        #expect(result.ending == .exit(69))
        #expect(try place.spilled(result) == numbers(1...5))
    }

    @Test func whatHangsIsADeadLetter() throws {
        let result = try stop("-n 2 --grace 100ms --dead-letter dead", "sleep 60")
        #expect(result.ending == .signal(SIGTERM))
        let letters = try place.letters()
        #expect(letters.map { $0["items"] as? [Int] } == [[1, 2], [3, 4], [5]])
        #expect(letters.allSatisfy { $0["error"] as? String == "stopped before it was delivered" })
        #expect(letters.map { $0["attempts"] as? Int } == [1, 0, 0])
    }

    @Test func whatHangsStaysInTheJournal() throws {
        let result = try stop("-n 2 --grace 100ms --journal j --dead-letter dead", "sleep 60")
        #expect(result.ending == .signal(SIGTERM))
        #expect(result.errors.contains("5 lines that were not delivered stay in the journal"))
        #expect(try place.letters().isEmpty)
        let again = try place.run("-n 2 -f lines --journal j", "cat")
        #expect(again.text == numbers(1...5))
    }

    @Test func whatIgnoresSIGTERMIsKilled() throws {
        let result = try stop(
            "-n 2 --grace 100ms --kill-after 100ms",
            "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done", file: "pid")
        #expect(result.ending == .exit(69))
        #expect(try place.spilled(result) == numbers(1...5))
        #expect(kill(try place.pids("pid")[0], 0) != 0)
    }

    /// The second signal ends the time that is left.
    @Test func aSecondSignalHurries() throws {
        let result = try stop(
            "-n 2 --grace 1h", "sleep 60", numbers(1...5), [SIGTERM, SIGTERM])
        #expect(result.ending == .exit(69))
        #expect(try place.spilled(result) == numbers(1...5))
    }

    /// The third one does not wait for anything.
    @Test func aThirdSignalEndsItAtOnce() throws {
        let result = try stop(
            "-n 2 --grace 1h --kill-after 1h", "trap '' TERM; echo $$ > pid; exec sleep 60",
            numbers(1...5), [SIGTERM, SIGTERM, SIGINT], file: "pid")
        kill(try place.pids("pid")[0], SIGKILL)
        #expect(result.ending == .exit(130))
    }

    @Test func oneMoreAttemptBehindASignal() throws {
        for line in ["exit 1", "exit 65"] {
            _ = try place.shell("rm -f started pid")
            let result = try stop(
                "-n 2 --retries 99 --backoff 50s..60s --grace 30s --stats",
                "echo $$ > pid; " + line
            ) { try place.waitForEnd(of: "pid") }
            #expect(result.ending == .exit(69))
            #expect(try place.spilled(result) == numbers(1...5))
            #expect(result.counter("deliveries") <= 2)
        }
    }

    @Test func theBreakerDoesNotHoldAStop() throws {
        let session = try place.start(
            "-n 2 -f lines --breaker 1:1h --retries 9", "touch started; [ -e up ] && cat")
        session.write(numbers(1...5))
        #expect(place.waitFor("started"))
        #expect(session.wait { $0.errors.contains("in a row: waiting ") })
        _ = try place.folder.write("", to: "up")
        session.send(SIGTERM)
        let result = session.finish()
        #expect(result.ending == .signal(SIGTERM))
        // The line that was not read is its writer's.
        #expect([numbers(1...4), numbers(1...5)].contains(result.text))
    }

    /// What is held with the output of a slow one in front is written when there is no more time.
    @Test func keepOrderGivesAllThatIsDelivered() throws {
        let result = try stop(
            "-n 1 -f lines -j 3 --keep-order --grace 100ms",
            "[ $BATCH_SEQ = 1 ] && sleep 60; cat; touch last.$BATCH_SEQ", numbers(1...4),
            file: "last.4")
        #expect(result.ending == .exit(69))
        let all = result.text + (try place.spilled(result))
        #expect(all.split(separator: "\n").sorted() == ["1", "2", "3", "4"])
    }

    @Test func noChildIsLeft() throws {
        for options in ["--grace 100ms", "--timeout 1s", "--max-output 10"] {
            _ = try place.shell("rm -f pids started")
            let result = try stop(
                options + " -n 1 -j 3 --dead-letter dead",
                "echo $$ >> pids; echo 12345678901234567890; sleep 60", numbers(1...3)
            ) { _ = try place.pids("pids", 3) }
            #expect([.signal(SIGTERM), .exit(1)].contains(result.ending))
            let pids = try place.pids("pids", 3)
            #expect(pids.count == 3)
            #expect(pids.allSatisfy { kill($0, 0) != 0 }, "\(options)")
        }
    }

    /// From a terminal SIGINT goes to the group: the commands are not in it.
    @Test func aTerminalDoesNotInterruptCommands() throws {
        let line = "touch started; until [ -e go ]; do sleep 0.01; done; cat"
        let session = try Session(
            "/bin/sh",
            ["-c", "setsid sh -c 'echo $$ > group; exec stream-batch -f lines -x \"\(line)\"'"],
            folder: place.folder.path)
        session.write("1\n")
        session.closeInput()
        #expect(place.waitFor("started"))
        let group = try place.pids("group")[0]
        kill(-group, SIGINT)
        _ = try place.folder.write("", to: "go")
        #expect(session.finish().text == "1\n")
    }

    @Test func statsWhileACommandRuns() throws {
        let session = try place.start(
            "-n 1", "touch started; until [ -e go ]; do sleep 0.01; done; cat")
        session.write("1\n")
        #expect(place.waitFor("started"))
        session.send(SIGUSR1)
        #expect(session.wait { $0.errors.contains("\"deliveries\":1") })
        _ = try place.folder.write("", to: "go")
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }
}
