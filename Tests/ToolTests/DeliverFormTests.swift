import Foundation
import Glibc
import Testing

/// stream-batch: what commands are told of their batch, and what becomes of what they write.
@Suite(.serialized) struct DeliverFormTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    // MARK: The end of an output

    /// The answers of three requests came as {"ok":1}{"ok":1}{"ok":1}.
    @Test(arguments: ["", "-j 3 --keep-order"]) func outputsStayApart(_ options: String) throws {
        for (line, output) in [
            ("printf $BATCH_SEQ", "1\n2\n3\n"), ("echo $BATCH_SEQ", "1\n2\n3\n"),
            ("printf '%s\\r' $BATCH_SEQ", "1\r\n2\r\n3\r\n"), ("true", ""),
            ("printf '\\n'", "\n\n\n"), ("[ $BATCH_SEQ = 3 ] || printf é", "é\né\n"),
        ] {
            let result = try place.run("-n 1 \(options)", line, numbers(1...3))
            #expect(result.text == output)
            #expect(result.ending == .exit(0))
        }
    }

    @Test func partsStayApart() throws {
        let line = "[ $BATCH_COUNT = 1 ] || exit 1; printf $BATCH_PART"
        let result = try place.run("--bisect --dead-letter dead", line, numbers(1...3))
        #expect(result.text == "1-1\n2-2\n3-3\n")
    }

    /// A line feed between two members made the second one garbage.
    @Test func binaryOutputIsLeftAlone() throws {
        let whole = try place.run("-n 1 -f lines", "gzip -c", numbers(1...3))
        let inflated = try run("stream-sample", ["-t", "-p1"], whole.output)
        #expect(inflated.text == numbers(1...3))
        #expect(inflated.errors.isEmpty)
        for (line, output) in [
            ("printf 'a\\0'", "a\0a\0a\0"), ("printf '\\377'", "\u{FFFD}\u{FFFD}\u{FFFD}"),
        ] {
            let result = try place.run("-n 1", line, numbers(1...3))
            #expect(result.text == output)
        }
    }

    @Test func noNewline() throws {
        let result = try place.run("-n 1 --no-newline", "printf $BATCH_SEQ", numbers(1...3))
        #expect(result.text == "123")
    }

    @Test func compressed() throws {
        let result = try place.run("-n 1 -z", "printf $BATCH_SEQ", numbers(1...3))
        #expect(try run("stream-sample", ["-t", "-p1"], result.output).text == "1\n2\n3\n")
    }

    // MARK: The name of a delivery

    private static let tell = "echo \"$BATCH_RUN $BATCH_SEQ\" >> got"

    @Test func aRunHasAName() throws {
        var runs: Set<String> = []
        for _ in 1...2 {
            let session = try place.start(
                words("-n 1 -j 2 --retries 1 --backoff 1ms..1ms") + [
                    "-x", "echo $BATCH_RUN; [ $BATCH_ATTEMPT = 2 ]",
                ], environment: ["BATCH_RUN": "inherited"])
            session.write(numbers(1...4))
            session.closeInput()
            let names = Set(session.finish().lines)
            #expect(names.count == 1)
            #expect(try #require(names.first).wholeMatch(of: #/[0-9a-f]{32}/#) != nil)
            runs.formUnion(names)
        }
        #expect(runs.count == 2)
    }

    /// A batch that comes again after a crash has the name that it had: else an endpoint with
    /// idempotency keys took it twice.
    @Test func aJournalKeepsTheName() throws {
        let options = "-n 1 --journal j"
        let killed = try place.start(options, Self.tell + "; [ $BATCH_SEQ = 1 ] || kill -9 $PPID")
        killed.write(numbers(1...2))
        #expect(killed.finish().ending == .signal(SIGKILL))
        #expect(try place.run(options, Self.tell, "3\n").ending == .exit(0))
        #expect(try place.run(options, Self.tell, "4\n").ending == .exit(0))
        let told = try place.lines("got").map { $0.split(separator: " ").map(String.init) }
        #expect(told.map { $0[1] } == ["1", "2", "2", "3", "4"])
        #expect(Set(told.map { $0[0] }).count == 1)
        // Another journal counts anew.
        _ = try place.shell("rm -r j")
        #expect(try place.run(options, Self.tell, "5\n").ending == .exit(0))
        let last = try #require(try place.lines("got").last).split(separator: " ").map(String.init)
        #expect(last[1] == "1")
        #expect(last[0] != told[0][0])
    }

    // MARK: Its time

    @Test(arguments: ["-t 10s", "-i 5s", "-t 10s --sliding 5s"])
    func timesAreThoseOfTheObject(_ options: String) throws {
        let lines = "{\"t\":1.5}\n{\"t\":3}\n{\"t\":12}\n{\"t\":\"2001-01-01T00:00:00.25Z\"}\n"
        let line = "jq -c '[.from, .to]'; echo \"[\\\"$BATCH_FROM\\\",\\\"$BATCH_TO\\\"]\""
        let result = try place.run(
            "--time .t --max-gap 0 -f object \(options)", line, lines)
        let pairs = result.lines
        #expect(pairs.count >= 6)
        for index in stride(from: 0, to: pairs.count, by: 2) {
            #expect(pairs[index] == pairs[index + 1])
        }
        #expect(pairs[0].hasPrefix("[\"19"))
    }

    @Test func theTimeOfArrival() throws {
        let result = try place.run("", "echo $BATCH_FROM; echo $BATCH_TO", numbers(1...2))
        let form = #/20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ/#
        #expect(result.lines.count == 2)
        #expect(result.lines.allSatisfy { $0.wholeMatch(of: form) != nil })
    }

    // MARK: Who may read it

    @Test func filesWithDataAreTheirOwners() throws {
        let line = "umask 022; rm -f r d; "
        for tool in [
            "sse-encode -d", "sse-decode -d --max-line 1", "stream-sample --strict -p1",
            "stream-batch",
        ] {
            let input = tool.hasPrefix("sse-decode") ? "data: abc\n\n" : "{\n"
            let result = try place.shell(
                line + "\(tool) -q --rejects r >/dev/null; stat -c %a r", input)
            #expect(result.text == "600\n", "\(tool)")
        }
        let letters = try place.shell(
            line + "stream-batch -q --dead-letter d -- false; stat -c %a d", "1\n")
        #expect(letters.text == "600\n")
        // One that somebody made for others stays theirs.
        let made = try place.shell(
            line + ": > r; : > d; stream-batch -q --rejects r --dead-letter d -- false;"
                + " stat -c %a r d", "1\n{\n")
        #expect(made.text == "644\n644\n")
    }
}
