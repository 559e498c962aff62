import Testing

@testable import StreamTool

@Suite struct BackoffTests {
    private let backoff = Backoff(range: 1_000_000_000...60_000_000_000)

    @Test func doublesUpToTheLongest() {
        let seconds = (1...9).map { backoff.longestWait(before: $0) / 1_000_000_000 }
        #expect(seconds == [1, 2, 4, 8, 16, 32, 60, 60, 60])
    }

    @Test(arguments: [34, 35, 63, 64, 65, 1000, 1 << 30]) func doesNotOverflow(retry: Int) {
        #expect(backoff.longestWait(before: retry) == 60_000_000_000)
        let widest = Backoff(range: 1_000_000...UInt64.max)
        #expect(widest.longestWait(before: retry) >= 1 << 50)
    }

    /// Full jitter: from nothing to the longest, evenly.
    @Test(arguments: [1, 3, 10]) func isSpreadEvenly(retry: Int) {
        var generator = Random(exactly: 42)
        let longest = Double(backoff.longestWait(before: retry))
        let shares = (0..<4000).map { _ in
            Double(backoff.wait(before: retry, using: &generator)) / longest
        }
        #expect(shares.allSatisfy { $0 >= 0 && $0 <= 1 })
        for tenth in 0..<10 {
            let count = shares.count { Int($0 * 10) == tenth }
            // 400 expected, standard deviation 19: five of them.
            #expect((305...495).contains(count))
        }
    }
}
