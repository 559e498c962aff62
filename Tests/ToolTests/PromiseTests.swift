import Foundation
import Testing

/// Promises of the manual pages that were broken once.
@Suite(.serialized) struct PromiseTests {
    /// The buffer had been written just before, so the flush thought there was nothing to do.
    @Test func compressedOutputIsFlushedAfterALargeEvent() throws {
        let session = try Session("/bin/sh", ["-c", "sse-encode -dz | sse-decode -d"])
        let line = "\"" + String(repeating: "0", count: 300_000) + "\"\n"
        session.write(line)
        let isThere = session.prints(line)
        #expect(isThere)
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test func countersDoNotReplaceTheOutput() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("out")
        let result = try shell("sse-decode -d -n 1 --stats=/dev/stdout prices.sse > '\(file)'")
        #expect(result.ending == .exit(0))
        let lines = try folder.read("out").split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.last?.contains("\"records_out\":1") == true)
    }

    @Test func badGzipIsPassedOverWithSkip() throws {
        let command =
            "f=$(mktemp) && printf 'data: 1\\n\\n' | gzip | head -c 12 > $f;"
            + " printf 'data: 2\\n\\n' | sse-decode -d --on-error=skip $f -; s=$?; rm $f; exit $s"
        let result = try shell(command)
        #expect(result.text == "2\n")
        #expect(result.ending == .exit(1))
        #expect(result.errors.contains("gzip data ends too early"))
    }

    static let chunk = #"data: {"type":"chunk","id":"1","seq":0,"total":2,"data":"a"}"# + "\n\n"

    @Test(arguments: [
        ("--fail-on-error", "event: error\ndata: no\n\n", 76),
        ("--until [DONE] --require-end", "data: b\n\n", 76),
        ("-n1", "data: b\n\n", 0), ("", "data: b\n\n", 65),
    ])
    func missingChunksHideNothing(_ options: String, _ rest: String, _ status: Int32) throws {
        let result = try run("sse-decode", "-d --join-chunks \(options)", Self.chunk + rest)
        #expect(result.ending == .exit(status))
    }

    @Test func countersThatCannotBeWrittenHideNothing() throws {
        let result = try run("sse-encode", "-d --stats=/nonexistent/x", "[\n")
        #expect(result.ending == .exit(65))
        #expect(result.errors.contains("-:1:2:"))
        let early = try run("sse-encode", "-d --metrics-file=/nonexistent/x", "1\n")
        #expect(early.ending == .exit(73))
        #expect(early.text == "")
    }

    /// The tool waits for a writer: the state in proc_pid_stat(5) is S.
    private static let opening =
        "d=$(mktemp -d) && mkfifo $d/f; sse-decode -d $d/f 2> $d/e & p=$!;"
        + " until grep -q '(sse-decode) S ' /proc/$p/stat; do sleep .01; done;"

    @Test func aSignalWhileAFIFOIsOpened() throws {
        let command =
            Self.opening + " kill -USR1 $p; until [ -s $d/e ]; do sleep .01; done;"
            + " printf 'data: 1\\n\\n' > $d/f; wait $p; s=$?; cat $d/e >&2; rm -r $d; exit $s"
        let result = try shell(command)
        #expect(result.text == "1\n")
        #expect(result.ending == .exit(0))
        #expect(result.errors.contains("\"records_in\":0"))
        let stopped = try shell(
            Self.opening + " kill $p; wait $p; s=$?; rm -r $d; exit $s")
        #expect(stopped.ending == .exit(143))
    }

    @Test func nothingWaitsWhileTheNextOperandIsSilent() throws {
        let session = try start("sse-decode", "-d --until [DONE] - /dev/stdin")
        session.write("data: 1\n\ndata: [DONE]\n\n")
        #expect(session.prints("1\n"))
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test func longPathsAreRefused() throws {
        let path = String(repeating: ".a", count: 300)
        let result = try run("sse-decode", ["-d", "--get", path], "".utf8)
        #expect(result.ending == .exit(64))
        #expect(result.errors.contains("256 steps"))
    }

    @Test func heartbeatsLeaveTimeForTheInput() throws {
        #expect(try run("sse-encode", "-d --heartbeat 1ns").ending == .exit(64))
        // Those that are due before the input comes stand in front.
        let text = try run("sse-encode", "-d --heartbeat 1ms", "1\n").text
        #expect(text.replacing(": heartbeat\n\n", with: "") == "data: 1\n\n")
    }

    @Test func strangersDoNotWriteToTheTerminal() throws {
        let result = try run(
            "sse-decode", "--fail-on-error", "event: error\ndata: a\ndata: \u{1B}[31m<0>forged\n\n")
        #expect(result.errors.contains("a \\u{1b}[31m<0>forged"))
        #expect(result.errors.filter { $0 == "\n" }.count == 1)
    }

    @Test func rawOfALongEventIsItsData() throws {
        let folder = try TemporaryFolder()
        let stream = "data: abc\ndata: def\ndata: ghi\n\n"
        _ = try run("sse-decode", "--max-line 20 --rejects \(folder.file("r"))", stream)
        #expect(try folder.read("r").contains(#""raw":"abc\ndef""#))
    }

    @Test func theBeginningOfAnAnswerDoesNotDependOnTheReads() throws {
        let result = try shell(
            "(printf '\\n\\n{'; sleep .3; printf '\"error\":1}\\n') | sse-decode")
        #expect(result.errors.contains(#"it begins with '{"error":1}'"#))
    }

    @Test func theLabelIsTheNameWithoutItsEnding() throws {
        let folder = try TemporaryFolder()
        _ = try run("sse-decode", "--metrics-file \(folder.file("a.b.prom"))", "data: 1\n\n")
        #expect(try folder.read("a.b.prom").contains(#"name="a.b""#))
    }

    @Test func noHeadBeforeAnInputIsOpen() throws {
        let result = try run("sse-encode", "-d --http /nonexistent")
        #expect(result.text == "")
        #expect(result.ending == .exit(66))
    }

    @Test func anErrorBehindWhiteSpaceIsOne() throws {
        let result = try run(
            "sse-decode", "--fail-on-error", "data:\ndata:  {\"error\":{\"message\":\"x\"}}\n\n")
        #expect(result.ending == .exit(76))
    }

    @Test func doneWithEmptyData() throws {
        #expect(try run("sse-encode", "-d --done=").text == "data: \n\n")
        #expect(try run("sse-encode", "-d --done").text == "event: done\ndata: \n\n")
    }

    /// The last event id of an event is that of the stream, whatever was selected.
    @Test func theIDOfAnExcludedEventIsKept() throws {
        let stream = "event: x\nid: 7\ndata: a\n\ndata: b\n\ndata: c\n\n"
        #expect(
            try run("sse-decode", "-e message", stream).text
                == "{\"event\":\"message\",\"id\":\"7\",\"data\":\"b\"}\n"
                + "{\"event\":\"message\",\"data\":\"c\"}\n")
    }

    /// Took time that grew with the square of the window.
    @Test func aWideWindow() throws {
        let numbers = (2...20_000).map { "data: {\"n\":\($0)}\n\n" }.joined()
        let result = try run(
            "sse-decode", "-d --reorder .n --window 100000 --max-wait 1h", numbers)
        #expect(result.text.split(separator: "\n").count == 19_999)
        #expect(result.ending == .exit(0))
    }
}
