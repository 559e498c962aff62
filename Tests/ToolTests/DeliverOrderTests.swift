import Glibc
import Testing

/// stream-batch: several commands at once, the order of their output, what holds the input back,
/// and the breaker.
@Suite(.serialized) struct DeliverOrderTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    /// A shell has no random numbers; these are different enough.
    private static let pause = "sleep 0.0$(($$ % 4)); "

    @Test(arguments: ["", "--retries 3 --backoff 1ms..9ms", "--journal j", "--max-queue 1"])
    func outputInOrder(_ options: String) throws {
        let fails = options.contains("--retries") ? "[ $BATCH_ATTEMPT -gt $(($$ % 3)) ] && " : ""
        let result = try place.run(
            "-n 2 -f lines -j 4 --keep-order " + options, Self.pause + fails + "cat /dev/stdin",
            numbers(1...160))
        #expect(result.text == numbers(1...160), "\(result.errors)")
        #expect(result.ending == .exit(0))
    }

    @Test func withoutItTheOrderIsThatOfTheEnds() throws {
        let session = try place.start(
            "-n 1 -f lines -j 2", "[ $BATCH_SEQ = 1 ] && until [ -e go ]; do sleep 0.01; done; cat")
        session.write("1\n2\n3\n")
        #expect(session.prints("2\n3\n"))
        _ = try place.folder.write("", to: "go")
        #expect(session.prints("2\n3\n1\n"))
    }

    /// A failed batch does not stand in the way of those behind it.
    @Test func deadLettersLeaveTheOrder() throws {
        let result = try place.run(
            "-n 1 -f lines -j 4 --keep-order --dead-letter dead",
            Self.pause + "[ $((BATCH_SEQ % 5)) = 0 ] && exit 1; cat", numbers(1...60))
        #expect(result.ending == .exit(1))
        #expect(result.lines == (1...60).filter { $0 % 5 != 0 }.map { "\($0)" })
        #expect(try place.letters().count == 12)
    }

    @Test(arguments: ["", "--keep-order"]) func aFailureEndsTheRun(_ options: String) throws {
        let result = try place.run(
            "-n 1 -f lines -j 3 " + options,
            "[ $BATCH_SEQ = 2 ] && { sleep 0.05; exit 1; }; cat", numbers(1...30))
        #expect(result.ending == .exit(69))
        let all = result.text + (try place.spilled(result))
        #expect(all.split(separator: "\n").compactMap { Int($0) }.sorted() == Array(1...30))
    }

    /// What a command writes that was still running when another one failed.
    @Test func theOrderIsKeptWhenTheRunFails() throws {
        let result = try place.run(
            "-n 1 -f lines -j 3 --keep-order",
            "case $BATCH_SEQ in 1) sleep 0.4 ;; 3) sleep 0.1; exit 1 ;; esac; cat", numbers(1...5))
        #expect(result.ending == .exit(69))
        #expect(result.lines == result.lines.sorted())
        let all = result.text + (try place.spilled(result))
        #expect(all.split(separator: "\n").sorted() == ["1", "2", "3", "4", "5"])
    }

    /// With one slow batch in front, those behind it are not collected without end.
    @Test func whatWaitsForTheOrderIsBounded() throws {
        let session = try place.start(
            "-n 1 -f lines -j 2 --keep-order",
            "echo x >> log; [ $BATCH_SEQ = 1 ] && until [ -e go ]; do sleep 0.01; done; cat")
        session.write(numbers(1...300))
        session.closeInput()
        // With the first one under way it has started what it may, and waits.
        for count in 2...33 {
            let limit = now() + 0.4
            while try place.lines("log").count < count && now() < limit { usleep(1000) }
            if try place.lines("log").count < count { break }
        }
        #expect(session.isAsleep())
        #expect(try place.lines("log").count <= 33)
        _ = try place.folder.write("", to: "go")
        let result = session.finish()
        #expect(result.text == numbers(1...300))
    }

    @Test func asManyAsJobsRun() throws {
        for jobs in [1, 4] {
            // With several the first one waits for the second.
            let line =
                "echo + >> log; until [ $(wc -l < log) -ge \(min(jobs, 2)) ]; do sleep 0.01; done;"
                + " sleep 0.01; echo - >> log"
            _ = try place.shell("rm -f log")
            _ = try place.run("-n 1 -j \(jobs)", line, numbers(1...20))
            var running = 0
            var most = 0
            for mark in try place.lines("log") {
                running += mark == "+" ? 1 : -1
                most = max(most, running)
            }
            #expect(most <= jobs && (jobs == 1 || most > 1))
        }
    }

    @Test func moreJobsThanDescriptors() throws {
        let result = try place.shell(
            "ulimit -S -n 64; stream-batch -n 1 -j 200 -f lines -x 'sleep 0.3; cat'",
            numbers(1...200))
        #expect(result.ending == .exit(0))
        #expect(result.lines.compactMap { Int($0) }.sorted() == Array(1...200))
    }

    /// Too few for all, and no more to be had: failed attempts, tried again.
    @Test func tooFewDescriptors() throws {
        let result = try place.shell(
            "ulimit -n 32; stream-batch -q -n 1 -j 30 -f lines --retries 1000"
                + " --backoff 1ms..20ms -x 'sleep 0.02; cat'",
            numbers(1...60))
        #expect(result.ending == .exit(0))
        #expect(result.lines.compactMap { Int($0) }.sorted() == Array(1...60))
    }

    // MARK: Holding the input back

    @Test func theFeederWaits() throws {
        let session = try place.start(
            "-n 1 -j 2 --max-queue 3", "touch started; until [ -e go ]; do sleep 0.01; done; wc -c")
        let line = "\"" + String(repeating: "x", count: 1 << 20) + "\"\n"
        // Two at work, three wait; pipe, queue and a line at hand take some more.
        let isHeld = session.stalls(with: String(repeating: line, count: 16).utf8)
        #expect(isHeld)
        _ = try place.folder.write("", to: "go")
        #expect(session.write(""))
        session.closeInput()
        #expect(session.finish().lines == Array(repeating: "\(line.utf8.count + 2)", count: 16))
    }

    /// What the clock closes waits, too, but is not lost.
    @Test func timersWhileAllAreBusy() throws {
        let session = try place.start(
            "-t 20ms -f lines", "touch started; until [ -e go ]; do sleep 0.01; done; cat")
        session.write("1\n")
        #expect(place.waitFor("started"))
        session.write("2\n")
        usleep(100_000)
        session.write("3\n")
        _ = try place.folder.write("", to: "go")
        #expect(session.prints("1\n2\n3\n"))
    }

    @Test func aBatchIsDeliveredWhileTheNextLinesAreAwaited() throws {
        let session = try place.start("-n 1 -f lines", "cat")
        for number in 1...3 {
            session.write("\(number)\n")
            #expect(session.prints(numbers(1...number)))
        }
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    // MARK: --breaker

    /// Down until `up` is there.
    private static let service = "echo $BATCH_SEQ >> tried; [ -e up ] && cat /dev/stdin"

    @Test func theBreakerHoldsTheInputBack() throws {
        let began = now()
        let session = try place.start(
            "-n 1 -f lines -j 2 --breaker 3:300ms --retries 50 --backoff 1ms..1ms --stats",
            Self.service)
        let line = "\"" + String(repeating: "x", count: 1 << 20) + "\"\n"
        let isHeld = session.stalls(with: String(repeating: line, count: 16).utf8)
        #expect(isHeld)
        let limit = now() + patience
        while try place.lines("tried").count < 12 && now() < limit { usleep(5000) }
        // Nothing but probes: one every 300 ms at the most.
        let tries = try place.lines("tried").count
        #expect(tries >= 12 && Double(tries) <= 6 + (now() - began) / 0.3)
        _ = try place.folder.write("", to: "up")
        #expect(session.write(""))
        session.closeInput()
        let result = session.finish()
        let size = result.output.count
        #expect(size == 16 * line.utf8.count)
        #expect(result.ending == .exit(0))
        #expect(result.counter("breaker_opened") >= 2)
        #expect(
            result.errors.contains(
                "exit status 1: too many attempts failed in a row: waiting 300ms"))
    }
}
