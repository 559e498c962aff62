import StreamCodec

/// Lines of a batch that are delivered together: all of them, or some of them after --bisect or
/// --results.
struct Part: Equatable {
    /// Lines that follow each other.
    struct Run: Equatable {
        /// The first line's number in the batch, from 1.
        var first: Int
        var count: Int
        /// Where they stand in the batch's lines.
        var bytes: Range<Int>
    }

    /// One at least.
    let runs: [Run]
    let count: Int

    /// So many runs a part has at most: their names have to fit into a variable of the
    /// environment.
    private static let maxRuns = 1000

    init(_ runs: [Run]) {
        self.runs = runs
        count = runs.reduce(0) { $0 + $1.count }
    }

    init(first: Int, count: Int, bytes: Range<Int>) {
        self.init([Run(first: first, count: count, bytes: bytes)])
    }

    /// All lines of a batch, with the numbers that they had before --redeliver.
    init(_ batch: Batch) {
        self.init(first: 1, count: batch.count, bytes: 0..<batch.lines.count)
        var left = batch.numbers[...]
        if left.reduce(0, { $0 + $1.count }) != batch.count || batch.summary != nil { return }
        var runs: [Run] = []
        while let numbers = left.popFirst() {
            let start = runs.last?.bytes.upperBound ?? 0
            var end = start
            for _ in numbers {
                while batch.lines[end] != UInt8(ascii: "\n") { end += 1 }
                end += 1
            }
            runs.append(Run(first: numbers.lowerBound, count: numbers.count, bytes: start..<end))
        }
        self.init(runs)
    }

    var first: Int { runs[0].first }

    /// What BATCH_PART says.
    var name: String {
        runs.map { "\($0.first)-\($0.first + $0.count - 1)" }.joined(separator: ",")
    }

    /// The first half of the lines, and the rest. There are two at least.
    func halves(of lines: [UInt8]) -> (Part, Part) {
        let size = count / 2
        return (choose(from: lines) { $0 <= size }[0], choose(from: lines) { $0 > size }[0])
    }

    /// The lines of it whose numbers, from 1, are chosen: no part when none is.
    func choose(from lines: [UInt8], _ isChosen: (Int) -> Bool) -> [Part] {
        var chosen: [Run] = []
        var number = 0
        for run in runs {
            var start = run.bytes.lowerBound
            for line in run.first..<run.first + run.count {
                var end = start
                while lines[end] != UInt8(ascii: "\n") { end += 1 }
                end += 1
                number += 1
                if isChosen(number) {
                    chosen.appendLine(Run(first: line, count: 1, bytes: start..<end))
                }
                start = end
            }
        }
        return stride(from: 0, to: chosen.count, by: Self.maxRuns).map {
            Part(Array(chosen[$0..<min($0 + Self.maxRuns, chosen.count)]))
        }
    }

    /// The lines themselves. All of them are not copied.
    func lines(of lines: [UInt8]) -> [UInt8] {
        if runs.count == 1 && runs[0].bytes.count == lines.count { return lines }
        var result: [UInt8] = []
        result.reserveCapacity(runs.reduce(0) { $0 + $1.bytes.count })
        for run in runs { result += lines[run.bytes] }
        return result
    }
}

extension [Part.Run] {
    fileprivate mutating func appendLine(_ line: Part.Run) {
        guard let last, last.first + last.count == line.first else { return append(line) }
        self[count - 1].count += 1
        self[count - 1].bytes = last.bytes.lowerBound..<line.bytes.upperBound
    }
}
