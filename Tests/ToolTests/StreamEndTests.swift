import Testing

/// sse-decode: how a stream ends, and what is no stream.
@Suite struct StreamEndTests {
    @Test(arguments: rows) func ends(_ row: Case) throws { try row.check() }

    private static let stream = "data: 1\n\nevent: end\ndata: 2\n\ndata: 3\n\n"

    private static let rows: [Case] = [
        .decode("--until leaves the marker out", "-d --until 2", stream, output: "1\n"),
        .decode(
            "--until is about all of the data", "-d --until 1,2 --until 3", stream,
            output: "1\n2\n"),
        .decode("--until-event", "-d --until-event end", stream, output: "1\n"),
        .decode("--until-event message", "-d --until-event message", stream, output: ""),
        .decode(
            "--until sees events that are not selected", "-d -e end --until 1", stream, output: ""),
        .decode(
            "--require-end is content with the end", "-d --until 3 --require-end", stream,
            output: "1\n2\n"),
        .decode(
            "--require-end misses the end", "-d --until 4 --require-end", stream,
            output: "1\n2\n3\n", status: 76,
            errors: "sse-decode: -: the stream was cut off: its end did not come\n"),
        .decode(
            "--require-end at empty input", "-d --until 4 --require-end", "", output: "",
            status: 76, errors: "sse-decode: -: the stream was cut off: its end did not come\n"),
        .decode(
            "--require-end with an unfinished marker", "-d --until 4 --require-end",
            "data: 4\n", output: "", status: 76,
            errors: "sse-decode: -: the stream was cut off: its end did not come\n"),
        .decode(
            "--require-end needs an end", "--require-end", "", output: "", status: 64,
            errors: "sse-decode: --require-end needs --until or --until-event"
                + " to know the end by\n"),
        .decode(
            "--require-end asks every input", "-d --until 2 --require-end prices.sse -", stream,
            output: pricesData, status: 76,
            errors: "sse-decode: prices.sse: the stream was cut off: its end did not come\n"),
        .decode(
            "--fail-on-error at event: error", "-t --fail-on-error",
            "data: 1\n\nevent: error\ndata: no\n\ndata: 2\n\n", output: "1\nno\n", status: 76,
            errors: "sse-decode: -:3: the stream reports an error: no\n"),
        .decode(
            "--fail-on-error at an error member", "-d --fail-on-error",
            "data: {\"error\":null}\n\ndata: {\"x\":{\"error\":1}}\n\ndata: {\"error\":\"x\"}\n\n",
            output: "{\"error\":null}\n{\"x\":{\"error\":1}}\n{\"error\":\"x\"}\n", status: 76,
            errors: "sse-decode: -:5: the stream reports an error: {\"error\":\"x\"}\n"),
        .decode(
            "--fail-on-error where there are no event lines", "-t --fail-on-error",
            "data: 1\n\ndata: {\"type\":\"error\",\"m\":1}\n\ndata: 2\n\n",
            output: "1\n{\"type\":\"error\",\"m\":1}\n", status: 76,
            errors: "sse-decode: -:3: the stream reports an error: {\"type\":\"error\",\"m\":1}\n"),
        .decode(
            "an error is not told as a cut", "-d --until 9 --require-end",
            "event: response.failed\ndata: {\"response\":{\"error\":{\"m\":1}}}\n\n",
            output: "{\"response\":{\"error\":{\"m\":1}}}\n", status: 76,
            errors: "sse-decode: -:1: the stream reports an error: {\"m\":1}\n"),
        .decode(
            "an error behind which the end comes is an event", "-t --until 9 --require-end",
            "event: error\ndata: no\n\ndata: 9\n\n", output: "no\n"),
        .decode(
            "without it an error is an event", "-t", "event: error\ndata: no\n\n", output: "no\n"),
        .decode(
            "an unfinished stream writes what it has, then fails",
            "-d --until 9 --require-end --reorder .n", "data: {\"n\":3}\n\n",
            output: "{\"n\":3}\n", status: 76,
            errors: "sse-decode: -: the stream was cut off: its end did not come\n"),
        .decode(
            "a JSON error body is no stream", "", "{\"error\":{\"message\":\"no\"}}", output: "",
            status: 65,
            errors: "sse-decode: -:1: no event stream,"
                + " it begins with '{\"error\":{\"message\":\"no\"}}'\n"),
        .decode(
            "nor with a line end", "-t --get .a", "{\"error\":1}\n", output: "", status: 65,
            errors: "sse-decode: -:1: no event stream, it begins with '{\"error\":1}'\n"),
        .decode(
            "over several lines it shows all the same", "", "{\n  \"error\": 1\r\n}\n", output: "",
            status: 65,
            errors: "sse-decode: -:1: no event stream, it begins with '{ \"error\": 1 }'\n"),
        .decode(
            "a page without line end is no stream", "", "<html><body>502</body></html>",
            output: "", status: 65,
            errors: "sse-decode: -:1: no event stream,"
                + " it begins with '<html><body>502</body></html>'\n"),
        .decode(
            "skipped, it still shows in the status", "--on-error=skip", "Unauthorized\n",
            output: "", status: 1,
            errors: "sse-decode: -:1: no event stream, it begins with 'Unauthorized'\n"
                + "sse-decode: 1 rejected\n"),
    ]

    private static let pricesData = (try? run("sse-decode", "-d prices.sse").text) ?? ""

    @Test func cutOffSample() throws {
        let result = try run("sse-decode", "-d --require-end --until [DONE] cut-off.sse")
        #expect(result.ending == .exit(76))
        let all = try run("sse-decode", "-d cut-off.sse")
        #expect(all.ending == .exit(0))
        #expect(result.text == all.text)
        #expect(result.lines.count > 10)
    }

    @Test func endedSamples() throws {
        for (name, end) in [
            ("openai.sse", "--until [DONE]"),
            ("anthropic.sse", "--until-event message_stop"),
        ] {
            let result = try run("sse-decode", "-d --require-end \(end) \(name)")
            #expect(result.ending == .exit(0))
            #expect(result.errors.isEmpty)
            let all = try run("sse-decode", "-d \(name)")
            #expect(result.lines.count == all.lines.count - 1)
        }
    }

    @Test func errorInMidStream() throws {
        let result = try run("sse-decode", "-d --fail-on-error mid-error.sse")
        #expect(result.ending == .exit(76))
        #expect(result.lines.last?.hasPrefix("{\"error\":{\"message\":\"The model is over") == true)
        #expect(result.errors.hasPrefix("sse-decode: mid-error.sse:35: the stream reports"))
    }

    @Test(arguments: ["error.json", "page.html", "access.jsonl"])
    func noStream(_ name: String) throws {
        let result = try run("sse-decode", name)
        #expect(result.ending == .exit(65))
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("sse-decode: \(name):1: no event stream, it begins with '"))
        #expect(result.errors.split(separator: "\n").count == 1)
        let minified = try shell("tr -d '\\n' < \(name) | sse-decode --all")
        #expect(minified.ending == .exit(65))
        #expect(minified.output.isEmpty)
        #expect(minified.errors.contains("no event stream"))
    }

    @Test func aLargePageIsRejectedOnce() throws {
        let page = "<!DOCTYPE html>\n" + String(repeating: "<p>Not here.</p>\n", count: 100_000)
        let result = try run("sse-decode", "--on-error=skip", page)
        #expect(result.ending == .exit(1))
        #expect(result.errors.hasSuffix("sse-decode: 1 rejected\n"))
        #expect(result.errors.split(separator: "\n").count == 2)
    }

    @Test func aPageIsNoticedBeforeTheConnectionEnds() throws {
        let session = try start("sse-decode", "")
        session.write(String(repeating: "<p>Not here.</p>\n", count: 2000))
        #expect(session.finish().ending == .exit(65))
    }

    @Test func theMarkerEndsAStreamThatIsHeldOpen() throws {
        let session = try start("sse-decode", "-d --until [DONE] --require-end")
        session.write("data: 1\n\ndata: [DONE]\n\n")
        let result = session.finish()
        #expect(result.text == "1\n")
        #expect(result.ending == .exit(0))
    }

    /// It ends a pipe that stays open, too, and writes what was held back.
    @Test func maxTimeOfAPipe() throws {
        let events = "data: {\"n\":1}\n\ndata: {\"n\":3}\n\n"
        for (options, status) in [("", 0), ("--until 9 --require-end", 76)] as [(String, Int32)] {
            let session = try start(
                "sse-decode", "-d --reorder .n --max-wait 1000s --max-time 1s \(options)")
            session.write(events)
            #expect(session.prints("{\"n\":1}\n{\"n\":3}\n"))
            #expect(session.waitForEnd() == .exit(status))
        }
    }
}
