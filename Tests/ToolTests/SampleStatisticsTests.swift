import Foundation
import Testing

/// stream-sample -n and -p: every line has the chance that it should have, by itself and together
/// with others. Seeds are fixed; a correct sampler passes each check with 998 of 1000 seeds.
@Suite struct SampleStatisticsTests {
    // MARK: -n

    /// From all C(count, size) subsets being equally likely follows all else: the same chance for
    /// each line, k(k - 1) / N(N - 1) for each pair, and no dependence on what comes before.
    @Test(arguments: [
        (1, 2, 20), (1, 12, 21), (2, 3, 22), (2, 4, 23), (2, 12, 24), (3, 4, 25), (3, 8, 26),
        (5, 6, 27), (5, 10, 28),
    ])
    func everySubsetIsEquallyLikely(_ size: Int, _ count: Int, _ seed: Int) throws {
        let keys = 12_000
        let input = Samples.lines(keys: keys, size: count, alternating: size == 3)
        let output = try Samples.run("-n \(size) --by .k --seed \(seed)", input)
        let subsets = Samples.subsets(output, keys: keys)
        #expect(subsets.allSatisfy { $0.nonzeroBitCount == size })
        let tally = Samples.tally(subsets, below: 1 << count)
        let possible = (0..<1 << count).filter { $0.nonzeroBitCount == size }
        ChiSquared.checkUniform(possible.map { tally[$0] })
    }

    /// The same where nearly all lines pass, and so the gaps are long: input of 100 n.
    @Test(arguments: [
        (5, 40, 12_000, 31, "--by .k"), (5, 500, 1000, 32, "--by .k"),
        (1, 100, 5000, 33, "--every 1s --time .k"), (10, 1000, 300, 34, "--every 1s --time .k"),
    ])
    func everyLineIsEquallyLikely(
        _ size: Int, _ count: Int, _ keys: Int, _ seed: Int, _ split: String
    ) throws {
        let input = Samples.lines(keys: keys, size: count)
        let output = try Samples.run("-n \(size) \(split) --seed \(seed)", input)
        let values = Samples.values(output)
        #expect(values.count == 2 * size * keys)
        let places = stride(from: 1, to: values.count, by: 2).map { Int(values[$0]) }
        let tally = Samples.tally(places, below: count)
        ChiSquared.checkInclusion(tally, samples: keys, size: size)
        try checkPairs(places, size, count)
    }

    /// Each pair is together in a sample as often as it should be. The counts of pairs depend on
    /// each other, so it is the one that is furthest off that is looked at.
    private func checkPairs(_ places: [Int], _ size: Int, _ count: Int) throws {
        let samples = places.count / size
        let chance = Double(size * (size - 1)) / Double(count * (count - 1))
        guard Double(samples) * chance > 50 else { return }
        var pairs = Array(repeating: 0, count: count * count)
        for sample in 0..<samples {
            let chosen = places[(sample * size)..<((sample + 1) * size)]
            for first in chosen {
                for second in chosen where first < second { pairs[first * count + second] += 1 }
            }
        }
        for first in 0..<count {
            for second in first + 1..<count {
                let together = pairs[first * count + second]
                let off = binomialDeviations(together, of: samples, chance: chance)
                // Of 780 pairs one is so far off in one of 1000 runs.
                #expect(abs(off) < 4.9, "\(first) and \(second)")
            }
        }
    }

    @Test(arguments: [1, 2, 5, 1000]) func fewerLinesThanWantedAreAllTaken(_ size: Int) throws {
        for count in [0, 1, size - 1, size] where count <= size {
            let input = Samples.numbers(count)
            #expect(try Samples.run("-n \(size) --seed 1", input) == input)
        }
        #expect(try Samples.run("-n 0 --seed 1", Samples.numbers(100)) == [])
    }

    @Test func samplesKeepTheOrderOfTheInput() throws {
        let input = Samples.lines(keys: 300, size: 30, alternating: true)
        let order = Samples.values(input).enumerated().filter { $0.offset % 2 == 1 }
        #expect(order.first?.element == 0 && order.last?.element == 29)
        let values = Samples.values(try Samples.run("-n 7 --by .k --seed 4", input))
        let places = stride(from: 0, to: values.count, by: 2).map {
            300 * Int(values[$0 + 1]) + Int(values[$0])
        }
        #expect(places.count == 2100)
        #expect(zip(places, places.dropFirst()).allSatisfy(<))
    }

    /// All orders of a sample are equally likely, whether it is all of the input or not.
    @Test(arguments: [(3, 3, 41), (4, 4, 42), (2, 6, 43), (3, 5, 44)])
    func everyOrderIsEquallyLikely(_ size: Int, _ count: Int, _ seed: Int) throws {
        let keys = 12_000
        let input = Samples.lines(keys: keys, size: count)
        let output = try Samples.run(
            "-n \(size) --shuffle --every 1s --time .k --seed \(seed)", input)
        let values = Samples.values(output)
        #expect(values.count == 2 * size * keys)
        var tally: [Int: Int] = [:]
        for sample in 0..<keys {
            let order = (0..<size).reduce(0) {
                $0 * count + Int(values[2 * (sample * size + $1) + 1])
            }
            tally[order, default: 0] += 1
        }
        let orders = (count - size + 1...count).reduce(1, *)
        #expect(tally.count == orders)
        ChiSquared.checkUniform(Array(tally.values))
    }

    // MARK: -p

    /// What lies between two sampled lines is geometrically distributed, and so is what is before
    /// the first; gaps that follow each other are independent.
    @Test(arguments: [
        (0.001, 2_000_000, 51), (0.01, 1_000_000, 52), (0.5, 40_000, 53), (0.99, 200_000, 54),
    ])
    func gapsAreGeometric(_ chance: Double, _ count: Int, _ seed: Int) throws {
        let output = try Samples.shell(
            "seq 0 \(count - 1) | stream-sample -p \(chance) --seed \(seed)")
        let lines = Samples.lineValues(output).map { Int($0) }
        #expect(abs(binomialDeviations(lines.count, of: count, chance: chance)) < 3.29)
        let gaps = zip(lines, [-1] + lines).map { $0 - $1 - 1 }
        let tails = (5..<20).map { 1 / Double(1 << $0) }
        let fine = Cells(chance, shares: (0..<24).map { 1 - Double($0) / 24 } + tails)
        ChiSquared.check(Samples.tally(gaps.map(fine.cell), below: fine.count), fine.chances)
        let coarse = Cells(chance, shares: [1, 0.75, 0.5, 0.25])
        let pairs = stride(from: 0, to: gaps.count - 1, by: 2).map {
            coarse.cell(gaps[$0]) * coarse.count + coarse.cell(gaps[$0 + 1])
        }
        ChiSquared.check(
            Samples.tally(pairs, below: coarse.count * coarse.count),
            coarse.chances.flatMap { first in coarse.chances.map { first * $0 } })
    }

    /// Cells of gaps, and what the geometric distribution has in each.
    private struct Cells {
        private let starts: [Int]
        let chances: [Double]

        /// Each begins with the gap that so large a share of all gaps reaches.
        init(_ chance: Double, shares: [Double]) {
            starts = Set(shares.map { Int((log($0) / log1p(-chance)).rounded(.down)) }).sorted()
            let tails = starts.map { pow(1 - chance, Double($0)) } + [0]
            chances = zip(tails, tails.dropFirst()).map { $0 - $1 }
        }

        var count: Int { starts.count }

        func cell(_ gap: Int) -> Int { (starts.firstIndex { $0 > gap } ?? starts.count) - 1 }
    }

    @Test(arguments: ["0", "0.0", "0%", "1e-320", "-0"]) func noLine(_ share: String) throws {
        #expect(try Samples.run("-p \(share)", Samples.numbers(5000)) == [])
        #expect(try Samples.run("-p \(share) --key .", Samples.numbers(5000)) == [])
    }

    @Test(arguments: ["1", "1.0", "100%", "1e0"]) func allLines(_ share: String) throws {
        let input = Samples.numbers(5000)
        #expect(try Samples.run("-p \(share)", input) == input)
        #expect(try Samples.run("-p \(share) --strict", input) == input)
        #expect(try Samples.run("-p \(share) --key .", input) == input)
        #expect(try Samples.run("-p \(share) --invert", input) == [])
    }

    @Test(arguments: ["-p 0.3", "-p 0.3 --key .", "-n 100", "--nth 3 --offset 1"])
    func invertWritesTheOthers(_ method: String) throws {
        let input = Samples.numbers(2000)
        let sampled = Samples.lineValues(try Samples.run("\(method) --seed 6", input))
        let others = Samples.lineValues(try Samples.run("\(method) --seed 6 --invert", input))
        #expect(!sampled.isEmpty)
        #expect((sampled + others).sorted() == (0..<2000).map(Double.init))
        // Those that were held and had to give way come late.
        if method != "-n 100" { #expect(zip(others, others.dropFirst()).allSatisfy(<)) }
    }

    // MARK: Lines that pass unseen

    /// Without a path the lines between two that enter the sample are counted, not looked at, and
    /// many of them at once. They are the same ones that it would pass over.
    @Test(arguments: [
        "-n 10 --annotate r", "-n 1", "-n 60 --shuffle", "-p 0.005 --annotate r", "-p 0.7",
        "--nth 777",
    ])
    func linesThatPassUnseenChangeNothing(_ method: String) throws {
        // Long lines, and here and there a blank one, which is none.
        let lines =
            "seq 6000 | awk 'BEGIN { pad = sprintf(\"%0230d\", 1) }"
            + " { print \"{\\\"i\\\":\" $0 \",\\\"p\\\":1\" pad \"}\" }"
            + " NR % 211 == 0 { print \" \\r\\n\" }'"
        let command = "stream-sample \(method) --seed $s"
        for option in ["--strict", "--keep .x=y"] {
            let output = try Samples.shell(
                "f=$(mktemp); \(lines) > $f; for s in 1 2 3 4 5 6; do"
                    + " \(command) $f | cksum; \(command) \(option) $f | cksum; done; rm $f")
            let sums = String(decoding: output, as: UTF8.self).split(separator: "\n")
            try #require(sums.count == 12)
            for pair in 0..<6 { #expect(sums[2 * pair] == sums[2 * pair + 1]) }
            #expect(Set(sums).count == (method == "--nth 777" ? 1 : 6))
        }
    }

    /// How the input is cut into reads chooses no lines.
    @Test(arguments: ["-n 20", "-p 0.1", "-t -p 0.1", "-t -n 20", "--nth 5"])
    func readsChooseNothing(_ method: String) throws {
        var random = SeededGenerator.usual(7)
        var input: [UInt8] = []
        while input.count < 4000 {
            input += Array("\(input.count)\n".utf8)
            // Blank lines are none, except with -t.
            if random.next() % 8 == 0 { input += Array("  \n\n".utf8) }
        }
        let whole = try Samples.run("\(method) --seed 3", input)
        let session = try start("stream-sample", "\(method) --seed 3")
        var rest = input[...]
        while !rest.isEmpty {
            let size = Int.random(in: 1...30, using: &random)
            session.write(rest.prefix(size))
            rest = rest.dropFirst(size)
            usleep(100)
        }
        session.closeInput()
        #expect(session.finish().output == whole)
    }

    /// Seeds that follow each other choose independently.
    @Test func everyLineIsEquallyLikelyOverSeeds() throws {
        let output = try Samples.shell(
            "f=$(mktemp); seq 0 999 > $f;"
                + " for s in $(seq 250); do stream-sample -n 20 --seed $s $f; done; rm $f")
        let lines = Samples.lineValues(output).map { Int($0) }
        #expect(lines.count == 5000)
        ChiSquared.checkInclusion(Samples.tally(lines, below: 1000), samples: 250, size: 20)
        // Blocks show what is little everywhere, such as an end that is favoured.
        ChiSquared.checkUniform(Samples.tally(lines.map { $0 / 50 }, below: 20))
    }

    /// The counts are neither all alike nor too different: binomially distributed. And the first
    /// lines have the chance that all have.
    @Test func shareOverSeeds() throws {
        let seeds = 150
        let output = try Samples.shell(
            "f=$(mktemp); seq 500 > $f; for s in $(seq \(seeds)); do"
                + " stream-sample -p 0.1 --seed $s $f; echo 0; done; rm $f")
        let tally = Samples.lineValues(output).split(separator: 0).map { lines in
            Samples.tally(lines.map { Int($0) - 1 }, below: 500)
        }
        #expect(tally.count == seeds)
        let counts = tally.map { $0.reduce(0, +) }
        let chance = 0.1
        #expect(
            abs(binomialDeviations(counts.reduce(0, +), of: 500 * seeds, chance: chance)) < 3.29)
        let scattered = ChiSquared.statistic(counts, counts.map { _ in 50 }) / (1 - chance)
        #expect(ChiSquared.range(seeds - 1).contains(scattered))
        for start in stride(from: 0, to: 500, by: 5) {
            let count = tally.reduce(0) { $0 + $1[start..<start + 5].reduce(0, +) }
            #expect(abs(binomialDeviations(count, of: 5 * seeds, chance: chance)) < 4.2, "\(start)")
        }
    }

    /// A seed chooses the same lines on each machine and in each release: xoshiro256** from four
    /// numbers of SplitMix64, 52 bits of it as a number between 0 and 1, and its logarithm.
    @Test(arguments: [(1, 0.001), (2, 0.3), (.max, 0.02)])
    func whatASeedChooses(_ seed: Int, _ chance: Double) throws {
        var mixer = SeededGenerator(seed: UInt64(seed))
        var state = (0..<4).map { _ in mixer.next() }
        let rotate = { (word: UInt64, bits: UInt64) in word << bits | word >> (64 - bits) }
        var next = -1
        var expected = ""
        while true {
            let unit = (Double((rotate(state[1] &* 5, 7) &* 9) >> 12) + 0.5) * 0x1p-52
            let shifted = state[1] << 17
            state[2] ^= state[0]
            state[3] ^= state[1]
            state[1] ^= state[2]
            state[0] ^= state[3]
            state[2] ^= shifted
            state[3] = rotate(state[3], 45)
            next += 1 + Int(log(unit) / log1p(-chance))
            if next >= 40_000 { break }
            expected += "\(next)\n"
        }
        let output = try Samples.shell(
            "seq 0 39999 | stream-sample -p \(chance) --seed \(seed)")
        let isSame = output == Array(expected.utf8)
        #expect(isSame)
    }
}
