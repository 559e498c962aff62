import StreamCodec
import StreamTool

/// The aggregates of a run: what is read from each line, and what is written of a batch.
struct Aggregates {
    /// The distinct paths that are read, in slot order.
    private(set) var paths: [JSONPath] = []
    /// Values that were neither a number nor null where a number was wanted.
    private(set) var notNumbers = 0
    /// Where the first of them stood in its line, and the path it was at.
    private(set) var firstNotNumber: (path: JSONPath, offset: Int)?

    /// Lines of the run, to tell which of two came first.
    private var lines = 0
    private var columns: [AggregateColumn] = []
    private var slots: [AggregateSlot] = []
    private let empty: AggregateState
    private let scale: LogScale

    /// Names that batches have themselves.
    static let reservedNames = ["key", "seq", "from", "to"]

    /// `quantileError` is the relative error of quantiles, from 0.0001 to 0.5.
    init(_ specs: [AggregateSpec], quantileError: Double) throws(UsageError) {
        try Self.checkNames(specs)
        scale = LogScale(error: quantileError)
        var empty = AggregateState(scale)
        for path in specs.compactMap(\.path) where !paths.contains(path) { paths.append(path) }
        guard paths.count <= JSONPaths.limit else {
            throw UsageError("more than \(JSONPaths.limit) paths in aggregates")
        }
        columns = specs.map { AggregateColumn($0.name) }
        // By path, so that the histograms and the tops of a path stand together.
        for path in paths {
            var slot = AggregateSlot(empty)
            for (index, spec) in specs.enumerated() where spec.path == path {
                columns[index].source = slot.source(for: spec.function, &empty, scale)
            }
            slot.end(empty)
            slots.append(slot)
        }
        for (index, spec) in specs.enumerated() where spec.path == nil {
            columns[index].source = spec.function == .rate ? .rate : .lines
        }
        self.empty = empty
    }

    private static func checkNames(_ specs: [AggregateSpec]) throws(UsageError) {
        var names: Set<String> = []
        for spec in specs {
            if reservedNames.contains(spec.name) {
                throw UsageError("an aggregate cannot have the name '\(spec.name)'")
            }
            if !names.insert(spec.name).inserted {
                throw UsageError(
                    "two aggregates with the name '\(spec.name)': give one another as NAME=...")
            }
        }
    }

    /// What is kept of a batch, before its first line.
    func makeState() -> AggregateState { empty }

    /// Takes a line. `found` has, from the index `first` on, for each of `paths` where its value
    /// stands in the line, or nil.
    mutating func take(
        _ line: UnsafeBufferPointer<UInt8>, _ found: [Range<Int>?], from first: Int,
        into state: inout AggregateState
    ) {
        lines += 1
        state.lines += 1
        for index in slots.indices {
            guard let range = found[first + index] else { continue }
            let value = line.slice(range)
            if value[0] == UInt8(ascii: "n") { continue }
            if slots[index].wantsNumber && !state.takeNumber(value, slots[index], scale) {
                note(index, range.lowerBound)
            }
            if slots[index].wantsValue { state.takeValue(value, slots[index], line: lines) }
        }
    }

    @inline(never)
    private mutating func note(_ slot: Int, _ offset: Int) {
        if notNumbers == 0 { firstNotNumber = (paths[slot], offset) }
        notNumbers += 1
    }

    /// Takes in what another state has: sessions that a line joins.
    func merge(_ other: AggregateState, into state: inout AggregateState) {
        state.merge(other)
    }

    /// Appends the members, `"count":3,"p99_ms":12.5`. `seconds` is the length of the batch in
    /// time, nil or 0 when it is not known.
    func append(_ state: AggregateState, seconds: Double?, to queue: inout ByteQueue) {
        for (index, column) in columns.enumerated() {
            if index > 0 { queue.append(UInt8(ascii: ",")) }
            queue.append(column.label)
            append(column.source, state, seconds, to: &queue)
        }
    }

    private func append(
        _ source: AggregateColumn.Source, _ state: AggregateState, _ seconds: Double?,
        to queue: inout ByteQueue
    ) {
        switch source {
        case .lines: queue.append(decimal: state.lines)
        case .rate:
            let isKnown = (seconds ?? 0) > 0
            queue.append(number: isKnown ? seconds.map { Double(state.lines) / $0 } : nil)
        case .count(let index): queue.append(decimal: state.counts[index])
        case .sum(let index): state.series(index).sum.append(to: &queue)
        case .mean(let index): queue.append(number: state.series(index).sum.mean)
        case .deviation(let index):
            queue.append(number: state.series(index).moments.standardDeviation)
        case .least(let index): state.series(index).least.append(to: &queue)
        case .greatest(let index): state.series(index).greatest.append(to: &queue)
        case .quantile(let index, let percentile):
            queue.append(number: state.series(index).quantiles.value(percentile, scale))
        case .distinct(let index): queue.append(decimal: state.distincts[index].estimate)
        case .text(let index): state.texts[index].append(to: &queue)
        case .top(let index, let count): state.tops[index].append(count, to: &queue)
        case .histogram(let index): state.histograms[index].append(to: &queue)
        }
    }
}
