import StreamTool

/// The time that methods go by: of arrival, or what --time reads; and the intervals of --every.
struct Clock {
    /// Nanoseconds; nil: the whole input is one interval.
    private let length: UInt64?
    /// False when the time comes from the lines.
    let isLive: Bool
    /// 1970 on the monotonic clock, which no correction moves. Wraps around.
    private let epoch: UInt64
    /// The number of the current interval, counted from 1970 on, so that every run has the same
    /// ones.
    private(set) var interval: UInt64 = 0
    private var hasBegun = false

    init(_ settings: SampleOptions) {
        length = settings.every
        isLive = settings.time == nil
        epoch = monotonicNanoseconds() &- realtimeNanoseconds()
    }

    /// The time of arrival; nil when the lines say the time.
    func read() -> UInt64? {
        isLive ? monotonicNanoseconds() &- epoch : nil
    }

    /// True when another interval than that of the last call begins at or before this time.
    @inline(__always)
    mutating func begins(intervalAt time: UInt64) -> Bool {
        guard let length else { return false }
        let current = time / length
        defer {
            interval = current
            hasBegun = true
        }
        return hasBegun && current != interval
    }

    /// When the current interval ends, on the monotonic clock; nil when no clock ends it.
    var deadline: UInt64? {
        guard let length, isLive else { return nil }
        return (interval + 1) * length &+ epoch
    }
}
