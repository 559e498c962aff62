import StreamCodec

/// A number that aggregates take: a JSON number, or one that stands in a JSON string.
struct Number {
    /// Correctly rounded, and finite.
    let value: Double
    /// The number itself, `units` / 10^`decimals`, unless `decimals` is -1: then it has more
    /// digits than fit.
    let units: Int128
    let decimals: Int

    /// More decimals than this are no `units`: the sum of such numbers would have no room.
    static let maxDecimals = 18

    /// Nil when the text is no JSON number (RFC 8259, section 6) or too large for a Double.
    @inline(__always)
    init?(_ text: UnsafeBufferPointer<UInt8>) {
        // 19 digits always fit: 10^19 < 2^64.
        guard text.count <= 19, let first = text.first else {
            self.init(long: text)
            return
        }
        let start = first == UInt8(ascii: "-") ? 1 : 0
        var digits: UInt64 = 0
        var index = Self.readDigits(text, from: start, into: &digits)
        // No number starts with a zero and another digit.
        guard index > start, index == start + 1 || text[start] != UInt8(ascii: "0") else {
            return nil
        }
        var places = 0
        if index < text.count && text[index] == UInt8(ascii: ".") {
            let point = index
            index = Self.readDigits(text, from: point + 1, into: &digits)
            places = index - point - 1
            guard places > 0 else { return nil }
        }
        guard index == text.count else {
            self.init(long: text)
            return
        }
        let units = start == 1 ? -Int128(digits) : Int128(digits)
        if digits <= 1 << 53 {
            // Both parts are exact as Doubles, so that IEEE 754 rounds but once.
            let magnitude = Double(digits) / powersOfTen.doubles[places]
            self.init(value: start == 1 ? -magnitude : magnitude, units: units, decimals: places)
        } else {
            self.init(value: JSONNumber.value(text), units: units, decimals: places)
        }
    }

    @inline(__always)
    private init(value: Double, units: Int128, decimals: Int) {
        self.value = value
        self.units = units
        self.decimals = decimals
    }

    /// The index behind the digits.
    @inline(__always)
    private static func readDigits(
        _ text: UnsafeBufferPointer<UInt8>, from start: Int, into digits: inout UInt64
    ) -> Int {
        var index = start
        while index < text.count {
            let digit = text[index] &- UInt8(ascii: "0")
            if digit > 9 { break }
            digits = digits &* 10 &+ UInt64(digit)
            index += 1
        }
        return index
    }

    /// The same for any number.
    @inline(never)
    private init?(long text: UnsafeBufferPointer<UInt8>) {
        guard let value = JSONNumber.parse(text), value.isFinite else { return nil }
        let parts = Self.parts(text) ?? (0, -1)
        self.init(value: value, units: parts.units, decimals: parts.decimals)
    }

    /// `units` and `decimals` of a valid number; nil when it has more digits than fit.
    private static func parts(
        _ text: UnsafeBufferPointer<UInt8>
    ) -> (units: Int128, decimals: Int)? {
        guard var (units, decimals) = scaled(text) else { return nil }
        if units == 0 { return (0, 0) }
        while decimals > maxDecimals && units % 10 == 0 {
            units /= 10
            decimals -= 1
        }
        // 10^38 fits and 10^39 does not, so that this ends.
        while decimals < 0 {
            let (product, isOverflow) = units.multipliedReportingOverflow(by: 10)
            if isOverflow { return nil }
            units = product
            decimals += 1
        }
        return decimals <= maxDecimals ? (units, decimals) : nil
    }

    /// The same with any number of decimals, which is negative where zeros are left out.
    private static func scaled(_ text: UnsafeBufferPointer<UInt8>) -> (Int128, decimals: Int)? {
        let end = text.firstIndex { $0 | 0x20 == UInt8(ascii: "e") } ?? text.count
        var units: Int128 = 0
        var decimals = 0
        var isFraction = false
        for byte in text.slice(0..<end) {
            if byte == UInt8(ascii: ".") {
                isFraction = true
            } else if byte != UInt8(ascii: "-") {
                let (product, isOverflow) = units.multipliedReportingOverflow(by: 10)
                let (sum, isTooLarge) = product.addingReportingOverflow(
                    Int128(byte - UInt8(ascii: "0")))
                if isOverflow || isTooLarge { return nil }
                units = sum
                if isFraction { decimals += 1 }
            }
        }
        if end < text.count {
            let power = String(decoding: text.slice((end + 1)..<text.count), as: UTF8.self)
            // Any other leads to no units that fit.
            guard let exponent = Int(power), exponent.magnitude < 10_000 else { return nil }
            decimals -= exponent
        }
        return (text.first == UInt8(ascii: "-") ? -units : units, decimals)
    }
}

/// 10^0 to 10^18, which are exact in both forms.
let powersOfTen: (doubles: [Double], whole: [Int128]) = {
    var whole: [Int128] = [1]
    for _ in 1...Number.maxDecimals { whole.append(10 * whole[whole.count - 1]) }
    return (whole.map { Double($0) }, whole)
}()

extension ByteQueue {
    /// Appends the shortest text that gives the same Double, whole numbers without a point; null
    /// for what JSON has no number for.
    mutating func append(number: Double?) {
        guard let number, number.isFinite else {
            append("null")
            return
        }
        // Also for -0.
        if number == 0 {
            append(UInt8(ascii: "0"))
            return
        }
        append(string: number.description)
        let size = count
        if self[size - 1] == UInt8(ascii: "0") && self[size - 2] == UInt8(ascii: ".") {
            truncate(size - 2)
        }
    }
}
