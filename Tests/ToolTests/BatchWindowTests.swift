import Testing

/// stream-batch: windows of the times in the lines.
@Suite struct BatchWindowTests {
    @Test(arguments: tumbling + units + late + sliding + sessions + gaps + dates + offsets)
    func windows(_ row: Case) throws { try row.check() }

    // MARK: Tumbling

    /// Numbers that are their times, seconds unless `options` say otherwise.
    private static func cut(
        _ title: String, _ options: String, _ batches: [String]..., length: String = "10s"
    ) -> Case {
        .batch(
            "\(title) \(options) \(length)", "--time . -t \(length) \(options)",
            batches.joined().map { $0 + "\n" }.joined(),
            output: batches.map(Batches.array).joined())
    }

    private static let tumbling: [Case] = [
        cut("at multiples of the length", "", ["9"], ["10", "11", "19.999999999"], ["20"]),
        cut("a window without lines is none", "", ["0"], ["95"], ["100"]),
        cut("not since the first line", "", ["7", "8"], ["12", "17"], ["22"]),
        cut("exact", "", ["0", "9.9999999999999"], ["1e1", "1.05E+1"], ["200e-1"]),
        cut("1h30m", "", ["5399"], ["5400", "10799"], ["10800"], length: "1h30m"),
        cut("no whole seconds", "", ["0.1"], ["0.2"], ["0.4"], ["0.6"], length: "200ms"),
        cut("1ms", "", ["1.0009"], ["1.001", "1.0019"], ["1.002"], length: "1ms"),
        cut("days", "", ["86399"], ["86400", "100000"], ["172800"], length: "1d"),
        cut(
            "-n closes a window, too", "-n 2", ["1", "2"], ["3", "4"], ["5"], ["11", "12"], ["13"]),
        cut("-b", "-b 6", ["1", "2"], ["3"], ["11"], ["12"]),
        // A window that its first line filled came before the one that the line ended.
        cut("what ended before comes first", "--when .=12", ["1"], ["12"], ["13"]),
        cut("--when", "--when .=2", ["1", "2"], ["3"], ["11"]),
        cut("--when-changed", "--when-changed .", ["1", "1"], ["2"], ["12", "12"]),
        .batch(
            "for each key, and by the time of all", "--time .t -k .k -t 10s",
            "{\"t\":1,\"k\":1}\n{\"t\":2,\"k\":2}\n{\"t\":3,\"k\":1}\n{\"t\":10,\"k\":2}\n",
            output: "[{\"t\":1,\"k\":1},{\"t\":3,\"k\":1}]\n[{\"t\":2,\"k\":2}]\n"
                + "[{\"t\":10,\"k\":2}]\n"),
        .batch(
            "the window is what an object says", "--time .t -t 10s -f object -k .k",
            "{\"t\":1767607214.25,\"k\":1}\n",
            output: "{\"key\":1,\"seq\":1,\"count\":1,\"from\":\"2026-01-05T10:00:10.000Z\","
                + "\"to\":\"2026-01-05T10:00:20.000Z\",\"items\":[{\"t\":1767607214.25,\"k\":1}]}\n"
        ),
    ]

    // MARK: Times

    private static let units: [Case] = [
        cut("seconds, then milliseconds", "", ["1700000009"], ["1700000010000", "1700000019999"]),
        cut("milliseconds, then seconds", "", ["1700000009999"], ["1700000010"]),
        cut("micro", "", ["1700000009999999"], ["1700000010000000"]),
        cut("nano", "", ["1700000009999999999"], ["1700000010000000000"]),
        cut("", "--time-unit s", ["9"], ["10"], ["100"]),
        cut("", "--time-unit ms", ["9999"], ["10000", "19999.9"], ["20000"]),
        cut("", "--time-unit us", ["9999999"], ["10000000"]),
        cut("", "--time-unit ns", ["9999999999"], ["10000000000"]),
        cut("text", "--time-unit ms", ["\"9999\""], ["\"1970-01-01T00:00:10Z\"", "15000"]),
        cut(
            "RFC 3339", "", ["\"1970-01-01T00:00:09.999Z\""],
            ["\"1970-01-01T01:00:10+01:00\""], ["\"1969-12-31T22:30:20-01:30\""],
            ["\"1970-01-01t00:00:30z\""], ["\"1970-01-01 00:00:40.5+00:00\""]),
        cut("the last nanosecond", "--time-unit ns", ["9223372036854775807"]),
        .batch(
            "no times", "--time . -t 1h --on-error=skip -q",
            "1\n-1\nnull\ntrue\n[1]\n\"\"\n\"x\"\n1e30\n\"-1\"\n\"2026-02-29T00:00:00Z\"\n"
                + "\"1969-12-31T23:59:59Z\"\n2\n", output: "[1,2]\n", status: 1),
        .batch(
            "a line without a time", "--time .t -t 10s", "{\"t\":1}\n{}\n{\"t\":2}\n",
            output: "[{\"t\":1}]\n", status: 65,
            errors: "stream-batch: -:2:1: expected a time, a number or a string as in RFC 3339,"
                + " at .t\n"),
        .batch(
            "its place", "--time .a.t -i 10s", "{\"a\": {\"t\": \"soon\"}}\n", output: "",
            status: 65,
            errors: "stream-batch: -:1:13: expected a time, a number or a string as in RFC 3339,"
                + " at .a.t\n"),
    ]

    private static let dates: [Case] = [
        .batch(
            "as others write them", "--time . -t 10s",
            "\"1970-01-01 00:00:09,999\"\n\"1970-01-01T01:00:10+0100\"\n"
                + "\"1970-01-01T01:00:20+01:00[Europe/Berlin]\"\n\"1970-01-01T00:00:30\"\n"
                + "\"1970-01-02\"\n",
            output: "[\"1970-01-01 00:00:09,999\"]\n[\"1970-01-01T01:00:10+0100\"]\n"
                + "[\"1970-01-01T01:00:20+01:00[Europe/Berlin]\"]\n[\"1970-01-01T00:00:30\"]\n"
                + "[\"1970-01-02\"]\n"),
        // As System.Text.Json writes them.
        .batch(
            "escaped", "--time . -t 1h",
            #""2026-01-05T11:00:00\u002B01:00""# + "\n" + #""17676108\u00300""# + "\n",
            output: #"["2026-01-05T11:00:00\u002B01:00"]"# + "\n" + #"["17676108\u00300"]"# + "\n"),
        .batch(
            "--time-zone", "--time . -t 1h --time-zone=-02:30",
            "\"1970-01-01 00:29\"\n\"1970-01-01T03:30Z\"\n\"1970-01-01T01:00\"\n",
            output: "[\"1970-01-01 00:29\"]\n[\"1970-01-01T03:30Z\",\"1970-01-01T01:00\"]\n"),
        // Clocks went from 2:00 to 3:00, and from 3:00 to 2:00.
        .batch(
            "a zone by its name", "--time . -t 30m --time-zone Europe/Berlin -f object --late 1d",
            "\"2026-03-29 01:59:59\"\n\"2026-03-29 03:00:00\"\n\"2026-10-25 02:59:59\"\n"
                + "\"2026-10-25 03:00:00\"\n",
            output: [
                ("00:30:00.000", "01:00:00.000", "03-29 01:59:59", 1),
                ("01:00:00.000", "01:30:00.000", "03-29 03:00:00", 2),
                ("00:30:00.000", "01:00:00.000", "10-25 02:59:59", 3),
                ("02:00:00.000", "02:30:00.000", "10-25 03:00:00", 4),
            ].map { from, to, item, seq in
                "{\"seq\":\(seq),\"count\":1,\"from\":\"2026-\(item.prefix(5))T\(from)Z\","
                    + "\"to\":\"2026-\(item.prefix(5))T\(to)Z\","
                    + "\"items\":[\"2026-\(item)\"]}\n"
            }.joined()),
        .batch(
            "before 1970", "--time . -t 1h", "\"1969-12-31T23:59:59Z\"\n", output: "", status: 65,
            errors: "stream-batch: -:1:1: a time before 1970 at .\n"),
        .batch(
            "a number before 1970", "--time . -t 1h", "-1\n", output: "", status: 65,
            errors: "stream-batch: -:1:1: a time before 1970 at .\n"),
        .batch(
            "after 2262", "--time .t -t 1h", "{\"t\":\"2262-04-12\"}\n", output: "", status: 65,
            errors: "stream-batch: -:1:6: a time after 2262-04-11 at .t\n"),
    ]

    /// A command must not find the zone that dates of the input are in.
    @Test func theZoneIsOfThisProgramOnly() throws {
        let result = try run(
            "stream-batch", "--time . -t 1h --time-zone Asia/Tokyo -- env",
            "\"2026-01-01T00:00\"\n", environment: ["TZ": "UTC"])
        #expect(result.ending == .exit(0))
        #expect(result.lines.contains("TZ=UTC"))
    }

    private static let offsets: [Case] = [
        // 1970-01-05 was a Monday.
        cut(
            "weeks from Monday", "--offset 4d", ["0", "345599"], ["345600", "950399"], ["950400"],
            length: "7d"),
        cut(
            "days in UTC+1", "--offset=-1h", ["82799"], ["82800", "86400"], ["169200"],
            length: "1d"),
        cut("a multiple of the length", "--offset 20s", ["9"], ["10"]),
        cut("the same beyond one length", "--offset=-27s", ["2"], ["3", "12"], ["13"]),
        .batch(
            "--sliding", "--time . -t 10s --sliding 5s --offset 1s", "0\n1\n6\n",
            output: "[0]\n[0,1]\n[1,6]\n[6]\n"),
    ]

    // MARK: Lines that are late

    private static func firstLate(_ line: Int) -> String {
        "stream-batch: -:\(line): later than --late allows: its windows are closed (the first one;"
            + " see --late, --rejects)\n"
    }

    private static func lateLines(_ count: Int) -> String {
        "stream-batch: lines that came too late: \(count)\n"
    }

    private static let late: [Case] = [
        .batch(
            "an old line of an open window is not late", "--time . -t 10s", "9\n1\n5\n",
            output: "[9,1,5]\n"),
        .batch(
            "one of a closed window is", "--time . -t 10s", "9\n12\n5\n6\n19\n",
            output: "[9]\n[12,19]\n", status: 1, errors: firstLate(3) + lateLines(2)),
        .batch(
            "--late waits", "--time . -t 10s --late 5s", "9\n12\n5\n14.999\n6\n15\n7\n",
            output: "[9,5,6]\n[12,14.999,15]\n", status: 1, errors: firstLate(7) + lateLines(1)),
        .batch(
            "a window that never was is closed, too", "--time . -t 10s", "31\n5\n25\n32\n",
            output: "[31,32]\n", status: 1, errors: firstLate(2) + lateLines(2)),
        .batch(
            "quietly", "-q --time . -t 10s", "12\n5\n", output: "[12]\n", status: 1),
        .batch(
            "windows close in their order", "--time . -t 10s --late 30s", "21\n1\n11\n60\n",
            output: "[1]\n[11]\n[21]\n[60]\n"),
        .batch(
            "also at the end", "--time . -t 10s --late 1h", "21\n1\n11\n",
            output: "[1]\n[11]\n[21]\n"),
        .batch(
            "of a sliding window the rest", "--time . -t 10s --sliding 5s", "3\n11\n7\n",
            output: "[3]\n[3]\n[11,7]\n[11]\n"),
        .batch(
            "a session that is closed", "--time . -i 10s", "0\n50\n5\n45\n40.5\n40\n30\n",
            output: "[0]\n[50,45,40.5,40]\n", status: 1, errors: firstLate(3) + lateLines(2)),
    ]

    @Test func lateLinesAreCountedOrRejected() throws {
        let input = "9\n12\n5\n6\n19\n"
        let result = try run("stream-batch", "--time . -t 10s --stats", input)
        #expect(result.ending == .exit(1))
        #expect(result.stats["late"] == 2)
        #expect(result.stats["dropped"] == 2)
        #expect(result.addsUp())
        let folder = try TemporaryFolder()
        let rejecting = try run(
            "stream-batch", "--time . -t 10s --stats --rejects \(folder.file("r"))", input)
        #expect(rejecting.ending == .exit(1))
        #expect(rejecting.text == "[9]\n[12,19]\n")
        #expect(rejecting.stats["rejected"] == 2)
        #expect(rejecting.stats["dropped"] == 0)
        #expect(rejecting.addsUp())
        let reason = "later than --late allows: its windows are closed"
        #expect(
            try folder.read("r").hasPrefix(
                "{\"input\":\"-\",\"line\":3,\"error\":\"\(reason)\",\"raw\":\"5\"}\n{"))
    }

    // MARK: --sliding

    private static let sliding: [Case] = [
        .batch(
            "a line is in two windows", "--time . -t 10s --sliding 5s", "12\n16\n",
            output: "[12]\n[12,16]\n[16]\n"),
        .batch(
            "as long as the step", "--time . -t 5s --sliding 5s", "4\n5\n6\n",
            output: "[4]\n[5,6]\n"),
        .batch(
            "at the edge", "--time . -t 10s --sliding 5s", "10\n15\n20\n",
            output: "[10]\n[10,15]\n[15,20]\n[20]\n"),
        .batch(
            "1000 windows", "--time . -t 1s --sliding 1ms -n 2 --max-keys 1000", "10\n",
            output: String(repeating: "[10]\n", count: 1000)),
        .batch(
            "windows as objects", "--time .t -t 10s --sliding 5s -f object", "{\"t\":1000000012}\n",
            output: "{\"seq\":1,\"count\":1,\"from\":\"2001-09-09T01:46:45.000Z\","
                + "\"to\":\"2001-09-09T01:46:55.000Z\",\"items\":[{\"t\":1000000012}]}\n"
                + "{\"seq\":2,\"count\":1,\"from\":\"2001-09-09T01:46:50.000Z\","
                + "\"to\":\"2001-09-09T01:47:00.000Z\",\"items\":[{\"t\":1000000012}]}\n"),
        .batch(
            "a window has its own -n", "--time . -t 10s --sliding 5s -n 2", "10\n11\n16\n",
            output: "[10,11]\n[10,11]\n[16]\n[16]\n"),
    ]

    // MARK: Sessions

    private static let sessions: [Case] = [
        .batch(
            "a gap parts", "--time . -i 10s", "1\n10.9\n20.899\n30.899\n",
            output: "[1,10.9,20.899]\n[30.899]\n"),
        .batch(
            "no line is as late as that", "--time . -i 10s", "5\n1\n-0\n", output: "[5,1,-0]\n"),
        .batch(
            "a line between two makes them one", "--time . -i 10s --late 1h", "0\n15\n7\n",
            output: "[0,15,7]\n"),
        .batch(
            "also where the later one came first", "--time . -i 10s --late 1h", "15\n0\n7\n",
            output: "[0,15,7]\n"),
        .batch(
            "a gap of just so long parts on both sides", "--time . -i 10s --late 1h",
            "0\n20\n10\n", output: "[0]\n[10]\n[20]\n"),
        .batch(
            "for each key", "--time .t -i 10s -k .k --late 1h",
            "{\"t\":0,\"k\":1}\n{\"t\":15,\"k\":1}\n{\"t\":7,\"k\":2}\n",
            output: "[{\"t\":0,\"k\":1}]\n[{\"t\":7,\"k\":2}]\n[{\"t\":15,\"k\":1}]\n"),
        .batch(
            "what an object says", "--time .t -i 10s --late 1h -f object",
            "{\"t\":1000000015}\n{\"t\":1000000000}\n{\"t\":1000000007.5}\n",
            output: "{\"seq\":1,\"count\":3,\"from\":\"2001-09-09T01:46:40.000Z\","
                + "\"to\":\"2001-09-09T01:46:55.000Z\",\"items\":[{\"t\":1000000000},"
                + "{\"t\":1000000015},{\"t\":1000000007.5}]}\n"),
        .batch(
            "-n cuts a session", "--time . -i 10s -n 2", "1\n2\n3\n", output: "[1,2]\n[3]\n"),
        .batch(
            "in the order of their ends", "--time .t -i 10s -k .k --late 1s",
            "{\"t\":0,\"k\":1}\n{\"t\":5,\"k\":2}\n{\"t\":8,\"k\":1}\n{\"t\":100,\"k\":3}\n",
            output: "[{\"t\":5,\"k\":2}]\n[{\"t\":0,\"k\":1},{\"t\":8,\"k\":1}]\n"
                + "[{\"t\":100,\"k\":3}]\n"),
    ]

    /// A batch was larger than --max-bytes: each of the two had room for the line, and both
    /// together for a short one.
    @Test func sessionsThatBecomeOneAreNotTooLarge() throws {
        let lines = ["{\"t\":0}", "{\"t\":15}", "{\"t\":7,\"x\":1}"]
        let input = lines.map { $0 + "\n" }.joined()
        for size in 20...40 {
            let result = try run(
                "stream-batch", "--time .t -i 10s --late 1h -b \(size)", input)
            #expect(result.lines.allSatisfy { $0.utf8.count < size }, "\(size): \(result.text)")
            #expect(lines.allSatisfy { result.text.contains($0) })
        }
        let whole = try run("stream-batch", "--time .t -i 10s --late 1h -b 33", input)
        #expect(whole.lines.count == 1)
    }

    // MARK: Many windows, in bad order

    /// Two hosts' files one after the other: each line of the second one passed by all windows
    /// behind its own, here 20,000,000,000 of them.
    @Test func filesOneAfterTheOther() throws {
        let count = 200_000
        let file = (0..<count).map { "\($0)\n" }.joined()
        let options = "--time . -t 1s --late 10d --max-keys 1000000 -a count"
        let result = try run("stream-batch", "\(options)", file + file)
        #expect(result.ending == .exit(0))
        #expect(result.lines.count == count)
        #expect(result.lines.allSatisfy { $0.hasSuffix(",\"count\":2}") })
    }

    /// Sessions that grow at their beginning: all of their lines were moved for each one that a
    /// line joined to them, here 50,000 times up to 15 MB.
    @Test func sessionsBackwards() throws {
        let count = 100_000
        let text = String(repeating: "x", count: 140)
        let line = { (time: Int) in "{\"t\":\(time),\"x\":\"\(text)\"}\n" }
        let evens = Array(stride(from: 0, through: count, by: 2))
        let odds = Array(stride(from: count - 1, through: 1, by: -2))
        let input = [count] + zip(evens.dropLast().reversed(), odds).flatMap { [$0, $1] }
        let result = try run(
            "stream-batch", "--time .t -i 1.5s --late 10d -f lines",
            input.map(line).joined())
        #expect(result.ending == .exit(0))
        // The lines of the later session stand behind those of the earlier one, and behind both
        // the one that joined them.
        #expect(result.text == (evens + odds).map(line).joined() + "\n")
    }

    // MARK: --max-gap

    private static let tooFar = "a time too far ahead of the ones before (see --max-gap) at"

    private static func jump(_ line: Int) -> String {
        "stream-batch: -:\(line): the times before are too far from those that agree from here on"
            + " (see --max-gap): going by these\n"
    }

    private static let gaps: [Case] = [
        .batch(
            "a wrong date does not make the others late", "--time .t -t 10s --on-error=skip",
            "{\"t\":1700000000}\n{\"t\":2700000000}\n{\"t\":1700000001}\n",
            output: "[{\"t\":1700000000},{\"t\":1700000001}]\n", status: 1,
            errors: "stream-batch: -:2:6: \(tooFar) .t\nstream-batch: 1 rejected\n"),
        .batch(
            "it stops", "--time . -i 10s", "1700000000\n1900000000\n", output: "[1700000000]\n",
            status: 65, errors: "stream-batch: -:2:1: \(tooFar) .\n"),
        .batch(
            "exactly", "--time . -t 10s --max-gap 10s", "1\n11\n21.001\n", output: "[1]\n[11]\n",
            status: 65, errors: "stream-batch: -:3:1: \(tooFar) .\n"),
        .batch(
            "the first line is one of 1970", "--time . -t 10s",
            "0\n1700000000\n1700000001\n1700000011\n",
            output: "[0]\n[1700000000,1700000001]\n[1700000011]\n", errors: jump(2)),
        .batch(
            "the first line is one of the future", "--time . -t 10s",
            "2700000000\n1700000000\n1700000001\n1700000011\n",
            output: "[2700000000]\n[1700000000,1700000001]\n[1700000011]\n", errors: jump(2)),
        .batch(
            "three overrule any number", "--time . -t 10s",
            "1\n2\n3\n4\n1700000000\n1700000001\n1700000002\n1700000003\n",
            output: "[1,2,3,4]\n[1700000000,1700000001,1700000002,1700000003]\n",
            errors: jump(5)),
        .batch(
            "two do not", "--time . -t 10s --on-error=skip", "1\n2\n3\n1700000000\n1700000001\n4\n",
            output: "[1,2,3,4]\n", status: 1,
            errors: "stream-batch: -:4:1: \(tooFar) .\nstream-batch: -:5:1: \(tooFar) .\n"
                + "stream-batch: 2 rejected\n"),
        .batch(
            "nor three that do not agree", "--time . -t 10s --on-error=skip",
            "1\n2\n3\n1700000000\n2700000001\n1700000000\n4\n", output: "[1,2,3,4]\n", status: 1,
            errors: [4, 5, 6].map { "stream-batch: -:\($0):1: \(tooFar) .\n" }.joined()
                + "stream-batch: 3 rejected\n"),
        .batch(
            "some that are too early are late", "--time . -t 10s",
            "1700000000\n1700000001\n1700000002\n1\n2\n1700000003\n",
            output: "[1700000000,1700000001,1700000002,1700000003]\n", status: 1,
            errors: firstLate(4) + lateLines(2)),
        .batch(
            "with --late they are not", "--time . -t 10s --late 30000d --max-gap 10d",
            "1700000000\n1700000001\n1\n2\n3\n4\n",
            output: "[1,2,3,4]\n[1700000000,1700000001]\n"),
        .batch(
            "wider", "--time . -t 10s --max-gap 20000d", "1700000000\n2700000000\n",
            output: "[1700000000]\n[2700000000]\n"),
    ]
}
