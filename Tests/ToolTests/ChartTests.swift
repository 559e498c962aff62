import Testing

/// stream-sample --lttb, --minmax and --m4 against slow ones that are written as the papers say,
/// in whole numbers, so that nothing is rounded.
@Suite struct ChartTests {
    struct Spot {
        var x: Int
        var y: Int
    }

    // MARK: Series

    enum Shape: CaseIterable, CustomTestStringConvertible {
        case noise, walk, steps, spikes

        var testDescription: String { "\(self)" }
    }

    /// A series whose x grows by steps of up to `gap`.
    static func series(_ shape: Shape, _ count: Int, from x: Int = 0, gap: Int = 9) -> [Spot] {
        var random = SeededGenerator.usual(UInt64(count))
        var spot = Spot(x: x, y: 0)
        return (0..<count).map { _ in
            spot.x += Int.random(in: 1...gap, using: &random)
            let step = Int.random(in: -9999...9999, using: &random)
            switch shape {
            case .noise: spot.y = step
            case .walk: spot.y += step
            case .steps: spot.y += step > 7000 ? step : 0
            case .spikes: spot.y = step > 9000 ? 100 * step : step / 1000
            }
            return spot
        }
    }

    private static func lines(_ series: [Spot], x: (Int) -> String = { "\($0)" }) -> [UInt8] {
        let lines = series.enumerated().map {
            "{\"i\":\($0.offset),\"x\":\(x($0.element.x)),\"y\":\($0.element.y)}\n"
        }
        return Array(lines.joined().utf8)
    }

    /// The numbers of the lines that were written.
    private static func chosen(_ arguments: String, _ lines: [UInt8]) throws -> [Int] {
        String(decoding: try Samples.run(arguments, lines), as: UTF8.self).split(separator: "\n")
            .map { line in Int(line.dropFirst(5).prefix(while: \.isNumber)) ?? -1 }
    }

    /// Where the selections differ for the first time; nil when they do not.
    private static func difference(_ chosen: [Int], _ expected: [Int]) -> String? {
        if chosen == expected { return nil }
        let pair = zip(chosen, expected).first { $0.0 != $0.1 }
        return pair.map { "line \($0.0) instead of \($0.1)" }
            ?? "\(chosen.count) lines instead of \(expected.count)"
    }

    /// Microseconds since a midnight as in RFC 3339.
    private static func time(_ microseconds: Int) -> String {
        let pad = { (number: Int, width: Int) in
            String(String(number + 1_000_000_000).suffix(width))
        }
        let seconds = microseconds / 1_000_000
        let clock = [seconds / 3600, seconds / 60 % 60, seconds % 60].map { pad($0, 2) }
        let fraction = pad(microseconds % 1_000_000, 6)
        return "\"2024-05-17T\(clock.joined(separator: ":")).\(fraction)Z\""
    }

    // MARK: Largest triangle three buckets

    /// "The first bucket contains only the first data point and the last bucket only the last; the
    /// rest are of about the same size. A point's rank is the area of the triangle that it forms
    /// with the one selected in the previous bucket and the average of the next bucket."
    private static func largestTriangles(_ series: [Spot], _ limit: Int) -> [Int] {
        let middle = series.count - 2
        var buckets = [0..<1]
        for bucket in 0..<limit - 2 {
            let start = middle * bucket / (limit - 2)
            buckets.append(start + 1..<middle * (bucket + 1) / (limit - 2) + 1)
        }
        buckets.append(series.count - 1..<series.count)
        var selected = [0]
        for bucket in 1..<buckets.count - 1 {
            let next = buckets[bucket + 1]
            let origin = series[selected[bucket - 1]]
            // The average of the next bucket, times its count.
            let x = next.reduce(0) { $0 + series[$1].x - origin.x }
            let y = next.reduce(0) { $0 + series[$1].y - origin.y }
            let rank = { (index: Int) in
                abs((series[index].x - origin.x) * y - (series[index].y - origin.y) * x)
            }
            let highest = buckets[bucket].map(rank).max()
            selected.append(buckets[bucket].first { rank($0) == highest } ?? -1)
        }
        return selected + [series.count - 1]
    }

    static let sizes = [
        (3, 2), (4, 3), (5, 4), (10, 3), (10, 9), (17, 5), (50, 10), (100, 51), (101, 100),
        (333, 20), (1000, 42), (1003, 250), (2500, 7), (4000, 1200),
    ]

    @Test(arguments: sizes, Shape.allCases) func lttb(_ size: (Int, Int), _ shape: Shape) throws {
        let series = Self.series(shape, size.0)
        let chosen = try Self.chosen("--lttb \(size.1) -x .x -y .y", Self.lines(series))
        #expect(Self.difference(chosen, Self.largestTriangles(series, size.1)) == nil)
        #expect(chosen.count == size.1)
        #expect(chosen.first == 0 && chosen.last == size.0 - 1)
    }

    @Test func lttbOfAsManyPointsAsThereAre() throws {
        for count in [0, 1, 2, 3, 50] {
            let lines = Self.lines(Self.series(.noise, count))
            for limit in [max(2, count), 51, 1 << 32] {
                #expect(try Samples.run("--lttb \(limit) -x .x -y .y", lines) == lines)
            }
        }
    }

    /// Without -x the points are at equal distances.
    @Test(arguments: Shape.allCases) func lttbWithoutX(_ shape: Shape) throws {
        let series = Self.series(shape, 700).enumerated().map { Spot(x: $0, y: $1.y) }
        let chosen = try Self.chosen("--lttb 31 -y .y", Self.lines(series))
        #expect(Self.difference(chosen, Self.largestTriangles(series, 31)) == nil)
    }

    /// Milliseconds since 1970 have thirteen digits; of those only the last few differ.
    @Test(arguments: Shape.allCases) func lttbFarFromTheOrigin(_ shape: Shape) throws {
        for (count, limit) in [(300, 12), (1602, 402), (2002, 1002)] {
            let series = Self.series(shape, count, from: 1_715_904_000_000)
            let chosen = try Self.chosen("--lttb \(limit) -x .x -y .y", Self.lines(series))
            #expect(Self.difference(chosen, Self.largestTriangles(series, limit)) == nil)
        }
    }

    /// Times may be microseconds apart.
    @Test(arguments: Shape.allCases) func lttbOverTimes(_ shape: Shape) throws {
        for step in [1, 1000, 1_000_000] {
            let series = Self.series(shape, 1602).map { Spot(x: step * $0.x, y: $0.y) }
            let lines = Self.lines(series, x: Self.time)
            let chosen = try Self.chosen("--lttb 402 -x .x -y .y", lines)
            let expected = Self.largestTriangles(series, 402)
            #expect(Self.difference(chosen, expected) == nil, "\(step) µs")
        }
    }

    // MARK: Columns

    /// Of each column of the window what its first, last, lowest and highest points are, of equal
    /// ones the first.
    private static func extremes(_ series: [Spot], columns: Int, withEnds: Bool) -> [Int] {
        let left = series.map(\.x).min() ?? 0
        let width = (series.map(\.x).max() ?? 0) - left
        let points = Dictionary(grouping: series.indices) { index in
            // The right end of the window is part of the last column.
            width == 0 ? 0 : min((series[index].x - left) * columns / width, columns - 1)
        }
        var selected: Set<Int> = []
        for points in points.values {
            let values = points.map { series[$0].y }
            for value in [values.min(), values.max()] {
                selected.insert(points.first { series[$0].y == value } ?? -1)
            }
            if withEnds { selected.formUnion([points[0], points[points.count - 1]]) }
        }
        return selected.sorted()
    }

    private static func check(
        _ series: [Spot], _ limit: Int, options: String, lines: [UInt8],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let lowAndHigh = try chosen("--minmax \(limit) \(options)", lines)
        let expected = extremes(series, columns: limit / 2, withEnds: false)
        #expect(
            difference(lowAndHigh, expected) == nil, "minmax \(limit)",
            sourceLocation: sourceLocation)
        guard limit >= 4 else { return }
        let four = try chosen("--m4 \(limit) \(options)", lines)
        let expectedFour = extremes(series, columns: limit / 4, withEnds: true)
        #expect(
            difference(four, expectedFour) == nil, "m4 \(limit)", sourceLocation: sourceLocation)
        #expect(max(lowAndHigh.count, four.count) <= limit, sourceLocation: sourceLocation)
    }

    @Test(arguments: Shape.allCases) func columns(_ shape: Shape) throws {
        for (count, limit) in [
            (3, 2), (5, 4), (40, 5), (100, 17), (333, 96), (500, 4), (1000, 202), (1001, 1000),
        ] {
            // Few points in some columns, or none.
            for gap in [1, 9, 300] {
                let series = Self.series(shape, count, gap: gap)
                try Self.check(series, limit, options: "-x .x -y .y", lines: Self.lines(series))
            }
        }
    }

    @Test func columnsOfAsManyPointsAsThereAre() throws {
        for count in [0, 1, 2, 4, 50] {
            let lines = Self.lines(Self.series(.noise, count))
            for method in ["--minmax", "--m4"] {
                for limit in [max(4, count), 51, 1 << 32] {
                    #expect(try Samples.run("\(method) \(limit) -x .x -y .y", lines) == lines)
                }
            }
        }
    }

    /// Points in any order, several at the same place, and all at one.
    @Test func columnsInDisorder() throws {
        var random = SeededGenerator.usual(4)
        for range in [-50...50, 1_000_000...1_000_300, 7...7] {
            let series = (0..<400).map { _ in
                let x = Int.random(in: range, using: &random)
                return Spot(x: x, y: .random(in: -20...20, using: &random))
            }
            for limit in [4, 12, 41] {
                try Self.check(series, limit, options: "-x .x -y .y", lines: Self.lines(series))
                if range.lowerBound < 0 { continue }
                let lines = Self.lines(series, x: Self.time)
                try Self.check(series, limit, options: "-x .x -y .y", lines: lines)
            }
        }
    }

    /// Where the difference of two Doubles is no Double, and where it has few digits left.
    @Test(arguments: [0x1p1016, 0x1p-1070, 1e15]) func columnsFarOut(_ unit: Double) throws {
        let series = Self.series(.noise, 255, gap: 1).map { Spot(x: $0.x - 128, y: $0.y) }
        let lines = Self.lines(series) { "\(Double($0) * unit)" }
        for limit in [4, 20, 120] {
            try Self.check(series, limit, options: "-x .x -y .y", lines: lines)
        }
    }

    /// A point on the border of two columns is the first of the second, not the last of the first
    /// because of what a quotient was rounded to. Series at regular distances have many.
    @Test(arguments: [(61, 20), (101, 100), (601, 100), (3601, 200), (4001, 640)])
    func bordersOfColumns(_ count: Int, _ limit: Int) throws {
        let series = Self.series(.noise, count, gap: 1)
        try Self.check(series, limit, options: "-x .x -y .y", lines: Self.lines(series))
        try Self.check(series, limit, options: "-y .y", lines: Self.lines(series))
    }

    /// The same with times, of which a Double of seconds holds no digit behind the sixth.
    @Test(arguments: [1, 10, 10_000, 1_000_000])
    func bordersOfColumnsOverTimes(_ step: Int) throws {
        for (count, limit) in [(101, 40), (1001, 200), (2401, 96)] {
            let series = Self.series(.noise, count, gap: 1).map { Spot(x: step * $0.x, y: $0.y) }
            try Self.check(
                series, limit, options: "-x .x -y .y", lines: Self.lines(series, x: Self.time))
        }
    }

    // MARK: Keys and intervals

    /// Each key, and each interval, has a chart of its own; all lines stay in order.
    @Test(arguments: ["--lttb 9", "--minmax 9", "--m4 9"]) func eachByItself(
        _ method: String
    ) throws {
        let select = { (series: [Spot]) in
            if series.count <= 9 { return Array(series.indices) }
            return switch method {
            case "--lttb 9": Self.largestTriangles(series, 9)
            case "--m4 9": Self.extremes(series, columns: 2, withEnds: true)
            default: Self.extremes(series, columns: 4, withEnds: false)
            }
        }
        let series = Self.series(.walk, 1500, gap: 99)
        var random = SeededGenerator.usual(2)
        // Some keys have many lines, and some less than nine.
        let keys = series.map { _ in Int(random.next() % (1 + random.next() % 20)) }
        let intervals = series.map { $0.x / 5000 }
        let every = "--every 5s --time .x --time-unit ms"
        let groups = [
            ("--by .k", keys.map { [$0] }), (every, intervals.map { [$0] }),
            ("--by .k \(every)", zip(intervals, keys).map { [$0, $1] }),
        ]
        let lines = series.indices.map {
            "{\"i\":\($0),\"k\":\(keys[$0]),\"x\":\(series[$0].x),\"y\":\(series[$0].y)}\n"
        }
        for (options, group) in groups {
            let members = Dictionary(grouping: series.indices) { group[$0] }
            let expected = members.values.flatMap { members in
                select(members.map { series[$0] }).map { members[$0] }
            }
            let chosen = try Self.chosen(
                "\(method) -x .x -y .y \(options)", Array(lines.joined().utf8))
            #expect(Self.difference(chosen, expected.sorted()) == nil, "\(options)")
            #expect(chosen.count < series.count && chosen.count > 40)
        }
    }

    /// The rate is the share of the lines that were written.
    @Test func rates() throws {
        let lines = Self.lines(Self.series(.noise, 160))
        let output = try Samples.run("--lttb 40 -x .x -y .y --annotate r", lines)
        let rates = Samples.values(output).enumerated().filter { $0.offset % 4 == 3 }
        #expect(rates.count == 40)
        #expect(rates.allSatisfy { $0.element == 0.25 })
    }
}
