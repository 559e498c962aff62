import StreamCodec

/// Lines of a batch that are delivered together: all of them, or some of them after --bisect.
struct Part: Equatable {
    /// The first line's number in the batch, from 1.
    var first: Int
    var count: Int
    /// Where they stand in the batch's lines.
    var bytes: Range<Int>

    /// What BATCH_PART says.
    var name: String { "\(first)-\(first + count - 1)" }

    /// The first half of the lines, and the rest. There are two at least.
    func halves(of lines: [UInt8]) -> (Part, Part) {
        let size = count / 2
        var middle = bytes.lowerBound
        for _ in 0..<size {
            while lines[middle] != UInt8(ascii: "\n") { middle += 1 }
            middle += 1
        }
        return (
            Part(first: first, count: size, bytes: bytes.lowerBound..<middle),
            Part(first: first + size, count: count - size, bytes: middle..<bytes.upperBound)
        )
    }
}
