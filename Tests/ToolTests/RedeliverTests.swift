import Foundation
import Glibc
import Testing

/// stream-batch --redeliver: what was a dead letter is delivered, as it was.
@Suite(.serialized) struct RedeliverTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    /// All of a batch fails; its dead letters are in `again`.
    private func bury(_ options: String, _ input: some Sequence<UInt8>) throws {
        let session = try place.start(
            words(options) + ["-q", "--dead-letter", "again", "-x", "exit 1"])
        session.write(input)
        session.closeInput()
        #expect(session.finish().ending == .exit(1))
    }

    private func redeliver(_ options: String, _ line: String = "cat >> got") throws -> Finished {
        try place.run("\(options) --redeliver again --dead-letter dead", line)
    }

    private func got() throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: place.folder.file("got"))))
    }

    // MARK: Verbatim

    private static let odd = [
        #"123456789012345678901234567890.000000000000000000000000000001"#, "-0", "1.0", "1e1000",
        #"{"a":1,"a":2}"#, #"{"b": [1, {"c,": "]\"}{[,"}], "a":"\u0041\/"}"#, #""\ud800""#, " [ ] ",
        #""a,b""#, #"["\\"]"#, #"{"":{}}"#, "\t1\t", #""é\n""#, "null",
    ].map { $0 + "\n" }.joined()

    /// jq made 1.2345678901234568e+29 of the first.
    @Test(arguments: ["-n 3", "-n 1", "", "-k . -n 2"]) func everyByte(_ options: String) throws {
        try bury("-f lines \(options)", Self.odd.utf8)
        let result = try redeliver("-f lines -n 1000 --stats")
        #expect(result.ending == .exit(0))
        #expect(try got().sorted() == Array(Self.odd.utf8).sorted())
        if !options.contains("-k") { #expect(try got() == Array(Self.odd.utf8)) }
        #expect(result.counter("records_in") == 14)
        #expect(result.counter("records_out") == 14)
        #expect(try place.lines("dead") == [])
    }

    @Test(arguments: ["array", "json-seq", "object"])
    func asItWouldHaveBeen(_ format: String) throws {
        let options = "-f \(format) -k .k -n 2 -b 4K"
        let lines = "{\"k\":1,\"k\":\"a\\\"\"}\n{\"k\":\"b\"}\n{\"k\":\"a\\\"\",\"n\":1.0}\n"
        try bury(options, lines.utf8)
        #expect(try redeliver(options).ending == .exit(0))
        let first = try place.run("\(options) --dead-letter no", "cat >> first", lines)
        #expect(first.ending == .exit(0))
        // The times are those of the first time.
        let times = #/"from":"[^"]*","to":"[^"]*"/#
        let text = { (name: String) throws -> [String] in
            try place.lines(name).map { $0.replacing(times, with: "") }
        }
        #expect(try text("got") == text("first"))
    }

    @Test func timesOfTheFirstTime() throws {
        try bury("--time .t -t 10s -f object", "{\"t\":1}\n{\"t\":12}\n".utf8)
        #expect(try redeliver("-f object", "echo $BATCH_FROM $BATCH_TO >> got").ending == .exit(0))
        #expect(
            try place.lines("got") == [
                "1970-01-01T00:00:00.000Z 1970-01-01T00:00:10.000Z",
                "1970-01-01T00:00:10.000Z 1970-01-01T00:00:20.000Z",
            ])
    }

    @Test func text() throws {
        let text = "say \"hi\"\n\n\\ \u{1} é 😀\u{7F}\n[1, 2\n  x\t\n1\n"
        try bury("--text -f lines -n 4", text.utf8)
        #expect(try redeliver("--text -f lines").ending == .exit(0))
        #expect(try String(decoding: got(), as: UTF8.self) == text)
    }

    @Test func bytesThatAreNoUTF8() throws {
        let text: [UInt8] = [0xFF, 0x22, 10, 10, 0, 0xC3, 10] + Array("é\n".utf8)
        try bury("--text -f lines", text)
        #expect(try redeliver("--text -f lines").ending == .exit(0))
        #expect(try got() == text)
    }

    @Test func textInArrays() throws {
        try bury("--text -n 2", "a \"b\"\n1\n\nc\n".utf8)
        #expect(try redeliver("--text").ending == .exit(0))
        #expect(try place.lines("got") == [#"["a \"b\"","1"]"#, #"["","c"]"#])
    }

    @Test func linesThatWereNotChecked() throws {
        try bury("--no-validate -f lines", "{\n1\n".utf8)
        #expect(try redeliver("--no-validate").ending == .exit(0))
        #expect(try place.lines("got") == ["[{,1]"])
        let checked = try redeliver("")
        #expect(checked.ending == .exit(65))
        #expect(checked.errors.contains("need --text, --format=lines or --no-validate"))
        #expect(try redeliver("--text", "cat > got").ending == .exit(0))
        #expect(try place.lines("got") == [#"["{","1"]"#])
    }

    @Test func summaries() throws {
        let options = "-k .k -a count -a sum(.n) -a last(.n)"
        let lines =
            "{\"k\":1,\"n\":0.1}\n{\"k\":1,\"n\":12345678901234567890.1}\n{\"k\":2,\"n\":1.0}\n"
        try bury(options, lines.utf8)
        let again = try redeliver(options, "cat >> got; echo $BATCH_COUNT >> counts")
        #expect(again.ending == .exit(0))
        let first = try place.run("\(options) --dead-letter no", "cat >> first", lines)
        #expect(first.ending == .exit(0))
        #expect(try place.lines("got") == place.lines("first"))
        #expect(try place.lines("got").count == 2)
        #expect(try place.lines("counts") == ["2", "1"])
    }

    /// What fails again is the same letter, and can be delivered then.
    @Test(arguments: ["", "-a count"]) func twice(_ options: String) throws {
        try bury("-n 2 \(options)", Self.odd.utf8)
        let before = try place.lines("again")
        let more = options.isEmpty ? "--bisect" : options
        #expect(try redeliver("-q \(more)", "exit 3").ending == .exit(1))
        let content = { (lines: [String]) in
            lines.compactMap { line in
                line.firstMatch(of: #/"(?:items|batch)":(.*)}$/#).map { String($0.1) }
            }
        }
        let after = try place.lines("dead")
        if options.isEmpty {
            #expect(after.count == 14)
        } else {
            #expect(content(after) == content(before))
        }
        _ = try place.shell("mv dead again")
        #expect(try redeliver("-f lines").ending == .exit(0))
        #expect(try got().count > 20)
        if options.isEmpty { #expect(try got() == Array(Self.odd.utf8)) }
    }

    @Test func anyLines() throws {
        var random = SeededGenerator.announced("redeliver")
        for round in 0..<12 {
            let isText = round % 2 == 1
            let lines: [[UInt8]] = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                if !isText { return Array(randomJSON(&random, depth: 3).utf8) }
                let isAny = Int.random(in: 0..<4, using: &random) == 0
                return (0..<Int.random(in: 0...9, using: &random)).map { _ in
                    let byte = UInt8.random(in: isAny ? 0...255 : 0x20...0x7E, using: &random)
                    return [10, 13].contains(byte) ? 34 : byte
                }
            }
            // Of text the first line must not look like a byte order mark or a compressed file.
            let input = Array(isText ? "#\n".utf8 : "0\n".utf8) + lines.flatMap { $0 + [10] }
            let form = isText ? "--text -f lines" : "-f lines"
            try bury("\(form) -n \(Int.random(in: 1...20, using: &random))", input)
            let result = try redeliver("\(form) -j 3 --keep-order", "cat")
            #expect(result.ending == .exit(0), "\(result.errors)")
            #expect(result.output == input)
            _ = try place.shell("rm again")
        }
    }

    // MARK: Which delivery it is

    @Test func theNameStays() throws {
        try bury("-n 4 --bisect --permanent 9", numbers(1...6).utf8)
        let letters = try place.letters("again")
        #expect(letters.count == 6)
        let names = try letters.map {
            try "\(#require($0["run"] as? String)) \(#require($0["seq"])) \(#require($0["part"]))"
        }
        #expect(Set(letters.map { $0["run"] as? String }).count == 1)
        let line = "echo \"$BATCH_RUN $BATCH_SEQ $BATCH_PART\" >> got"
        #expect(try redeliver("-j 1", line).ending == .exit(0))
        #expect(try place.lines("got") == names)
        #expect(
            names.map { String($0.dropFirst(33)) }
                == ["1 1-1", "1 2-2", "1 3-3", "1 4-4", "2 1-1", "2 2-2"])
    }

    @Test func partsOfParts() throws {
        // The second half of a batch failed as a whole.
        try bury("-n 8", numbers(1...8).utf8)
        _ = try place.shell(#"sed -i 's/"part":"1-8"/"part":"11-18"/' again"#)
        let line =
            "[ $BATCH_COUNT = 1 ] || exit 1; [ $(cat) = '[6]' ] && exit 1;"
            + " echo $BATCH_PART >> got"
        let result = try redeliver("--bisect", line)
        #expect(result.ending == .exit(1))
        #expect(try place.lines("got") == [11, 12, 13, 14, 15, 17, 18].map { "\($0)-\($0)" })
        #expect(try place.letters("dead").map { $0["part"] as? String } == ["16-16"])
        #expect(result.errors.contains("batch 1, lines 16-16 cannot be delivered"))
    }

    // MARK: Files

    @Test func theSameFileIsRefused() throws {
        try bury("", "1\n".utf8)
        _ = try place.shell("ln again link; ln -s again soft")
        for file in ["again", "./again", "link", "soft"] {
            let result = try place.run("--redeliver again --dead-letter \(file)", "cat")
            #expect(result.ending == .exit(64))
            #expect(result.errors.contains("again: input file is output file (--dead-letter)"))
        }
        #expect(try place.lines("again").count == 1)
    }

    /// A run that goes on writes its letters to a new file, none to the one that is delivered.
    @Test func aFileThatIsMovedAwayGetsNoMore() throws {
        let session = try place.start(
            "-n 1 -q --dead-letter dead", "touch done.$BATCH_SEQ; exit 1")
        session.write("1\n")
        let hasLetters = { (name: String, count: Int) throws -> Bool in
            let limit = now() + patience
            while try place.lines(name).count < count, now() < limit { usleep(1000) }
            return try place.lines(name).count == count
        }
        #expect(try hasLetters("dead", 1))
        _ = try place.shell("mv dead again")
        session.write("2\n")
        #expect(try hasLetters("dead", 1))
        session.write("3\n")
        #expect(try hasLetters("dead", 2))
        session.closeInput()
        #expect(session.finish().ending == .exit(1))
        #expect(try place.lines("again").count == 1)
        #expect(try place.shell("stat -c %a dead again").text == "600\n600\n")
    }

    @Test func standardInputAndGzip() throws {
        try bury("-n 1", numbers(1...3).utf8)
        let result = try place.shell(
            "grep '\"seq\":[13],' again | stream-batch --redeliver - --dead-letter dead -- cat")
        #expect(result.text == "[1]\n[3]\n")
        #expect(result.ending == .exit(0))
        _ = try place.shell("gzip again && mv again.gz again")
        #expect(try redeliver("", "cat").text == "[1]\n[2]\n[3]\n")
    }

    /// A letter may be longer than any line of it.
    @Test func aLongLetter() throws {
        let line = String(repeating: "x", count: 900) + "\n"
        try bury("--text", String(repeating: line, count: 100).utf8)
        let result = try redeliver("--text -f lines --max-line 1000", "wc -c")
        #expect(result.text.contains("90300"))
        #expect(result.ending == .exit(0))
    }

    // MARK: What is no letter

    @Test(arguments: [
        ("1", "it has no member seq"), ("{}", "it has no member seq"),
        (#"{"seq":1}"#, "it has no member items, raw or batch"),
        (#"{"seq":0,"items":[1]}"#, "seq is no number from 1"),
        (#"{"seq":1,"items":[]}"#, "items is no array with lines"),
        (#"{"seq":1,"items":[ ]}"#, "items is no array with lines"),
        (#"{"seq":1,"items":5}"#, "items is no array with lines"),
        (#"{"seq":1,"run":5,"items":[1]}"#, "run is no short string"),
        (#"{"seq":1,"run":"\u0000","items":[1]}"#, "run is no short string"),
        (#"{"seq":1,"raw":["a\nb"]}"#, "what raw holds is no line"),
        (#"{"seq":1,"raw":[1]}"#, "what raw holds is no line"),
        (#"{"seq":1,"raw_base64":["?"]}"#, "what raw_base64 holds is no line"),
        (#"{"seq":1,"items":[1}"#, "expected"), ("{", "the JSON text ends here"),
    ]) func whatIsNoLetter(_ line: String, _ reason: String) throws {
        let good = #"{"seq":7,"items":[7, 8 ,9]}"# + "\n"
        _ = try place.folder.write(good + "\n" + line + "\n" + good, to: "again")
        let stopped = try redeliver("-f lines --text", "cat")
        #expect(stopped.text == "7\n 8 \n9\n")
        #expect(stopped.ending == .exit(65))
        #expect(stopped.errors.contains("again:3:"))
        #expect(stopped.errors.contains("no dead letter: "))
        #expect(stopped.errors.contains(reason))
        let skipped = try redeliver("-f lines --rejects bad", "echo $BATCH_SEQ")
        #expect(skipped.text == "7\n7\n")
        #expect(skipped.ending == .exit(1))
        #expect(try place.letters("bad").map { $0["raw"] as? String } == [line])
    }

    @Test func letterOfAnEarlierVersion() throws {
        _ = try place.folder.write(#"{"seq":3,"items":[1]}"# + "\n", to: "again")
        let result = try redeliver("", "echo ${#BATCH_RUN} $BATCH_SEQ $BATCH_PART")
        #expect(result.text == "32 3 1-1\n")
    }

    @Test func whatDoesNotGoTogether() throws {
        _ = try place.folder.write("", to: "again")
        for (options, message) in [
            ("--redeliver again", "--redeliver needs --dead-letter"),
            ("--redeliver again --dead-letter d file", "--redeliver takes no other files"),
            (
                "--redeliver again --dead-letter d --journal j",
                "--redeliver and --journal exclude each other"
            ),
        ] {
            let result = try place.run(options, "cat")
            #expect(result.ending == .exit(64))
            #expect(result.errors == "stream-batch: \(message)\n")
        }
        let result = try place.run(words("--redeliver again --dead-letter d"))
        #expect(result.errors.contains("needs a command"))
        let missing = try place.run("--redeliver none --dead-letter d", "cat")
        #expect(missing.ending == .exit(66))
    }

    // MARK: Cut short

    @Test func aStopLosesNothing() throws {
        try bury("-n 1", numbers(1...50).utf8)
        let session = try place.start(
            "-q --redeliver again --dead-letter dead --grace 0",
            "cat >> got; touch started; exec sleep 600")
        #expect(place.waitFor("started"))
        session.send(SIGHUP)
        #expect(session.finish().ending == .signal(SIGHUP))
        #expect(try place.lines("again").count == 50)
        #expect(try redeliver("", "cat >> all").ending == .exit(0))
        #expect(try place.lines("all") == (1...50).map { "[\($0)]" })
    }

    @Test(arguments: [1, 3]) func anOutageHoldsItBack(_ jobs: Int) throws {
        try bury("-n 1", numbers(1...30).utf8)
        let line =
            "[ -e well ] || { echo >> tries;"
            + " [ $(wc -l < tries) -lt 9 ] || touch well; exit 1; }; cat"
        let result = try redeliver(
            "-j \(jobs) --keep-order --retries 20 --backoff 1ms..2ms --breaker 3:5ms", line)
        #expect(result.ending == .exit(0))
        #expect(result.lines == (1...30).map { "[\($0)]" })
    }
}
