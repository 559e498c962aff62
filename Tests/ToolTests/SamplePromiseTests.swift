import Glibc
import Testing

/// Promises of stream-sample that were broken once.
@Suite struct SamplePromiseTests {
    /// What came slower than was wanted was dropped all the same: at "6/m" half of it.
    @Test(arguments: [("6/m", 100.0), ("1/h", 3600), ("1/s", 1), ("0.5/s", 2)])
    func adaptPassesWhatIsSlow(_ wanted: String, _ distance: Double) throws {
        let lines = (1...500).map { "\(1_700_000_000 + distance * Double($0))\n" }
        let options = "--adapt \(wanted) --time . --time-unit s --seed 1"
        let result = try run("stream-sample", words(options), lines.joined().utf8)
        #expect(result.lines.count == 500)
    }

    /// 10,000 lines each ten seconds: a longer smoothing makes it the wanted hundred a second.
    @Test func adaptToBursts() throws {
        let lines = (0..<20).flatMap { burst in
            (0..<10_000).map { "\(Double(burst) * 10 + Double($0) / 100_000)\n" }
        }
        let options = "--adapt 100/s --time . --smoothing 60s --seed 1 -q"
        let result = try run("stream-sample", words(options), lines.joined().utf8)
        #expect((18_000...26_000).contains(result.lines.count))
    }

    /// Of decimal fractions the last digits are not exact: 21.6 - 21.5 is more than 0.1.
    @Test(arguments: [
        ("0.1", "21.5 21.6 21.4 21.7", "21.5 21.7"), ("0.3", "0.1 0.4 0.7 1.0", "0.1 0.7"),
        ("0", "9007199254740992 9007199254740994", "9007199254740992 9007199254740994"),
        ("0", "1 1.0 1e0 2", "1 2"),
    ])
    func deadband(_ delta: String, _ input: String, _ output: String) throws {
        let lines = words(input).map { $0 + "\n" }.joined()
        let result = try run("stream-sample", "--change . --deadband \(delta)", lines)
        #expect(result.lines == words(output))
    }

    /// Every value of every key was kept: 3000 of 100 kB were 300 MB.
    @Test func longValuesAreNotKept() throws {
        let command =
            "for k in $(seq 300); do printf '{\"k\":%d,\"v\":\"%0100000d\"}\\n' $k $k; done"
            + " | (ulimit -v 40000; stream-sample --change .v --by .k) | wc -l"
        #expect(try shell(command).text == "300\n")
        let long = String(repeating: "x", count: 3000)
        let lines = "\"\(long)\"\n\"\(long)\"\n\"\(long)y\"\n\"\(long)y\"\n"
        #expect(try run("stream-sample", "--change .", lines).lines.count == 2)
    }

    /// One date in the far future made all that followed late, and no interval ended any more.
    @Test func aWrongDateIsRejected() throws {
        let lines = "{\"t\":1700000000}\n{\"t\":2700000000}\n{\"t\":1700000001}\n"
        let result = try run(
            "stream-sample", "--rate 1/s --burst 1 --time .t --on-error=skip -q", lines)
        #expect(result.lines.count == 2)
        #expect(result.ending == .exit(1))
        let stopped = try run("stream-sample", "--rate 1/s --time .t", lines)
        #expect(stopped.errors.contains("-:2:6: a time too far ahead"))
        let wider = try run(
            "stream-sample", "--rate 1/s --burst 1 --time .t --max-gap 20000d -q", lines)
        #expect(wider.lines.count == 2 && wider.ending == .exit(0))
    }

    /// It was measured from the first line, whatever that said.
    @Test(arguments: [0, 2_700_000_000], ["--rate 1/s --burst 1", "--adapt 1/s --seed 1"])
    func aWrongFirstDateIsOverruled(_ first: Int, _ method: String) throws {
        let times = [first] + (0..<10).map { 1_700_000_000 + $0 }
        let lines = times.map { "{\"t\":\($0)}\n" }.joined()
        let result = try run(
            "stream-sample", "\(method) --time .t --stats", lines)
        #expect(result.ending == .exit(0))
        #expect(result.text == lines)
        #expect(result.stats["late"] == 0)
        #expect(result.stats["time_jumps"] == 1)
        let message =
            "-:2: the times before are too far from those that agree from here on (see --max-gap):"
            + " going by these\n"
        #expect(result.errors.contains(message))
    }

    /// Lines too far behind are counted as late, as before, unless some agree.
    @Test func tooEarlyLinesAreLate() throws {
        let times = [1_700_000_000, 1_700_000_001, 1_700_000_002, 1, 2, 1_700_000_003]
        let result = try run(
            "stream-sample", "--rate 9/s --time .t -q --stats",
            times.map { "{\"t\":\($0)}\n" }.joined())
        #expect(result.ending == .exit(0))
        #expect(result.lines.count == 6)
        #expect(result.stats["late"] == 2)
    }

    /// A host an hour ahead let no line of the others through for an hour.
    @Test(arguments: ["--rate 1/s --burst 1", "--adapt 1/s"])
    func eachKeyHasAClock(_ method: String) throws {
        let lines = (0..<100).flatMap {
            ["{\"k\":1,\"t\":\($0 + 3600)}\n", "{\"k\":2,\"t\":\($0)}\n"]
        }
        let result = try run(
            "stream-sample", "\(method) --time .t --by .k --seed 1 --stats", lines.joined())
        #expect(result.ending == .exit(0))
        #expect(result.stats["late"] == 0)
        for key in 1...2 {
            #expect(result.lines.count { $0.hasPrefix("{\"k\":\(key),") } > 90)
        }
        // Of one key it is as it was.
        let one = try run(
            "stream-sample", "\(method) --time .t --seed 1 --stats -q", lines.joined())
        #expect(one.stats["late"] == 100)
    }

    @Test func zonesAndSpellings() throws {
        let lines = ["2026-01-05 01:00:00,5", "2026-01-05T00:00:01+0000", "2026-01-05T00:00:01.9"]
            .map { "\"\($0)\"\n" }
        let result = try run(
            "stream-sample", "--rate 1/s --burst 1 --time . --time-zone +01:00", lines.joined())
        #expect(result.ending == .exit(0))
        #expect(result.lines == [String(lines[0].dropLast())])
        let early = try run("stream-sample", "--rate 1/s --time .", "\"1969-01-01\"\n")
        #expect(early.ending == .exit(65))
        #expect(early.errors == "stream-sample: -:1:1: a time before 1970 at .\n")
    }

    /// A key made of the whole line needs no JSON.
    @Test func keysOfText() throws {
        let log = "b \"\\ud800\na\nb \"\\ud800\n\na\n"
        #expect(try run("stream-sample", "-t --distinct .", log).text == "b \"\\ud800\na\n\n")
        #expect(try run("stream-sample", "-t --change .", "a\na\nb\n").text == "a\nb\n")
        #expect(try run("stream-sample", "-t -n 0 --keep .=a", log).text == "a\na\n")
        let options = "-t -p 0.5 --key ."
        let sampled = try run("stream-sample", options, log).lines
        let others = try run("stream-sample", options + " --invert", log).lines
        #expect(sampled.count + others.count == 4 && Set(sampled).isDisjoint(with: others))
    }

    /// Counters were those of the last line that came.
    @Test func countersAfterAnIntervalOfTheClock() throws {
        let session = try start("stream-sample", "--latest . --every 100ms")
        session.write("1\n")
        #expect(session.prints("1\n"))
        session.send(SIGUSR1)
        #expect(session.wait { $0.errors.hasSuffix("}\n") })
        #expect(session.errors.contains("\"records_out\":1,"))
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    /// Their ranks were infinite or 0, and the first lines were always the sample.
    @Test(arguments: ["1e-310", "1.7e308", "-1", "\"x\"", "null"])
    func weightsThatHaveNoRank(_ weight: String) throws {
        let result = try run("stream-sample", ["-n1", "--weight", "."], "\(weight)\n".utf8)
        #expect(result.ending == .exit(65))
        #expect(result.text == "")
    }
}
