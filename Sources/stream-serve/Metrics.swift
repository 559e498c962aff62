import StreamTool

// What the server says of itself: /metrics in the text format of Prometheus, version 0.0.4, and
// /stats in JSON.
extension Worker {
    private static let quantiles = [0.5, 0.9, 0.99]

    func metrics() -> String {
        shared.board.post(counters, of: number)
        let (total, eventsIn, bytesIn) = shared.board.total()
        var page = MetricsPage()
        page.gauge("connections", "transport", Transport.allCases.map(\.name), total.connections)
        page.counter("connections", "transport", Transport.allCases.map(\.name), total.opened)
        page.counter("events_in", eventsIn)
        page.counter("bytes_in", bytesIn)
        let streams = Transport.allCases.dropFirst().map(\.name)
        page.counter("events_out", "transport", streams, Array(total.eventsOut.dropFirst()))
        page.counter("bytes_out", "transport", Transport.allCases.map(\.name), total.bytesOut)
        page.counter("dropped", "reason", Drop.allCases.map(\.name), total.dropped)
        page.counter("closed", "reason", Closure.allCases.map(\.name), total.closed)
        page.counter("refused", "reason", Refusal.allCases.map(\.name), total.refused)
        page.counter("replays", "result", ["hit", "miss"], [total.replayHits, total.replayMisses])
        page.counter("published", total.published)
        page.counter("publish_errors", total.publishErrors)
        page.summary("lag_seconds", total.lag, Self.quantiles)
        page.summary("loop_seconds", total.loop, Self.quantiles)
        page.gauge("history_events", total.historyEvents)
        page.gauge("history_bytes", total.historyBytes)
        page.gauge("feeds", total.feeds)
        page.gauge("upload_bytes", shared.admission.held())
        page.gauge("uptime_seconds", seconds: uptime)
        return page.text
    }

    private var uptime: Double { Double(now - shared.board.started) / 1e9 }

    func statistics() -> String {
        shared.board.post(counters, of: number)
        let (total, eventsIn, bytesIn) = shared.board.total()
        func object(_ names: [String], _ counts: [Int]) -> String {
            "{" + zip(names, counts).map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
        }
        func spread(_ spread: Spread) -> String {
            let parts = Self.quantiles.map {
                "\"p\(Int($0 * 100))\":\(decimal(spread.quantile($0) * 1000, places: 3))"
            }
            return "{" + parts.joined(separator: ",") + ",\"count\":\(spread.count)}"
        }
        let transports = Transport.allCases.map(\.name)
        let members = [
            ("version", "\"\(suiteVersion)\""),
            ("epoch", "\"\(String(decoding: shared.epoch, as: UTF8.self))\""),
            ("uptime_seconds", decimal(uptime, places: 3)),
            ("workers", "\(shared.mailboxes.count)"),
            ("connections", object(transports, total.connections)),
            ("events_in", "\(eventsIn)"), ("bytes_in", "\(bytesIn)"),
            ("events_out", object(transports, total.eventsOut)),
            ("bytes_out", object(transports, total.bytesOut)),
            ("dropped", object(Drop.allCases.map(\.name), total.dropped)),
            ("closed", object(Closure.allCases.map(\.name), total.closed)),
            ("refused", object(Refusal.allCases.map(\.name), total.refused)),
            ("replays", object(["hit", "miss"], [total.replayHits, total.replayMisses])),
            ("published", "\(total.published)"), ("publish_errors", "\(total.publishErrors)"),
            ("lag_ms", spread(total.lag)), ("loop_ms", spread(total.loop)),
            ("history", object(["events", "bytes"], [total.historyEvents, total.historyBytes])),
            ("feeds", "\(total.feeds)"), ("upload_bytes", "\(shared.admission.held())"),
        ]
        return "{" + members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}\n"
    }
}

private struct MetricsPage {
    private(set) var text = ""

    private func name(_ name: String) -> String { "streamutils_\(name)" }

    mutating func counter(_ name: String, _ count: Int) {
        let name = self.name(name) + "_total"
        text += "# TYPE \(name) counter\n\(name) \(count)\n"
    }

    mutating func gauge(_ name: String, _ count: Int) {
        text += "# TYPE \(self.name(name)) gauge\n\(self.name(name)) \(count)\n"
    }

    mutating func gauge(_ name: String, seconds: Double) {
        let name = self.name(name)
        text += "# TYPE \(name) gauge\n\(name) \(decimal(seconds, places: 3))\n"
    }

    mutating func counter(_ name: String, _ label: String, _ values: [String], _ counts: [Int]) {
        add(self.name(name) + "_total", "counter", label, values, counts)
    }

    mutating func gauge(_ name: String, _ label: String, _ values: [String], _ counts: [Int]) {
        add(self.name(name), "gauge", label, values, counts)
    }

    private mutating func add(
        _ name: String, _ type: String, _ label: String, _ values: [String], _ counts: [Int]
    ) {
        text += "# TYPE \(name) \(type)\n"
        for (value, count) in zip(values, counts) {
            text += "\(name){\(label)=\"\(value)\"} \(count)\n"
        }
    }

    mutating func summary(_ name: String, _ spread: Spread, _ quantiles: [Double]) {
        let name = self.name(name)
        text += "# TYPE \(name) summary\n"
        for quantile in quantiles {
            text += "\(name){quantile=\"\(decimal(quantile, places: 2))\"} "
            text += "\(decimal(spread.quantile(quantile), places: 6))\n"
        }
        text += "\(name)_sum \(decimal(spread.sum, places: 6))\n\(name)_count \(spread.count)\n"
    }
}
