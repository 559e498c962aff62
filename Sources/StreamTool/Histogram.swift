/// How long things took: a quantile is right within 6 % for a microsecond to some hours.
package struct Histogram: Sendable {
    /// Microseconds up to the buckets' bounds in Prometheus' text format, and the bounds in
    /// seconds as they stand there.
    private static let bounds: [(microseconds: UInt64, text: String)] = [
        (100, "0.0001"), (250, "0.00025"), (500, "0.0005"), (1000, "0.001"), (2500, "0.0025"),
        (5000, "0.005"), (10_000, "0.01"), (25_000, "0.025"), (50_000, "0.05"), (100_000, "0.1"),
        (250_000, "0.25"), (500_000, "0.5"), (1_000_000, "1"), (2_500_000, "2.5"),
        (5_000_000, "5"), (10_000_000, "10"), (30_000_000, "30"), (60_000_000, "60"),
        (300_000_000, "300"), (3_600_000_000, "3600"),
    ]
    /// Eight buckets for each power of two of nanoseconds from 2^7 to 2^46, some nineteen hours.
    private static let firstExponent = 7
    private static let lastExponent = 46
    private static let buckets = (lastExponent - firstExponent + 1) * 8

    private var fine = [Int](repeating: 0, count: buckets)
    /// Those that lie between a bound and the one before it.
    private var coarse = [Int](repeating: 0, count: bounds.count + 1)
    /// Seconds.
    package private(set) var sum = 0.0
    package private(set) var count = 0
    /// Nanoseconds.
    package private(set) var longest: UInt64 = 0

    package init() {}

    package mutating func add(nanoseconds: UInt64, times: Int = 1) {
        sum += Double(nanoseconds) / 1e9 * Double(times)
        count += times
        longest = max(longest, nanoseconds)
        fine[Self.bucket(nanoseconds)] += times
        // The bounds belong to the bucket below them (`le`).
        let microseconds = nanoseconds / 1000 + (nanoseconds % 1000 == 0 ? 0 : 1)
        coarse[Self.bounds.firstIndex { microseconds <= $0.microseconds } ?? Self.bounds.count] +=
            times
    }

    /// What is less than nothing, or no number, is nothing.
    package mutating func add(seconds: Double) {
        let nanoseconds = (seconds * 1e9).rounded()
        add(nanoseconds: nanoseconds > 0 ? UInt64(min(nanoseconds, 1e18)) : 0)
    }

    package mutating func add(_ other: Histogram) {
        for index in fine.indices { fine[index] += other.fine[index] }
        for index in coarse.indices { coarse[index] += other.coarse[index] }
        sum += other.sum
        count += other.count
        longest = max(longest, other.longest)
    }

    private static func bucket(_ nanoseconds: UInt64) -> Int {
        guard nanoseconds >= 1 << UInt64(firstExponent) else { return 0 }
        let exponent = 63 - nanoseconds.leadingZeroBitCount
        guard exponent <= lastExponent else { return buckets - 1 }
        return (exponent - firstExponent) * 8 + Int(nanoseconds >> UInt64(exponent - 3) & 7)
    }

    /// Seconds: the middle of the bucket in which this share ends; 0 when there is nothing.
    package func quantile(_ share: Double) -> Double {
        if count == 0 { return 0 }
        var left = max(1, Int((share * Double(count)).rounded(.up)))
        for (index, amount) in fine.enumerated() where amount > 0 {
            left -= amount
            if left > 0 { continue }
            let width = UInt64(1) << UInt64(index / 8 + Self.firstExponent - 3)
            let middle = (8 + UInt64(index % 8)) * width + width / 2
            return Double(min(longest, middle)) / 1e9
        }
        return Double(longest) / 1e9
    }

    /// How many took no longer than each bound, the last of which is infinite.
    var cumulative: [(bound: String, count: Int)] {
        var sum = 0
        return zip(Self.bounds.map(\.text) + ["+Inf"], coarse).map { bound, count in
            sum += count
            return (bound, sum)
        }
    }
}
