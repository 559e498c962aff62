import StreamTool

/// How long to stay away before the next attempt: what the stream's `retry` says (HTML 9.2.3), what
/// a Retry-After says, and a backoff with full jitter.
struct Reconnection {
    /// The least of a `retry` that is obeyed, unless --backoff begins lower: a second. With a
    /// `retry` of 0, a stream that ends at once would be asked for hundreds of times a second.
    static let leastRetry: UInt64 = 1_000_000_000

    private let backoff: Backoff
    private let retries: Int
    private let resetAfter: UInt64
    /// Nanoseconds, once the stream has set it.
    private(set) var reconnectionTime: UInt64?
    /// Attempts behind one another that brought nothing.
    private(set) var failures = 0

    init(_ options: FollowOptions) {
        backoff = options.backoff
        retries = options.maxRetries
        resetAfter = options.resetAfter
    }

    /// What the stream says. No `retry` keeps away for longer than --backoff does.
    mutating func setReconnectionTime(milliseconds: Int) {
        let (wait, isOverflow) = UInt64(milliseconds).multipliedReportingOverflow(by: 1_000_000)
        let least = min(Self.leastRetry, backoff.range.lowerBound)
        reconnectionTime = min(backoff.range.upperBound, isOverflow ? .max : max(least, wait))
    }

    /// Nanoseconds to wait; nil when it is time to give up. `lasted` is how long the answer came,
    /// nil when there was none. `sawEvent`: it brought an event.
    mutating func wait(
        lasted: UInt64?, sawEvent: Bool, retryAfter: UInt64? = nil,
        using generator: inout some RandomNumberGenerator
    ) -> UInt64? {
        if sawEvent || lasted ?? 0 >= resetAfter {
            failures = 0
        } else {
            failures += 1
            if failures > retries { return nil }
        }
        var wait: UInt64
        if let reconnectionTime {
            wait = reconnectionTime
            if failures > 1 { wait += backoff.wait(before: failures - 1, using: &generator) }
        } else {
            wait = backoff.wait(before: max(1, failures), using: &generator)
        }
        return max(min(wait, backoff.range.upperBound), retryAfter ?? 0)
    }
}
