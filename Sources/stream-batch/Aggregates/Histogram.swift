import StreamCodec

/// Counts of numbers in buckets, each up to and with its upper bound.
struct Histogram {
    private let bounds: HistogramBounds
    /// Of the buckets that bounds make, and of what is above the last one.
    private var counts: [Int]
    /// Without bounds, by the numbers of `OneTwoFive`.
    private var bins = SignedBins(limit: 2048)

    init(_ bounds: HistogramBounds) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.values.isEmpty ? 0 : bounds.values.count + 1)
    }

    mutating func add(_ value: Double) {
        if !counts.isEmpty {
            counts[bounds.values.firstIndex(notBelow: value)] += 1
        } else if value > 0 {
            bins.positive.add(OneTwoFive.bounds.firstIndex(notBelow: value))
        } else if value < 0 {
            // The upper bound of a negative number is the next one with a lower magnitude.
            let index = OneTwoFive.bounds.firstIndex(notBelow: -value)
            bins.negative.add(OneTwoFive.bounds[index] == -value ? index : index - 1)
        } else {
            bins.zeros += 1
        }
    }

    mutating func merge(_ other: Histogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        bins.merge(other.bins)
    }

    /// Appends `[{"le":10,"count":3},…]`, an empty array without numbers.
    func append(to queue: inout ByteQueue) {
        let start = queue.count
        if counts.contains(where: { $0 > 0 }) {
            for (index, count) in counts.enumerated() {
                let isLast = index == bounds.texts.count
                append(isLast ? nil : bounds.texts[index], count, to: &queue)
            }
        }
        for index in bins.negative.usedRange.reversed() {
            append(-OneTwoFive.bounds[index], bins.negative[index], to: &queue)
        }
        if bins.zeros > 0 { append(0, bins.zeros, to: &queue) }
        for index in bins.positive.usedRange {
            append(OneTwoFive.bounds[index], bins.positive[index], to: &queue)
        }
        // Each bucket has a comma before it; the first one's place is the bracket's.
        if queue.count == start { queue.append(UInt8(ascii: ",")) }
        queue.replace(at: start, with: UInt8(ascii: "["))
        queue.append(UInt8(ascii: "]"))
    }

    private func append(_ bound: [UInt8]?, _ count: Int, to queue: inout ByteQueue) {
        queue.append(",{\"le\":")
        if let bound { queue.append(bound) } else { queue.append("null") }
        queue.append(",\"count\":")
        queue.append(decimal: count)
        queue.append("}")
    }

    private func append(_ bound: Double, _ count: Int, to queue: inout ByteQueue) {
        var text = ByteQueue(capacity: 32)
        text.append(number: bound)
        append(Array(text.bytes), count, to: &queue)
    }
}

/// The upper bounds of a histogram's buckets, in ascending order.
struct HistogramBounds: Equatable {
    private(set) var values: [Double] = []
    /// As they were given.
    private(set) var texts: [[UInt8]] = []

    /// At most so many.
    static let limit = 1000

    /// False when the text is no number above the last bound.
    mutating func append(_ text: String) -> Bool {
        let text = Array(text.utf8)
        guard let value = text.withUnsafeBufferPointer({ JSONNumber.parse($0) }), value.isFinite,
            values.last.map({ $0 < value }) ?? true
        else { return false }
        values.append(value)
        texts.append(text)
        return true
    }
}

/// The series …, 0.1, 0.2, 0.5, 1, 2, 5, 10, … of bounds, through all magnitudes of a Double.
private enum OneTwoFive {
    /// From 5e-324, the least Double above 0, to 1e308; then what JSON writes as null.
    static let bounds: [Double] = {
        var bounds = [Double.leastNonzeroMagnitude]
        for exponent in -323...308 {
            for digit in ["1", "2", "5"] where bounds.last! < 1e308 {
                bounds.append(Double("\(digit)e\(exponent)")!)
            }
        }
        return bounds + [.infinity]
    }()
}

extension [Double] {
    /// Of numbers in ascending order the index of the first that is not below `value`; the count
    /// when there is none.
    fileprivate func firstIndex(notBelow value: Double) -> Int {
        var start = 0
        var end = count
        while start < end {
            let middle = (start + end) / 2
            if self[middle] < value { start = middle + 1 } else { end = middle }
        }
        return start
    }
}

extension Bins {
    /// From the first count that is not 0 to the last.
    fileprivate var usedRange: Range<Int> {
        guard let first = range.first(where: { self[$0] > 0 }),
            let last = range.last(where: { self[$0] > 0 })
        else { return 0..<0 }
        return first..<(last + 1)
    }
}
