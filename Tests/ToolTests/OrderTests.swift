import Glibc
import Testing

/// sse-decode: --dedup, --reorder and --join-chunks.
@Suite struct OrderTests {
    @Test(arguments: dedup + reorder + chunks) func orders(_ row: Case) throws { try row.check() }

    private static func events(_ numbers: Int...) -> String {
        numbers.map { "id: \($0)\ndata: {\"n\":\($0)}\n\n" }.joined()
    }

    private static func lines(_ numbers: Int...) -> String {
        numbers.map { "{\"n\":\($0)}\n" }.joined()
    }

    private static let dedup: [Case] = [
        .decode("--dedup", "-d --dedup", events(1, 2, 1, 3, 2), output: lines(1, 2, 3)),
        .decode("--dedup=1 forgets", "-d --dedup=1", events(1, 2, 1, 1), output: lines(1, 2, 1)),
        .decode(
            "events without an id pass", "-t --dedup", "data: a\n\ndata: a\n\n", output: "a\na\n"),
        .decode(
            "an empty id is none", "-t --dedup", "id\ndata: a\n\nid\ndata: a\n\n",
            output: "a\na\n"),
        .decode(
            "ids are text", "-t --dedup", "id: 1\ndata: a\n\nid: 01\ndata: b\n\n",
            output: "a\nb\n"),
        .decode(
            "--dedup reaches over inputs", "-d --dedup -e status prices.sse prices.sse",
            output: "{\"market\":\"open\"}\n{\"market\":\"closed\"}\n{\"market\":\"open\"}\n"),
    ]

    private static func missing(_ what: String, line: Int) -> String {
        "sse-decode: -:\(line): \(what) missing\n"
    }

    private static let reorder: [Case] = [
        .decode(
            "--reorder", "-d --reorder .n", events(1, 3, 2, 5, 4, 6),
            output: lines(1, 2, 3, 4, 5, 6)),
        .decode("it may begin with 0", "-d --reorder .n", events(0, 2, 1), output: lines(0, 1, 2)),
        .decode(
            "it may begin anywhere", "-d --reorder .n", events(8, 7, 9), output: lines(7, 8, 9)),
        .decode(
            "a gap is reported", "-d --reorder .n", events(1, 2, 5), output: lines(1, 2, 5),
            errors: missing("numbers 3 to 4 are", line: 7)),
        .decode(
            "what does not fit the window goes, what is late is written",
            "-d --reorder .n --window 2", events(1, 3, 4, 5, 2), output: lines(1, 3, 4, 5, 2),
            errors: missing("number 2 is", line: 4) + "sse-decode: -:13: number 2 came late\n"),
        .decode(
            "old numbers are written again, or dropped", "-qd --reorder .n --late write",
            events(1, 2, 3, 3, 4, 5, 2, 6), output: lines(1, 2, 3, 3, 4, 5, 2, 6)),
        .decode(
            "--late drop", "-qd --reorder .n --late drop", events(1, 2, 3, 3, 4, 5, 2, 6),
            output: lines(1, 2, 3, 4, 5, 6)),
        .decode(
            "--late drop forgets no gap", "-d --reorder .n --window 2 --late=drop",
            events(1, 3, 4, 5, 2), output: lines(1, 3, 4, 5),
            errors: missing("number 2 is", line: 4) + "sse-decode: -:13: number 2 came late\n"),
        .decode(
            "what is held goes out before a failure", "-d --reorder .n --max-line 20",
            events(1, 3) + "data: 123456789012345678901\n\n", output: lines(1, 3), status: 65,
            errors: missing("number 2 is", line: 4)
                + "sse-decode: -:7: event longer than 20 bytes (see --max-line)\n"),
        .decode(
            "--quiet keeps silent about it", "-qd --reorder .n", events(1, 5), output: lines(1, 5)),
        .decode(
            "what has no number passes", "-t --reorder .n",
            "data: {\"n\":1}\n\ndata: {\"n\":3}\n\ndata: x\n\ndata: {\"n\":2}\n\n",
            output: "{\"n\":1}\nx\n{\"n\":2}\n{\"n\":3}\n"),
        .decode(
            "-n counts what was put in order", "-d -n 2 --reorder .n", events(1, 3, 2, 4),
            output: lines(1, 2)),
        .decode(
            "--until writes what is held", "-d --until [DONE] --reorder .n",
            events(1, 3) + "data: [DONE]\n\n", output: lines(1, 3),
            errors: missing("number 2 is", line: 4)),
        .decode(
            "numbers at the ends of what fits", "-d --reorder .n",
            events(-.max - 1, .max, 0), output: lines(-.max - 1, 0, .max),
            errors: "sse-decode: -:7: numbers -9223372036854775807 to -1 are missing\n"
                + "sse-decode: -:4: numbers 1 to 9223372036854775806 are missing\n"),
        .decode(
            "what is no whole number passes", "-t --reorder .n",
            "data: {\"n\":1.5}\n\ndata: {\"n\":\"2\"}\n\ndata: {\"n\":99999999999999999999}\n\n",
            output: "{\"n\":1.5}\n{\"n\":\"2\"}\n{\"n\":99999999999999999999}\n"),
        .decode(
            "a sender that begins anew", "-qd --reorder .n --window 2",
            events(1, 2, 3, 4, 5, 1, 2, 3, 5, 4), output: lines(1, 2, 3, 4, 5, 1, 2, 3, 4, 5)),
        .decode(
            "it is told once", "-d --reorder .n --window 2", events(1, 2, 3, 4, 5, 1, 2, 3, 4),
            output: lines(1, 2, 3, 4, 5, 1, 2, 3, 4),
            errors: "sse-decode: -:22: the numbers begin anew at 1\n"),
        .decode(
            "its first numbers are not late", "-d --reorder .n --window 2 --late drop",
            events(1, 2, 3, 4, 5, 1, 2, 3, 4), output: lines(1, 2, 3, 4, 5, 1, 2, 3, 4),
            errors: "sse-decode: -:22: the numbers begin anew at 1\n"),
        .decode(
            "two stragglers are dropped, also at the end",
            "-d --reorder .n --window 2 --late drop", events(1, 2, 3, 4, 5, 1, 2, 6, 1),
            output: lines(1, 2, 3, 4, 5, 6),
            errors: [(16, 1), (19, 2), (25, 1)].map {
                "sse-decode: -:\($0.0): number \($0.1) came late\n"
            }.joined()),
        .decode(
            "--by", "-t --reorder .n --by .k",
            ["a1", "b1", "b3", "a2", "b2"].map {
                "data: {\"k\":\"\($0.first!)\",\"n\":\($0.last!)}\n\n"
            }.joined(),
            output: ["a1", "b1", "a2", "b2", "b3"].map {
                "{\"k\":\"\($0.first!)\",\"n\":\($0.last!)}\n"
            }.joined()),
        .decode(
            "--dedup before --reorder", "-d --dedup --reorder .n", events(1, 3, 3, 2),
            output: lines(1, 2, 3)),
    ]

    private static func chunk(_ id: String, _ seq: Int, _ total: Int, _ data: String) -> String {
        "data: {\"type\":\"chunk\",\"id\":\"\(id)\",\"seq\":\(seq),\"total\":\(total),"
            + "\"data\":\"\(data)\"}\n\n"
    }

    private static let chunks: [Case] = [
        .decode(
            "chunks of two messages, mixed", "-t --join-chunks",
            chunk("a", 0, 2, "x") + chunk("b", 1, 2, "B") + "data: plain\n\n"
                + chunk("b", 0, 2, "b") + chunk("a", 1, 2, "y"),
            output: "plain\nbB\nxy\n"),
        .decode(
            "escapes in chunks", "-t --join-chunks",
            chunk("a", 0, 2, "\\\"\\u2615") + chunk("a", 1, 2, "\\n"), output: "\"☕\n\n"),
        .decode(
            "a chunk that is missing is rejected", "-t --join-chunks",
            "data: 1\n\n" + chunk("a", 0, 3, "x") + chunk("a", 2, 3, "z") + "data: 2\n\n",
            output: "1\n2\n", status: 65,
            errors: "sse-decode: -:3: chunks of a message are missing\n"),
        .decode(
            "or skipped", "-t --join-chunks --on-error=skip",
            chunk("a", 0, 2, "x") + "data: 2\n\n", output: "2\n", status: 1,
            errors: "sse-decode: -:1: chunks of a message are missing\n"
                + "sse-decode: 1 rejected\n"),
        .decode(
            "the oldest of too many gives way", "-t --join-chunks=1 --on-error=skip",
            chunk("a", 0, 2, "x") + chunk("b", 0, 2, "y") + chunk("b", 1, 2, "z"),
            output: "yz\n", status: 1,
            errors: "sse-decode: -:1: chunks of a message are missing\n"
                + "sse-decode: 1 rejected\n"),
        .decode(
            "a chunk that cannot be", "-t --join-chunks", "data: 1\n\n" + chunk("a", 2, 2, "x"),
            output: "1\n", status: 65, errors: "sse-decode: -:3: chunk 2 of 2 cannot be\n"),
        .decode(
            "a total that nobody can send costs no memory", "-t --join-chunks",
            chunk("a", 0, 9_000_000, "x"), output: "", status: 65,
            errors: "sse-decode: -:1: chunks of a message are missing\n"),
        .decode(
            "without --join-chunks a chunk is data", "-d", chunk("a", 0, 2, "x"),
            output: "{\"type\":\"chunk\",\"id\":\"a\",\"seq\":0,\"total\":2,\"data\":\"x\"}\n"),
    ]

    /// They were rejected as an empty text.
    @Test func missingChunksAreRejectedAsTheyCame() throws {
        let folder = try TemporaryFolder()
        let events = Self.chunk("a", 2, 3, "z") + Self.chunk("a", 0, 3, "x")
        let result = try run(
            "sse-decode", "-t -q --join-chunks --rejects \(folder.file("r"))", events)
        #expect(result.ending == .exit(1))
        let raw = try shell("jq -r .raw \(folder.file("r"))")
        let data = events.split(separator: "\n").map { String($0.dropFirst("data: ".count)) }
        #expect(raw.lines == data.reversed())
    }

    @Test func dedupOfTheSample() throws {
        let all = try run("sse-decode", "prices.sse").lines
        var seen: Set<String> = []
        let expected = all.filter { line in
            guard let id = object(line)["id"] as? String else { return true }
            return seen.insert(id).inserted
        }
        #expect(expected.count < all.count)
        #expect(try run("sse-decode", "--dedup prices.sse").lines == expected)
    }

    @Test func maxWaitNeedsNoFurtherInput() throws {
        let session = try start("sse-decode", "-d --reorder .n --max-wait 300ms")
        let began = now()
        session.write(Self.events(1, 3))
        #expect(session.wait { $0.text.hasPrefix(Self.lines(1)) })
        #expect(session.prints(Self.lines(1, 3)))
        #expect(now() - began >= 0.3)
        #expect(session.wait { $0.errors == Self.missing("number 2 is", line: 4) })
        session.write(Self.events(2, 4))
        #expect(session.prints(Self.lines(1, 3, 2, 4)))
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test(arguments: [4, 5, 7, 100]) func chunksRoundTrip(_ size: Int) throws {
        let lines =
            #""größe ☕ 𝄞𝄞𝄞 \ud834\udd1e \"quoted\" \\ back\nnew line and so on""# + "\n"
            + #"{"k":"größe ☕ 𝄞","n":[1.00,null,9007199254740993]}"# + "\n" + #""x""# + "\n"
            + #""𝄞𝄞""# + "\n"
        let cut = try run("sse-encode", "-d --chunk \(size)", lines)
        #expect(cut.ending == .exit(0))
        let joined = try run("sse-decode", "-d --join-chunks", cut.text)
        #expect(joined.text == lines)
        #expect(joined.ending == .exit(0))
        for line in try run("sse-decode", "-d", cut.text).lines {
            guard let piece = object(line)["data"] as? String else { continue }
            #expect((1...size).contains(piece.utf8.count))
        }
    }

    @Test func chunkedRecordsKeepTypeAndID() throws {
        let records =
            #"{"event":"log","id":"7","data":"one two three\nfour"}"# + "\n"
            + #"{"event":"log","id":"8","data":"short"}"# + "\n"
        let cut = try run("sse-encode", "--chunk 6", records)
        #expect(cut.text.components(of: "id: 7\n") == 2)
        #expect(cut.text.components(of: "event: log\n") == 5)
        #expect(try run("sse-decode", "--join-chunks", cut.text).text == records)
    }
}

extension String {
    /// How many pieces the separator makes of it.
    fileprivate func components(of separator: String) -> Int {
        ranges(of: separator).count + 1
    }
}
