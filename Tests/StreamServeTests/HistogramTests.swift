import StreamTool
import Testing

@Suite struct HistogramTests {
    /// Against sorted values: right within 6 %.
    @Test(arguments: 0..<10) func quantiles(_ round: Int) {
        var random = Random("histogram", round)
        var times = Histogram()
        var values: [Double] = []
        var sum = 0.0
        for _ in 0..<(1 + random.below(500)) {
            // Between a microsecond and twenty minutes.
            let seconds =
                1e-6 * Double(1 << random.below(30)) * Double.random(in: 1...1.5, using: &random)
            let nanoseconds = UInt64(seconds * 1e9)
            let repeats = 1 + random.below(3)
            times.add(nanoseconds: nanoseconds, times: repeats)
            values += Array(repeating: Double(nanoseconds) / 1e9, count: repeats)
            sum += Double(nanoseconds) / 1e9 * Double(repeats)
        }
        values.sort()
        #expect(times.count == values.count)
        #expect(abs(times.sum - sum) <= sum * 1e-9)
        for share in [0.01, 0.25, 0.5, 0.9, 0.99, 1] {
            let rank = max(1, Int((share * Double(values.count)).rounded(.up)))
            let ratio = times.quantile(share) / values[rank - 1]
            #expect((0.94...1.06).contains(ratio), "\(share), round \(round), seed \(Seed.value)")
        }
    }

    @Test func extremes() {
        var times = Histogram()
        #expect(times.quantile(0.5) == 0 && times.count == 0)
        times.add(nanoseconds: 0)
        #expect(times.quantile(0.99) <= 1e-6)
        // A year is more than any bucket, and counts as the longest.
        times.add(nanoseconds: 31_536_000_000_000_000, times: 9)
        #expect(times.quantile(0.5) > 1000 && times.quantile(0.5).isFinite)
        #expect(times.count == 10)
    }

    /// Two together are as if all had been added to one.
    @Test func addition() {
        var random = Random("addition")
        var one = Histogram()
        var other = Histogram()
        var both = Histogram()
        for _ in 0..<1000 {
            let nanoseconds = UInt64(random.below(1 << 30))
            if random.oneIn(2) {
                one.add(nanoseconds: nanoseconds)
            } else {
                other.add(nanoseconds: nanoseconds)
            }
            both.add(nanoseconds: nanoseconds)
        }
        one.add(other)
        #expect(one.count == both.count && abs(one.sum - both.sum) < 1e-6)
        for share in [0.1, 0.5, 0.9] { #expect(one.quantile(share) == both.quantile(share)) }
    }
}
