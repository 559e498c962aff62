import StreamCodec

/// The first or the last value, as it is written.
struct HeldText {
    private let isLast: Bool
    /// The line of the run that it came with; 0 before the first.
    private var line = 0
    private var text: [UInt8] = []

    init(isLast: Bool) {
        self.isLast = isLast
    }

    @inline(__always)
    mutating func take(_ value: UnsafeBufferPointer<UInt8>, line: Int) {
        if !isLast && self.line > 0 { return }
        self.line = line
        text.removeAll(keepingCapacity: true)
        text.append(contentsOf: value)
    }

    mutating func merge(_ other: HeldText) {
        if other.line == 0 { return }
        if line == 0 || (isLast ? other.line > line : other.line < line) { self = other }
    }

    func append(to queue: inout ByteQueue) {
        line == 0 ? queue.append("null") : queue.append(text)
    }
}
