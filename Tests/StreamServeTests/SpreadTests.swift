import Testing

@testable import stream_serve

@Suite struct SpreadTests {
    /// Against sorted values: right within 12 %.
    @Test(arguments: 0..<10) func quantiles(_ round: Int) {
        var random = Random("spread", round)
        var spread = Spread()
        var values: [Double] = []
        var sum = 0.0
        for _ in 0..<(1 + random.below(500)) {
            // Between a microsecond and twenty minutes.
            let seconds =
                1e-6 * Double(1 << random.below(30)) * Double.random(in: 1...1.5, using: &random)
            let nanoseconds = UInt64(seconds * 1e9)
            let times = 1 + random.below(3)
            spread.add(nanoseconds: nanoseconds, times: times)
            values += Array(repeating: Double(nanoseconds) / 1e9, count: times)
            sum += Double(nanoseconds) / 1e9 * Double(times)
        }
        values.sort()
        #expect(spread.count == values.count)
        #expect(abs(spread.sum - sum) <= sum * 1e-9)
        for share in [0.01, 0.25, 0.5, 0.9, 0.99, 1] {
            let rank = max(1, Int((share * Double(values.count)).rounded(.up)))
            let ratio = spread.quantile(share) / values[rank - 1]
            #expect((0.88...1.12).contains(ratio), "\(share), round \(round), seed \(Seed.value)")
        }
    }

    @Test func extremes() {
        var spread = Spread()
        #expect(spread.quantile(0.5) == 0 && spread.count == 0)
        spread.add(nanoseconds: 0)
        #expect(spread.quantile(0.99) <= 1e-6)
        // A year is more than any bucket, and counts as the longest.
        spread.add(nanoseconds: 31_536_000_000_000_000, times: 9)
        #expect(spread.quantile(0.5) > 1000 && spread.quantile(0.5).isFinite)
        #expect(spread.count == 10)
    }

    /// Two together are as if all had been added to one.
    @Test func addition() {
        var random = Random("addition")
        var one = Spread()
        var other = Spread()
        var both = Spread()
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

    @Test func counters() {
        var one = Counters()
        one.connections[1] = 2
        one.dropped[0] = 3
        one.historyEvents = 10
        one.historyBytes = 100
        one.feeds = 1
        one.lag.add(nanoseconds: 5)
        var total = one
        total.add(one)
        #expect(total.connections[1] == 4 && total.dropped[0] == 6 && total.feeds == 2)
        // Each worker has the same events.
        #expect(total.historyEvents == 10 && total.historyBytes == 100)
        #expect(total.lag.count == 2)
        let board = Board(workers: 2)
        board.post(one, of: 0)
        board.post(one, of: 1)
        board.post(one, of: 1)
        board.post(eventsIn: 7, bytesIn: 8)
        let (sum, events, bytes) = board.total()
        #expect(sum.connections[1] == 4 && events == 7 && bytes == 8)
        #expect(board.loads() == [2, 2])
        #expect(board.running() == 2)
        board.leave()
        #expect(board.running() == 1 && !board.ready())
        board.setReady(true)
        #expect(board.ready())
    }
}
