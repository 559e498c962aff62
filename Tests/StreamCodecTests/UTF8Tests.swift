import StreamCodec
import Testing

@Suite struct UTF8Tests {
    @Test func shortSequences() {
        // Each of the bounds in each of four places.
        let interesting: [UInt8] = [
            0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1,
            0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ]
        for a in interesting {
            checkText([a])
            for b in interesting {
                checkText([a, b])
                for c in interesting {
                    checkText([a, b, c])
                    for d in interesting { checkText([a, b, c, d]) }
                }
            }
        }
    }

    @Test func nearlyValidText() {
        var random = SplitMix64("nearlyValidText")
        for _ in 0..<4000 { checkText(random.nearlyUTF8(length: random.number(0...200))) }
        for _ in 0..<1000 {
            checkText((0..<random.number(0...100)).map { _ in random.strangeByte() })
        }
    }

    /// One bad byte somewhere in a block of 1 MiB.
    @Test func oneBadByte() {
        var random = SplitMix64("oneBadByte")
        for filler in ["a", "äa", "€", "😀", "aä€😀\n"] {
            let unit = bytes(filler)
            var block = Array(repeatElement(unit, count: (1 << 20) / unit.count).joined())
            check(isValid(block), true, filler)
            for _ in 0..<20 {
                let place = random.number(0...(block.count - 1))
                let bad = random.pick([UInt8(0xFF), 0xC0, 0xF8])
                let good = block[place]
                block[place] = bad
                check(isValid(block), false, "\(bad) at \(place) in \(filler)")
                block[place] = good
            }
            check(isValid(block.dropLast()), filler.utf8.last! < 0x80, filler)
        }
    }

    private func checkText(_ text: [UInt8]) {
        let bad = firstIllFormed(text)
        check(isValid(text), bad == nil, escaped(text))
        check(
            text.withUnsafeBufferPointer { UTF8Text.firstIllFormed(in: $0) }, bad, escaped(text))
    }

    private func isValid(_ text: [UInt8]) -> Bool {
        text.withUnsafeBufferPointer { UTF8Text.isValid($0) }
    }

    /// The least scalar of so many bytes.
    private static let least: [UInt32] = [0, 0, 0x80, 0x800, 0x10000]

    /// By what the bits say, not by the ranges of table 3-7.
    private func firstIllFormed(_ text: [UInt8]) -> Int? {
        var offset = 0
        while offset < text.count {
            let lead = text[offset]
            let size = lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
            if size == 0 || lead >= 0xF8 || offset + size > text.count { return offset }
            var value = size == 1 ? UInt32(lead) : UInt32(lead) & (0x7F >> UInt32(size))
            for byte in text[(offset + 1)..<(offset + size)] {
                if byte & 0xC0 != 0x80 { return offset }
                value = value << 6 | UInt32(byte & 0x3F)
            }
            if value < Self.least[size] || Unicode.Scalar(value) == nil { return offset }
            offset += size
        }
        return nil
    }
}

@Suite struct UTF8RepairTests {
    @Test func anyCutsGiveWhatTheWholeGives() {
        var random = SplitMix64("repair")
        for round in 0..<3000 {
            let isText = random.chance(2, in: 3)
            let length = random.number(0...120)
            let raw =
                isText
                ? random.nearlyUTF8(length: length)
                : (0..<length).map { _ in random.strangeByte() }
            let expected = Array(String(decoding: raw, as: UTF8.self).utf8)
            let what = "round \(round): \(escaped(raw))"
            check(repaired([raw]), expected, what)
            check(repaired(byteByByte(raw)), expected, what)
            check(repaired(cut(raw, at: random.cuts(raw, count: 8))), expected, what)
        }
    }

    /// The decoder takes bytes away between the reads.
    @Test func consumedBetweenReads() {
        var random = SplitMix64("consumedBetweenReads")
        for _ in 0..<1000 {
            let raw = random.nearlyUTF8(length: random.number(0...80))
            var queue = ByteQueue(capacity: 8)
            var repair = UTF8Repair()
            var result: [UInt8] = []
            for chunk in cut(raw, at: random.cuts(raw, count: 8)) {
                let count = queue.count
                queue.append(chunk)
                repair.repair(&queue, from: count)
                // Lines that ended; what is unfinished has no line end.
                let end = queue.bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
                result += Array(queue.bytes(0..<end))
                queue.consume(end)
            }
            repair.finish(&queue)
            result += Array(queue.bytes)
            check(result, Array(String(decoding: raw, as: UTF8.self).utf8), escaped(raw))
        }
    }

    /// Examples of the Encoding Standard's rule, one U+FFFD for each maximal subpart.
    @Test(
        arguments: [
            ([0xFF], 1), ([0xC0, 0x80], 2), ([0xE0, 0x80, 0x80], 3), ([0xE2, 0x82], 1),
            ([0xE2, 0x82, 0xE2, 0x82], 2), ([0xF0, 0x9F, 0x98], 1), ([0xF0, 0x80, 0x80, 0x80], 4),
            ([0xED, 0xA0, 0x80], 3), ([0xF4, 0x90, 0x80, 0x80], 4), ([0xF0, 0x9F, 0xC3], 2),
            ([0x80], 1), ([0xEF, 0xBB], 1),
        ] as [([UInt8], Int)])
    func maximalSubparts(_ raw: [UInt8], _ count: Int) {
        let expected = [UInt8]((0..<count).flatMap { _ in UTF8Text.replacement })
        #expect(repaired([raw]) == expected)
        #expect(repaired(byteByByte(raw)) == expected)
        #expect(repaired([raw + [0x0A]]) == expected + [0x0A])
        #expect(repaired(byteByByte(raw + [0x0A])) == expected + [0x0A])
    }

    private func repaired(_ chunks: [[UInt8]]) -> [UInt8] {
        var queue = ByteQueue(capacity: 8)
        var repair = UTF8Repair()
        for chunk in chunks {
            let count = queue.count
            queue.append(chunk)
            repair.repair(&queue, from: count)
        }
        repair.finish(&queue)
        return Array(queue.bytes)
    }
}
