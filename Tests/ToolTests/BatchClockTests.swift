import Glibc
import Testing

/// stream-batch: which time counts, that of the lines or that of the clock.
@Suite(.serialized) struct BatchClockTests {
    /// Waits until the clock went on by so much, which is not how long anything takes.
    private func letPass(_ seconds: Double) {
        let start = now()
        while now() < start + seconds { usleep(1000) }
    }

    /// A run that heeds SIGUSR1.
    private func started(_ options: String) throws -> Session {
        let session = try start("stream-batch", options + " --stats -v")
        #expect(session.wait(seconds: 20) { $0.errors.contains("reading -") })
        return session
    }

    private func hasRead(_ count: Int, _ session: Session) -> Bool {
        session.wait(seconds: 20) { session in
            session.send(SIGUSR1)
            usleep(1000)
            return session.errors.contains("\"records_in\":\(count),")
        }
    }

    /// Writes lines one by one; each is read before the next one is written.
    private func slowly(_ options: String, _ lines: [String]) throws -> Finished {
        let session = try started(options)
        for (index, line) in lines.enumerated() {
            session.write(line + "\n")
            #expect(hasRead(index + 1, session))
            letPass(0.01)
        }
        session.closeInput()
        return session.finish()
    }

    /// A recorded stream had other duplicates and another order than the live one.
    @Test(arguments: [
        ("--dedup .d --dedup-for 5ms", ["0 1", "0 1", "0 1"], "[[0,1]]"),
        (
            "--dedup .d --dedup-for 5s", ["0 1", "4 1", "5 1", "9 1", "10 2"],
            "[[0,1],[5,1],[10,2]]"
        ),
        (
            "--reorder .d --max-wait 5ms", ["0 1", "0 3", "0 4", "0 2"],
            "[[0,1],[0,2],[0,3],[0,4]]"
        ),
        (
            "--reorder .d --max-wait 5s", ["0 1", "1 3", "5 4", "6 5", "7 2"],
            "[[0,1],[1,3],[5,4],[6,5],[7,2]]"
        ),
    ])
    func aRecordedStreamIsLikeALiveOne(
        _ options: String, _ lines: [String], _ expected: String
    ) throws {
        let options = "--time .t -t 1h \(options)"
        let lines = lines.map { line in
            let parts = line.split(separator: " ")
            return "{\"t\":\(1_000_000_000 + Int(parts[0])!),\"d\":\(parts[1])}"
        }
        let atOnce = try run("stream-batch", options, lines.map { $0 + "\n" }.joined())
        let slow = try slowly(options, lines)
        #expect(atOnce.ending == .exit(0) && slow.ending == .exit(0))
        let simple = atOnce.text.replacing("{\"t\":100000000", with: "[")
            .replacing("{\"t\":10000000", with: "[").replacing("\"d\":", with: "")
            .replacing("}", with: "]")
        #expect(simple == expected + "\n")
        #expect(slow.text == atOnce.text)
    }

    /// Lines that --reorder had put back into order were late: one that it still held had closed
    /// their windows.
    @Test func reorderedLinesAreNotLate() throws {
        let line = { (second: Int) in "{\"n\":\(second),\"t\":\(second)}" }
        for order in [[1, 3, 2, 4], [1, 5, 4, 3, 2, 6], [0, 400, 2, 1, 3]] {
            let result = try run(
                "stream-batch", "--time .t -t 1s --reorder .n --max-wait 1h",
                order.map { line($0) + "\n" }.joined())
            #expect(result.ending == .exit(0), "\(result.errors)")
            #expect(result.text == order.sorted().map { "[\(line($0))]\n" }.joined())
        }
    }

    /// Lines that waited for others that agree were late once these had come, or duplicates.
    @Test(arguments: [[0], [1_700_000_000, 1_700_000_001, 1_700_000_002]])
    func agreeingLinesComeInTheirOrder(_ before: [Int]) throws {
        let start = 1_767_600_000
        let agreeing = [0, 60, 120, 180].map { start + $0 }
        let line = { (time: Int) in "{\"t\":\(time),\"id\":1}" }
        let input = (before + agreeing).map { line($0) + "\n" }.joined()
        let result = try run("stream-batch", "-q --time .t -t 1m --max-gap 30d", input)
        #expect(result.ending == .exit(0))
        let first = "[" + before.map(line).joined(separator: ",") + "]\n"
        #expect(result.text == first + agreeing.map { "[\(line($0))]\n" }.joined())
        let distinct = try run(
            "stream-batch",
            "-q --time .t -t 1h --max-gap 30d --dedup .id --dedup-for 10s -f lines", input)
        #expect(distinct.ending == .exit(0))
        #expect(
            distinct.lines.filter { !$0.isEmpty } == ([before[0]] + agreeing).map(line))
    }

    // MARK: --idle-close

    @Test func silenceClosesWindows() throws {
        let session = try start(
            "stream-batch", "--time . -t 10s --late 1h --idle-close 20ms --rejects /dev/stdout")
        session.write("1\n12\n2\n")
        #expect(session.prints("[1,2]\n[12]\n", within: 20))
        // They stay closed; a window that was not open is not.
        session.write("3\n25\n")
        let late =
            "{\"input\":\"-\",\"line\":4,\"error\":\"later than --late allows: its windows are"
            + " closed\",\"raw\":\"3\"}\n"
        #expect(session.prints("[1,2]\n[12]\n\(late)[25]\n", within: 20))
        session.closeInput()
        #expect(session.finish().ending == .exit(1))
    }

    @Test func silenceClosesSessions() throws {
        let session = try start("stream-batch", "--time . -i 10s --idle-close 20ms")
        session.write("1\n2\n")
        #expect(session.prints("[1,2]\n", within: 20))
        session.write("3\n")
        #expect(session.prints("[1,2]\n[3]\n", within: 20))
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test func silenceLetsGoWhatWaits() throws {
        let session = try start(
            "stream-batch",
            "-q --time .t -t 10s --reorder .n --idle-close 20ms --on-error=skip --stats")
        session.write("{\"t\":1,\"n\":3}\n{\"t\":1,\"n\":2}\n")
        let first = "[{\"t\":1,\"n\":2},{\"t\":1,\"n\":3}]\n"
        #expect(session.prints(first, within: 20))
        // A time that nothing agrees with yet closes nothing.
        session.write("{\"t\":20,\"n\":4}\n{\"t\":1900000000,\"n\":5}\n")
        #expect(session.prints(first + "[{\"t\":20,\"n\":4}]\n", within: 20))
        session.closeInput()
        #expect(session.finish().stats["rejected"] == 1)
    }

    /// Each silence took the waiting line for wrong, so that no other ever agreed with it.
    @Test func agreementOutlivesSilence() throws {
        let session = try start(
            "stream-batch", "-q --time . -t 1m --idle-close 20ms --on-error=skip --stats")
        let start = 1_767_600_000
        var expected = "[0]\n"
        session.write("0\n")
        #expect(session.prints(expected, within: 20))
        session.write("\(start)\n")
        letPass(0.1)
        for minute in 1...4 {
            let time = start + 60 * minute
            if minute == 1 { expected += "[\(start)]\n" }
            expected += "[\(time)]\n"
            session.write("\(time)\n")
            #expect(session.prints(expected, within: 20))
        }
        session.closeInput()
        let result = session.finish()
        #expect(result.ending == .exit(0))
        #expect(result.stats["rejected"] == 0)
    }

    /// While the program stood still, or all its time was taken, the input was not silent.
    @Test func sleepIsNoSilence() throws {
        let session = try started("--time . -t 10s --idle-close 1s")
        session.write("1\n")
        #expect(hasRead(1, session))
        session.send(SIGSTOP)
        session.write("2\n")
        letPass(1.2)
        session.closeInput()
        session.send(SIGCONT)
        #expect(session.finish().text == "[1,2]\n")
    }

    // MARK: --watermark-by

    private func lines(_ texts: String) -> String {
        words(texts).map { word in
            let parts = word.split(separator: ":")
            return "{\"k\":\"\(parts[0])\",\"t\":\(parts[1])}\n"
        }.joined()
    }

    private func counts(_ options: String, _ texts: String) throws -> ([Int], Finished) {
        let result = try run(
            "stream-batch", "-q --stats --time .t -t 10s -a count \(options)", lines(texts))
        let counts = result.lines.map { Int($0.split(separator: ":").last?.dropLast() ?? "") ?? -1 }
        return (counts, result)
    }

    /// One clock that ran an hour ahead made all others late.
    @Test func aClockThatRunsAhead() throws {
        let texts = (0..<100).map { "a:\($0) b:\($0 + 3600) c:\($0)" }.joined(separator: " ")
        let plain = try counts("", texts)
        #expect(plain.1.stats["late"] == 199)
        let (counts, result) = try counts("--watermark-by .k", texts)
        #expect(result.ending == .exit(0))
        #expect(result.stats["late"] == 0)
        #expect(counts == Array(repeating: 20, count: 10) + Array(repeating: 10, count: 10))
        // The windows were closed while the input went on, not at its end.
        let many = try self.counts("--watermark-by .k --watermark-idle 20s", texts)
        #expect(many.1.stats["late"] == 0)
    }

    @Test func aSenderThatIsSilent() throws {
        let session = try start(
            "stream-batch", "--time .t -t 10s --watermark-by .k --watermark-idle 30s -a count")
        session.write(lines("a:1 b:2 a:11 a:21 a:31"))
        session.write(lines("a:41"))
        // Of b nothing came for more than 30 s by the clock of a: it holds nothing any more.
        #expect(session.wait(seconds: 20) { $0.output.count { $0 == UInt8(ascii: "\n") } == 4 })
        session.write(lines("a:51"))
        #expect(session.wait(seconds: 20) { $0.output.count { $0 == UInt8(ascii: "\n") } == 5 })
        // It is heard again, and waited for.
        session.write(lines("b:52 a:61 a:71"))
        session.write(lines("b:62"))
        #expect(session.wait(seconds: 20) { $0.output.count { $0 == UInt8(ascii: "\n") } == 6 })
        session.closeInput()
        let result = session.finish()
        #expect(result.ending == .exit(0))
        #expect(result.lines.count == 8)
    }

    @Test func sendersAreCounted() throws {
        let texts = (0..<50).map { "k\($0):\($0)" }.joined(separator: " ")
        let (_, result) = try counts("--watermark-by .k --watermark-keys 10", texts)
        #expect(result.stats["forgotten_senders"] == 40)
    }
}
