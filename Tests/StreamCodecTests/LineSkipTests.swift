import StreamCodec
import Testing

/// `LineReader.skip` against a reader that looks at every line.
@Suite struct LineSkipTests {
    private struct Line: Equatable {
        var text: [UInt8]
        var isTooLong = false
        var isBlank: Bool {
            text.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
        }
    }

    /// All lines, one after the other.
    private func lines(_ input: [UInt8], maxLine: Int) -> [Line] {
        var queue = ByteQueue()
        queue.append(input)
        var reader = LineReader(maxLine: maxLine)
        var lines: [Line] = []
        while true {
            switch reader.next(&queue, atEnd: true) {
            case .line(let range): lines.append(Line(text: Array(queue.bytes(range))))
            case .tooLong(let range):
                lines.append(Line(text: Array(queue.bytes(range)), isTooLong: true))
            case .more: return lines
            }
        }
    }

    /// A reader that skips or looks, as chance has it, at pieces of a text whose lines are known.
    private struct Walk: ~Copyable {
        private var queue = ByteQueue(capacity: 64)
        private var reader: LineReader
        private let maxLine: Int
        private let keepsBlank: Bool
        private let expected: [Line]
        /// The last call returned a line, or nothing else was found: the next skip must not give
        /// up while there are lines.
        private var isBetweenLines = false
        /// Lines that were passed over; to tell a test of nothing.
        private(set) var skipped = 0

        init(maxLine: Int, keepsBlank: Bool, expected: [Line]) {
            reader = LineReader(maxLine: maxLine)
            self.maxLine = maxLine
            self.keepsBlank = keepsBlank
            self.expected = expected
        }

        mutating func take(_ chunk: [UInt8], _ random: inout SplitMix64, largest: Int) {
            queue.append(chunk)
            while true {
                if random.chance(2, in: 3) {
                    skip(limit: random.number(0...random.pick([1, 2, 10, largest])))
                } else if !look(atEnd: false) {
                    return
                }
            }
        }

        mutating func finish() {
            while look(atEnd: true) {}
            check(reader.number, expected.count)
            check(queue.count, 0)
        }

        private mutating func skip(limit: Int) {
            let start = reader.number
            let waiting = queue.count
            let count = reader.skip(&queue, limit: limit, keepsBlank: keepsBlank)
            let passed = expected[start..<reader.number]
            let counted = passed.filter { keepsBlank || !$0.isBlank }
            check(counted.count, count, "limit \(limit) behind line \(start)")
            check(count <= limit, true, "\(count) > \(limit)")
            check(passed.contains { $0.isTooLong }, false, "a long line behind line \(start)")
            if count == limit, let last = passed.last {
                check(keepsBlank || !last.isBlank, true, "a blank line behind the limit")
            }
            if isBetweenLines && waiting <= maxLine && count < limit {
                check(look(atEnd: false), false, "\(count) of \(limit) behind line \(start)")
            } else if limit > 0 && (count > 0 || waiting != queue.count) {
                isBetweenLines = count == limit
            }
            skipped += count
        }

        /// False when there is no line.
        private mutating func look(atEnd: Bool) -> Bool {
            let start = reader.number
            let line: Line
            switch reader.next(&queue, atEnd: atEnd) {
            case .line(let range): line = Line(text: Array(queue.bytes(range)))
            case .tooLong(let range):
                line = Line(text: Array(queue.bytes(range)), isTooLong: true)
            case .more:
                isBetweenLines = false
                check(reader.number, start)
                return false
            }
            isBetweenLines = !line.isTooLong
            check(reader.number, start + 1)
            if start < expected.count {
                check(line == expected[start], true, "line \(start + 1)")
            } else {
                check(true, false, "line \(start + 1) of \(expected.count)")
            }
            return true
        }
    }

    private func compare(
        _ input: [UInt8], _ random: inout SplitMix64, maxLine: Int = 1 << 20, cuts: Int = 5
    ) -> Int {
        let expected = lines(input, maxLine: maxLine)
        var skipped = 0
        for keepsBlank in [false, true] {
            let chunks = cut(input, at: random.cuts(input, count: cuts))
            var walk = Walk(maxLine: maxLine, keepsBlank: keepsBlank, expected: expected)
            for chunk in chunks { walk.take(chunk, &random, largest: expected.count + 2) }
            walk.finish()
            skipped += walk.skipped
        }
        return skipped
    }

    private func randomLine(_ random: inout SplitMix64) -> [UInt8] {
        let line: [UInt8]
        switch random.number(0...9) {
        case 0, 1: line = []
        case 2: line = (0..<random.number(1...5)).map { _ in random.pick([0x20, 0x09, 0x0D]) }
        // White space that makes no line blank, but looks as if before its end.
        case 3: line = bytes(random.pick(["a ", "\u{B}", "\u{0}", "a\r", "\u{A0}", "\u{1F}"]))
        case 4: line = UTF8Text.byteOrderMark
        default:
            let length = random.pick([1, 5, 30, 62, 63, 64, 65, 128])
            line = [UInt8](repeating: UInt8(ascii: "x"), count: length)
        }
        return line + bytes(random.pick(["\n", "\n", "\n", "\r\n"]))
    }

    @Test func smallTexts() {
        var random = SplitMix64("smallTexts")
        var skipped = 0
        for _ in 0..<2000 {
            var input: [UInt8] = random.chance(1, in: 4) ? UTF8Text.byteOrderMark : []
            for _ in 0..<random.number(0...30) { input += randomLine(&random) }
            if random.chance(1, in: 2) { input += bytes("the end") }
            let maxLine = random.pick([1, 4, 20, 64, 100, 1000, 1 << 20])
            skipped += compare(input, &random, maxLine: maxLine, cuts: random.pick([0, 3, 20]))
        }
        #expect(skipped > 2000)
    }

    /// More than 100 KB: whole chunks of 8192 bytes are counted without a look at their lines.
    @Test func manyLines() {
        var random = SplitMix64("manyLines")
        var skipped = 0
        for round in 0..<60 {
            var input: [UInt8] = []
            // Seldom anything that is, or may be, blank; else no chunk goes the fast way.
            let strange = random.pick([3, 300, 3000, Int.max])
            let longest = random.pick([0, 1, 10, 100, 1000])
            while input.count < 120_000 {
                if strange < Int.max && random.chance(1, in: strange) {
                    input += randomLine(&random)
                } else {
                    let length = random.number(0...longest)
                    input += [UInt8](repeating: UInt8(ascii: "x"), count: length)
                    input += bytes(length == 0 && longest > 0 ? "y\n" : "\n")
                }
            }
            let maxLine = round % 4 == 0 ? random.number(500...200_000) : 1 << 20
            skipped += compare(input, &random, maxLine: maxLine, cuts: random.number(0...8))
        }
        #expect(skipped > 60_000)
    }

    /// Ends of lines right at, before and behind the ends of blocks and chunks.
    @Test(arguments: [64, 8192])
    func boundaries(block: Int) {
        var random = SplitMix64("boundaries \(block)")
        var skipped = 0
        for _ in 0..<100 {
            var input: [UInt8] = bytes("first\n")
            for _ in 0..<random.number(1...8) {
                let multiple = block * random.number(1...3)
                // Up to the boundary, counted from the start or from the line before.
                let start = random.chance(1, in: 2) ? input.count % block : 6
                let length = max(0, multiple - start + random.number(-3...3))
                input += [UInt8](repeating: UInt8(ascii: "x"), count: length)
                input += bytes(random.pick(["\n", "\n\n", "\r\n", " \n \n", "\n\t\r\n", "\r\r\n"]))
                for _ in 0..<random.number(0...20) { input += bytes("y\n") }
            }
            let maxLine = random.pick([block, 2 * block, 3 * block + 1, 1 << 20])
            skipped += compare(input, &random, maxLine: maxLine)
        }
        #expect(skipped > 1000)
    }

    @Test func longLines() {
        var random = SplitMix64("longLines")
        for _ in 0..<30 {
            var input: [UInt8] = []
            for _ in 0..<random.number(1...6) {
                let byte = random.pick(bytes("x \t"))
                input += [UInt8](repeating: byte, count: random.number(1...40_000)) + bytes("\n")
                for _ in 0..<random.number(0...300) { input += bytes("short\n") }
            }
            let maxLine = random.pick([100, 8192, 20_000, 1 << 20])
            _ = compare(input, &random, maxLine: maxLine)
        }
    }

    /// Nothing but complete lines without a look at any of them, as `stream-sample` does.
    @Test func allAtOnce() {
        var queue = ByteQueue()
        var reader = LineReader(maxLine: 1 << 20)
        queue.append(bytes("a\n\n" + String(repeating: "line\n", count: 50_000) + "\nrest"))
        check(reader.skip(&queue, limit: 10, keepsBlank: false), 0, "may be a byte order mark")
        check(reader.next(&queue), .line(0..<1))
        check(reader.skip(&queue, limit: 40_000, keepsBlank: false), 40_000)
        check(reader.number, 40_002)
        check(reader.skip(&queue, limit: .max, keepsBlank: false), 10_000)
        check(reader.number, 50_003)
        check(reader.next(&queue), .more)
        check(reader.skip(&queue, limit: .max, keepsBlank: false), 0)
        check(reader.next(&queue, atEnd: true), .line(0..<4))
        check(reader.number, 50_004)
    }
}
