import StreamCodec
import Testing

/// One of the two readers of JSON that is not on lines.
enum JSONFormat {
    case stream, sequence

    /// What a reader says of input that arrives in these chunks: `1:value`, with the number of its
    /// line, `1!bytes@offset reason` for what is invalid, `1>begin` for what is too long. Without
    /// `atEnd` more input could come.
    func read(
        _ chunks: [[UInt8]], maxValue: Int = 1 << 20, maxDepth: Int = 64, atEnd: Bool = true
    ) -> [String] {
        var queue = ByteQueue(capacity: 16)
        var stream = JSONStreamReader(maxValue: maxValue, maxDepth: maxDepth)
        var sequence = JSONSequenceReader(maxValue: maxValue, maxDepth: maxDepth)
        var results: [String] = []
        for (index, chunk) in (chunks + (atEnd ? [[]] : [])).enumerated() {
            queue.append(chunk)
            reading: while true {
                let result: JSONStreamReader.Result
                let line: Int
                switch self {
                case .stream:
                    result = stream.next(&queue, atEnd: index == chunks.count)
                    line = stream.line
                case .sequence:
                    result = sequence.next(&queue, atEnd: index == chunks.count)
                    line = sequence.line
                }
                switch result {
                case .value(let range):
                    results.append("\(line):" + escaped(Array(queue.bytes(range))))
                case .invalid(let range, let error):
                    let text = escaped(Array(queue.bytes(range)))
                    results.append("\(line)!\(text)@\(error.offset) \(error.reason)")
                case .tooLong(let range):
                    results.append("\(line)>" + escaped(Array(queue.bytes(range))))
                case .more: break reading
                }
            }
            check(queue.count <= maxValue + 1 + chunk.count, true, "\(queue.count) bytes wait")
        }
        if atEnd { check(queue.count, 0, "left over") }
        return results
    }

    /// The same whole, byte by byte, cut at each offset, and cut off at each offset.
    func expect(
        _ input: String, _ expected: [String], maxValue: Int = 1 << 20, maxDepth: Int = 64
    ) {
        let input = bytes(input)
        func read(_ chunks: [[UInt8]], atEnd: Bool = true) -> [String] {
            self.read(chunks, maxValue: maxValue, maxDepth: maxDepth, atEnd: atEnd)
        }
        let name = escaped(input)
        check(read([input]), expected, name)
        check(read(byteByByte(input)), expected, "\(name) by bytes")
        for offset in 0...input.count {
            check(
                read(cut(input, at: [offset])), expected, "\(name) cut at \(offset)")
            let first = read([Array(input[..<offset])], atEnd: false)
            check(
                first, Array(expected.prefix(first.count)), "\(name) cut off at \(offset)")
        }
    }
}

extension SplitMix64 {
    /// White space as a formatter may put it anywhere between tokens, line feeds too.
    mutating func layout() -> [UInt8] {
        guard chance(1, in: 2) else { return [] }
        return (0..<number(1...12)).map { _ in pick([0x20, 0x20, 0x20, 0x0A, 0x09, 0x0D]) }
    }

    /// The value with white space between its tokens.
    mutating func laidOut(_ json: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var isInString = false
        var isEscaped = false
        for byte in json {
            if isInString {
                result.append(byte)
                if byte == UInt8(ascii: "\"") && !isEscaped { isInString = false }
                isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
                continue
            }
            switch byte {
            case UInt8(ascii: "\""):
                isInString = true
                result.append(byte)
            case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ","), UInt8(ascii: ":"):
                result += [byte] + layout()
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                result += layout() + [byte]
            default:
                result.append(byte)
            }
        }
        return result
    }
}
