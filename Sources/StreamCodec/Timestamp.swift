/// Points in time as nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted. The last
/// one is that of the Int64, 2262-04-11T23:47:16.854775807Z.
package enum Timestamp {
    /// What a number counts.
    package enum Unit: String, CaseIterable, Sendable {
        /// Told from the magnitude: below 1e11 seconds, below 1e14 milliseconds, below 1e17
        /// microseconds, else nanoseconds. That is right for all times from March 1973 on.
        case auto
        case s, ms, us, ns
    }

    /// What a text says.
    package enum Reading: Equatable, Sendable {
        case time(UInt64)
        /// It is no time.
        case none
        /// It is one before the first, or behind the last one.
        case tooEarly, tooLate
    }

    /// By how many seconds local time is ahead of UTC, at a local time in seconds since 1970.
    package typealias Zone = @Sendable (_ local: Int) -> Int

    private static let last = UInt64(Int64.max)

    /// The time that a JSON text says: a number, a string that holds one, or a string that is a
    /// date. Dates without an offset are those of `zone`; nil is UTC.
    package static func read(
        _ text: UnsafeBufferPointer<UInt8>, unit: Unit, zone: Zone? = nil
    ) -> Reading {
        guard unsafe text.first == UInt8(ascii: "\"") else {
            return unsafe number(text, unit: unit)
        }
        let contents = unsafe text.slice(1..<(text.count - 1))
        if unsafe contents.hasEscapes {
            return unsafe contents.withUnescaped { contents in
                unsafe read(contents: contents, unit: unit, zone: zone)
            } ?? .none
        }
        return unsafe read(contents: contents, unit: unit, zone: zone)
    }

    private static func read(
        contents: UnsafeBufferPointer<UInt8>, unit: Unit, zone: Zone?
    ) -> Reading {
        let number = unsafe number(contents, unit: unit)
        return unsafe number == .none ? date(contents, zone: zone) : number
    }

    /// The same where only a time will do.
    package static func value(_ text: UnsafeBufferPointer<UInt8>, unit: Unit) -> UInt64? {
        if case .time(let time) = unsafe read(text, unit: unit) { return time }
        return nil
    }

    // MARK: Numbers

    /// The time that a JSON number says, cut to whole nanoseconds.
    package static func number(_ text: UnsafeBufferPointer<UInt8>, unit: Unit) -> Reading {
        guard let number = unsafe DecimalNumber(text) else { return .none }
        if number.isNegative && number.digits != 0 { return .tooEarly }
        // Digits beyond nineteen are decimals of the nanosecond when the time is in range.
        guard let time = number.magnitude(timesTenToThe: power(of: unit, for: number)),
            time <= last
        else { return .tooLate }
        return .time(time)
    }

    /// The power of ten of the nanoseconds in a unit.
    private static func power(of unit: Unit, for number: DecimalNumber) -> Int {
        switch unit {
        case .s: return 9
        case .ms: return 6
        case .us: return 3
        case .ns: return 0
        case .auto:
            switch number.magnitude(timesTenToThe: 0) ?? .max {
            case ..<100_000_000_000: return 9
            case ..<100_000_000_000_000: return 6
            case ..<100_000_000_000_000_000: return 3
            default: return 0
            }
        }
    }

    // MARK: Dates

    /// The time that a date says as in RFC 3339 (section 5.6), with what others write, too: `t`
    /// and `z` in lower case, a space for the T, a comma before the fraction, no seconds; the
    /// offset as `+0100` or `+01`, behind a space, as `UTC`, with a zone's name in brackets behind
    /// it, or none; the day alone, for its start. Of the fraction's digits nine count. A leap
    /// second is the start of the next second.
    package static func date(
        _ text: UnsafeBufferPointer<UInt8>, zone: Zone? = nil
    ) -> Reading {
        var rest = unsafe Cursor(text)
        guard let days = days(&rest) else { return .none }
        var (seconds, isLeapSecond, nanoseconds) = (days * 86400, false, UInt64(0))
        if !rest.isAtEnd {
            guard let clock = clock(&rest) else { return .none }
            seconds += clock.seconds
            (isLeapSecond, nanoseconds) = (clock.isLeapSecond, clock.nanoseconds)
        }
        if rest.isAtEnd {
            seconds -= zone.map { $0(seconds) } ?? 0
        } else {
            guard let offset = offset(&rest), rest.isAtEnd else { return .none }
            seconds -= offset
        }
        if isLeapSecond {
            // Leap seconds end a day in UTC (section 5.7).
            guard seconds % 86400 == 0 else { return .none }
            nanoseconds = 0
        }
        guard let seconds = UInt64(exactly: seconds) else { return .tooEarly }
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow || whole > last - nanoseconds ? .tooLate : .time(whole + nanoseconds)
    }

    /// The time of day; a leap second is the second behind it.
    private static func clock(
        _ rest: inout Cursor
    ) -> (seconds: Int, isLeapSecond: Bool, nanoseconds: UInt64)? {
        guard
            rest.skip(UInt8(ascii: "T")) || rest.skip(UInt8(ascii: "t"))
                || rest.skip(UInt8(ascii: " ")),
            let hour = number(&rest, digits: 2, in: 0...23), rest.skip(UInt8(ascii: ":")),
            let minute = number(&rest, digits: 2, in: 0...59)
        else { return nil }
        let minutes = hour * 60 + minute
        guard rest.skip(UInt8(ascii: ":")) else { return (minutes * 60, false, 0) }
        guard let second = number(&rest, digits: 2, in: 0...60),
            let nanoseconds = fraction(&rest)
        else { return nil }
        return (minutes * 60 + second, second == 60, nanoseconds)
    }

    /// The days from 1970-01-01 to a `YYYY-MM-DD`; nil when there is no such day.
    private static func days(_ rest: inout Cursor) -> Int? {
        guard let year = number(&rest, digits: 4, in: 0...9999), rest.skip(UInt8(ascii: "-")),
            let month = number(&rest, digits: 2, in: 1...12), rest.skip(UInt8(ascii: "-")),
            let day = number(&rest, digits: 2, in: 1...31)
        else { return nil }
        let monthStart = daysBefore(month: month, of: year)
        guard day <= daysBefore(month: month + 1, of: year) - monthStart else { return nil }
        return daysBeforeYear(year) - daysBeforeYear(1970) + monthStart + day - 1
    }

    /// The date so many days, which are not negative, behind 1970-01-01.
    fileprivate static func date(days: Int) -> (year: Int, month: Int, day: Int) {
        var left = days + daysBeforeYear(1970)
        // Never too late a year, and too early by one in the first centuries only.
        var year = 1970 + days / 366
        while daysBeforeYear(year + 1) <= left { year += 1 }
        left -= daysBeforeYear(year)
        var month = 1
        while left >= daysBefore(month: month + 1, of: year) { month += 1 }
        return (year, month, left - daysBefore(month: month, of: year) + 1)
    }

    /// The days of the year before a month, 1 to 13.
    private static func daysBefore(month: Int, of year: Int) -> Int {
        let isLeapYear = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return daysBeforeMonth[month - 1] + (isLeapYear && month > 2 ? 1 : 0)
    }

    /// In a year that is no leap year, for January to the next January.
    private static let daysBeforeMonth = [
        0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365,
    ]

    /// The days from 0000-01-01, year 0 being a leap year.
    private static func daysBeforeYear(_ year: Int) -> Int {
        // The leap years before this one, which are those up to the one before it.
        365 * year + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400
    }

    /// The nanoseconds of a fraction that may be there; nil when its point has no digits.
    private static func fraction(_ rest: inout Cursor) -> UInt64? {
        guard rest.skip(UInt8(ascii: ".")) || rest.skip(UInt8(ascii: ",")) else { return 0 }
        guard var digit = rest.digit() else { return nil }
        var nanoseconds: UInt64 = 0
        var weight: UInt64 = 100_000_000
        while true {
            nanoseconds += digit * weight
            weight /= 10
            guard let next = rest.digit() else { return nanoseconds }
            digit = next
        }
    }

    /// The seconds by which local time is ahead of UTC; nil when no offset stands there.
    private static func offset(_ rest: inout Cursor) -> Int? {
        _ = rest.skip(UInt8(ascii: " "))
        let offset: Int?
        switch rest.byte() {
        case UInt8(ascii: "Z"), UInt8(ascii: "z"): offset = 0
        case UInt8(ascii: "+"): offset = distance(&rest)
        case UInt8(ascii: "-"): offset = distance(&rest).map { -$0 }
        case UInt8(ascii: "U"):
            offset = rest.skip(UInt8(ascii: "T")) && rest.skip(UInt8(ascii: "C")) ? 0 : nil
        default: offset = nil
        }
        // A zone's name adds nothing to its offset: `[Europe/Berlin]`.
        if rest.skip(UInt8(ascii: "[")) {
            while let byte = rest.byte() {
                if byte == UInt8(ascii: "]") { return offset }
            }
            return nil
        }
        return offset
    }

    /// `HH:MM`, `HHMM`, `HH`, or `HH:MM:SS`, which old local times have.
    private static func distance(_ rest: inout Cursor) -> Int? {
        guard let hours = number(&rest, digits: 2, in: 0...23) else { return nil }
        if rest.skip(UInt8(ascii: ":")) {
            guard let minutes = number(&rest, digits: 2, in: 0...59) else { return nil }
            guard rest.skip(UInt8(ascii: ":")) else { return (hours * 60 + minutes) * 60 }
            return number(&rest, digits: 2, in: 0...59).map { (hours * 60 + minutes) * 60 + $0 }
        }
        guard let tens = rest.digit() else { return hours * 3600 }
        guard tens < 6, let ones = rest.digit() else { return nil }
        return (hours * 60 + Int(10 * tens + ones)) * 60
    }

    /// A number of exactly so many digits, in a range.
    @inline(__always)
    private static func number(
        _ rest: inout Cursor, digits: Int, in range: ClosedRange<Int>
    ) -> Int? {
        var number = 0
        for _ in 0..<digits {
            guard let digit = rest.digit() else { return nil }
            number = number * 10 + Int(digit)
        }
        return range.contains(number) ? number : nil
    }
}

extension ByteQueue {
    /// Appends a time, nanoseconds since 1970, as RFC 3339 in UTC, cut to milliseconds:
    /// `2026-11-21T10:50:58.123Z`.
    package mutating func append(rfc3339 time: UInt64) {
        let seconds = Int(time / 1_000_000_000)
        let (year, month, day) = Timestamp.date(days: seconds / 86400)
        append(year, digits: 4, behind: "")
        append(month, digits: 2, behind: "-")
        append(day, digits: 2, behind: "-")
        append(seconds / 3600 % 24, digits: 2, behind: "T")
        append(seconds / 60 % 60, digits: 2, behind: ":")
        append(seconds % 60, digits: 2, behind: ":")
        append(Int(time / 1_000_000 % 1000), digits: 3, behind: ".")
        append("Z")
    }

    private mutating func append(_ number: Int, digits: Int, behind mark: StaticString) {
        append(mark)
        var weight = 1
        for _ in 1..<digits { weight *= 10 }
        while weight > 0 {
            append(UInt8(ascii: "0") + UInt8(number / weight % 10))
            weight /= 10
        }
    }
}
