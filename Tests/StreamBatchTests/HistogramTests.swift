import Testing

@testable import stream_batch

@Suite struct HistogramTests {
    @Test func bounds() throws {
        #expect(
            try value("histogram(.,10,1e2,1000)", ["10", "10.1", "5", "-3", "2000", "100"])
                == #"[{"le":10,"count":3},{"le":1e2,"count":2},{"le":1000,"count":0},"#
                + #"{"le":null,"count":1}]"#)
        #expect(try value("histogram(.,10)", ["null", "true"]) == "[]")
    }

    @Test(
        arguments: [
            ([], "[]"), (["0", "-0"], #"[{"le":0,"count":2}]"#),
            (
                ["1", "1.5", "2", "2.1", "60"],
                #"[{"le":1,"count":1},{"le":2,"count":2},{"le":5,"count":1},{"le":10,"count":0},"#
                    + #"{"le":20,"count":0},{"le":50,"count":0},{"le":100,"count":1}]"#
            ),
            (
                ["-1", "-0.7", "-3", "0", "0.2"],
                #"[{"le":-2,"count":1},{"le":-1,"count":1},{"le":-0.5,"count":1},"#
                    + #"{"le":0,"count":1},{"le":0.2,"count":1}]"#
            ),
            (["1.5e308"], #"[{"le":null,"count":1}]"#), (["1e308"], #"[{"le":1e+308,"count":1}]"#),
            (["-1.5e308"], #"[{"le":-1e+308,"count":1}]"#),
            (["1e-7"], #"[{"le":1e-07,"count":1}]"#),
        ] as [([String], String)])
    func series(_ lines: [String], _ expected: String) throws {
        #expect(try value("histogram(.)", lines) == expected)
    }

    @Test func merging() throws {
        for spec in ["x=histogram(.)", "x=histogram(.,-5,0,5)"] {
            var aggregates = try Aggregates([AggregateSpec(spec)], quantileError: 0.01)
            var states = (0..<3).map { _ in aggregates.makeState() }
            var random = Random(3)
            for _ in 0..<500 {
                let line = ["\(Int.random(in: -20...20, using: &random))"]
                try take(line, &aggregates, &states[0])
                try take(line, &aggregates, &states[Int.random(in: 1...2, using: &random)])
            }
            aggregates.merge(states[1], into: &states[2])
            #expect(text(aggregates, states[2]) == text(aggregates, states[0]))
        }
    }
}
