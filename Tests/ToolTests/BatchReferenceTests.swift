import Testing

/// stream-batch: windows and sessions against slow ones, on random lines.
@Suite struct BatchReferenceTests {
    private static let rounds = 60

    // MARK: Windows

    /// The windows of [0, length), [step, length + step), … that lines are in, as they close.
    private struct Windows {
        var length: Int
        var step: Int
        var late: Int
        var isKeyed: Bool
        private var open: [BatchObject] = []
        private(set) var closed: [BatchObject] = []
        private(set) var lateLines = 0
        private var watermark = 0

        init(length: Int, step: Int, late: Int, isKeyed: Bool) {
            (self.length, self.step, self.late) = (length, step, late)
            self.isKeyed = isKeyed
        }

        mutating func take(_ line: TimedLine) {
            var isTaken = false
            for from in ((line.time - length + 1)...line.time) where from % step == 0 {
                let to = from + length
                if to <= watermark { continue }
                isTaken = true
                let key = isKeyed ? line.key : ""
                let index = open.firstIndex { $0.key == key && $0.to == to * 1000 }
                if let index {
                    open[index].items.append(line.index)
                } else {
                    open.append(
                        BatchObject(
                            key: key, from: max(0, from) * 1000, to: to * 1000,
                            items: [line.index]))
                }
            }
            if !isTaken { lateLines += 1 }
            watermark = max(watermark, line.time - late)
            close { [watermark] in $0.to <= watermark * 1000 }
        }

        /// By their ends; what ends at once as it was opened.
        mutating func close(where isDue: (BatchObject) -> Bool = { _ in true }) {
            let due = open.filter(isDue)
            open.removeAll(where: isDue)
            for to in Set(due.map(\.to)).sorted() { closed += due.filter { $0.to == to } }
        }
    }

    @Test func windows() throws {
        var random = SeededGenerator.announced("windows")
        for round in 0..<Self.rounds {
            let step = Int.random(in: 1...20, using: &random)
            let length = step * (round % 2 == 0 ? 1 : Int.random(in: 1...6, using: &random))
            let late = [0, 0, 3, 20, 50].randomElement(using: &random) ?? 0
            let isKeyed = Bool.random(using: &random)
            let lines = TimedLine.random(
                200, step: Int.random(in: 1...9, using: &random),
                disorder: [0, 5, 30].randomElement(using: &random) ?? 0, &random)
            var reference = Windows(length: length, step: step, late: late, isKeyed: isKeyed)
            for line in lines { reference.take(line) }
            reference.close()
            let options =
                "--time .t -t \(length)s -f object -q --stats"
                + (late > 0 ? " --late \(late)s" : "") + (isKeyed ? " -k .k" : "")
                + (length == step && Bool.random(using: &random) ? "" : " --sliding \(step)s")
            let result = try run("stream-batch", options, lines.map(\.text).joined())
            #expect(result.ending == .exit(reference.lateLines > 0 ? 1 : 0), "\(options)")
            #expect(try BatchObject.parse(result.text) == reference.closed, "\(options)")
            #expect(result.stats["late"] ?? 0 == reference.lateLines, "\(options)")
        }
    }

    /// Each line is in length / step windows when none is late.
    @Test func everyLineIsInAllItsWindows() throws {
        var random = SeededGenerator.announced("everyLineIsInAllItsWindows")
        for (length, step) in [(10, 1), (12, 4), (5, 5), (60, 20)] {
            let lines = TimedLine.random(300, step: 3, disorder: 10, &random)
            let options = "--time .t -t \(length)s --sliding \(step)s --late 1h -f object"
            let result = try run("stream-batch", options, lines.map(\.text).joined())
            let batches = try BatchObject.parse(result.text)
            let counts = batches.flatMap(\.items).reduce(into: [:]) { $0[$1, default: 0] += 1 }
            #expect(counts.count == lines.count)
            #expect(counts.values.allSatisfy { $0 == length / step })
            for batch in batches {
                for item in batch.items {
                    #expect((batch.from..<batch.to).contains(lines[item].time * 1000))
                }
            }
        }
    }

    // MARK: Sessions

    /// Sessions as the manual has them: lines of a key with less than `gap` between.
    private struct Sessions {
        var gap: Int
        var late: Int
        var isKeyed: Bool
        private var open: [BatchObject] = []
        private(set) var closed: [BatchObject] = []
        private(set) var lateLines = 0
        private var watermark = 0

        init(gap: Int, late: Int, isKeyed: Bool) {
            (self.gap, self.late, self.isKeyed) = (gap * 1000, late * 1000, isKeyed)
        }

        mutating func take(_ line: TimedLine) {
            let key = isKeyed ? line.key : ""
            let time = line.time * 1000
            let near = { [gap] (session: BatchObject) in
                session.key == key && time < session.to + gap && session.from < time + gap
            }
            let touched = open.filter(near).sorted { $0.from < $1.from }
            if let first = touched.first, let last = touched.last {
                open.removeAll(where: near)
                open.append(
                    BatchObject(
                        key: key, from: min(first.from, time), to: max(last.to, time),
                        items: touched.flatMap(\.items) + [line.index]))
            } else if time + gap > watermark {
                open.append(BatchObject(key: key, from: time, to: time, items: [line.index]))
            } else {
                lateLines += 1
            }
            watermark = max(watermark, time - late)
            close { [watermark, gap] in $0.to + gap <= watermark }
        }

        mutating func close(where isDue: (BatchObject) -> Bool = { _ in true }) {
            closed += open.filter(isDue).sorted { $0.to < $1.to }
            open.removeAll(where: isDue)
        }
    }

    @Test func sessions() throws {
        var random = SeededGenerator.announced("sessions")
        for _ in 0..<Self.rounds {
            let gap = Int.random(in: 1...20, using: &random)
            let late = [0, 0, 3, 20, 50].randomElement(using: &random) ?? 0
            let isKeyed = Bool.random(using: &random)
            let lines = TimedLine.random(
                200, step: Int.random(in: 1...30, using: &random),
                disorder: [0, 5, 60].randomElement(using: &random) ?? 0, &random)
            var reference = Sessions(gap: gap, late: late, isKeyed: isKeyed)
            for line in lines { reference.take(line) }
            reference.close()
            let options =
                "--time .t -i \(gap)s -f object -q --stats"
                + (late > 0 ? " --late \(late)s" : "") + (isKeyed ? " -k .k" : "")
            let result = try run("stream-batch", options, lines.map(\.text).joined())
            #expect(result.ending == .exit(reference.lateLines > 0 ? 1 : 0), "\(options)")
            let batches = try BatchObject.parse(result.text)
            // What ends at the same time may come in any order.
            #expect(batches.sorted() == reference.closed.sorted(), "\(options)")
            #expect(result.stats["late"] ?? 0 == reference.lateLines, "\(options)")
        }
    }

    /// When nothing is late, sessions are what sorting the lines by their times would show.
    @Test func sessionsDoNotDependOnTheOrder() throws {
        var random = SeededGenerator.announced("sessionsDoNotDependOnTheOrder")
        for _ in 0..<20 {
            let lines = TimedLine.random(200, step: 20, disorder: 0, &random)
            let sorted = try run(
                "stream-batch", "--time .t -i 7s -k .k -f object", lines.map(\.text).joined())
            let shuffled = try run(
                "stream-batch", "--time .t -i 7s -k .k -f object --late 1d",
                lines.shuffled(using: &random).map(\.text).joined())
            let expected = try BatchObject.parse(sorted.text).sorted()
            var batches = try BatchObject.parse(shuffled.text)
            for index in batches.indices { batches[index].items.sort() }
            #expect(batches.sorted() == expected)
        }
    }
}
