/// Counts by a whole number, kept for the range of those that came: two bytes for each.
struct Bins {
    /// The range grows by so many, and starts at a multiple of it.
    static let step = 32

    /// At most so many bins, a multiple of `step`. When more are needed the lowest become one.
    private let limit: Int
    /// The number of the first bin.
    private var first = 0
    /// The low 16 bits of the counts.
    private var low: [UInt16] = []
    /// The other bits; empty while they are 0.
    private var high: [UInt64] = []

    init(limit: Int) {
        precondition(limit % Self.step == 0)
        self.limit = limit
    }

    @inline(__always)
    mutating func add(_ bin: Int) {
        var offset = bin &- first
        if offset < 0 || offset >= low.count { offset = makeRoom(for: bin) }
        low[offset] &+= 1
        if low[offset] == 0 { add(1, toHighAt: offset) }
    }

    var isEmpty: Bool { low.isEmpty }

    /// Where counts other than 0 may be.
    var range: Range<Int> { first..<(first + low.count) }

    var total: Int { range.reduce(0) { $0 + self[$1] } }

    /// How many there are of a bin in `range`.
    subscript(bin: Int) -> Int {
        let offset = bin - first
        return Int(low[offset]) + (high.isEmpty ? 0 : Int(high[offset]) << 16)
    }

    /// The sum of both has what one would have that had taken everything: which bins became one
    /// depends only on the highest.
    mutating func merge(_ other: Bins) {
        // The highest first, for the range is made but once.
        for bin in other.range.reversed() where other[bin] > 0 {
            let offset = makeRoom(for: bin)
            let count = Int(low[offset]) + other[bin]
            low[offset] = UInt16(truncatingIfNeeded: count)
            if count >> 16 > 0 { add(count >> 16, toHighAt: offset) }
        }
    }

    @inline(never)
    private mutating func add(_ count: Int, toHighAt offset: Int) {
        if high.isEmpty { high = Array(repeating: 0, count: low.count) }
        high[offset] += UInt64(count)
    }

    /// The offset of the bin, which is in the range behind this.
    @inline(never)
    private mutating func makeRoom(for bin: Int) -> Int {
        if low.isEmpty { first = bin & ~(Self.step - 1) }
        let end = max(first + low.count, bin & ~(Self.step - 1) + Self.step)
        let start = max(min(first, bin & ~(Self.step - 1)), end - limit)
        if start != first || end != first + low.count { setRange(start..<end) }
        return max(bin - first, 0)
    }

    private mutating func setRange(_ range: Range<Int>) {
        let old = self
        let hadHigh = !high.isEmpty
        first = range.lowerBound
        low = Array(repeating: 0, count: range.count)
        high = hadHigh ? Array(repeating: 0, count: range.count) : []
        for bin in old.range where old[bin] > 0 {
            let offset = max(bin - first, 0)
            let count = Int(low[offset]) + old[bin]
            low[offset] = UInt16(truncatingIfNeeded: count)
            if count >> 16 > 0 { add(count >> 16, toHighAt: offset) }
        }
    }
}

/// Counts of numbers by sign and by a bin of their magnitude.
struct SignedBins {
    var positive: Bins
    var zeros = 0
    var negative: Bins

    /// At most so many bins of each sign.
    init(limit: Int) {
        positive = Bins(limit: limit)
        negative = Bins(limit: limit)
    }

    mutating func merge(_ other: SignedBins) {
        positive.merge(other.positive)
        zeros += other.zeros
        negative.merge(other.negative)
    }
}
