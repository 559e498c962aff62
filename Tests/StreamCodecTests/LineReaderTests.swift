import StreamCodec
import Testing

@Suite struct LineReaderTests {
    /// Lines as `number:text`, and `number!text` for the beginning of one that is too long.
    private func read(_ chunks: [[UInt8]], maxLine: Int = 1 << 20) -> [String] {
        var queue = ByteQueue(capacity: 16)
        var reader = LineReader(maxLine: maxLine)
        var lines: [String] = []
        for (index, chunk) in (chunks + [[]]).enumerated() {
            queue.append(chunk)
            reading: while true {
                switch reader.next(&queue, atEnd: index == chunks.count) {
                case .line(let range):
                    lines.append("\(reader.number):" + escaped(Array(queue.bytes(range))))
                case .tooLong(let range):
                    lines.append("\(reader.number)!" + escaped(Array(queue.bytes(range))))
                case .more: break reading
                }
            }
        }
        check(queue.count, 0, "left over")
        return lines
    }

    /// The same by splitting the whole. A line is measured without its end.
    private func split(_ input: [UInt8], maxLine: Int) -> [String] {
        let input = input.starts(with: UTF8Text.byteOrderMark) ? input.dropFirst(3) : input[...]
        var lines = input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.enumerated().map { index, line in
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            let sign = line.count > maxLine ? "!" : ":"
            return "\(index + 1)\(sign)" + escaped(Array(line.prefix(maxLine)))
        }
    }

    @Test(arguments: [
        "", "a", "a\n", "a\nb", "a\r\nb\r\n", "\n", "\r\n", "\n\n\n", "a\n\nb", "\r", "a\r",
        "a\rb\n",
        "a\r\r\n", "\u{FEFF}", "\u{FEFF}a\n", "\u{FEFF}\n", "\u{FEFF}\u{FEFF}a\n", "a\n\u{FEFF}b\n",
        "{\"a\":1}\r\n{\"b\":2}\n{\"c\":3}", " \n\t\n", "a\u{2028}b\u{85}c\u{B}d\u{C}e\n",
    ])
    func lines(_ input: String) {
        let input = bytes(input)
        for maxLine in [1, 2, 3, 1000] {
            let expected = split(input, maxLine: maxLine)
            check(read([input], maxLine: maxLine), expected, "\(maxLine)")
            check(read(byteByByte(input), maxLine: maxLine), expected, "\(maxLine)")
            for offset in 0...input.count {
                check(
                    read(cut(input, at: [offset]), maxLine: maxLine), expected,
                    "max \(maxLine), cut at \(offset)")
            }
        }
    }

    @Test func partOfAByteOrderMark() {
        #expect(read([[0xEF]]) == [#"1:\xef"#])
        #expect(read([[0xEF], [0xBB]]) == [#"1:\xef\xbb"#])
        #expect(read([[0xEF, 0xBB, 0x0A]]) == [#"1:\xef\xbb"#])
        #expect(read([[0xEF], [0xBB], [0xBF]]) == [])
    }

    /// Each limit against each cut: the lines behind a long one are never lost.
    @Test func tooLongAtEachCut() {
        let input = bytes("ab\nabcdefghijklmnopqrstuvwxyz\r\n\nabcdefgh\nxy\nabcdefghijkl")
        for maxLine in 2...30 {
            let expected = split(input, maxLine: maxLine)
            check(read([input], maxLine: maxLine), expected, "max \(maxLine)")
            check(read(byteByByte(input), maxLine: maxLine), expected, "max \(maxLine), by bytes")
            for first in 0...input.count {
                for second in first...input.count {
                    check(
                        read(cut(input, at: [first, second]), maxLine: maxLine), expected,
                        "max \(maxLine), cut at \(first), \(second)")
                }
            }
        }
    }

    @Test func randomLines() {
        var random = SplitMix64("randomLines")
        for _ in 0..<1000 {
            var input: [UInt8] = random.chance(1, in: 4) ? UTF8Text.byteOrderMark : []
            for _ in 0..<random.number(0...12) {
                input += random.nearlyUTF8(length: random.length() % 150)
                input += bytes(random.pick(["\n", "\r\n", "\n\n", ""]))
            }
            let maxLine = random.number(1...200)
            let expected = split(input, maxLine: maxLine)
            check(read([input], maxLine: maxLine), expected, escaped(input))
            let chunks = cut(input, at: random.cuts(input, count: 10))
            check(read(chunks, maxLine: maxLine), expected, escaped(input))
        }
    }

    /// A line of 1 MiB in reads of 4 KiB is searched once, and one that is too long leaves no
    /// more than the limit and a read in the queue.
    @Test func longLineInSmallReads() {
        let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 4096)
        for maxLine in [1 << 20, 100_000] {
            var queue = ByteQueue()
            var reader = LineReader(maxLine: maxLine)
            var tooLong = 0
            for _ in 0..<256 {
                queue.append(chunk)
                while case .tooLong(let range) = reader.next(&queue) {
                    check(range, 0..<maxLine)
                    tooLong += 1
                }
                check(queue.count <= maxLine + chunk.count, true, "\(queue.count) bytes wait")
            }
            queue.append("\nnext\n")
            if maxLine == 1 << 20 { check(reader.next(&queue), .line(0..<(1 << 20))) }
            check(tooLong, maxLine == 1 << 20 ? 0 : 1)
            check(reader.next(&queue), .line(0..<4))
            check(reader.number, 2)
        }
    }

    @Test(arguments: [
        ("", true), (" \t\r", true), (" a", false), ("\u{B}", false), ("\u{A0}", false),
        ("0", false),
    ])
    func blank(_ line: String, _ isBlank: Bool) {
        bytes(line).withUnsafeBufferPointer { check($0.isBlank, isBlank) }
    }

    /// Lines of any lengths become the elements of an array.
    @Test func joins() {
        var random = SplitMix64("joins")
        for count in 0..<200 {
            let lines = (0..<count).map { _ in
                String(repeating: "x", count: random.number(0...90)) + "é,"
            }
            var queue = ByteQueue(capacity: 1)
            queue.append(joining: lines.flatMap { bytes($0) + [0x0A] })
            check(Array(queue.bytes), bytes(lines.joined(separator: ",")), "\(count)")
        }
    }
}
