import StreamCodec
import StreamTool

/// --lttb, --minmax and --m4: of a series, the points that a chart of it needs.
struct Chart: Sampler, ~Copyable {
    enum Algorithm { case lttb, minMax, m4 }

    /// What is held of a key.
    private struct Series {
        var points: [Point] = []
        var numbers: [Int] = []
        /// The lines, one behind the other, and where each ends.
        var bytes: [UInt8] = []
        var ends: [Int] = []

        func line(_ index: Int) -> ArraySlice<UInt8> {
            bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
        }
    }

    private let algorithm: Algorithm
    /// The most points to write of each series.
    private let limit: Int
    private let hasX: Bool
    private var strata: Strata<Series>
    private var held = 0
    /// The first time that was an x.
    private var timeOrigin: UInt64?

    init(_ algorithm: Algorithm, _ limit: Int, _ settings: SampleOptions) {
        self.algorithm = algorithm
        self.limit = limit
        hasX = settings.x != nil
        strata = Strata(settings)
    }

    var evictions: Int { strata.evictions }

    mutating func take(
        _ line: borrowing Line, _ sink: inout Sink, _ output: inout Output
    ) throws {
        let y = try line.finiteNumber(in: line.valueSlots.upperBound - 1)
        let x =
            hasX ? try line.coordinate(in: line.valueSlots.lowerBound, from: &timeOrigin) : nil
        let found = strata.find(line, fresh: Series())
        if let evicted = found.evicted {
            try write([evicted], &sink, &output)
            letGo([evicted], &sink)
        }
        try sink.hold(line.bytes.count)
        held += 1
        let index = found.index
        strata.states[index].points.append(
            Point(x: x ?? Double(strata.states[index].points.count), y: y))
        strata.states[index].numbers.append(line.number)
        strata.states[index].bytes.append(contentsOf: line.bytes)
        strata.states[index].ends.append(strata.states[index].bytes.count)
    }

    var isHolding: Bool { held > 0 }

    mutating func endInterval(_ sink: inout Sink, _ output: inout Output) throws {
        let series = strata.states
        strata.removeAll()
        try write(series, &sink, &output)
        letGo(series, &sink)
    }

    func writeSoFar(_ sink: inout Sink, _ output: inout Output) throws {
        try write(strata.states, &sink, &output)
    }

    private mutating func letGo(_ all: [Series], _ sink: inout Sink) {
        for series in all {
            held -= series.points.count
            for index in series.points.indices { sink.release(series.line(index).count) }
        }
    }

    /// Writes what is selected of each series and passes over the rest.
    private func write(_ all: [Series], _ sink: inout Sink, _ output: inout Output) throws {
        var sampled: [HeldLine] = []
        for series in all {
            let selected = selection(of: series.points)
            sampled += lines(of: series, selected)
            var next = 0
            for index in series.points.indices {
                if next < selected.count && selected[next] == index {
                    next += 1
                } else {
                    try series.line(index).withUnsafeBufferPointer {
                        try sink.passedOver($0, &output)
                    }
                }
            }
        }
        try HeldLine.write(sampled, &sink, &output)
    }

    private func lines(of series: Series, _ selected: [Int]) -> [HeldLine] {
        let rate = Double(selected.count) / Double(max(series.points.count, 1))
        return selected.map { index in
            HeldLine(number: series.numbers[index], rate: rate, bytes: Array(series.line(index)))
        }
    }

    /// Indices in ascending order.
    private func selection(of points: [Point]) -> [Int] {
        if points.count <= limit { return Array(points.indices) }
        return switch algorithm {
        case .lttb: largestTriangles(points, limit)
        case .minMax: extremes(points, columns: limit / 2, withEnds: false)
        case .m4: extremes(points, columns: limit / 4, withEnds: true)
        }
    }
}

struct Point {
    var x: Double
    var y: Double
}

/// Largest triangle three buckets (Steinarsson 2013, section 4.2): the first point, the last one,
/// and of each bucket between them the point that makes the largest triangle with the point chosen
/// before it and the average of the next bucket. `limit` is at least 2 and less than the points.
private func largestTriangles(_ points: [Point], _ limit: Int) -> [Int] {
    var chosen = [0]
    let buckets = limit - 2
    /// Where a bucket starts; the last point is a bucket of its own.
    let start = { (bucket: Int) in
        bucket >= buckets
            ? points.count - 1 + bucket - buckets : (points.count - 2) * bucket / buckets + 1
    }
    for bucket in 0..<buckets {
        let last = points[chosen[bucket]]
        // Towards the average of the next bucket, times its count, which is the same for all: of
        // whole numbers nothing is rounded, so that equal triangles are equal.
        var sum = Point(x: 0, y: 0)
        for index in start(bucket + 1)..<start(bucket + 2) {
            sum.x += points[index].x - last.x
            sum.y += points[index].y - last.y
        }
        var best = start(bucket)
        var largest = -1.0
        for index in start(bucket)..<start(bucket + 1) {
            let point = points[index]
            let area = abs((point.x - last.x) * sum.y - (point.y - last.y) * sum.x)
            if area > largest {
                largest = area
                best = index
            }
        }
        chosen.append(best)
    }
    return chosen + [points.count - 1]
}

/// Of each of so many columns of equal width the lowest and the highest point, and with `withEnds`
/// also the first and the last one: M4 (Jugel, Jerzak, Hackenbroich and Markl 2014). Of equal ones
/// the first counts.
private func extremes(_ points: [Point], columns: Int, withEnds: Bool) -> [Int] {
    struct Column {
        var first: Int
        var last: Int
        var lowest: Int
        var highest: Int
    }
    let lowestX = points.reduce(.infinity) { min($0, $1.x) }
    let highestX = points.reduce(-.infinity) { max($0, $1.x) }
    // Where the products below would be no Double, all is made smaller; else nothing is rounded.
    let scale = max(abs(lowestX), abs(highestX)) < 1e250 ? 1 : 0x1p-200
    let width = highestX * scale - lowestX * scale
    var found: [Column?] = Array(repeating: nil, count: columns)
    for (index, point) in points.enumerated() {
        let place = (point.x * scale - lowestX * scale) * Double(columns)
        let number = width > 0 ? min(Int(place / width), columns - 1) : 0
        guard var column = found[number] else {
            found[number] = Column(first: index, last: index, lowest: index, highest: index)
            continue
        }
        column.last = index
        if point.y < points[column.lowest].y { column.lowest = index }
        if point.y > points[column.highest].y { column.highest = index }
        found[number] = column
    }
    var chosen: Set<Int> = []
    for case let column? in found {
        chosen.formUnion([column.lowest, column.highest])
        if withEnds { chosen.formUnion([column.first, column.last]) }
    }
    return chosen.sorted()
}
