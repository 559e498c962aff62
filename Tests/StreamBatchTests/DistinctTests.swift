import Testing

@testable import stream_batch

@Suite struct DistinctTests {
    @Test func exactUpToTheLimit() {
        var distinct = Distinct()
        #expect(distinct.estimate == 0)
        for number in 1...Distinct.exactLimit {
            distinct.add(hash("\(number)"))
            distinct.add(hash("\(number / 2 + 1)"))
            #expect(distinct.estimate == number)
        }
        // 0 is a hash as any other.
        var zero = Distinct()
        zero.add(0)
        zero.add(0)
        #expect(zero.estimate == 1)
    }

    /// Five standard errors; and of many estimates the root mean square is the one that is stated.
    @Test(arguments: [1025, 2000, 5000, 16_384, 40_000, 100_000])
    func error(_ count: Int) {
        var squares = 0.0
        let runs = 40
        for seed in 1...runs {
            var random = Random(exactly: UInt64(seed * 1_000_003 + count))
            var distinct = Distinct()
            for _ in 0..<count {
                let hash = random.next()
                distinct.add(hash)
                distinct.add(hash)
            }
            let error = Double(distinct.estimate) / Double(count) - 1
            #expect(abs(error) < 5 * 0.0081, "seed \(seed), \(count): \(distinct.estimate)")
            squares += error * error
        }
        #expect((squares / Double(runs)).squareRoot() < 1.35 * 0.0081)
    }

    @Test(arguments: [(10, 20), (600, 700), (900, 5000), (5000, 900), (5000, 6000)])
    func merging(_ first: Int, _ second: Int) {
        var whole = Distinct()
        var left = Distinct()
        var right = Distinct()
        for number in 0..<first {
            whole.add(hash("\(number)"))
            left.add(hash("\(number)"))
        }
        for number in (second / 2)..<second {
            whole.add(hash("\(number)"))
            right.add(hash("\(number)"))
        }
        left.merge(right)
        #expect(left.estimate == whole.estimate)
    }

    @Test func values() throws {
        #expect(try value("distinct(.)", []) == "0")
        #expect(try value("distinct(.)", ["null"]) == "0")
        #expect(
            try value("distinct(.)", [#""a""#, #""\u0061""#, "1", "1.0", "true", "1", "[1]"]) == "5"
        )
        #expect(try value("distinct(.)", [#""\ud800""#, #""\uD800""#, #""\ud800""#]) == "2")
    }
}
