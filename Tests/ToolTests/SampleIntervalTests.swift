import Foundation
import Testing

/// stream-sample: intervals, of the clock and of the times in the lines.
@Suite(.serialized) struct SampleIntervalTests {
    @Test(arguments: begins + units + times + held) func intervals(_ row: Case) throws {
        try row.check()
    }

    private static func lines(_ texts: [String]) -> String { texts.map { $0 + "\n" }.joined() }

    /// With one key, --first writes the first line of each interval.
    private static func first(
        _ options: String, _ times: String..., begin chosen: Int..., every: String = "10s"
    ) -> Case {
        .sample(
            "\(every) \(options) \(times)", "--first .k --every \(every) --time . \(options)",
            lines(times), output: lines(chosen.map { times[$0] }))
    }

    private static let begins: [Case] = [
        first("", "9", "10", "11", "19.999999999", "20", "39.5", "40", begin: 0, 1, 4, 5, 6),
        first("", "0", "9.9999999999999", "1e1", "1.05E+1", "200e-1", begin: 0, 2, 4),
        first("", "5399", "5400", "10799", "10800", begin: 0, 1, 3, every: "1h30m"),
        first("", "0.1", "0.2", "0.3", "0.4", "0.6", "0.8", begin: 0, 1, 3, 4, 5, every: "200ms"),
        first("", "1.0009", "1.001", "1.0019", "1.002", begin: 0, 1, 3, every: "1ms"),
        first("", "86399", "86400", "100000", "172800", begin: 0, 1, 3, every: "1d"),
    ]

    private static let units: [Case] = [
        first("", "1700000009", "1700000010000", "1700000019999", begin: 0, 1),
        first("", "1700000009999", "1700000010", begin: 0, 1),
        first("", "1700000009999999", "1700000010000000", begin: 0, 1),
        first("", "1700000009999999999", "1700000010000000000", begin: 0, 1),
        first("--time-unit auto", "1700000009", "1700000010000", begin: 0, 1),
        first("--time-unit s", "9", "10", "100", begin: 0, 1, 2),
        first("--time-unit ms", "9999", "10000", "19999.9", "20000", begin: 0, 1, 3),
        first("--time-unit us", "9999999", "10000000", begin: 0, 1),
        first("--time-unit ns", "9999999999", "10000000000", begin: 0, 1),
        first("--time-unit ms", "\"9999\"", "\"1970-01-01T00:00:10Z\"", "15000", begin: 0, 1),
    ]

    private static let times: [Case] = [
        .sample(
            "escaped", "--first .k --every 1h --time .t",
            #"{"t":"2026-01-05T11:00:00\u002B01:00"}"# + "\n"
                + #"{"t":"2026-01-05T10:59:59\u005a"}"# + "\n",
            output: #"{"t":"2026-01-05T11:00:00\u002B01:00"}"# + "\n"),
        first("", "\"9\"", "\"1e1\"", begin: 0, 1),
        first(
            "", "\"1970-01-01T00:00:09.999Z\"", "\"1970-01-01T01:00:10+01:00\"",
            "\"1969-12-31T22:30:20-01:30\"", "\"1970-01-01t00:00:30z\"",
            "\"1970-01-01 00:00:40.5+00:00\"", begin: 0, 1, 2, 3, 4),
        first(
            "", "\"2026-01-05T12:00:09+02:00\"", "1767607210", "1767607219000",
            "\"2026-01-05T10:00:20Z\"", begin: 0, 1, 3),
    ]

    private static let late =
        "stream-sample: the first line came that is older than one before it (see --time)\n"
        + "stream-sample: lines that were older than one before them: 1\n"
    private static let noTime = "expected a time, a number or a string as in RFC 3339, at"

    private static let held: [Case] = [
        .sample(
            "a line that is late counts as in time", "-n 9 --every 10s --time .",
            "9\n12\n5\n19\n20\n", output: "9\n12\n5\n19\n20\n", errors: late),
        .sample(
            "also for a rate", "--rate 1/s --time . -q", "9\n5\n9.5\n10\n8\n", output: "9\n10\n"),
        .sample(
            "and begins nothing", "--first .k --every 10s --time . -q", "12\n5\n19\n",
            output: "12\n"),
        .sample(
            "each interval is sampled anew", "--lttb 2 -y . --every 10s --time .",
            "1\n2\n3\n11\n12\n13\n51\n", output: "1\n3\n11\n13\n51\n"),
        .sample(
            "an interval has its own -n", "-n 1 --every 1s --time .", "1\n2\n4\n",
            output: "1\n2\n4\n"),
        .sample(
            "the newest of each", "--latest .k --every 10s --time .t",
            "{\"k\":1,\"t\":1}\n{\"k\":2,\"t\":2}\n{\"k\":1,\"t\":9}\n{\"k\":2,\"t\":10}\n",
            output: "{\"k\":2,\"t\":2}\n{\"k\":1,\"t\":9}\n{\"k\":2,\"t\":10}\n"),
        .sample(
            "a line that is kept ends an interval", "-n 9 --every 10s --time .t --keep .k=1",
            "{\"t\":1}\n{\"t\":11,\"k\":1}\n{\"t\":12}\n",
            output: "{\"t\":1}\n{\"t\":11,\"k\":1}\n{\"t\":12}\n"),
        .sample(
            "a header has no time", "--header 1 --first .k --every 1s --time .", "t\n1\n",
            output: "t\n1\n"),
        .sample(
            "a line without a time", "-n 9 --every 1s --time .t", "{\"t\":1}\n{}\n",
            output: "{\"t\":1}\n", status: 65, errors: "stream-sample: -:2:1: \(noTime) .t\n"),
        .sample(
            "no times", "--rate 9/s --time . --on-error=skip -q",
            lines([
                "1", "-1", "null", "true", "[1]", "\"\"", "\"x\"", "\"1e\"", "1e30", "\"-1\"",
                "\"2026-13-01T00:00:00Z\"", "\"2026-02-29T00:00:00Z\"", "\"2026-01\"",
                "\"2026-01-05T10\"", "\"1969-12-31T23:59:59Z\"", "2",
            ]), output: "1\n2\n", status: 1),
        .sample(
            "its place", "--adapt 9 --time .a.t", "{\"a\": {\"t\": \"soon\"}}\n", output: "",
            status: 65, errors: "stream-sample: -:1:13: \(noTime) .a.t\n"),
    ]

    @Test func lateLinesAreCounted() throws {
        let input = "9\n12\n5\n6\n19\n"
        let result = try run("stream-sample", "-n 9 --every 10s --time . --stats", input)
        #expect(result.stats["late"] == 2)
        #expect(result.addsUp())
        let quiet = try run("stream-sample", "-q -n 9 --every 10s --time .", input)
        #expect(quiet.errors.isEmpty)
    }

    // MARK: Intervals of the clock

    /// Nothing comes behind these lines, so it is the clock that ends their interval.
    @Test func anIntervalEndsByTheClock() throws {
        for method in ["--latest .k", "-n 1", "-n 1 --by .k", "--lttb 2 -y .", "--m4 4 -y ."] {
            let session = try start("stream-sample", "\(method) --every 50ms")
            var expected = ""
            for number in 1...2 {
                session.write("\(number)\n")
                expected += "\(number)\n"
                #expect(session.prints(expected))
            }
            session.send(SIGTERM)
            #expect(session.finish().ending == .signal(SIGTERM))
        }
    }

    @Test func firstIsWrittenAtOnceAndAgain() throws {
        // An interval may end between two lines: then again, with a longer one.
        try patiently([50, 250, 1000, 4000]) {
            let session = try start("stream-sample", "--first .k --every \($0)ms")
            session.write("1\n2\n")
            guard session.wait(until: { !$0.output.isEmpty }) else { return false }
            usleep(UInt32($0) * 1200)
            session.write("3\n4\n")
            session.closeInput()
            return session.finish().text == "1\n3\n"
        }
    }

    @Test func aRateOfTheClock() throws {
        try patiently([50, 250, 1000]) {
            let session = try start("stream-sample", "--rate \(1000 / $0)/s --burst 1")
            session.write("1\n2\n3\n")
            guard session.wait(until: { !$0.output.isEmpty }) else { return false }
            usleep(UInt32($0) * 1200)
            session.write("4\n5\n")
            session.closeInput()
            return session.finish().text == "1\n4\n"
        }
    }

    @Test func aLongIntervalEndsWithTheInput() throws {
        let session = try start("stream-sample", "-n 9 --every 36500d --header 1")
        session.write("h\n1\n2\n")
        #expect(session.prints("h\n"))
        session.closeInput()
        #expect(session.finish().text == "h\n1\n2\n")
    }

    // MARK: A recorded stream

    private static let methods = [
        "-n 2", "-n 1 --by .k --shuffle", "-n 2 --weight .v", "--latest .k", "--latest .v,.k",
        "--first .k", "--lttb 2 -y .v", "--m4 4 -y .v --by .k",
    ]

    /// What --time makes of a recorded stream is what was made of it when it came.
    @Test func aRecordedStreamIsSampledAsItWasLive() throws {
        // Where the machine was too slow for the intervals, longer ones.
        for milliseconds: UInt64 in [250, 500, 1000, 2000, 4000] {
            let options = "--seed 6 --every \(milliseconds)ms --keep .go=yes"
            let sessions = try Self.methods.map { try start("stream-sample", "\($0) \(options)") }
            guard let stream = Self.feed(sessions, milliseconds * 1_000_000) else { continue }
            for (method, session) in zip(Self.methods, sessions) {
                session.closeInput()
                let live = session.finish()
                let recorded = try run("stream-sample", "\(method) \(options) --time .t", stream)
                #expect(live.text == recorded.text, "\(method)\n\(stream)")
                #expect(live.lines.count > 10 && recorded.errors.isEmpty)
            }
            return
        }
        Issue.record("the machine is too slow for intervals of 4 s")
    }

    /// Gives each session the same lines over several intervals, and returns them; nil when one
    /// of them did not take its lines within the interval in which they were written.
    private static func feed(_ sessions: [Session], _ interval: UInt64) -> String? {
        let begin = realtime() / interval + 1
        var stream = ""
        for (number, place) in [0, 0, 1, 3, 4, 4].enumerated() {
            // The first quarter of the interval stays free: clocks may be set a little.
            while realtime() < (begin + UInt64(place)) * interval + interval / 4 { usleep(1000) }
            let time = realtime()
            var batch = ""
            for index in 0..<5 {
                let value = (index * 7 + number) % 5 + 1
                batch += "{\"t\":\(time + UInt64(index)),\"k\":\(index % 2),\"v\":\(value)}\n"
            }
            batch += "{\"t\":\(time + 9),\"go\":\"yes\",\"number\":\(number)}\n"
            stream += batch
            for session in sessions { session.write(batch) }
            for session in sessions {
                guard session.wait(until: { $0.text.contains("number\":\(number)}") })
                else { return nil }
            }
            if realtime() / interval != time / interval { return nil }
        }
        return stream
    }

    /// Nanoseconds since 1970.
    private static func realtime() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
