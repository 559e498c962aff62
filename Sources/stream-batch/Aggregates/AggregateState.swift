import StreamCodec

/// What is kept of a batch for its aggregates. Which of what belongs to which aggregate is the
/// same for all batches of a run.
struct AggregateState {
    var lines = 0
    /// That of the first path with numbers stands here and not in an array: of many batches in
    /// turn most time goes into waiting for memory, at each step from one place to the next.
    private var firstSeries: Series
    private var moreSeries: [Series] = []
    private(set) var seriesCount = 0
    var counts: [Int] = []
    var texts: [HeldText] = []
    var distincts: [Distinct] = []
    var tops: [Top] = []
    var histograms: [Histogram] = []

    /// Before the first line, and without what aggregates need.
    init(_ scale: LogScale) {
        firstSeries = Series(scale)
    }

    mutating func addSeries(_ scale: LogScale) -> Int {
        if seriesCount > 0 { moreSeries.append(Series(scale)) }
        defer { seriesCount += 1 }
        return seriesCount
    }

    func series(_ index: Int) -> Series { index == 0 ? firstSeries : moreSeries[index - 1] }

    /// Takes a value for all that want a number; false when it is none.
    ///
    /// Not inlined, as those below: in a loop the compiler would look before each line whether
    /// the arrays have another owner, also those that stay as they are.
    @inline(never)
    mutating func takeNumber(
        _ value: UnsafeBufferPointer<UInt8>, _ slot: AggregateSlot, _ scale: LogScale
    ) -> Bool {
        let isString = value[0] == UInt8(ascii: "\"")
        let text = isString ? value.slice(1..<(value.count - 1)) : value
        if take(number: text, slot, scale) { return true }
        guard isString && text.hasEscapes else { return false }
        return text.withUnescaped { take(number: $0, slot, scale) } ?? false
    }

    private mutating func take(
        number text: UnsafeBufferPointer<UInt8>, _ slot: AggregateSlot, _ scale: LogScale
    ) -> Bool {
        guard let number = Number(text) else { return false }
        if slot.series == 0 {
            firstSeries.take(number, text, slot.parts, scale)
        } else if let index = slot.series {
            moreSeries[index - 1].take(number, text, slot.parts, scale)
        }
        if !slot.histograms.isEmpty { addToHistograms(slot.histograms, number.value) }
        return true
    }

    /// Takes a value for all that want any.
    @inline(never)
    mutating func takeValue(_ value: UnsafeBufferPointer<UInt8>, _ slot: AggregateSlot, line: Int) {
        if let count = slot.count { counts[count] += 1 }
        if let first = slot.first { texts[first].take(value, line: line) }
        if let last = slot.last { texts[last].take(value, line: line) }
        if slot.distinct == nil && slot.tops.isEmpty { return }
        let hash = keyHash(value)
        if let distinct = slot.distinct { distincts[distinct].add(hash) }
        if !slot.tops.isEmpty { addToTops(slot.tops, hash, value, line: line) }
    }

    @inline(never)
    private mutating func addToHistograms(_ indices: Range<Int>, _ number: Double) {
        for index in indices { histograms[index].add(number) }
    }

    @inline(never)
    private mutating func addToTops(
        _ indices: Range<Int>, _ hash: UInt64, _ value: UnsafeBufferPointer<UInt8>, line: Int
    ) {
        for index in indices { tops[index].add(hash, value, line: line) }
    }

    mutating func merge(_ other: AggregateState) {
        lines += other.lines
        firstSeries.merge(other.firstSeries)
        for index in moreSeries.indices { moreSeries[index].merge(other.moreSeries[index]) }
        for index in counts.indices { counts[index] += other.counts[index] }
        for index in texts.indices { texts[index].merge(other.texts[index]) }
        for index in distincts.indices { distincts[index].merge(other.distincts[index]) }
        for index in tops.indices { tops[index].merge(other.tops[index]) }
        for index in histograms.indices { histograms[index].merge(other.histograms[index]) }
    }
}

/// What is kept of the numbers at a path.
struct Series {
    /// What of it is kept up; the rest stays empty.
    struct Parts: OptionSet {
        let rawValue: UInt8
        static let sum = Parts(rawValue: 1)
        static let quantiles = Parts(rawValue: 2)
        static let moments = Parts(rawValue: 4)
        static let least = Parts(rawValue: 8)
        static let greatest = Parts(rawValue: 16)
    }

    private(set) var sum = ExactSum()
    private(set) var quantiles: Quantiles
    private(set) var moments = Moments()
    private(set) var least = Extreme(isGreatest: false)
    private(set) var greatest = Extreme(isGreatest: true)

    init(_ scale: LogScale) {
        quantiles = Quantiles(scale)
    }

    @inline(__always)
    mutating func take(
        _ number: Number, _ text: UnsafeBufferPointer<UInt8>, _ parts: Parts, _ scale: LogScale
    ) {
        if parts.contains(.sum) { sum.add(number) }
        if parts.contains(.quantiles) { quantiles.add(number.value, scale) }
        if parts.contains(.moments) { moments.add(number.value) }
        if parts.contains(.least) { least.take(number.value, text) }
        if parts.contains(.greatest) { greatest.take(number.value, text) }
    }

    mutating func merge(_ other: Series) {
        sum.merge(other.sum)
        quantiles.merge(other.quantiles)
        moments.merge(other.moments)
        least.merge(other.least)
        greatest.merge(other.greatest)
    }
}

/// Equal strings have equal ones, however they are escaped. The same in every run.
private func keyHash(_ value: UnsafeBufferPointer<UInt8>) -> UInt64 {
    guard value.hasEscape else { return XXH64.hash(value, seed: 0) }
    var key = ByteQueue(capacity: value.count + 64)
    key.append(key: value)
    return XXH64.hash(key.bytes, seed: 0)
}

/// What is kept of the values at a path: indices into the arrays of a state. Aggregates that need
/// the same share it.
struct AggregateSlot {
    private(set) var series: Int?
    private(set) var parts: Series.Parts = []
    private(set) var histograms: Range<Int>
    private(set) var count: Int?
    private(set) var first: Int?
    private(set) var last: Int?
    private(set) var distinct: Int?
    private(set) var tops: Range<Int>
    private(set) var wantsNumber = false
    private(set) var wantsValue = false

    /// Those of this path come behind all that are in the state.
    init(_ state: AggregateState) {
        histograms = state.histograms.count..<state.histograms.count
        tops = state.tops.count..<state.tops.count
    }

    /// Makes room for the function in the state, and tells where.
    mutating func source(
        for function: AggregateSpec.Function, _ state: inout AggregateState, _ scale: LogScale
    ) -> AggregateColumn.Source {
        switch function {
        case .count: .count(share(&count, &state.counts, 0))
        case .rate: .rate
        case .sum: .sum(keep(.sum, &state, scale))
        case .mean: .mean(keep(.sum, &state, scale))
        case .stddev: .deviation(keep(.moments, &state, scale))
        case .min: .least(keep(.least, &state, scale))
        case .max: .greatest(keep(.greatest, &state, scale))
        case .quantile(let percentile): .quantile(keep(.quantiles, &state, scale), percentile)
        case .distinct: .distinct(share(&distinct, &state.distincts, Distinct()))
        case .first: .text(share(&first, &state.texts, HeldText(isLast: false)))
        case .last: .text(share(&last, &state.texts, HeldText(isLast: true)))
        case .top(let count): .top(add(&state.tops, Top(count: count)), count)
        case .histogram(let bounds): .histogram(add(&state.histograms, Histogram(bounds)))
        }
    }

    /// To be called behind the last function of the path.
    mutating func end(_ state: AggregateState) {
        histograms = histograms.lowerBound..<state.histograms.count
        tops = tops.lowerBound..<state.tops.count
        wantsNumber = series != nil || !histograms.isEmpty
        wantsValue = count != nil || first != nil || last != nil || distinct != nil || !tops.isEmpty
    }

    private mutating func keep(
        _ part: Series.Parts, _ state: inout AggregateState, _ scale: LogScale
    ) -> Int {
        parts.insert(part)
        let index = series ?? state.addSeries(scale)
        series = index
        return index
    }

    private func share<Element>(
        _ place: inout Int?, _ array: inout [Element], _ element: Element
    ) -> Int {
        let index = place ?? add(&array, element)
        place = index
        return index
    }

    private func add<Element>(_ array: inout [Element], _ element: Element) -> Int {
        array.append(element)
        return array.count - 1
    }
}

/// A member that is written of each batch.
struct AggregateColumn {
    /// What it is made of, by indices into the arrays of a state.
    enum Source {
        case lines, rate
        case count(Int)
        case sum(Int)
        case mean(Int)
        case deviation(Int)
        case least(Int)
        case greatest(Int)
        case quantile(Int, Percentile)
        case distinct(Int)
        case text(Int)
        case top(Int, Int)
        case histogram(Int)
    }

    /// `"name":`
    let label: [UInt8]
    var source = Source.lines

    init(_ name: String) {
        var queue = ByteQueue(capacity: 64)
        queue.append(quoting: name)
        queue.append(":")
        label = Array(queue.bytes)
    }
}
