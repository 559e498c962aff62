/// How long to wait before something that failed is tried again: a random time ("full jitter"), so
/// that many who failed together do not come back together.
package struct Backoff: Sendable {
    /// Nanoseconds: up to which the first wait goes, and up to which the longest.
    package let range: ClosedRange<UInt64>

    package init(range: ClosedRange<UInt64>) {
        self.range = range
    }

    /// Nanoseconds to wait before the first, second, … new try.
    package func wait(before retry: Int, using generator: inout some RandomNumberGenerator)
        -> UInt64
    {
        UInt64.random(in: 0...longestWait(before: retry), using: &generator)
    }

    /// MIN, doubled each time, up to MAX.
    package func longestWait(before retry: Int) -> UInt64 {
        let doublings = max(0, retry - 1)
        guard doublings < range.lowerBound.leadingZeroBitCount else { return range.upperBound }
        return min(range.upperBound, range.lowerBound << UInt64(doublings))
    }
}

extension Value {
    /// Nanoseconds from `1s..60s`, the first at least 1ms.
    package static func backoff(_ text: String) throws(UsageError) -> Backoff {
        let bytes = Array(text.utf8)
        let dot = UInt8(ascii: ".")
        // The first two dots: a duration may have one, and does not end with it.
        guard
            let index = bytes.indices.dropLast().first(where: {
                bytes[$0] == dot && bytes[$0 + 1] == dot
            })
        else { throw UsageError("expected MIN..MAX, such as 1s..60s, not '\(text)'") }
        let least = try duration(String(decoding: bytes[..<index], as: UTF8.self))
        let most = try duration(String(decoding: bytes[(index + 2)...], as: UTF8.self))
        guard least >= 1_000_000, least <= most else {
            throw UsageError("expected MIN..MAX with MIN from 1ms to MAX, not '\(text)'")
        }
        return Backoff(range: least...most)
    }
}
