import Foundation
import Testing

/// Counters and diagnostics.
@Suite struct ReportTests {
    @Test func stats() throws {
        let result = try run("sse-decode", "-d --stats -e status --dedup prices.sse")
        let stats = object(result.errors)
        #expect(result.errors.hasSuffix("}\n") && result.errors.split(separator: "\n").count == 1)
        #expect(stats["tool"] as? String == "sse-decode")
        #expect(stats["version"] as? String == "0.1.0")
        #expect(stats["input_bytes"] as? Int == (try Files.sample("prices.sse").utf8.count))
        #expect(stats["output_bytes"] as? Int == result.output.count)
        #expect(stats["records_in"] as? Int == 52)
        #expect(stats["records_out"] as? Int == 2)
        #expect(stats["dropped"] as? Int == 50)
        #expect(stats["rejected"] as? Int == 0)
        #expect((stats["elapsed_seconds"] as? Double ?? -1) >= 0)
    }

    @Test func statsFile() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("stats.json")
        let result = try run(
            "sse-encode", "-dq --on-error=skip --stats=\(file)", "1\nx\n2\n\n")
        #expect(result.errors.isEmpty)
        let stats = object(try folder.read("stats.json"))
        #expect(stats["records_in"] as? Int == 3)
        #expect(stats["records_out"] as? Int == 2)
        #expect(stats["rejected"] as? Int == 1)
        #expect(stats["input_bytes"] as? Int == 7)
        #expect(stats["output_bytes"] as? Int == 18)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["stats.json"])
    }

    @Test func statsOfGzipCountWhatIsOnTheWire() throws {
        let result = try shell("gzip -c openai.sse | sse-decode -z --stats")
        let stats = object(result.errors)
        #expect(stats["input_bytes"] as? Int ?? 0 < 5000)
        #expect(stats["output_bytes"] as? Int == result.output.count)
    }

    @Test func statsAfterAFailure() throws {
        let result = try run("sse-encode", "-d --stats", "1\nx\n")
        #expect(result.ending == .exit(65))
        let lines = result.errors.split(separator: "\n").map(String.init)
        #expect(lines.contains { object($0)["records_out"] as? Int == 1 })
        #expect(lines.contains("sse-encode: -:2:1: expected a JSON value (--text takes any line)"))
    }

    @Test func aStatsFileThatCannotBeMade() throws {
        let result = try run("sse-encode", "-d --stats=/nonexistent/x", "1\n")
        #expect(result.ending == .exit(73))
        #expect(result.text == "data: 1\n\n")
        #expect(result.errors.contains("/nonexistent/x"))
    }

    /// Replacing /dev/null or /dev/stderr by a file is what root would get.
    @Test func specialFilesAreWrittenToAndStay() throws {
        let folder = try TemporaryFolder()
        let fifo = folder.file("fifo")
        for option in ["--stats", "--metrics-file"] {
            #expect(mkfifo(fifo, 0o600) == 0)
            // Both ways at once, so that neither side has to wait for the other.
            let reader = open(fifo, O_RDWR | O_CLOEXEC | O_NONBLOCK)
            let result = try run("sse-decode", "-d \(option)=\(fifo) -e status prices.sse")
            #expect(result.ending == .exit(0))
            var buffer = [UInt8](repeating: 0, count: 4096)
            let size = max(read(reader, &buffer, buffer.count), 0)
            close(reader)
            #expect(String(decoding: buffer[..<size], as: UTF8.self).contains("records_out"))
            let attributes = try FileManager.default.attributesOfItem(atPath: fifo)
            #expect(attributes[.type] as? FileAttributeType == .typeUnknown)
            try FileManager.default.removeItem(atPath: fifo)
        }
    }

    @Test func aLinkStaysALink() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("old", to: "real")
        let link = folder.file("link")
        #expect(symlink(file, link) == 0)
        #expect(try run("sse-decode", "-d --stats=\(link) prices.sse").ending == .exit(0))
        #expect(try object(folder.read("real"))["records_in"] as? Int == 52)
    }

    @Test func statsToADescriptor() throws {
        let result = try shell("sse-decode -d --stats=/dev/fd/3 prices.sse 3>&1 >/dev/null")
        #expect(object(result.text)["records_in"] as? Int == 52)
        #expect(result.ending == .exit(0))
    }

    @Test func statsAndMetricsAfterASignal() throws {
        let folder = try TemporaryFolder()
        let session = try start("sse-decode", "-d --stats --metrics-file=\(folder.file("m.prom"))")
        session.write("data: 1\n\n")
        #expect(session.prints("1\n"))
        session.send(SIGTERM)
        let result = session.finish()
        #expect(result.ending == .signal(SIGTERM))
        #expect(object(result.errors)["records_out"] as? Int == 1)
        #expect(try folder.read("m.prom").contains("records_out_total"))
    }

    // MARK: --metrics-file

    @Test func aLabelIsEscaped() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("a\"b\\c.prom")
        let result = try run("sse-decode", ["-d", "--metrics-file", file], "".utf8)
        #expect(result.ending == .exit(0))
        let text = try String(contentsOfFile: file, encoding: .utf8)
        #expect(text.contains(#"name="a\"b\\c"} "#))
    }

    @Test func metricsFile() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("feed.prom")
        let result = try run("sse-decode", "-d --dedup --metrics-file \(file) prices.sse")
        let text = try folder.read("feed.prom")
        let labels = "{tool=\"sse-decode\",name=\"feed\"}"
        for (name, count) in [
            ("input_bytes", 5175), ("output_bytes", result.output.count), ("records_in", 52),
            ("records_out", result.lines.count), ("rejected", 0),
            ("dropped", 52 - result.lines.count), ("duplicates", 52 - result.lines.count),
        ] {
            let metric = "streamutils_\(name)_total"
            #expect(text.contains("# TYPE \(metric) counter\n\(metric)\(labels) \(count)\n"))
            #expect(text.contains("# HELP \(metric) "))
        }
        #expect(text.contains("# TYPE streamutils_elapsed_seconds gauge\n"))
        #expect(text.hasSuffix("\n"))
        // What did not happen is counted, too: rate() would miss the first.
        #expect(text.contains("\nstreamutils_gaps_total\(labels) 0\n"))
        let sample = /[a-z_]+\{tool="sse-decode",name="feed"(,le="[^"]+")?\} [0-9.]+/
        for line in text.split(separator: "\n") where !line.hasPrefix("# ") {
            #expect(line.wholeMatch(of: sample) != nil)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["feed.prom"])
    }

    @Test func metricsFileIsReplacedWhileTheToolRuns() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("feed.prom")
        let session = try start(
            "sse-decode", "-d --metrics-file \(file) --metrics-interval 20ms")
        session.write("data: 1\n\n")
        #expect(session.prints("1\n"))
        var changes = 0
        var last: UInt64 = 0
        let limit = now() + patience
        while changes < 10 && now() < limit {
            usleep(2000)
            guard let data = FileManager.default.contents(atPath: file) else { continue }
            let text = String(decoding: data, as: UTF8.self)
            #expect(text.hasPrefix("# HELP streamutils_input_bytes_total "))
            #expect(text.contains("streamutils_elapsed_seconds{") && text.hasSuffix("\n"))
            let attributes = try FileManager.default.attributesOfItem(atPath: file)
            let number = attributes[.systemFileNumber] as? UInt64 ?? 0
            changes += number == last ? 0 : 1
            last = number
        }
        #expect(changes == 10)
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
        #expect(try folder.read("feed.prom").contains("records_out_total{tool=\"sse-decode\""))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 1)
    }

    @Test func metricsFileOfAnIdleTool() throws {
        let folder = try TemporaryFolder()
        let session = try start(
            "sse-decode", "--metrics-file \(folder.file("m.prom")) --metrics-interval 50ms")
        let limit = now() + patience
        while !FileManager.default.fileExists(atPath: folder.file("m.prom")) && now() < limit {
            usleep(1000)
        }
        #expect(FileManager.default.fileExists(atPath: folder.file("m.prom")))
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    // MARK: Diagnostics

    @Test func logFormatJSON() throws {
        let result = try run(
            "sse-encode", "-dv --log-format=json --on-error=skip --stats - none.jsonl",
            "1\n{\"a\" 1}\n")
        let lines = result.errors.split(separator: "\n").map { object(String($0)) }
        #expect(lines.count >= 4)
        #expect(lines.allSatisfy { $0["tool"] as? String == "sse-encode" })
        let bad = lines.first { $0["line"] != nil } ?? [:]
        #expect(bad["level"] as? String == "warning")
        #expect(bad["input"] as? String == "-")
        #expect(bad["line"] as? Int == 2)
        #expect(bad["byte"] as? Int == 6)
        #expect(bad["message"] as? String == "expected ':' after object key")
        let time = try #require(bad["time"] as? String)
        #expect(time.wholeMatch(of: /20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ/) != nil)
        #expect(lines.contains { $0["level"] as? String == "info" })
        #expect(lines.contains { $0["level"] as? String == "error" })
    }

    @Test func logFormatJSONOfAFailure() throws {
        let result = try run("sse-encode", "-d --log-format=json", "1\nx")
        let line = object(result.errors)
        #expect(line["level"] as? String == "error")
        #expect((line["message"] as? String)?.contains("expected a JSON value") == true)
        #expect(line["line"] as? Int == 2)
    }

    @Test func verbose() throws {
        let result = try run("sse-decode", "-dv -e status prices.sse")
        #expect(result.errors.hasPrefix("sse-decode: reading prices.sse\nsse-decode: 5175 "))
        #expect(result.errors.contains("52 records_in, 2 records_out"))
    }

    @Test func quietKeepsErrors() throws {
        #expect(
            try run("sse-encode", "-dq", "x").errors
                == "sse-encode: -:1:1: expected a JSON value (--text takes any line)\n"
        )
        #expect(try run("sse-encode", "-dq --on-error=skip", "x").errors.isEmpty)
    }
}
