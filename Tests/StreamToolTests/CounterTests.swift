import Glibc
import StreamCodec
import Testing

@testable import StreamTool

/// What the stats line and the metrics file say, with the time left out.
@Suite struct CounterTests {
    /// Both texts, of a report that was told what `tell` says.
    private func texts(_ name: String, _ tell: (Report) -> Void) throws -> (String, String) {
        let place = "\(temporaryFolder)/streamutils-\(name).\(getpid())"
        var options = CommonOptions()
        options.isQuiet = true
        options.writesStats = true
        options.statsFile = "\(place).stats"
        options.metricsFile = "\(place).prom"
        defer {
            unlink("\(place).stats")
            unlink("\(place).prom")
        }
        let report = Report(tool: "a-tool", options: options)
        tell(report)
        try report.finish()
        let job = "job=\"streamutils-\(name).\(getpid())\""
        return (
            masked(try text("\(place).stats"), behind: "\"elapsed_seconds\":"),
            masked(
                try text("\(place).prom"),
                behind: "streamutils_elapsed_seconds{tool=\"a-tool\",\(job)} "
            )
            .replacing(job, with: "job=\"JOB\"")
        )
    }

    private func text(_ path: String) throws -> String {
        let descriptor = try #require(Optional(open(path, O_RDONLY)).flatMap { $0 < 0 ? nil : $0 })
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let size = read(descriptor, &buffer, buffer.count)
        return String(decoding: buffer[..<max(0, size)], as: UTF8.self)
    }

    /// The number behind `start` is the time: T.
    private func masked(_ text: String, behind start: String) -> String {
        let parts = text.split(separator: start, maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return text }
        let rest = parts[1].drop { $0.isNumber || $0 == "." }
        return "\(parts[0])\(start)T\(rest)"
    }

    private let head = "{\"tool\":\"a-tool\",\"version\":\"\(suiteVersion)\",\"elapsed_seconds\":T"
    private let labels = "{tool=\"a-tool\",job=\"JOB\"}"

    private func counterText(_ name: String, _ count: Int) -> String {
        "# TYPE streamutils_\(name)_total counter\nstreamutils_\(name)_total\(labels) \(count)\n"
    }

    private var elapsed: String {
        "# TYPE streamutils_elapsed_seconds gauge\nstreamutils_elapsed_seconds\(labels) T\n"
    }

    private var standing: String {
        ["input_bytes", "output_bytes", "records_in", "records_out", "rejected", "dropped"]
            .map { counterText($0, 0) }.joined()
    }

    private let zeros =
        ",\"input_bytes\":0,\"output_bytes\":0,\"records_in\":0,\"records_out\":0"
        + ",\"rejected\":0,\"dropped\":0"

    /// Byte for byte what tools without gauges always wrote.
    @Test func countersAlone() throws {
        let (stats, metrics) = try texts("counters") {
            $0.inputBytes = 12
            $0.outputBytes = 34
            $0.recordsIn = 5
            $0.recordsOut = 4
            $0.dropped = 1
            $0.add(2, to: "zebra")
            $0.set(0, as: "unseen")
            $0.set(9, as: "apple")
            $0.add(to: "zebra")
        }
        #expect(
            stats == head + ",\"input_bytes\":12,\"output_bytes\":34,\"records_in\":5"
                + ",\"records_out\":4,\"rejected\":0,\"dropped\":1,\"zebra\":3,\"apple\":9}\n")
        let counts = [
            ("input_bytes", 12), ("output_bytes", 34), ("records_in", 5), ("records_out", 4),
            ("rejected", 0), ("dropped", 1), ("zebra", 3), ("apple", 9),
        ]
        #expect(metrics == counts.map { counterText($0.0, $0.1) }.joined() + elapsed)
    }

    @Test func aGaugeIsTheLastValue() throws {
        let (stats, metrics) = try texts("gauge") {
            $0.setGauge(7, as: "depth")
            $0.setGauge(12.345_000_001, as: "depth")
            $0.setGauge(-0.25, as: "drift_seconds")
            $0.setGauge(1_764_124_690.123_456, as: "last_event_timestamp_seconds")
        }
        #expect(
            stats == head + zeros + ",\"depth\":12.345,\"drift_seconds\":-0.250"
                + ",\"last_event_timestamp_seconds\":1764124690.123}\n")
        let samples = [
            ("depth", "12.345"), ("drift_seconds", "-0.250"),
            ("last_event_timestamp_seconds", "1764124690.123"),
        ]
        let gauges = samples.map {
            "# TYPE streamutils_\($0) gauge\nstreamutils_\($0)\(labels) \($1)\n"
        }
        #expect(metrics == standing + gauges.joined() + elapsed)
    }

    @Test func aSummaryIsASumAndACount() throws {
        let (stats, metrics) = try texts("summary") {
            for seconds in [1, 0.2, 0.034] { $0.observe(seconds, as: "wait_seconds") }
            $0.observe(0, as: "other_seconds")
        }
        #expect(
            stats == head + zeros + ",\"wait_seconds_sum\":1.234,\"wait_seconds_count\":3"
                + ",\"other_seconds_sum\":0.000,\"other_seconds_count\":1}\n")
        let samples = [("wait_seconds", "1.234", 3), ("other_seconds", "0.000", 1)]
        let summaries = samples.map {
            "# TYPE streamutils_\($0) summary\nstreamutils_\($0)_sum\(labels) \($1)\n"
                + "streamutils_\($0)_count\(labels) \($2)\n"
        }
        #expect(metrics == standing + summaries.joined() + elapsed)
    }

    /// Sums of small parts keep them: they are rounded when they are shown.
    @Test func manySmallParts() throws {
        let (stats, _) = try texts("parts") {
            for _ in 0..<10_000 { $0.observe(0.0001, as: "part_seconds") }
        }
        #expect(stats.hasSuffix(",\"part_seconds_sum\":1.000,\"part_seconds_count\":10000}\n"))
    }
}
