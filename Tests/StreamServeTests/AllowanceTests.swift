import Testing

@testable import stream_serve

@Suite struct AllowanceTests {
    private static let second: UInt64 = 1_000_000_000

    /// One at a time, as often as it is allowed: the rate is kept, behind a second's worth.
    @Test(arguments: [0.5, 1, 3, 100, 10_000]) func rate(_ perSecond: Double) {
        var random = Random("rate \(perSecond)")
        var now: UInt64 = 5_000_000_000
        let start = now
        let allowance = SharedAllowance(perSecond, now: now)
        var taken = 0
        let step = Int(1e9 / perSecond / 2)
        for _ in 0..<20_000 {
            now += UInt64(random.below(step))
            if allowance.take(1, now: now) { taken += 1 }
            let most = max(perSecond, 1) + Double(now - start) / 1e9 * perSecond
            #expect(Double(taken) <= most + 1e-3, "seed \(Seed.value)")
        }
        // It asks for four times as much as it may; with few at a time, some of what was saved up
        // runs over before it asks again.
        let most = max(perSecond, 1) + Double(now - start) / 1e9 * perSecond
        #expect(Double(taken) >= most * 0.8 - 2, "seed \(Seed.value)")
    }

    /// What was not used is saved, for a second.
    @Test func holdsOneSecond() {
        let allowance = SharedAllowance(10, now: 0)
        let later = 1000 * Self.second
        let taken = (0..<20).count { _ in allowance.take(1, now: later) }
        #expect(taken == 10)
        #expect(!allowance.take(1, now: later + Self.second / 20))
        #expect(allowance.take(1, now: later + Self.second / 10))
    }

    /// What is refused costs nothing.
    @Test func refusedIsFree() {
        let allowance = SharedAllowance(10, now: 0)
        #expect(allowance.take(6, now: 0))
        for _ in 0..<10 { #expect(!allowance.take(5, now: 0)) }
        #expect(allowance.take(4, now: 0))
        #expect(!allowance.take(1, now: 0))
    }

    /// A batch of more than a second's worth never goes, and costs nothing.
    @Test func largeBatch() {
        let allowance = SharedAllowance(10, now: 0)
        #expect(!allowance.take(11, now: 100 * Self.second))
        #expect(allowance.take(10, now: 100 * Self.second))
        #expect(!allowance.take(11, now: 200 * Self.second))
    }

    @Test func lessThanOneASecond() {
        let allowance = SharedAllowance(0.25, now: 0)
        #expect(allowance.take(1, now: 0))
        #expect(!allowance.take(1, now: 3 * Self.second))
        #expect(allowance.take(1, now: 4 * Self.second))
    }

    /// Each worker has its own idea of now, a little older than that of another: nobody gains.
    @Test func workersWithOtherClocks() {
        let shared = SharedAllowance(10, now: 0)
        let now = 10 * Self.second
        #expect(shared.take(10, now: now))
        #expect(!shared.take(1, now: now - 1000))
        #expect(!shared.take(1, now: now))
        #expect(!shared.take(10, now: now + Self.second / 2))
        #expect(shared.take(5, now: now + Self.second / 2))
    }
}
