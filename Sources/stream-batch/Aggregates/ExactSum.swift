import StreamCodec

/// How many numbers there were, and their sum: exact while it has at most 38 digits, of which as
/// many are decimals as the number with most of them has, up to 18. Ten times 0.1 is 1.
///
/// Numbers with more digits, and what no longer fits, are added as Doubles with the rounding
/// errors kept (A. Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation endlicher
/// Summen, 1974), about as exact as twice the digits of a Double.
struct ExactSum {
    private(set) var count = 0
    /// The exact part is `units` / 10^`decimals`.
    private var decimals = 0
    private var units: Int128 = 0
    /// The part in Doubles, and what was rounded off it.
    private var high = 0.0
    private var low = 0.0

    @inline(__always)
    mutating func add(_ number: Number) {
        count += 1
        if number.decimals == decimals {
            let (sum, isOverflow) = units.addingReportingOverflow(number.units)
            if !isOverflow {
                units = sum
                return
            }
        }
        addOther(number)
    }

    @inline(never)
    private mutating func addOther(_ number: Number) {
        if number.decimals < 0 {
            add(number.value)
        } else {
            addExactly(number.units, decimals: number.decimals)
        }
    }

    mutating func merge(_ other: ExactSum) {
        count += other.count
        add(other.high)
        add(other.low)
        addExactly(other.units, decimals: other.decimals)
    }

    /// Adds `more` / 10^`moreDecimals`.
    private mutating func addExactly(_ more: Int128, decimals moreDecimals: Int) {
        if moreDecimals > decimals {
            let factor = powersOfTen.whole[moreDecimals - decimals]
            let (product, isOverflow) = units.multipliedReportingOverflow(by: factor)
            if isOverflow { spill() } else { units = product }
            decimals = moreDecimals
        }
        let factor = powersOfTen.whole[decimals - moreDecimals]
        let (product, isTooLarge) = more.multipliedReportingOverflow(by: factor)
        if isTooLarge {
            add(more, dividedByTenToThe: moreDecimals)
            return
        }
        let (sum, isOverflow) = units.addingReportingOverflow(product)
        if isOverflow { spill() }
        units = isOverflow ? product : sum
    }

    /// Makes room.
    private mutating func spill() {
        add(units, dividedByTenToThe: decimals)
        units = 0
    }

    /// Adds a quotient as Doubles, with its rounding errors.
    private mutating func add(_ whole: Int128, dividedByTenToThe places: Int) {
        let first = Double(whole)
        // 2^127 is no Int128.
        let rest =
            first == 0x1p127
            ? -Double((1 << 127) - whole.magnitude) : Double(whole - Int128(first))
        let divisor = powersOfTen.doubles[places]
        let quotient = first / divisor
        add(quotient)
        add(first.addingProduct(-quotient, divisor) / divisor)
        add(rest / divisor)
    }

    private mutating func add(_ value: Double) {
        let sum = high + value
        low += abs(high) >= abs(value) ? (high - sum) + value : (value - sum) + high
        high = sum
    }

    // MARK: Results

    private var isExact: Bool { high + low == 0 }

    /// The sum divided by the count, correctly rounded if the sum is exact; nil without numbers.
    /// Not finite when the sum is too large for a Double.
    var mean: Double? {
        if count == 0 { return nil }
        let divisor = UInt128(powersOfTen.whole[decimals])
        if isExact { return ratio(units, divisor * UInt128(count)) }
        return (high + (low + ratio(units, divisor))) / Double(count)
    }

    /// Appends all digits of an exact sum, the nearest Double to another; null without numbers
    /// and when the sum is too large for a Double.
    func append(to queue: inout ByteQueue) {
        if count == 0 {
            queue.append("null")
        } else if isExact {
            queue.append(units, decimals: decimals)
        } else {
            queue.append(
                number: high + (low + ratio(units, UInt128(powersOfTen.whole[decimals]))))
        }
    }
}

/// The nearest Double to the quotient. `divisor` is above 0 and below 2^127.
func ratio(_ dividend: Int128, _ divisor: UInt128) -> Double {
    var (quotient, rest) = dividend.magnitude.quotientAndRemainder(dividingBy: divisor)
    var exponent = 0
    // Long division in base 2, until there are more bits than a Double has.
    while quotient < 1 << 62 && rest != 0 {
        quotient <<= 1
        rest <<= 1
        exponent -= 1
        if rest >= divisor {
            rest -= divisor
            quotient |= 1
        }
    }
    // What is left tells a number above the middle of two Doubles from one that is the middle.
    if rest != 0 { quotient |= 1 }
    let magnitude = Double(sign: .plus, exponent: exponent, significand: Double(quotient))
    return dividend < 0 ? -magnitude : magnitude
}

extension ByteQueue {
    /// Appends `units` / 10^`decimals` with as many decimals as are needed.
    fileprivate mutating func append(_ units: Int128, decimals: Int) {
        var digits = Array(String(units.magnitude).utf8)
        let zero = UInt8(ascii: "0")
        if digits.count <= decimals {
            digits.insert(
                contentsOf: repeatElement(zero, count: decimals + 1 - digits.count), at: 0)
        }
        var places = decimals
        while places > 0 && digits.last == zero {
            digits.removeLast()
            places -= 1
        }
        if places > 0 { digits.insert(UInt8(ascii: "."), at: digits.count - places) }
        if units < 0 { append(UInt8(ascii: "-")) }
        append(digits)
    }
}
