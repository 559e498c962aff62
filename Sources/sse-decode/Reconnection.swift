import StreamTool

/// How long to stay away before the next attempt: what the stream's `retry` says (HTML 9.2.3), what
/// a Retry-After says, and a backoff with full jitter.
struct Reconnection {
    private let backoff: Backoff
    private let retries: Int?
    private let resetAfter: UInt64
    /// Nanoseconds, once the stream has set it.
    var reconnectionTime: UInt64?
    /// Attempts behind one another that brought nothing.
    private(set) var failures = 0

    init(_ options: FollowOptions) {
        backoff = options.backoff
        retries = options.retries
        resetAfter = options.resetAfter
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
            if failures > retries ?? .max { return nil }
        }
        var wait: UInt64
        if let reconnectionTime {
            wait = reconnectionTime
            if failures > 1 { wait += backoff.wait(before: failures - 1, using: &generator) }
        } else {
            wait = backoff.wait(before: max(1, failures), using: &generator)
        }
        return max(wait, retryAfter ?? 0)
    }
}
