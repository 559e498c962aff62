/// How long to wait before a batch is tried again: a random time ("full jitter"), so that many who
/// failed together do not come back together.
struct Backoff {
    /// Nanoseconds: up to which the first wait goes, and up to which the longest.
    let range: ClosedRange<UInt64>

    /// Nanoseconds to wait before the first, second, … new try.
    func wait(before retry: Int, using generator: inout some RandomNumberGenerator) -> UInt64 {
        UInt64.random(in: 0...longestWait(before: retry), using: &generator)
    }

    /// MIN, doubled each time, up to MAX.
    func longestWait(before retry: Int) -> UInt64 {
        let doublings = max(0, retry - 1)
        guard doublings < range.lowerBound.leadingZeroBitCount else { return range.upperBound }
        return min(range.upperBound, range.lowerBound << UInt64(doublings))
    }
}
