/// A number that is no count: in seconds, or a point in time.
struct Measure {
    enum Kind { case gauge, summary }

    let name: String
    let kind: Kind
    /// The value, or the sum of what was observed.
    var sum: Double
    var count: Int

    /// The members of the counters' object: three decimals, which is milliseconds.
    var members: [(name: String, value: String)] {
        switch kind {
        case .gauge: [(name, decimal(sum, places: 3))]
        case .summary: [("\(name)_sum", decimal(sum, places: 3)), ("\(name)_count", "\(count)")]
        }
    }

    /// Lines of Prometheus' text format.
    func metric(labels: String) -> String {
        let type = kind == .gauge ? "gauge" : "summary"
        return "# TYPE streamutils_\(name) \(type)\n"
            + members.map { "streamutils_\($0.name){\(labels)} \($0.value)\n" }.joined()
    }
}

extension Report {
    /// Sets a number that goes up and down.
    package func setGauge(_ value: Double, as name: String) {
        if let index = measures.firstIndex(where: { $0.name == name }) {
            measures[index].sum = value
        } else {
            measures.append(Measure(name: name, kind: .gauge, sum: value, count: 1))
        }
    }

    /// Adds to a sum of seconds, and to how many there were.
    package func observe(_ seconds: Double, as name: String) {
        if let index = measures.firstIndex(where: { $0.name == name }) {
            measures[index].sum += seconds
            measures[index].count += 1
        } else {
            measures.append(Measure(name: name, kind: .summary, sum: seconds, count: 1))
        }
    }
}
