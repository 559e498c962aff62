import StreamCodec

/// Something that a tool counts or measures. A tool has one table of them, from which `--stats`,
/// `--metrics-file`, a server's /metrics and the METRICS section of its page are made.
package struct Metric: Sendable {
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    /// A value of Prometheus' data model, by kind: a counter has a count for each value of its
    /// label, or one when it has none; so has a gauge, and nothing while it is not known.
    package enum Value: Sendable {
        case counts([Int])
        case number(Double?)
        case times(Histogram)
    }

    /// In `--stats`. Prometheus' text format has `streamutils_NAME`, and a counter
    /// `streamutils_NAME_total`.
    package let name: String
    package let kind: Kind
    /// What it says: sentences, as plain text.
    package let help: String
    /// A label of its own, and the values that it has.
    package let label: (name: String, values: [String])?
    fileprivate let initial: Value

    private init(
        _ name: String, _ kind: Kind, _ help: String, _ label: (String, [String])?,
        _ initial: Value
    ) {
        self.name = name
        self.kind = kind
        self.help = help
        self.label = label
        self.initial = initial
    }

    /// A count that only grows, from 0 on.
    package static func counter(
        _ name: String, _ help: String, by label: (String, [String])? = nil
    ) -> Metric {
        let zeros = Array(repeating: 0, count: label?.1.count ?? 1)
        return Metric(name, .counter, help, label, .counts(zeros))
    }

    /// A count that rises and falls.
    package static func gauge(
        _ name: String, _ help: String, by label: (String, [String])
    ) -> Metric {
        let zeros = Array(repeating: 0, count: label.1.count)
        return Metric(name, .gauge, help, label, .counts(zeros))
    }

    /// A number that rises and falls, and is left out until it is known.
    package static func gauge(_ name: String, _ help: String) -> Metric {
        Metric(name, .gauge, help, nil, .number(nil))
    }

    /// How long something takes, in seconds.
    package static func histogram(_ name: String, _ help: String) -> Metric {
        Metric(name, .histogram, help, nil, .times(Histogram()))
    }

    /// What every tool has.
    static let common: [Metric] = [
        counter("input_bytes", "Bytes that were read, compressed as they came."),
        counter("output_bytes", "Bytes that were written, as they are compressed."),
        counter("records_in", "Lines, events or messages that were read."),
        counter("records_out", "Lines, events or messages that were written."),
        counter("rejected", "What was left out because it could not be understood."),
        counter("dropped", "What was read and, by an option or a rule, not written."),
    ]

    static func isCommon(_ name: String) -> Bool { common.contains { $0.name == name } }

    /// How long the tool runs; the last of all.
    package static let elapsed = gauge("elapsed_seconds", "Seconds since the start.")

    /// The rows of a tool: its own, and those of every tool that it does not have itself.
    static func table(_ own: [Metric]) -> [Metric] {
        common.filter { row in !own.contains { $0.name == row.name } } + own
    }

    /// As Prometheus knows it.
    package var family: String {
        kind == .counter ? "streamutils_\(name)_total" : "streamutils_\(name)"
    }
}

/// The rows of a tool's table with their values.
package struct Metrics: Sendable {
    package private(set) var rows: [(metric: Metric, value: Metric.Value)]

    package init(_ metrics: [Metric]) {
        rows = Metric.table(metrics).map { ($0, $0.initial) }
    }

    package mutating func append(_ metric: Metric, _ value: Metric.Value) {
        rows.append((metric, value))
    }

    /// One that is not in the table is counted, too, and TidyTests finds it.
    private mutating func index(of name: String) -> Int {
        if let index = rows.firstIndex(where: { $0.metric.name == name }) { return index }
        rows.append((Metric.counter(name, ""), .counts([0])))
        return rows.count - 1
    }

    /// Adds to a counter without a label; it stays at the largest number.
    package mutating func add(_ count: Int, to name: String) {
        let index = index(of: name)
        guard case .counts(let counts) = rows[index].value else { return }
        let (sum, isOverflow) = counts[0].addingReportingOverflow(count)
        rows[index].value = .counts([isOverflow ? .max : sum])
    }

    package mutating func set(_ value: Metric.Value, as name: String) {
        rows[index(of: name)].value = value
    }

    package mutating func observe(_ seconds: Double, as name: String) {
        let index = index(of: name)
        guard case .times(var times) = rows[index].value else { return }
        rows[index].value = .counts([])  // Not copied while it grows.
        times.add(seconds: seconds)
        rows[index].value = .times(times)
    }

    /// What stands in `--stats`: three decimals of a number that is not whole, quantiles of times
    /// once there are any, and an object where there is a label.
    package var members: [(name: String, value: String)] {
        rows.flatMap { metric, value -> [(name: String, value: String)] in
            switch value {
            case .counts(let counts):
                [(metric.name, metric.label.map { object($0.values, counts) } ?? "\(counts[0])")]
            case .number(let number): number.map { [(metric.name, text($0))] } ?? []
            case .times(let times):
                [
                    (metric.name + "_sum", decimal(times.sum, places: 3)),
                    (metric.name + "_count", "\(times.count)"),
                ]
                    + (times.count == 0 ? [] : [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)]).map {
                        ("\(metric.name)_\($0)", decimal(times.quantile($1), places: 6))
                    }
            }
        }
    }

    private func object(_ names: [String], _ counts: [Int]) -> String {
        "{" + zip(names, counts).map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
    }

    private func text(_ number: Double) -> String {
        decimal(number, places: number == number.rounded() ? 0 : 3)
    }

    /// The text format of Prometheus, version 0.0.4. `labels` are those of every sample, as they
    /// stand in the braces.
    package func text(labels: String) -> String {
        var text = ""
        for (metric, value) in rows {
            let family = metric.family
            if case .number(nil) = value { continue }
            if !metric.help.isEmpty { text += "# HELP \(family) \(metric.help)\n" }
            text += "# TYPE \(family) \(metric.kind.rawValue)\n"
            switch value {
            case .counts(let counts):
                for (index, count) in counts.enumerated() {
                    let own = metric.label.map { ",\($0.name)=\"\($0.values[index])\"" } ?? ""
                    text += "\(family){\(labels)\(own)} \(count)\n"
                }
            case .number(let number):
                text += "\(family){\(labels)} \(self.text(number ?? 0))\n"
            case .times(let times):
                for (bound, count) in times.cumulative {
                    text += "\(family)_bucket{\(labels),le=\"\(bound)\"} \(count)\n"
                }
                text += "\(family)_sum{\(labels)} \(decimal(times.sum, places: 6))\n"
                text += "\(family)_count{\(labels)} \(times.count)\n"
            }
        }
        return text
    }
}
