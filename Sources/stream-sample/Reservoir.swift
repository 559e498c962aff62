import StreamCodec
import StreamTool

/// -n: a sample of so many lines, of each key if there are any, without replacement.
struct Reservoirs: Sampler, ~Copyable {
    private let capacity: Int
    private let isWeighted: Bool
    private let isShuffled: Bool
    /// Others have ranks that are no Double.
    private static let weights = 1e-308...1e307
    private var random: RandomSource
    private var strata: Strata<Reservoir>

    init(_ capacity: Int, _ settings: SampleOptions, _ random: RandomSource) {
        self.capacity = capacity
        isWeighted = settings.weight != nil
        isShuffled = settings.isShuffled
        self.random = random
        strata = Strata(settings)
    }

    var evictions: Int { strata.evictions }

    var skippable: Int {
        if strata.hasKeys || isWeighted || strata.states.isEmpty { return 0 }
        return strata.states[0].lines.count < capacity ? 0 : strata.states[0].gap
    }

    mutating func skip(_ count: Int) {
        strata.states[0].seen += count
        strata.states[0].gap -= count
    }

    mutating func take(
        _ line: borrowing Line, _ sink: inout Sink, _ output: inout Output
    ) throws {
        // Read first: a line without one must not push a key out.
        let weight = isWeighted ? try Self.weight(of: line) : nil
        let found = strata.find(line, fresh: Reservoir())
        if let evicted = found.evicted {
            try write([evicted], &sink, &output)
            letGo([evicted], &sink)
        }
        if let weight {
            try takeWeighted(line, weight, found.index, &sink, &output)
        } else {
            try takeUniform(line, found.index, &sink, &output)
        }
    }

    private static func weight(of line: borrowing Line) throws(LineError) -> Double {
        let slot = line.valueSlots.lowerBound
        let weight = try line.finiteNumber(in: slot)
        if weight < 0 { throw line.error(slot, "expected a weight of at least 0") }
        if weight != 0 && !weights.contains(weight) {
            throw line.error(slot, "expected a weight, 0 or from 1e-308 to 1e307,")
        }
        return weight
    }

    // MARK: Uniform: Algorithm L (Li 1994)

    private mutating func takeUniform(
        _ line: borrowing Line, _ index: Int, _ sink: inout Sink,
        _ output: inout Output
    ) throws {
        strata.states[index].seen += 1
        if strata.states[index].lines.count < capacity {
            try strata.states[index].add(line, 0, rank: 0, &sink)
            if strata.states[index].lines.count == capacity { chooseGap(index) }
        } else if strata.states[index].gap > 0 || capacity == 0 {
            strata.states[index].gap -= 1
            try sink.passedOver(line.bytes, &output)
        } else {
            try strata.states[index].replace(random.below(capacity), by: line, &sink, &output)
            chooseGap(index)
        }
    }

    /// How many lines pass until the next one that replaces another. What decides is the largest
    /// of `capacity` uniform variates, whose logarithm shrinks by an exponential one each time.
    private mutating func chooseGap(_ index: Int) {
        strata.states[index].logOfLargest += logarithm(random.unit()) / Double(capacity)
        strata.states[index].gap = random.failures(
            logOfFailure: logarithm(onePlus: -exponential(strata.states[index].logOfLargest)))
    }

    // MARK: Weighted: A-ExpJ (Efraimidis and Spirakis 2006)

    // Each line has a rank, an exponential variate whose rate is its weight, and the lines of the
    // smallest ranks are the sample. That is u^(1/w) of the paper as -ln(u)/w, which does not
    // underflow. One line more than wanted is held: its rank is the threshold that the rates of the
    // others follow from (Cohen and Kaplan 2007, bottom-k).

    private mutating func takeWeighted(
        _ line: borrowing Line, _ weight: Double, _ index: Int,
        _ sink: inout Sink, _ output: inout Output
    ) throws {
        strata.states[index].seen += 1
        if capacity == 0 || weight == 0 {
            try sink.passedOver(line.bytes, &output)
        } else if strata.states[index].lines.count <= capacity {
            try strata.states[index].add(
                line, weight, rank: -logarithm(random.unit()) / weight, &sink)
            if strata.states[index].lines.count > capacity { chooseJump(index) }
        } else {
            strata.states[index].jump -= weight
            if strata.states[index].jump > 0 {
                try sink.passedOver(line.bytes, &output)
                return
            }
            // Known to be below the largest rank, so drawn from what is left of the distribution.
            let share = exponentialMinusOne(-weight * strata.states[index].lines[0].rank)
            let rank = -logarithm(onePlus: random.unit() * share) / weight
            try strata.states[index].replaceLargest(by: line, weight, rank: rank, &sink, &output)
            chooseJump(index)
        }
    }

    /// How much weight passes until the next line that replaces another.
    private mutating func chooseJump(_ index: Int) {
        strata.states[index].jump = -logarithm(random.unit()) / strata.states[index].lines[0].rank
    }

    // MARK: Writing

    var isHolding: Bool { !strata.states.isEmpty }

    mutating func endInterval(_ sink: inout Sink, _ output: inout Output) throws {
        let reservoirs = strata.states
        strata.removeAll()
        try write(reservoirs, &sink, &output)
        letGo(reservoirs, &sink)
    }

    mutating func writeSoFar(_ sink: inout Sink, _ output: inout Output) throws {
        // The sample at the end must not depend on how often it was asked for before.
        let before = random
        try write(strata.states, &sink, &output)
        random = before
    }

    private func letGo(_ reservoirs: [Reservoir], _ sink: inout Sink) {
        for reservoir in reservoirs {
            for line in reservoir.lines { sink.release(line.bytes.count) }
        }
    }

    private mutating func write(
        _ reservoirs: [Reservoir], _ sink: inout Sink, _ output: inout Output
    ) throws {
        var lines = reservoirs.flatMap { $0.sample(capacity, isWeighted: isWeighted) }
        for reservoir in reservoirs where reservoir.lines.count > capacity {
            // The line whose rank is the threshold is no part of the sample.
            try reservoir.lines[0].bytes.withUnsafeBufferPointer {
                try sink.passedOver($0, &output)
            }
        }
        if isShuffled {
            lines.sort { $0.number < $1.number }
            for index in lines.indices.reversed() {
                lines.swapAt(index, random.below(index + 1))
            }
            for index in lines.indices { lines[index].number = index }
        }
        try HeldLine.write(lines, &sink, &output)
    }
}

/// The sample of one key.
struct Reservoir {
    struct Item {
        var number: Int
        var weight = 0.0
        var rank = 0.0
        var bytes: [UInt8]
    }

    /// With weights a heap: the largest rank comes first.
    fileprivate var lines: [Item] = []
    fileprivate var seen = 0
    /// Lines to pass over before the next one that replaces another.
    fileprivate var gap = 0
    /// The logarithm of the largest of the uniform variates of Algorithm L.
    fileprivate var logOfLargest = 0.0
    /// The weight to pass over.
    fileprivate var jump = 0.0

    fileprivate init() {}

    fileprivate mutating func add(
        _ line: borrowing Line, _ weight: Double, rank: Double, _ sink: inout Sink
    ) throws {
        try sink.hold(line.bytes.count)
        lines.append(
            Item(number: line.number, weight: weight, rank: rank, bytes: [UInt8](line.bytes)))
        siftUp(lines.count - 1)
    }

    fileprivate mutating func replace(
        _ index: Int, by line: borrowing Line, _ sink: inout Sink, _ output: inout Output
    ) throws {
        try sink.hold(line.bytes.count, insteadOf: lines[index].bytes.count)
        try lines[index].bytes.withUnsafeBufferPointer { try sink.passedOver($0, &output) }
        lines[index].number = line.number
        lines[index].bytes = [UInt8](line.bytes)
    }

    fileprivate mutating func replaceLargest(
        by line: borrowing Line, _ weight: Double, rank: Double, _ sink: inout Sink,
        _ output: inout Output
    ) throws {
        try replace(0, by: line, &sink, &output)
        lines[0].weight = weight
        lines[0].rank = rank
        siftDown()
    }

    /// The lines to write, with the rate of each.
    fileprivate func sample(_ capacity: Int, isWeighted: Bool) -> [HeldLine] {
        guard lines.count > capacity else {
            let rate = isWeighted ? 1 : Double(lines.count) / Double(max(seen, 1))
            return lines.map { HeldLine(number: $0.number, rate: rate, bytes: $0.bytes) }
        }
        let threshold = lines[0].rank
        return lines.dropFirst().map { line in
            // The chance that a line of this weight has a rank below the threshold.
            let rate = -exponentialMinusOne(-line.weight * threshold)
            return HeldLine(number: line.number, rate: rate, bytes: line.bytes)
        }
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            if lines[parent].rank >= lines[child].rank { return }
            lines.swapAt(parent, child)
            child = parent
        }
    }

    private mutating func siftDown() {
        var parent = 0
        while true {
            var largest = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < lines.count && lines[child].rank > lines[largest].rank {
                largest = child
            }
            if largest == parent { return }
            lines.swapAt(parent, largest)
            parent = largest
        }
    }
}
