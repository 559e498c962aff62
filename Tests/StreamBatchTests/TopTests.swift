import Testing

@testable import stream_batch

@Suite struct TopTests {
    private struct Entry {
        var value: Int
        var count: Int
        var error: Int
    }

    /// What the JSON text says.
    private func entries(_ text: String) -> [Entry] {
        text.dropFirst(2).dropLast(2).components("},{").map { entry in
            let fields = entry.components(",").map { Int($0.components(":")[1])! }
            return Entry(
                value: fields[0], count: fields[1], error: fields.count > 2 ? fields[2] : 0)
        }
    }

    /// Numbers of which the low ones are frequent.
    private func values(_ count: Int, _ random: inout Random) -> [Int] {
        (0..<count).map { _ in Int(1 / random.unit()) % 100_000 + Int(random.next() % 3) * 7 }
    }

    private func check(_ all: [Int], _ lines: String, _ size: Int, _ note: String) {
        var exact: [Int: Int] = [:]
        for value in all { exact[value, default: 0] += 1 }
        let told = entries(lines)
        for entry in told {
            let count = exact[entry.value] ?? 0
            #expect(entry.count - entry.error <= count && count <= entry.count, "\(note) \(entry)")
        }
        for (value, count) in exact where count > all.count / size {
            #expect(told.contains { $0.value == value }, "\(note) \(value) × \(count)")
        }
        #expect(zip(told, told.dropFirst()).allSatisfy { $0.count >= $1.count })
    }

    @Test func promise() throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            var random = Random(seed)
            let all = values(12_000, &random)
            // All 1000 counters of a top of 100.
            check(all, try value("top(.,100)", all.map(String.init)), 1000, "seed \(seed)")
        }
    }

    @Test func mergedPromise() throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            var random = Random(seed)
            let all = values(12_000, &random) + Array(0..<1500)
            var aggregates = try Aggregates([AggregateSpec("x=top(100,.)")], quantileError: 0.01)
            var states = [aggregates.makeState(), aggregates.makeState()]
            for value in all {
                let index = Int.random(in: 0...9, using: &random) < 3 ? 0 : 1
                try take(["\(value)"], &aggregates, &states[index])
            }
            aggregates.merge(states[1], into: &states[0])
            // Behind a merge it goes on.
            try take(["3", "3"], &aggregates, &states[0])
            let told = String(text(aggregates, states[0]).dropFirst(4))
            check(all + [3, 3], told, 1000, "seed \(seed)")
        }
    }

    /// What one of two did not keep counts, in both directions.
    @Test func mergedMisses() throws {
        for first in [0, 1] {
            var aggregates = try Aggregates([AggregateSpec("x=top(1,.)")], quantileError: 0.01)
            var states = [aggregates.makeState(), aggregates.makeState()]
            let frequent = Array(repeating: "-1", count: 30)
            try take(frequent + (0..<999).map(String.init), &aggregates, &states[first])
            try take(["-1", "-1"], &aggregates, &states[1 - first])
            try take((5000..<9000).map(String.init), &aggregates, &states[1 - first])
            aggregates.merge(states[1], into: &states[0])
            let told = entries(String(text(aggregates, states[0]).dropFirst(4)))
            let top = try #require(told.first)
            #expect(top.value == -1 && top.count >= 32 && top.count - top.error <= 32)
        }
    }

    @Test func texts() throws {
        #expect(try value("top(.)", []) == "[]")
        #expect(
            try value("top(.,2)", ["2", "\"b\"", "\"\\u0062\"", "null", "1", "[1, 2]"])
                == #"[{"value":"b","count":2},{"value":2,"count":1}]"#)
        let long = "\"" + String(repeating: "ä", count: 400) + "\""
        let shown = try value("top(.)", [long, long, "1"])
        let start = String(repeating: "ä", count: 255)
        #expect(
            shown == #"[{"value":"\""# + start
                + #"","bytes":802,"count":2},{"value":1,"count":1}]"#)
    }

    @Test func evictionCounts() throws {
        let first = (0..<1000).map(String.init)
        // The last one takes the counter of the first.
        let text = try value("top(.,1)", first + ["a", "a"].map { "\"\($0)\"" })
        #expect(text == #"[{"value":"a","count":3,"error":1}]"#)
    }
}

extension StringProtocol {
    fileprivate func components(_ separator: String) -> [SubSequence] {
        split(separator: separator, omittingEmptySubsequences: false)
    }
}
