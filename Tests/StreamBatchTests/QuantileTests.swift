import Testing

@testable import stream_batch

@Suite struct QuantileTests {
    private static let percentages = [
        "0", "0.1", "1", "5", "10", "25", "50", "57", "75", "90", "95", "99", "99.9", "99.999",
        "100",
    ]

    /// Numbers of several shapes.
    static func values(_ shape: String, _ count: Int, _ random: inout Random) -> [Double] {
        (0..<count).map { index in
            let unit = random.unit()
            switch shape {
            case "uniform": return unit
            // A sum of twelve is near enough to normal.
            case "lognormal":
                return power((0..<12).reduce(-6) { sum, _ in sum + random.unit() } * 4)
            case "heavy tail": return 1 / (unit * unit)
            case "mixed": return (unit - 0.5) * power(random.unit() * 20)
            case "negative": return -1000 * unit
            case "whole": return Double(Int(unit * 1000)) - 10
            case "constant": return 42.5
            case "few": return [0, -1, 7, 1e8, 1e-8][Int(unit * 4.999)]
            case "tiny": return unit * 1e-300
            default: return Double(index) - 50
            }
        }
    }

    /// 2 to the power of `exponent`, by squaring: enough for a shape.
    private static func power(_ exponent: Double) -> Double {
        Double(sign: .plus, exponent: Int(exponent.rounded(.down)), significand: 1)
            * (1 + exponent - exponent.rounded(.down))
    }

    @Test(arguments: [
        "uniform", "lognormal", "heavy tail", "mixed", "negative", "whole", "constant", "few",
        "tiny", "steps",
    ])
    func errorBound(_ shape: String) throws {
        for (seed, error) in [(1, 0.01), (2, 0.005), (3, 0.05), (4, 0.2), (5, 0.01)] {
            var random = Random(UInt64(seed))
            let scale = LogScale(error: error)
            for count in [1, 2, 3, 10, 101, 3000] {
                var quantiles = Quantiles(scale)
                var values = Self.values(shape, count, &random)
                for value in values { quantiles.add(value, scale) }
                values.sort()
                for percentage in Self.percentages {
                    let percentile = try #require(Percentile(percentage[...]))
                    let exact = values[percentile.rank(among: count)]
                    let told = try #require(quantiles.value(percentile, scale))
                    #expect(
                        abs(told - exact) <= error * abs(exact),
                        "\(shape), seed \(seed), \(count) values, p\(percentage): \(told), \(exact)"
                    )
                }
            }
        }
    }

    @Test func nothing() {
        let scale = LogScale(error: 0.01)
        #expect(Quantiles(scale).value(Percentile("50")!, scale) == nil)
    }

    /// Each magnitude, at the edges of octaves above all, is near the value of its bin, and bins
    /// ascend with it.
    @Test func bins() {
        for error in [0.0001, 0.001, 0.01, 0.1, 0.5] {
            let scale = LogScale(error: error)
            var random = Random(9)
            var magnitudes = (0..<20_000).map { _ in
                Double(bitPattern: UInt64.random(in: 0x0010 << 48...0x7FEF << 48, using: &random))
            }
            for exponent in stride(from: -1022, through: 1023, by: 31) {
                let power = Double(sign: .plus, exponent: exponent, significand: 1)
                magnitudes += [power, power.nextUp, power.nextDown, power * 1.5]
            }
            magnitudes = magnitudes.filter { $0.isNormal }.sorted()
            var last = Int.min
            for magnitude in magnitudes {
                let bin = scale.bin(magnitude)
                #expect(bin >= last)
                last = bin
                let value = min(scale.value(bin), .greatestFiniteMagnitude)
                #expect(abs(value - magnitude) <= error * magnitude, "\(magnitude), \(error)")
            }
            #expect(scale.bin(.leastNonzeroMagnitude) >= 0)
            #expect(scale.bin(.leastNonzeroMagnitude) <= scale.bin(.leastNormalMagnitude.nextDown))
            #expect(scale.bin(.leastNormalMagnitude.nextDown) <= scale.bin(.leastNormalMagnitude))
        }
    }

    @Test(arguments: ["lognormal", "mixed", "few", "steps", "tiny", "wide"])
    func merging(_ shape: String) throws {
        let scale = LogScale(error: 0.01)
        for seed in 1...20 as ClosedRange<UInt64> {
            var random = Random(seed)
            var whole = Quantiles(scale)
            var parts = [Quantiles(scale), Quantiles(scale)]
            let values =
                shape == "wide"
                ? (0..<500).map { _ in
                    Double(bitPattern: UInt64.random(in: 1...0x7FEF << 48, using: &random))
                }
                : Self.values(shape, 500, &random)
            for value in values {
                whole.add(value, scale)
                parts[Int.random(in: 0...1, using: &random)].add(value, scale)
            }
            parts[0].merge(parts[1])
            for percentage in Self.percentages {
                let percentile = try #require(Percentile(percentage[...]))
                #expect(
                    parts[0].value(percentile, scale) == whole.value(percentile, scale),
                    "\(shape), seed \(seed), p\(percentage)")
            }
        }
    }

    /// Numbers over 600 decades: the bins are bounded, the bound holds above the lowest ones, and
    /// below them the answer is not above those.
    @Test func collapse() throws {
        for (seed, error) in [(1, 0.01), (2, 0.01), (3, 0.001), (4, 0.003)] as [(UInt64, Double)] {
            let scale = LogScale(error: error)
            var random = Random(seed)
            var values = (0..<5000).map { _ in
                Double(bitPattern: UInt64.random(in: 0x0010 << 48...0x7FEF << 48, using: &random))
            }
            var quantiles = Quantiles(scale)
            var bins = Bins(limit: scale.binLimit)
            for value in values {
                quantiles.add(value, scale)
                quantiles.add(-value, scale)
                bins.add(scale.bin(value))
            }
            #expect(bins.range.count == scale.binLimit)
            #expect(bins.total == values.count)
            values += values.map { -$0 }
            values.sort()
            let low = values[values.count - 1] * 5e-18
            for percentage in Self.percentages {
                let percentile = try #require(Percentile(percentage[...]))
                let exact = values[percentile.rank(among: values.count)]
                let told = try #require(quantiles.value(percentile, scale))
                if abs(exact) > low {
                    #expect(abs(told - exact) <= error * abs(exact), "seed \(seed), p\(percentage)")
                } else {
                    #expect(abs(told) <= low && told * exact >= 0, "seed \(seed), p\(percentage)")
                }
            }
        }
    }

    /// A count has more than the 16 bits that are kept at first.
    @Test func manyInABin() {
        var bins = Bins(limit: 2048)
        for _ in 0..<200_000 { bins.add(7) }
        bins.add(-100)
        #expect(bins[7] == 200_000)
        #expect(bins[-100] == 1)
        var other = Bins(limit: 2048)
        for _ in 0..<65_535 { other.add(7) }
        bins.merge(other)
        bins.merge(other)
        #expect(bins[7] == 331_070)
        bins.add(7 + 2048)
        #expect(bins.total == 331_072)
        bins.add(8 * 2048)
        #expect(bins.total == 331_073)
        #expect(bins[bins.range.lowerBound] == 331_072)
    }
}
