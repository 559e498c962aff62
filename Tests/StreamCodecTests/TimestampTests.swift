import Glibc
import StreamCodec
import Testing

@Suite struct TimestampTests {
    private func date(_ text: String, zone: Timestamp.Zone? = nil) -> Timestamp.Reading {
        bytes(text).withUnsafeBufferPointer { Timestamp.date($0, zone: zone) }
    }

    private func rfc3339(_ text: String) -> UInt64? { time(date(text)) }

    private func number(_ text: String, _ unit: Timestamp.Unit) -> UInt64? {
        time(bytes(text).withUnsafeBufferPointer { Timestamp.number($0, unit: unit) })
    }

    private func time(_ reading: Timestamp.Reading) -> UInt64? {
        if case .time(let time) = reading { return time }
        return nil
    }

    // MARK: RFC 3339

    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:00z", 0), ("1970-01-01 00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1), ("1970-01-01T00:00:00.9Z", 900_000_000),
        ("1970-01-01T00:00:00.0000000019999Z", 1),
        ("1970-01-01T00:00:00.12345678901234567890Z", 123_456_789),
        ("1970-01-01T00:00:00+00:00", 0), ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T01:00:00+01:00", 0), ("1969-12-31T20:00:00-04:00", 0),
        ("1970-01-02T00:00:00+23:59", 60_000_000_000),
        ("1969-12-31T00:01:00-23:59", 0),
        ("2000-02-29T00:00:00Z", 951_782_400_000_000_000),
        ("2024-02-29T23:59:59Z", 1_709_251_199_000_000_000),
        // The examples of RFC 3339, section 5.8.
        ("1985-04-12T23:20:50.52Z", 482_196_050_520_000_000),
        ("1996-12-19T16:39:57-08:00", 851_042_397_000_000_000),
        ("1990-12-31T23:59:60Z", 662_688_000_000_000_000),
        ("1990-12-31T15:59:60-08:00", 662_688_000_000_000_000),
        ("1990-12-31T23:59:60.75Z", 662_688_000_000_000_000),
        ("2262-04-11T23:47:16.854775807Z", 9_223_372_036_854_775_807),
        ("2262-04-12T23:46:16.8547758079+23:59", 9_223_372_036_854_775_807),
        // Python: isoformat, with and without an offset, and the one of logging.
        ("2026-01-05T10:00:01.250000+00:00", 1_767_607_201_250_000_000),
        ("2026-01-05T10:00:01", 1_767_607_201_000_000_000),
        ("2026-01-05 10:00:01,250", 1_767_607_201_250_000_000),
        ("1970-01-01T00:53:28+00:53:28", 0),
        // Java: Instant, ZonedDateTime, LocalDateTime, log4j's patterns.
        ("2026-01-05T10:00:01.250123456Z", 1_767_607_201_250_123_456),
        ("2026-01-05T11:00:01.25+01:00[Europe/Berlin]", 1_767_607_201_250_000_000),
        ("2026-01-05T11:00+01:00[Europe/Berlin]", 1_767_607_200_000_000_000),
        ("2026-01-05T10:00Z[UTC]", 1_767_607_200_000_000_000),
        ("2026-01-05T10:00", 1_767_607_200_000_000_000),
        ("2026-01-05T11:00:01,250+01", 1_767_607_201_250_000_000),
        ("2026-01-05T03:00:01,250-0700", 1_767_607_201_250_000_000),
        // Ruby, git, PostgreSQL, BigQuery; a day.
        ("2026-01-05 15:30:01 +0530", 1_767_607_201_000_000_000),
        ("2026-01-05 10:00:01.25+00", 1_767_607_201_250_000_000),
        ("2026-01-05 10:00:01 UTC", 1_767_607_201_000_000_000),
        ("2026-01-05", 1_767_571_200_000_000_000), ("1970-01-01", 0),
        ("1969-12-31T23:59:60Z", 0),
    ])
    func dates(_ text: String, _ expected: UInt64) {
        #expect(rfc3339(text) == expected)
    }

    @Test(arguments: [
        "", "1970", "1970-01", "1970-01-01T", "1970-01-01T00", "1970-01-01T00Z", "T00:00:00Z",
        // Calendar and clock.
        "1970-00-01T00:00:00Z", "1970-13-01T00:00:00Z", "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z", "1970-04-31T00:00:00Z", "1970-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z", "2000-02-30T00:00:00Z", "2000-06-31T00:00:00Z",
        "1970-01-01T24:00:00Z", "1970-01-01T23:60:00Z", "1970-01-01T23:59:61Z",
        "1970-01-01T12:00:60Z", "1990-12-31T23:58:60Z", "1990-12-31T23:59:60-08:00",
        "1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00-12:60",
        // Spelling.
        "1970-1-1T00:00:00Z", "70-01-01T00:00:00Z", "19700101T000000Z", "+1970-01-01T00:00:00Z",
        "1970-01-01_00:00:00Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00,Z",
        "1970-01-01T00:00.5Z", "1970-01-01T00:00:00Z[", "1970-01-01T00:00:00Z[UTC]x",
        "1970-01-01T00:00:00Z ", " 1970-01-01T00:00:00Z", "1970-01-01T00:00:00ZZ",
        "1970-01-01T00:00:00+000", "1970-01-01T00:00:00+0", "1970-01-01T00:00:00+00:0",
        "1970-01-01T00:00:00  +00:00", "1970-01-01T00:00:00+00:00:60",
        "1970-01-01T00:00:00−00:00", "1970-01-01  00:00:00Z",
        "1970/01/01T00:00:00Z", "1970-01-01T00.00.00Z", "1970-01-01T0a:00:00Z",
        "-970-01-01T00:00:00Z",
        "1970-01-01T00:00:00 CET", "1970-01-01T00:00:00 UT", "0", "1970-01-01T00:00:00z\u{0}",
        // Too early and too late.
        "1969-12-31T23:59:59.999999999Z", "1970-01-01T00:00:00+00:01", "0000-01-01T00:00:00Z",
        "1969-12-31", "2262-04-11T23:47:16.854775808Z", "2262-04-11T23:47:17Z",
        "2263-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ])
    func noDate(_ text: String) {
        #expect(rfc3339(text) == nil)
    }

    @Test func saysWhatIsOutOfRange() {
        for text in ["1969-12-31T23:59:59Z", "1969-12-31", "0000-01-01", "1970-01-01T00:00+00:01"] {
            check(date(text), .tooEarly, text)
        }
        for text in ["2262-04-12", "9999-12-31T23:59:59.999Z"] { check(date(text), .tooLate, text) }
        for text in ["1969-13-31", "x", ""] { check(date(text), .none, text) }
        let read = { (text: String) in
            bytes(text).withUnsafeBufferPointer { Timestamp.read($0, unit: .s) }
        }
        for text in ["-1", "\"-1\"", "-1e-30"] { check(read(text), .tooEarly, text) }
        for text in ["1e30", "\"9223372037\""] { check(read(text), .tooLate, text) }
        for text in ["null", "\"\"", "[1]", "{}"] { check(read(text), .none, text) }
    }

    /// Local time ahead of UTC by an hour, from the second hour of 1970 on by two.
    @Test func zones() {
        let zone: Timestamp.Zone = { $0 < 2 * 3600 ? 3600 : 7200 }
        check(date("1970-01-01T01:00:00", zone: zone), .time(0))
        check(date("1970-01-01T00:59:59.9", zone: zone), .tooEarly)
        check(date("1970-01-01T03:00", zone: zone), .time(3_600_000_000_000))
        check(date("1970-01-02", zone: zone), .time(22 * 3_600_000_000_000))
        check(date("1970-01-01T03:00Z", zone: zone), .time(3 * 3_600_000_000_000))
    }

    /// Any time as the C library spells it, with any offset.
    @Test func randomDates() {
        var random = SplitMix64("randomDates")
        for _ in 0..<50_000 {
            let time = UInt64.random(in: 0...UInt64(Int64.max), using: &random)
            let offset = random.chance(1, in: 3) ? 0 : random.number(-1439...1439)
            var seconds = time_t(time / 1_000_000_000) + offset * 60
            var parts = tm()
            gmtime_r(&seconds, &parts)
            var text = padded(Int(parts.tm_year) + 1900, 4) + "-" + padded(parts.tm_mon + 1, 2)
            text += "-" + padded(parts.tm_mday, 2) + random.pick(["T", "t", " "])
            text += padded(parts.tm_hour, 2) + ":" + padded(parts.tm_min, 2)
            text += ":" + padded(parts.tm_sec, 2)
            let digits = random.number(0...12)
            let fraction = padded(Int(time % 1_000_000_000), 9) + "999"
            if digits > 0 { text += "." + fraction.prefix(digits) }
            let sign = offset < 0 ? "-" : "+"
            text +=
                offset == 0
                ? random.pick(["Z", "z", "+00:00", "-00:00"])
                : sign + padded(abs(offset) / 60, 2) + ":" + padded(abs(offset) % 60, 2)
            let unit = UInt64(pow(10, Double(9 - min(digits, 9))))
            check(rfc3339(text), time / unit * unit, text)
        }
    }

    /// What is written is what would be read, cut to milliseconds.
    @Test func writesDates() {
        var random = SplitMix64("writesDates")
        var queue = ByteQueue()
        queue.append(rfc3339: 951_782_400_001_999_999)
        check(text(Array(queue.bytes)), "2000-02-29T00:00:00.001Z", "a leap day")
        for _ in 0..<50_000 {
            let time = UInt64.random(in: 0...UInt64(Int64.max), using: &random)
            queue.removeAll()
            queue.append(rfc3339: time)
            check(queue.count, 24, "\(time)")
            check(rfc3339(text(Array(queue.bytes))), time / 1_000_000 * 1_000_000, "\(time)")
        }
    }

    /// A date with some bytes changed is a date when the C library leaves its parts as they are.
    @Test func nearlyDates() {
        var random = SplitMix64("nearlyDates")
        let pattern = bytes("2024-02-28T23:59:59Z")
        for _ in 0..<50_000 {
            var date = pattern
            for _ in 0..<random.number(1...3) {
                let place = random.number(0...18)
                date[place] =
                    pattern[place] >= UInt8(ascii: "0") && random.chance(9, in: 10)
                    ? random.pick(bytes("0123456789")) : random.pick(bytes("09-:Tt Z."))
            }
            check(rfc3339(text(date)), expected(date, like: pattern), text(date))
        }
    }

    private func expected(_ date: [UInt8], like pattern: [UInt8]) -> UInt64? {
        for (byte, sample) in zip(date, pattern) {
            switch sample {
            case UInt8(ascii: "T"): if !bytes("Tt ").contains(byte) { return nil }
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if !bytes("0123456789").contains(byte) { return nil }
            default: if byte != sample { return nil }
            }
        }
        let number = { (range: Range<Int>) in Int32(text(date[range]))! }
        var parts = tm()
        parts.tm_year = number(0..<4) - 1900
        parts.tm_mon = number(5..<7) - 1
        parts.tm_mday = number(8..<10)
        parts.tm_hour = number(11..<13)
        parts.tm_min = number(14..<16)
        parts.tm_sec = number(17..<19)
        let given = parts
        var seconds = timegm(&parts)
        let isLeapSecond = given.tm_sec == 60 && given.tm_hour == 23 && given.tm_min == 59
        if isLeapSecond { seconds -= 1 }
        gmtime_r(&seconds, &parts)
        guard (0...9_223_372_036).contains(seconds), parts.tm_mon == given.tm_mon,
            parts.tm_mday == given.tm_mday, parts.tm_hour == given.tm_hour,
            parts.tm_min == given.tm_min, isLeapSecond || parts.tm_sec == given.tm_sec
        else { return nil }
        return UInt64(seconds + (isLeapSecond ? 1 : 0)) * 1_000_000_000
    }

    private func padded(_ number: some BinaryInteger, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    // MARK: Numbers

    @Test(arguments: [
        ("0", "auto", 0), ("-0", "s", 0), ("-0.0e5", "ns", 0), ("1", "s", 1_000_000_000),
        ("1", "ms", 1_000_000), ("1", "us", 1000), ("1", "ns", 1), ("1.9", "ns", 1),
        ("0.5", "ns", 0), ("0.0015", "us", 1), ("1e3", "ns", 1000), ("1E+3", "ns", 1000),
        ("15e-1", "s", 1_500_000_000), ("1e-9", "s", 1), ("9e-10", "s", 0),
        ("1e-99999999999999999999", "s", 0), ("0e99999999999999999999", "s", 0),
        ("1767607200", "auto", 1_767_607_200_000_000_000),
        ("1767607200.123456789", "auto", 1_767_607_200_123_456_789),
        ("1767607200.1234567899", "s", 1_767_607_200_123_456_789),
        ("1767607200.12345678900000000000001", "s", 1_767_607_200_123_456_789),
        ("1.767607200123456789e9", "auto", 1_767_607_200_123_456_789),
        ("1767607200123", "auto", 1_767_607_200_123_000_000),
        ("1767607200123.456789", "auto", 1_767_607_200_123_456_789),
        ("1767607200123456", "auto", 1_767_607_200_123_456_000),
        ("1767607200123456.789", "auto", 1_767_607_200_123_456_789),
        ("1767607200123456789", "auto", 1_767_607_200_123_456_789),
        ("1767607200123456789.999", "auto", 1_767_607_200_123_456_789),
        // Where one unit ends and the next one begins.
        ("9223372036.854775807", "auto", 9_223_372_036_854_775_807),
        ("100000000000", "auto", 100_000_000_000_000_000),
        ("99999999999.9e0", "ms", 99_999_999_999_900_000),
        ("9223372036854.775807", "auto", 9_223_372_036_854_775_807),
        ("100000000000000", "auto", 100_000_000_000_000_000),
        ("1e14", "auto", 100_000_000_000_000_000),
        ("99999999999999999", "us", nil), ("100000000000000000", "auto", 100_000_000_000_000_000),
        ("9223372036854775807", "ns", 9_223_372_036_854_775_807),
        ("9223372036854775807", "auto", 9_223_372_036_854_775_807),
        // Zeros in front and behind count for nothing.
        ("0.000000000000000000000000000001767607200e39", "s", 1_767_607_200_000_000_000),
        ("17676072000000000000000000000000000e-25", "s", 1_767_607_200_000_000_000),
    ])
    func numbers(_ text: String, _ unit: String, _ expected: UInt64?) throws {
        let unit = try #require(Timestamp.Unit(rawValue: unit))
        #expect(number(text, unit) == expected)
    }

    @Test(arguments: Timestamp.Unit.allCases)
    func noTime(_ unit: Timestamp.Unit) {
        for text in [
            "", "-1", "-0.0000001", "-1e-99999", "1e19", "1e99999999999999999999",
            "9223372036854775808",
            "18446744073709551616", "99999999999999999999999999", "abc", "1s", "1.", ".5", "01",
            " 1", "1 ", "0x1", "inf", "nan", "true", "1970-01-01T00:00:00Z",
        ] {
            check(number(text, unit), nil, "\(text) \(unit)")
        }
    }

    @Test func tooLate() {
        check(number("9223372036.854775808", .s), nil)
        check(number("9223372036.854775808", .auto), nil)
        check(number("9223372036854.775808", .ms), nil)
        check(number("9223372036854775.808", .us), nil)
        check(number("99999999999", .auto), nil)
        check(number("99999999999999", .auto), nil)
        check(number("99999999999999999", .auto), nil)
    }

    /// Each time to the nanosecond, in every unit.
    @Test func randomNumbers() {
        var random = SplitMix64("randomNumbers")
        for _ in 0..<20_000 {
            let time = UInt64.random(
                in: 0...UInt64(Int64.max) >> UInt64(random.number(0...40)), using: &random)
            for (unit, decimals) in [(Timestamp.Unit.s, 9), (.ms, 6), (.us, 3), (.ns, 0)] {
                let power = UInt64(pow(10, Double(decimals)))
                var text = String(time / power)
                if decimals > 0 { text += "." + padded(time % power, decimals) }
                check(number(text, unit), time, text)
                if time > 100_000_000_000_000_000 { check(number(text, .auto), time, text) }
                check(number("\(time)e-\(decimals)", unit), time, text)
                check(number("\(time).\(random.number(0...99))e-\(decimals)", unit), time, text)
                check(number("0.0\(time)e\(String(time).count + 1 - decimals)", unit), time, text)
            }
        }
    }

    @Test func unitNames() {
        #expect(Timestamp.Unit.allCases.map(\.rawValue) == ["auto", "s", "ms", "us", "ns"])
    }
}
