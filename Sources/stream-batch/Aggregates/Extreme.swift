import StreamCodec

/// The least or the greatest number, as it is written; of equal ones the first.
struct Extreme {
    /// The number is kept as it is written up to so many bytes, and beyond as a Double is.
    static let maxText = 64

    private let isGreatest: Bool
    private var value: Double
    /// Empty before the first number.
    private var text: [UInt8] = []

    init(isGreatest: Bool) {
        self.isGreatest = isGreatest
        value = isGreatest ? -.infinity : .infinity
    }

    @inline(__always)
    mutating func take(_ number: Double, _ written: UnsafeBufferPointer<UInt8>) {
        if isGreatest ? number > value : number < value {
            set(number, written)
        } else if number == value && abs(number) >= 0x1p53 {
            takeEqual(number, written)
        }
    }

    mutating func merge(_ other: Extreme) {
        if other.text.isEmpty { return }
        other.text.withUnsafeBufferPointer { take(other.value, $0) }
    }

    func append(to queue: inout ByteQueue) {
        text.isEmpty ? queue.append("null") : queue.append(text)
    }

    @inline(never)
    private mutating func set(_ number: Double, _ written: UnsafeBufferPointer<UInt8>) {
        value = number
        text.removeAll(keepingCapacity: true)
        if written.count <= Self.maxText {
            text.append(contentsOf: written)
        } else {
            var queue = ByteQueue(capacity: 32)
            queue.append(number: number)
            text.append(contentsOf: queue.bytes)
        }
    }

    /// Whole numbers that round to the same Double are compared by their digits.
    @inline(never)
    private mutating func takeEqual(_ number: Double, _ written: UnsafeBufferPointer<UInt8>) {
        let isLarger: Bool? = text.withUnsafeBufferPointer { text in
            guard written.isWhole && text.isWhole else { return nil }
            if written.count != text.count { return written.count > text.count }
            let difference = zip(written, text).first { $0 != $1 }
            return difference.map { $0 > $1 }
        }
        guard let isLarger else { return }
        // The larger magnitude is the greater number, or of negative ones the lesser.
        if isLarger == ((number > 0) == isGreatest) { set(number, written) }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// True for number text without a point and an exponent.
    fileprivate var isWhole: Bool {
        allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") || $0 == first }
    }
}
