import StreamCodec
import Testing

@testable import stream_batch

@Suite struct AggregatesTests {
    @Test func members() throws {
        let lines = [
            #"{"ms":10,"u":"a"}"#, #"{"ms":20,"u":null}"#, #"{"u":"b"}"#, #"{"ms":"30","u":"a"}"#,
        ]
        let specs = [
            "count", "rate", "count(.u)", "sum(.ms)", "mean(.ms)", "min(.ms)", "max(.ms)",
            "first(.u)", "last(.u)", "distinct(.u)", "stddev(.ms)", "n=count(.ms)",
        ]
        #expect(
            try aggregate(specs, lines, seconds: 2)
                == #""count":4,"rate":2,"count_u":3,"sum_ms":60,"mean_ms":20,"min_ms":10,"#
                + #""max_ms":30,"first_u":"a","last_u":"a","distinct_u":2,"stddev_ms":10,"n":3"#)
    }

    @Test func nothing() throws {
        let functions = [
            "count", "sum", "min", "max", "mean", "stddev", "median", "p99", "distinct", "first",
            "last", "top", "histogram",
        ]
        let specs = functions.map { "\($0)(.x)" } + ["rate"]
        let expected =
            #""count_x":0,"sum_x":null,"min_x":null,"max_x":null,"mean_x":null,"stddev_x":null,"#
            + #""median_x":null,"p99_x":null,"distinct_x":0,"first_x":null,"last_x":null,"#
            + #""top_x":[],"histogram_x":[],"rate":null"#
        #expect(try aggregate(specs, []) == expected)
        #expect(try aggregate(specs, [#"{"x":null}"#, "{}", "5"]) == expected)
        #expect(try aggregate(["rate"], ["1"], seconds: 0) == #""rate":null"#)
    }

    @Test func notNumbers() throws {
        var aggregates = try Aggregates(
            ["mean(.x)", "p99(.x)", "count(.y)", "max(.y)"].map { try AggregateSpec($0) },
            quantileError: 0.01)
        var state = aggregates.makeState()
        try take([#"{"x":1,"y":2}"#, #"{"x":null}"#, "{}"], &aggregates, &state)
        #expect(aggregates.notNumbers == 0)
        #expect(aggregates.firstNotNumber == nil)
        try take([#"{"y":4, "x":"a"}"#, #"{"x":1e999,"y":[3]}"#], &aggregates, &state)
        #expect(aggregates.notNumbers == 3)
        #expect(aggregates.firstNotNumber?.offset == 12)
        #expect(aggregates.firstNotNumber?.path.description == ".x")
        #expect(text(aggregates, state) == #""mean_x":1,"p99_x":1,"count_y":3,"max_y":4"#)
    }

    @Test func statesAreApart() throws {
        var aggregates = try Aggregates(
            ["sum(.)", "p50(.)", "top(.)", "last(.)"].map { try AggregateSpec($0) },
            quantileError: 0.01)
        var states = [aggregates.makeState(), aggregates.makeState()]
        try take(["1"], &aggregates, &states[0])
        try take(["5", "5"], &aggregates, &states[1])
        #expect(
            text(aggregates, states[0])
                == #""sum":1,"p50":1,"top":[{"value":1,"count":1}],"last":1"#)
        #expect(
            text(aggregates, states[1])
                == #""sum":10,"p50":5,"top":[{"value":5,"count":2}],"last":5"#)
    }

    /// What came first or last is so in the run, whichever state takes the other in.
    @Test func mergingKeepsTheOrder() throws {
        let specs = ["first(.)", "last(.)", "top(.,2)", "count", "min(.)"]
        for order in [[0, 1], [1, 0]] {
            var aggregates = try Aggregates(
                specs.map { try AggregateSpec($0) }, quantileError: 0.01)
            var states = [aggregates.makeState(), aggregates.makeState()]
            for (line, index) in [("4", 0), ("2", 1), ("3", 0), ("1", 1)] {
                try take([line], &aggregates, &states[index])
            }
            aggregates.merge(states[order[1]], into: &states[order[0]])
            #expect(
                text(aggregates, states[order[0]])
                    == #""first":4,"last":1,"top":[{"value":4,"count":1},{"value":2,"count":1}],"#
                    + #""count":4,"min":1"#)
        }
    }

    @Test func severalOfAPath() throws {
        let specs = [
            "a=top(.x,1)", "b=histogram(.y,1)", "c=top(.y,1)", "d=histogram(.x)", "e=top(.x,2)",
            "f=histogram(.x,2)",
        ]
        #expect(
            try aggregate(specs, [#"{"x":1,"y":2}"#, #"{"x":3,"y":2}"#])
                == #""a":[{"value":1,"count":1}],"b":[{"le":1,"count":0},{"le":null,"count":2}],"#
                + #""c":[{"value":2,"count":2}],"d":[{"le":1,"count":1},{"le":2,"count":0},"#
                + #"{"le":5,"count":1}],"e":[{"value":1,"count":1},{"value":3,"count":1}],"#
                + #""f":[{"le":2,"count":1},{"le":null,"count":1}]"#)
    }

    @Test func quotedNames() throws {
        #expect(try aggregate([#"a"b=count"#], []) == #""a\"b":0"#)
    }
}
