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
        let report = Report(tool: "a-tool", options: options, metrics: rows)
        tell(report)
        try report.finish()
        let label = "name=\"streamutils-\(name).\(getpid())\""
        return (
            masked(try text("\(place).stats"), behind: "\"elapsed_seconds\":"),
            masked(
                try text("\(place).prom"),
                behind: "streamutils_elapsed_seconds{tool=\"a-tool\",\(label)} "
            )
            .replacing(label, with: "name=\"NAME\"")
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
    private let labels = "{tool=\"a-tool\",name=\"NAME\"}"

    private let rows: [Metric] = [
        .counter("apples", "Of all kinds."),
        .counter("refused", "By reason.", by: ("reason", ["full", "rate"])),
        .gauge("depth", "How deep."), .histogram("wait_seconds", "How long."),
    ]

    private func family(_ name: String, _ help: String, _ kind: String = "counter") -> String {
        "# HELP streamutils_\(name) \(help)\n# TYPE streamutils_\(name) \(kind)\n"
    }

    /// The families of --metrics-file, each from its help on.
    private func families(_ text: String) -> [Substring] {
        text.split(separator: "# HELP ")
    }

    /// What did not happen is there, as 0; what is not known is not.
    @Test func nothingYet() throws {
        let (stats, metrics) = try texts("nothing") { _ in }
        #expect(
            stats == head + ",\"input_bytes\":0,\"output_bytes\":0,\"records_in\":0"
                + ",\"records_out\":0,\"rejected\":0,\"dropped\":0,\"apples\":0"
                + ",\"refused\":{\"full\":0,\"rate\":0}"
                + ",\"wait_seconds_sum\":0.000,\"wait_seconds_count\":0}\n")
        #expect(families(metrics).count == 10)
        #expect(metrics.hasPrefix("# HELP streamutils_input_bytes_total Bytes that were read"))
        #expect(
            metrics.contains(
                family("apples_total", "Of all kinds.")
                    + "streamutils_apples_total\(labels) 0\n"))
        #expect(!metrics.contains("depth"))
        #expect(metrics.hasSuffix("\nstreamutils_elapsed_seconds\(labels) T\n"))
    }

    @Test func countsAndNumbers() throws {
        let (stats, metrics) = try texts("counts") {
            $0.inputBytes = 12
            $0.dropped = 1
            $0.add(2, to: "apples")
            $0.add(to: "apples")
            $0.set(.counts([4, 5]), as: "refused")
            $0.setGauge(7, as: "depth")
            $0.setGauge(-12.345_000_001, as: "depth")
        }
        for member in [
            "\"input_bytes\":12,", "\"dropped\":1,\"apples\":3,",
            "\"refused\":{\"full\":4,\"rate\":5},\"depth\":-12.345,",
        ] {
            #expect(stats.contains(member))
        }
        let shared = labels.dropLast()
        #expect(
            metrics.contains(
                family("refused_total", "By reason.")
                    + "streamutils_refused_total\(shared),reason=\"full\"} 4\n"
                    + "streamutils_refused_total\(shared),reason=\"rate\"} 5\n"))
        #expect(
            metrics.contains(
                family("depth", "How deep.", "gauge") + "streamutils_depth\(labels) -12.345\n"))
    }

    /// Buckets are cumulative, and a bound belongs to the one below it.
    @Test func times() throws {
        let (stats, metrics) = try texts("times") {
            for seconds in [1, 0.25, 0.034] { $0.observe(seconds, as: "wait_seconds") }
        }
        #expect(stats.contains(",\"wait_seconds_sum\":1.284,\"wait_seconds_count\":3,"))
        let shared = labels.dropLast()
        for (bound, count) in [
            ("0.025", 0), ("0.05", 1), ("0.1", 1), ("0.25", 2), ("0.5", 2), ("1", 3), ("+Inf", 3),
        ] {
            let bucket = "streamutils_wait_seconds_bucket\(shared),le=\"\(bound)\"} \(count)\n"
            #expect(metrics.contains(bucket))
        }
        #expect(metrics.contains(family("wait_seconds", "How long.", "histogram")))
        #expect(metrics.contains("streamutils_wait_seconds_sum\(labels) 1.284000\n"))
        #expect(metrics.contains("streamutils_wait_seconds_count\(labels) 3\n"))
    }

    /// A counter stays at the largest number.
    @Test func noOverflow() throws {
        let (stats, _) = try texts("overflow") {
            $0.add(.max, to: "apples")
            $0.add(1, to: "apples")
        }
        #expect(stats.contains("\"apples\":9223372036854775807,"))
    }
}
