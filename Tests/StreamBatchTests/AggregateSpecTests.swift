import StreamTool
import Testing

@testable import stream_batch

@Suite struct AggregateSpecTests {
    @Test(arguments: [
        ("count", "count"), ("rate", "rate"), ("count(.a)", "count_a"),
        ("p99(.user.latency)", "p99_user_latency"), ("p99.9(.x)", "p99.9_x"),
        ("mean(.)", "mean"), ("sum(.items[0].price)", "sum_items_0_price"),
        ("max(/user/ms)", "max_user_ms"), ("n=count", "n"), ("a b=sum(.x)", "a b"),
        ("top(.x,5)", "top_x"), ("top(5,.x)", "top_x"), ("top(.x, 5 )", "top_x"),
        ("histogram(.ms,-1,10,1e3)", "histogram_ms"), ("median(.a)", "median_a"),
        (#"first(."a,b=(c)")"#, "first_a,b=(c)"), (#"last(.["x\")"])"#, "last_x\")"),
        ("n=count(.\"=\")", "n"), ("count()", "count"), ("p0(.x)", "p0_x"),
    ])
    func name(_ text: String, _ name: String) throws {
        #expect(try AggregateSpec(text).name == name)
    }

    @Test func functions() throws {
        #expect(try AggregateSpec("median(.x)").function == AggregateSpec("p50(.x)").function)
        #expect(try AggregateSpec("p0(.x)").function == .min)
        #expect(try AggregateSpec("p100(.x)").function == .max)
        #expect(try AggregateSpec("top(.x)").function == .top(10))
        #expect(try AggregateSpec("top(10000,.x)").function == .top(10000))
        #expect(try AggregateSpec("top(.x,1)").function == .top(1))
        #expect(try AggregateSpec("top(.x,1)").path?.description == ".x")
        #expect(try AggregateSpec("count").path == nil)
    }

    @Test(arguments: [
        ("p101(.x)", "unknown function 'p101': expected count"),
        ("p(.x)", "unknown function 'p'"), ("p9.(.x)", "unknown function 'p9.'"),
        ("p-1(.x)", "unknown function"), ("p1.2.3(.x)", "unknown function"),
        ("p100.0001(.x)", "unknown function"), ("", "unknown function ''"),
        ("avg(.x)", "unknown function 'avg'"), ("COUNT", "unknown function 'COUNT'"),
        ("=count", "expected a name before '='"), ("sum(.x", "expected ')' at the end"),
        ("sum(.x) ", "expected ')' at the end"), ("sum(.x))", "')' before the end"),
        ("sum(/a)b)", "')' before the end"), ("sum", "expected sum(PATH), not 'sum'"),
        ("sum()", "expected sum(PATH)"), ("sum(.x,.y)", "expected sum(PATH)"),
        ("rate(.x)", "expected rate, not"), ("count(.x,1)", "expected count or count(PATH)"),
        ("p99(x)", "path 'x' must begin with '.' or '/'"), ("p99(.a..b)", "expected a key"),
        ("top(.x,0)", "N from 1 to 10000"), ("top(.x,10001)", "N from 1 to 10000"),
        ("top", "expected top(PATH)"), ("top(.x,.y)", "expected top(PATH)"),
        ("top(.x,1,2)", "expected top(PATH)"), ("top(7)", "path '7' must begin"),
        ("histogram", "expected histogram(PATH)"),
        ("histogram(.x,1,1)", "in ascending order as bounds, not '1'"),
        ("histogram(.x,a)", "not 'a'"), ("histogram(.x,)", "not ''"),
        ("histogram(.x,1e999)", "not '1e999'"),
    ])
    func errors(_ text: String, _ expected: String) throws {
        let error = #expect(throws: UsageError.self) { try AggregateSpec(text) }
        #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
    }

    @Test func names() throws {
        let check = { (specs: [String]) in
            _ = try Aggregates(specs.map { try AggregateSpec($0) }, quantileError: 0.01)
        }
        for name in ["key", "seq", "from", "to"] {
            let error = #expect(throws: UsageError.self) { try check(["\(name)=count"]) }
            #expect(error?.message == "an aggregate cannot have the name '\(name)'")
        }
        let error = #expect(throws: UsageError.self) { try check(["count(.a)", "count(/a)"]) }
        #expect(error?.message.hasPrefix("two aggregates with the name 'count_a'") == true)
        try check(["count(.a)", "x=count(.a)", "items=count"])
        let many = (0...64).map { "count(.a\($0))" }
        #expect(throws: UsageError.self) { try check(many) }
        try check(Array(many.dropLast()))
    }

    @Test func ranks() throws {
        let rank = { Percentile($0)?.rank(among: $1) }
        // 0.57 × 100 is 56.99999999999999 in Doubles.
        #expect(rank("57", 101) == 57)
        #expect(rank("99.9", 1001) == 999)
        #expect(rank("99.9", 1000) == 998)
        #expect(rank("50", 1) == 0)
        #expect(rank("99.999999999", .max) == 9_223_372_036_762_542_085)
        #expect(Percentile("0.0")?.isLeast == true)
        #expect(Percentile("100.00")?.isGreatest == true)
    }
}
