import Testing

/// stream-sample -n --weight: successive sampling, which is to draw one line after the other from
/// what is left, each with a chance in proportion to its weight. And the rates of --annotate.
@Suite struct SampleWeightTests {
    /// For each set of lines, as bits, the chance to be the sample of so many.
    private static func successive(_ weights: [Double], _ size: Int) -> [Double] {
        var chances = Array(repeating: 0.0, count: 1 << weights.count)
        chances[0] = 1
        for _ in 0..<size {
            var next = Array(repeating: 0.0, count: chances.count)
            for (drawn, chance) in chances.enumerated() where chance > 0 {
                let left = weights.indices.filter { drawn & 1 << $0 == 0 }
                let total = left.reduce(0) { $0 + weights[$1] }
                for line in left {
                    next[drawn | 1 << line] += chance * weights[line] / total
                }
            }
            chances = next
        }
        return chances
    }

    private static func lines(
        _ weights: [some CustomStringConvertible], keys: Int, alternating: Bool = false
    ) -> [UInt8] {
        let members = weights.enumerated().map { "\"i\":\($0.offset),\"w\":\($0.element)" }
        return Samples.lines(keys: keys, members: members, alternating: alternating)
    }

    /// The theory itself, by what is known of it.
    @Test func theory() {
        #expect(Self.successive([1, 3], 1) == [0, 0.25, 0.75, 0])
        let two = Self.successive([1, 2, 3], 2)
        #expect(abs(two[0b011] - (1.0 / 6 * 2 / 5 + 2.0 / 6 * 1 / 4)) < 1e-15)
        #expect(abs(two.reduce(0, +) - 1) < 1e-15)
    }

    @Test(arguments: [
        (1, [100, 1, 1, 1, 1, 1], 61), (1, [1, 1, 1, 100, 1, 1], 62),
        (1, [1, 1, 1, 1, 1, 100], 63),
        (1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 64), (1, [3, 0.001, 2.5], 65),
        (2, [100, 1, 1, 1, 1, 1], 66), (2, [1, 1, 1, 100, 1, 1], 67),
        (2, [1, 1, 1, 1, 1, 100], 68),
        (2, [9, 8, 7, 6, 5, 4, 3, 2, 1], 69), (2, [1, 2, 3, 4, 5, 6, 7, 8, 9], 70),
        (3, [0.5, 20, 0.5, 3, 3, 0.25, 8, 1], 71), (2, [1, 10, 100], 72),
        (4, [1, 1, 40, 1, 1, 40, 1, 1], 73),
    ])
    func subsetsAreAsLikelyAsInSuccessiveSampling(
        _ size: Int, _ weights: [Double], _ seed: Int
    ) throws {
        let keys = 8000
        let input = Self.lines(weights, keys: keys, alternating: seed % 2 == 0)
        let output = try Samples.run("-n \(size) --weight .w --by .k --seed \(seed)", input)
        let subsets = Samples.subsets(output, keys: keys, width: 3)
        #expect(subsets.allSatisfy { $0.nonzeroBitCount == size })
        ChiSquared.check(
            Samples.tally(subsets, below: 1 << weights.count), Self.successive(weights, size))
    }

    /// What weighs the same is sampled as without weights, also where weights are at the ends of
    /// what a Double holds: u^(1/w) would be 0 or 1.
    @Test(arguments: ["1", "7.3", "1e-300", "1e300", "\"2e-3\"", "1e-308", "1e307"])
    func equalWeightsAreNone(_ weight: String) throws {
        let keys = 5000
        let input = Self.lines(Array(repeating: weight, count: 8), keys: keys)
        let output = try Samples.run(
            "-n 2 --weight .w --every 1s --time .k --seed 81", input)
        let subsets = Samples.subsets(output, keys: keys, width: 3)
        let tally = Samples.tally(subsets, below: 1 << 8)
        let pairs = (0..<1 << 8).filter { $0.nonzeroBitCount == 2 }.map { tally[$0] }
        #expect(pairs.reduce(0, +) == keys)
        ChiSquared.checkUniform(pairs)
    }

    /// A heavy line, wherever it is, is in each sample, and the others share the rest.
    @Test(arguments: [0, 2, 5]) func tinyAndHuge(_ place: Int) throws {
        let keys = 3000
        var weights = Array(repeating: "1e-300", count: 6)
        weights[place] = "1e300"
        let output = try Samples.run(
            "-n 2 --weight .w --by .k --seed 9 --annotate r", Self.lines(weights, keys: keys))
        let subsets = Samples.subsets(output, keys: keys, width: 4)
        #expect(subsets.allSatisfy { $0 & 1 << place != 0 && $0.nonzeroBitCount == 2 })
        let others = subsets.map { ($0 & ~(1 << place)).trailingZeroBitCount }
        let tally = Samples.tally(others, below: 6)
        ChiSquared.checkUniform((0..<6).filter { $0 != place }.map { tally[$0] })
        let values = Samples.values(output)
        let rates = stride(from: 3, to: values.count, by: 4).map { values[$0] }
        #expect(rates.count == 2 * keys)
        #expect(rates.allSatisfy { $0 > 0 && $0 <= 1 })
    }

    /// A line of weight 0 is never sampled, not even where there is nothing else.
    @Test func withoutWeightNeverSampled() throws {
        let keys = 2000
        let weights = ["0", "2", "0.0", "-0", "3", "1", "0e5"]
        for size in [1, 2, 5] {
            let output = try Samples.run(
                "-n \(size) --weight .w --by .k --seed 5", Self.lines(weights, keys: keys))
            let subsets = Samples.subsets(output, keys: keys, width: 3)
            let tally = Samples.tally(subsets, below: 1 << 7)
            ChiSquared.check(tally, Self.successive([0, 2, 0, 0, 3, 1, 0], min(size, 3)))
            #expect(subsets.allSatisfy { $0 & 0b1001101 == 0 })
        }
        let zeros = Self.lines(["0", "0", "0"], keys: 10)
        #expect(try Samples.run("-n 2 --weight .w --by .k", zeros) == [])
    }

    @Test(arguments: [
        ("-1", "expected a weight of at least 0"), ("-1e-300", "a weight of at least 0"),
        ("\"x\"", "expected a number"), ("null", "expected a number"),
        ("1e999", "expected a number"), ("[1]", "expected a number"),
        ("\"NaN\"", "expected a number"), ("\"inf\"", "expected a number"),
    ])
    func whatIsNoWeightIsRejected(_ weight: String, _ reason: String) throws {
        let lines = "{\"i\":0,\"w\":2}\n{\"i\":1,\"w\":\(weight)}\n{\"i\":2,\"w\":3}\n"
        let result = try run("stream-sample", "-n 5 --weight .w", lines)
        #expect(result.ending == .exit(65))
        #expect(result.text == "{\"i\":0,\"w\":2}\n")
        #expect(result.errors.contains("-:2:12: "), "\(result.errors)")
        #expect(result.errors.contains(reason) && result.errors.contains(".w"))
        let skipped = try run("stream-sample", "-n 5 --weight .w --on-error=skip", lines)
        #expect(skipped.ending == .exit(1))
        #expect(skipped.text == "{\"i\":0,\"w\":2}\n{\"i\":2,\"w\":3}\n")
    }

    // MARK: Rates

    /// What the rates add up to for each key: how many lines there were, and their weight.
    private static func estimates(
        _ output: [UInt8], keys: Int
    ) -> (counts: [Double], weights: [Double]) {
        let values = Samples.values(output)
        var counts = Array(repeating: 0.0, count: keys)
        var weights = counts
        for row in stride(from: 0, to: values.count, by: 4) {
            counts[Int(values[row])] += 1 / values[row + 3]
            weights[Int(values[row])] += values[row + 2] / values[row + 3]
        }
        return (counts, weights)
    }

    /// Over many samples the estimates are right, and those of the weight nearly so in each: that
    /// is what weights are for.
    @Test(arguments: [
        (4, 1...20, 91), (9, 1...20, 92), (4, 3...6, 93), (2, 5...8, 94),
    ])
    func ratesEstimateWhatThereWas(_ size: Int, _ range: ClosedRange<Int>, _ seed: Int) throws {
        let keys = 2500
        let weights = range.map(Double.init) + [50] + range.reversed().map(Double.init)
        let output = try Samples.run(
            "-n \(size) --weight .w --by .k --annotate r --seed \(seed)",
            Self.lines(weights, keys: keys))
        let estimates = Self.estimates(output, keys: keys)
        let count = Mean(estimates.counts)
        #expect(count.agrees(with: Double(weights.count)), "\(count)")
        #expect(count.standardError < 0.03 * Double(weights.count))
        let total = weights.reduce(0, +)
        let weight = Mean(estimates.weights)
        #expect(weight.agrees(with: total), "\(weight)")
        #expect(weight.standardError < 0.02 * total)
    }

    /// A sample of all that there was stands for itself.
    @Test func allLinesHaveTheRateOne() throws {
        let lines = Self.lines([2, 3, 0.5], keys: 4)
        for method in ["-n 3 --weight .w", "-n 4 --weight .w", "-n 3", "-n 7"] {
            let output = try Samples.run("\(method) --by .k --annotate r", lines)
            let expected = String(decoding: lines, as: UTF8.self)
            #expect(
                String(decoding: output, as: UTF8.self)
                    == expected.replacing("}", with: ",\"r\":1}"))
        }
    }

    /// Without weights the rate is the share of the key's lines, and the sum exact.
    @Test(arguments: [1, 3, 10]) func rateWithoutWeights(_ size: Int) throws {
        let output = try Samples.run(
            "-n \(size) --every 1s --time .k --annotate r --seed 3",
            Self.lines([1, 1, 1, 1, 1, 1, 1], keys: 50))
        for estimate in Self.estimates(output, keys: 50).counts {
            #expect(abs(estimate - 7) < 1e-12)
        }
    }
}
