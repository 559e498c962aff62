import Testing

@testable import stream_batch

/// A breaker and a clock in nanoseconds that only a test moves.
@Suite struct BreakerTests {
    static let second: UInt64 = 1_000_000_000
    var breaker = Breaker(failures: 3, duration: 30 * second)

    /// Starts an attempt that fails at once. True when that opens the breaker.
    private mutating func attemptFails(at now: UInt64) -> Bool {
        let isProbe = breaker.start()
        return breaker.fail(at: now, wasProbe: isProbe)
    }

    @Test mutating func opensAfterFailuresInARow() {
        #expect(attemptFails(at: 0) == false)
        #expect(attemptFails(at: 1) == false)
        #expect(!breaker.isOpen)
        #expect(breaker.nextStart == 0)
        #expect(attemptFails(at: 5) == true)
        #expect(breaker.isOpen)
        #expect(breaker.nextStart == 5 + 30 * Self.second)
    }

    @Test mutating func successBetweenStartsTheCountAgain() {
        for _ in 0..<10 {
            #expect(attemptFails(at: 0) == false)
            #expect(attemptFails(at: 0) == false)
            #expect(breaker.succeed() == false)
        }
        #expect(!breaker.isOpen)
    }

    private mutating func open(at now: UInt64) {
        for _ in 0..<3 { _ = attemptFails(at: now) }
    }

    @Test mutating func oneProbeStarts() {
        open(at: 0)
        #expect(breaker.start() == true)
        #expect(breaker.isOpen)
        #expect(breaker.nextStart == nil)
    }

    @Test mutating func probeThatSucceedsCloses() {
        open(at: 0)
        _ = breaker.start()
        #expect(breaker.succeed() == true)
        #expect(!breaker.isOpen)
        #expect(breaker.start() == false)
        // All failures are needed again.
        #expect(breaker.fail(at: 0, wasProbe: false) == false)
    }

    @Test mutating func probeThatFailsOpensAgain() {
        open(at: 0)
        for round in 1...5 {
            let now = UInt64(round) * 31 * Self.second
            #expect(attemptFails(at: now) == true)
            #expect(breaker.nextStart == now + 30 * Self.second)
        }
    }

    /// Attempts that ran when the breaker opened end late.
    @Test mutating func earlierAttemptsThatFailSayNothing() {
        open(at: 0)
        #expect(breaker.fail(at: 7, wasProbe: false) == false)
        #expect(breaker.nextStart == 30 * Self.second)
        _ = breaker.start()
        #expect(breaker.fail(at: 31 * Self.second, wasProbe: false) == false)
        #expect(breaker.nextStart == nil)
        #expect(breaker.fail(at: 32 * Self.second, wasProbe: true) == true)
    }

    @Test mutating func earlierAttemptThatSucceedsCloses() {
        open(at: 0)
        #expect(breaker.succeed() == true)
        #expect(breaker.nextStart == 0)
    }
}
