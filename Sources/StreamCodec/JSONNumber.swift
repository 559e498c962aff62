/// What JSON's number texts stand for.
package enum JSONNumber {
    /// The value of valid JSON number text, correctly rounded; infinite when it is too large for
    /// a Double.
    package static func value(_ text: UnsafeBufferPointer<UInt8>) -> Double {
        guard let value = unsafe parse(text) else {
            preconditionFailure("the number was validated before")
        }
        return value
    }

    /// The same for any text; nil when it is no JSON number.
    package static func parse(_ text: UnsafeBufferPointer<UInt8>) -> Double? {
        guard let number = unsafe DecimalNumber(text) else { return nil }
        if let value = number.exactDouble { return value }
        return unsafe Double(String(decoding: text, as: UTF8.self))
    }
}

/// A JSON number by its digits: `digits` × 10 to the power of `exponent`.
struct DecimalNumber {
    private(set) var isNegative = false
    /// The first nineteen significant digits; that many always fit. What stands behind them does
    /// not count, so that a number with more of them may be a little larger.
    private(set) var digits: UInt64 = 0
    private(set) var exponent = 0

    /// Nil when `text` is no JSON number (RFC 8259, section 6).
    @inline(__always)
    init?(_ text: UnsafeBufferPointer<UInt8>) {
        var rest = unsafe Cursor(text)
        isNegative = rest.skip(UInt8(ascii: "-"))
        if !rest.skip(UInt8(ascii: "0")) {
            guard append(&rest, areDecimals: false) else { return nil }
        }
        if rest.skip(UInt8(ascii: ".")) {
            guard append(&rest, areDecimals: true) else { return nil }
        }
        if rest.skip(UInt8(ascii: "e")) || rest.skip(UInt8(ascii: "E")) {
            guard let power = Self.power(&rest) else { return nil }
            exponent += power
        }
        guard rest.isAtEnd else { return nil }
    }

    /// Takes in a run of digits; false when there is none.
    @inline(__always)
    private mutating func append(_ rest: inout Cursor, areDecimals: Bool) -> Bool {
        guard var digit = rest.digit() else { return false }
        while true {
            // 10 × 999,999,999,999,999,999 + 9 is less than 2^64.
            if digits < 1_000_000_000_000_000_000 {
                digits = digits &* 10 &+ digit
                if areDecimals { exponent &-= 1 }
            } else if !areDecimals {
                exponent &+= 1
            }
            guard let next = rest.digit() else { return true }
            digit = next
        }
    }

    /// The number behind an `e`; nil when there is none.
    private static func power(_ rest: inout Cursor) -> Int? {
        let isNegative = rest.skip(UInt8(ascii: "-"))
        if !isNegative { _ = rest.skip(UInt8(ascii: "+")) }
        guard var digit = rest.digit() else { return nil }
        var power = 0
        while true {
            // More than any text has digits to make up for: 10^15 bytes.
            if power < 1_000_000_000_000_000 { power = 10 * power + Int(digit) }
            guard let next = rest.digit() else { return isNegative ? -power : power }
            digit = next
        }
    }

    /// The value when both parts are exact as Doubles, so that IEEE 754 rounds but once
    /// (W. D. Clinger, How to Read Floating Point Numbers Accurately, 1990). Up to 2^53 all
    /// digits are there.
    @inline(__always)
    fileprivate var exactDouble: Double? {
        guard digits <= 1 << 53, (-22...22).contains(exponent) else { return nil }
        let magnitude =
            exponent < 0
            ? Double(digits) / Self.powersOfTen[-exponent]
            : Double(digits) * Self.powersOfTen[exponent]
        return isNegative ? -magnitude : magnitude
    }

    /// All that a Double holds exactly: 5^22 < 2^53.
    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ]

    /// The magnitude × 10^`power` without its decimals; nil when it does not fit.
    func magnitude(timesTenToThe power: Int) -> UInt64? {
        var value = digits
        var power = exponent + power
        // Twenty steps are enough: then the value is 0 or has overflowed.
        while power < 0 && value != 0 {
            value /= 10
            power += 1
        }
        while power > 0 && value != 0 {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            if overflow { return nil }
            value = product
            power -= 1
        }
        return value
    }
}

/// A text that is read from its start.
@safe
struct Cursor {
    private let text: UnsafeBufferPointer<UInt8>
    private var offset = 0

    /// `text` must outlive the cursor.
    @inline(__always)
    init(_ text: UnsafeBufferPointer<UInt8>) {
        unsafe self.text = unsafe text
    }

    @inline(__always)
    var isAtEnd: Bool { unsafe offset == text.count }

    /// The next byte, consumed; nil at the end.
    @inline(__always)
    mutating func byte() -> UInt8? {
        guard unsafe offset < text.count else { return nil }
        defer { offset &+= 1 }
        return unsafe text[offset]
    }

    /// Consumes the next byte if it is this one.
    @inline(__always)
    mutating func skip(_ byte: UInt8) -> Bool {
        guard unsafe offset < text.count, unsafe text[offset] == byte else { return false }
        offset &+= 1
        return true
    }

    /// The value of the next byte, consumed, if it is a digit.
    @inline(__always)
    mutating func digit() -> UInt64? {
        guard unsafe offset < text.count else { return nil }
        let digit = unsafe text[offset] &- UInt8(ascii: "0")
        guard digit < 10 else { return nil }
        offset &+= 1
        return UInt64(digit)
    }
}
