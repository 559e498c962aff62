import Glibc
import Testing

/// Input of many independent samples, and what comes of it.
enum Samples {
    /// What stream-sample writes; the run must succeed.
    static func run(_ arguments: String, _ input: [UInt8]) throws -> [UInt8] {
        let result = try ToolTests.run("stream-sample", words(arguments), input)
        try #require(result.ending == .exit(0), "\(result.errors)")
        return result.output
    }

    /// The same for a command line of the shell.
    static func shell(_ command: String) throws -> [UInt8] {
        let result = try ToolTests.shell(command)
        try #require(result.ending == .exit(0), "\(result.errors)")
        return result.output
    }

    /// Lines such as `{"k":17,"i":3}`: these members for each of `count` keys. Each key is a
    /// sample of its own with --by .k, and with --every 1s --time .k, for keys are seconds.
    /// `alternating` has the keys take turns instead of one coming after the other.
    static func lines(
        keys count: Int, members: [String], alternating: Bool = false
    ) -> [UInt8] {
        let heads = (0..<count).map { Array("{\"k\":\($0),".utf8) }
        let tails = members.map { Array("\($0)}\n".utf8) }
        var lines: [UInt8] = []
        lines.reserveCapacity(count * members.count * 40)
        if alternating {
            for tail in tails {
                for head in heads {
                    lines += head
                    lines += tail
                }
            }
        } else {
            for head in heads {
                for tail in tails {
                    lines += head
                    lines += tail
                }
            }
        }
        return lines
    }

    /// The same with nothing but numbers: `"i":0` to `"i":size - 1`.
    static func lines(keys count: Int, size: Int, alternating: Bool = false) -> [UInt8] {
        let members = (0..<size).map { "\"i\":\($0)" }
        return lines(keys: count, members: members, alternating: alternating)
    }

    /// The whole numbers from 0, each a line.
    static func numbers(_ count: Int) -> [UInt8] {
        Array((0..<count).map { "\($0)\n" }.joined().utf8)
    }

    /// The number behind each colon.
    static func values(_ output: [UInt8]) -> [Double] {
        numbers(output, behind: UInt8(ascii: ":"))
    }

    /// The number at the start of each line.
    static func lineValues(_ output: [UInt8]) -> [Double] {
        numbers([UInt8(ascii: "\n")] + output.dropLast(), behind: UInt8(ascii: "\n"))
    }

    private static func numbers(_ text: [UInt8], behind separator: UInt8) -> [Double] {
        var numbers: [Double] = []
        // strtod stops at the 0.
        (text + [0]).withUnsafeBytes { bytes in
            guard var place = bytes.baseAddress else { return }
            let end = place + text.count
            while let found = memchr(place, Int32(separator), end - place) {
                place = UnsafeRawPointer(found) + 1
                if place < end {
                    numbers.append(strtod(place.assumingMemoryBound(to: CChar.self), nil))
                }
            }
        }
        return numbers
    }

    /// What was sampled of each key, as a set of bits, from lines of `width` numbers of which the
    /// first two are the key and the place.
    static func subsets(_ output: [UInt8], keys count: Int, width: Int = 2) -> [Int] {
        let values = values(output)
        var subsets = Array(repeating: 0, count: count)
        for row in stride(from: 0, to: values.count, by: width) {
            let bit = 1 << Int(values[row + 1])
            // A line that comes twice would otherwise look like one.
            precondition(subsets[Int(values[row])] & bit == 0)
            subsets[Int(values[row])] |= bit
        }
        return subsets
    }

    /// How often each value is there.
    static func tally(_ values: some Sequence<Int>, below limit: Int) -> [Int] {
        var counts = Array(repeating: 0, count: limit)
        for value in values { counts[value] += 1 }
        return counts
    }
}

/// Pearson's test of counts against what is expected of them.
enum ChiSquared {
    /// Between what a correct sampler falls below, and above, in one of 1000 runs (Wilson and
    /// Hilferty 1931). Counts that are too even are not random either.
    static func range(_ degrees: Int) -> ClosedRange<Double> {
        let ninths = 2 / (9 * Double(degrees))
        let bound = { (deviations: Double) in
            let root = max(0, 1 - ninths + deviations * ninths.squareRoot())
            return Double(degrees) * root * root * root
        }
        return bound(-3.0902)...bound(3.0902)
    }

    static func statistic(_ counts: [Int], _ expected: [Double]) -> Double {
        zip(counts, expected).reduce(0) { sum, pair in
            let difference = Double(pair.0) - pair.1
            return sum + difference * difference / pair.1
        }
    }

    /// The counts are those of independent trials with these chances, whose sum is 1. What is
    /// expected less than 5 times is one cell: the statistic needs that much.
    static func check(
        _ counts: [Int], _ chances: [Double], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let total = Double(counts.reduce(0, +))
        var cells: [(count: Int, expected: Double)] = []
        var rest = (count: 0, expected: 0.0)
        for (count, chance) in zip(counts, chances) {
            if chance * total >= 5 {
                cells.append((count, chance * total))
            } else {
                rest = (rest.count + count, rest.expected + chance * total)
            }
        }
        if rest.expected >= 1 {
            cells.append(rest)
        } else {
            #expect(rest.count < 8, sourceLocation: sourceLocation)
        }
        let value = statistic(cells.map(\.count), cells.map(\.expected))
        let range = range(cells.count - 1)
        #expect(range.contains(value), "\(cells.prefix(40))", sourceLocation: sourceLocation)
    }

    /// Each was as likely as the others.
    static func checkUniform(
        _ counts: [Int], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let chances = Array(repeating: 1 / Double(counts.count), count: counts.count)
        check(counts, chances, sourceLocation: sourceLocation)
    }

    /// Of `samples` samples of `size` lines, taken without replacement, each line was in as many
    /// as the others. The counts are then less scattered than those of independent draws.
    static func checkInclusion(
        _ counts: [Int], samples: Int, size: Int, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let population = Double(counts.count)
        let chance = Double(size) / population
        let expected = Double(samples) * chance
        let scattered = statistic(counts, counts.map { _ in expected })
        let value = scattered * (population - 1) / population / (1 - chance)
        let range = range(counts.count - 1)
        #expect(range.contains(value), sourceLocation: sourceLocation)
    }
}

/// A mean and how far it may be off.
struct Mean {
    private(set) var value = 0.0
    private(set) var standardError = 0.0

    init(_ values: [Double]) {
        let count = Double(values.count)
        value = values.reduce(0, +) / count
        let squares = values.reduce(0) { $0 + ($1 - value) * ($1 - value) }
        standardError = (squares / (count - 1) / count).squareRoot()
    }

    /// True within what is exceeded once in 1000 times.
    func agrees(with expected: Double) -> Bool {
        abs(value - expected) <= 3.29 * standardError
    }
}

/// How many standard deviations a number of successes is from what is expected.
func binomialDeviations(_ successes: Int, of trials: Int, chance: Double) -> Double {
    let expected = Double(trials) * chance
    return (Double(successes) - expected) / (expected * (1 - chance)).squareRoot()
}
