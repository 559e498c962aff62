import StreamTool

/// When to connect, and whether again.
struct Retry {
    private let settings: CatOptions
    /// When the next attempt is due, monotonic nanoseconds; .max: never.
    private(set) var next: UInt64 = 0
    /// Attempts behind one another that led to no connection that lasted.
    private(set) var failures = 0
    private var generator = SystemRandomNumberGenerator()

    init(_ settings: CatOptions) {
        self.settings = settings
    }

    /// An attempt begins.
    mutating func begin() {
        next = .max
    }

    /// Nanoseconds to wait before the next attempt; nil when there is none. `lasted` is how long
    /// the connection was open, nil when it never was.
    mutating func wait(after ending: Ending, lasted: UInt64?) -> UInt64? {
        if let lasted, lasted >= settings.resetAfter { failures = 0 }
        failures += 1
        guard settings.reconnects, ending.allowsReconnect(settings),
            failures <= settings.retries ?? .max
        else { return nil }
        let wait = max(
            settings.backoff.wait(before: failures, using: &generator), ending.retryAfter ?? 0)
        next = monotonicNanoseconds() + wait
        return wait
    }

    /// Another peer may come at once.
    mutating func restart() {
        next = 0
        failures = 0
    }
}

/// How fast messages may go: so many a second, with no burst beyond what a tenth of it allows.
struct Pace {
    private let interval: Double
    private let burst: Double
    private var tokens: Double
    private var last = monotonicNanoseconds()

    init(_ rate: Rate) {
        interval = 1e9 / rate.perSecond
        burst = max(1, rate.perSecond / 10)
        tokens = 1
    }

    /// How many may go now.
    mutating func allowed(_ now: UInt64) -> Int {
        tokens = min(burst, tokens + Double(now - last) / interval)
        last = now
        return Int(tokens)
    }

    mutating func spend(_ count: Int) {
        tokens -= Double(count)
    }

    /// When the next may go.
    var next: UInt64 {
        tokens >= 1 ? last : last + UInt64(((1 - tokens) * interval).rounded(.up))
    }
}
