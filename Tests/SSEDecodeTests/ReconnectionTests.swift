import StreamTool
import Testing

@testable import SSEDecode

/// When the next attempt comes, on a clock that is not waited for.
@Suite struct ReconnectionTests {
    private static let second: UInt64 = 1_000_000_000

    private func reconnection(
        backoff: ClosedRange<UInt64> = second...(8 * second), retries: Int? = nil
    ) -> Reconnection {
        var options = FollowOptions()
        options.backoff = Backoff(range: backoff)
        options.retries = retries
        return Reconnection(options)
    }

    /// Hands out the highest numbers, so that jitter is the longest.
    private struct Highest: RandomNumberGenerator {
        mutating func next() -> UInt64 { .max }
    }

    @Test func waitsDoubleUpToTheLongest() {
        var generator = Highest()
        var some = reconnection()
        let waits = (0..<6).map { _ in
            some.wait(lasted: nil, sawEvent: false, using: &generator)
        }
        #expect(waits == [1, 2, 4, 8, 8, 8].map { $0 * Self.second })
    }

    /// Hands out numbers all over the range, the same in each run.
    private struct Even: RandomNumberGenerator {
        private var last: UInt64 = 0

        mutating func next() -> UInt64 {
            last &+= 0x9E37_79B9_7F4A_7C15
            return last
        }
    }

    @Test func jitterIsFull() {
        var generator = Even()
        var some = reconnection()
        var waits: [UInt64] = []
        for _ in 0..<2000 {
            waits.append(some.wait(lasted: nil, sawEvent: true, using: &generator) ?? .max)
        }
        #expect(waits.allSatisfy { $0 <= Self.second })
        #expect(waits.contains { $0 < Self.second / 10 })
        #expect(waits.contains { $0 > 9 * (Self.second / 10) })
    }

    @Test func theStreamsRetryIsTheWaitThen() {
        var generator = Highest()
        var some = reconnection()
        some.setReconnectionTime(milliseconds: 2000)
        #expect(some.wait(lasted: 1, sawEvent: true, using: &generator) == 2 * Self.second)
        #expect(some.wait(lasted: nil, sawEvent: false, using: &generator) == 2 * Self.second)
        #expect(some.wait(lasted: nil, sawEvent: false, using: &generator) == 3 * Self.second)
        // An event: what failed before counts no more.
        #expect(some.wait(lasted: 1, sawEvent: true, using: &generator) == 2 * Self.second)
    }

    /// `retry: 0` asked a server 250 times a second.
    @Test(
        arguments: [
            (0, 1_000_000_000...30_000_000_000, 1_000_000_000),
            (0, 5_000_000...7_000_000, 5_000_000),
            (999, 60_000_000_000...90_000_000_000, 1_000_000_000),
            (1001, 60_000_000_000...90_000_000_000, 1_001_000_000),
        ] as [(Int, ClosedRange<UInt64>, UInt64)])
    func retryHasAFloor(_ milliseconds: Int, _ backoff: ClosedRange<UInt64>, _ expected: UInt64) {
        var generator = Highest()
        var some = reconnection(backoff: backoff)
        some.setReconnectionTime(milliseconds: milliseconds)
        #expect(some.wait(lasted: 1, sawEvent: true, using: &generator) == expected)
    }

    /// A server's `retry: 4000` was added to a maximum of a second, and a day was believed.
    @Test(arguments: [0, 2000, 4000, 8000, 86_400_000, Int.max])
    func noSumIsLongerThanTheLongest(_ milliseconds: Int) {
        var generator = Highest()
        var some = reconnection()
        some.setReconnectionTime(milliseconds: milliseconds)
        for _ in 0..<20 {
            let wait = some.wait(lasted: nil, sawEvent: false, using: &generator) ?? .max
            #expect(wait <= 8 * Self.second)
        }
        // Only Retry-After may say more.
        let later = some.wait(
            lasted: nil, sawEvent: false, retryAfter: 60 * Self.second, using: &generator)
        #expect(later == 60 * Self.second)
    }

    /// A POST to a server that is down was tried for ever.
    @Test func otherRequestsThanGETGiveUp() {
        var options = FollowOptions()
        #expect(options.maxRetries == .max)
        options.method = "POST"
        #expect(options.maxRetries == 10)
        options.method = nil
        options.body = "{}"
        #expect(options.maxRetries == 10)
        options.retries = 1000
        #expect(options.maxRetries == 1000)
    }

    @Test func retryAfterIsTheLeast() {
        var generator = Highest()
        var some = reconnection()
        let wait = some.wait(
            lasted: nil, sawEvent: false, retryAfter: 7 * Self.second, using: &generator)
        #expect(wait == 7 * Self.second)
        let next = some.wait(lasted: nil, sawEvent: false, retryAfter: 1, using: &generator)
        #expect(next == 2 * Self.second)
    }

    @Test func givesUpAfterSoManyFailures() {
        var generator = Highest()
        var some = reconnection(retries: 2)
        #expect(some.wait(lasted: nil, sawEvent: false, using: &generator) != nil)
        #expect(some.wait(lasted: nil, sawEvent: false, using: &generator) != nil)
        #expect(some.wait(lasted: nil, sawEvent: false, using: &generator) == nil)
        #expect(some.failures == 3)
        var none = reconnection(retries: 0)
        #expect(none.wait(lasted: 1, sawEvent: true, using: &generator) != nil)
        #expect(none.wait(lasted: 1, sawEvent: false, using: &generator) == nil)
    }

    /// A connection that stayed is a good one, also when nothing happened.
    @Test func aConnectionThatLastedStartsAnew() {
        var generator = Highest()
        var some = reconnection(retries: 1)
        _ = some.wait(lasted: nil, sawEvent: false, using: &generator)
        #expect(some.wait(lasted: 10 * Self.second, sawEvent: false, using: &generator) != nil)
        #expect(some.failures == 0)
        _ = some.wait(lasted: 9 * Self.second, sawEvent: false, using: &generator)
        #expect(some.failures == 1)
    }
}

/// How long silence may last, by what the server showed.
@Suite struct RhythmTests {
    private static let second: UInt64 = 1_000_000_000

    /// Seconds that are allowed behind these gaps, in seconds.
    private func limit(behind gaps: [UInt64]) -> UInt64 {
        var rhythm = Rhythm()
        for gap in gaps { rhythm.note(gap * Self.second) }
        return rhythm.idleLimit / Self.second
    }

    @Test func noneWasSeen() {
        #expect(limit(behind: []) == 300)
        // A busy stream that falls silent, and one pause in it.
        #expect(limit(behind: Array(repeating: 0, count: 1000)) == 300)
        #expect(limit(behind: [0, 4, 4, 4, 60, 0]) == 300)
    }

    /// Keepalives of 15 s, of ntfy, of a minute, of three.
    @Test(arguments: [(5, 45), (15, 45), (45, 135), (60, 180), (180, 540), (3000, 1800)])
    func threeTimesTheRhythm(_ gap: UInt64, _ seconds: UInt64) {
        #expect(limit(behind: [0, gap, 1, gap, 0, gap]) == seconds)
    }
}
