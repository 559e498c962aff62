import StreamCodec
import Testing

@testable import stream_batch

@Suite struct SumTests {
    private func sum(_ texts: [String]) throws -> String { try value("sum(.)", texts) }
    private func mean(_ texts: [String]) throws -> String { try value("mean(.)", texts) }

    @Test func exact() throws {
        #expect(try sum(Array(repeating: "0.1", count: 10)) == "1")
        #expect(try sum(["0.1", "0.2"]) == "0.3")
        #expect(try sum(["9007199254740993", "0"]) == "9007199254740993")
        #expect(try sum(["9007199254740993", "-9007199254740992"]) == "1")
        #expect(
            try sum(Array(repeating: "1000000000000000000", count: 1000))
                == "1000000000000000000000")
        #expect(try sum(["1e3", "1.5E-3", "-0.0"]) == "1000.0015")
        #expect(try sum(["1e20", "1", "-1e20"]) == "1")
        #expect(try sum(["12345678901234567890", "0.5"]) == "12345678901234567890.5")
        #expect(try sum(["-0.05"]) == "-0.05")
        #expect(try sum(["1", "-1"]) == "0")
        #expect(try sum([#""2.5""#, "1"]) == "3.5")
        #expect(
            try sum(["170141183460469231731687303715884105727"])
                == "170141183460469231731687303715884105727")
    }

    @Test func beyondExact() throws {
        #expect(try sum(["1e300", "1", "-1e300"]) == "1")
        #expect(try sum(["1e300", "1e-300", "-1e300"]) == "1e-300")
        #expect(try sum(["1e38", "1e38"]) == "2e+38")
        #expect(try sum(["-1e38", "-1e38", "5"]) == "-2e+38")
        // 10^37 has no room beside 18 decimals.
        #expect(try sum(["0.000000000000000001", "1e37", "-1e37"]) == "0.000000000000000001")
        #expect(try sum(["1e37", "0.000000000000000001", "-1e37"]) == "0.000000000000000001")
        #expect(try sum(["1e308", "1e308"]) == "null")
        #expect(try mean(["1e308", "1e308", "1"]) == "null")
        #expect(try sum(["1e-400", "1"]) == "1")
    }

    @Test func means() throws {
        #expect(try mean(["0.1", "0.2", "0.3"]) == "0.2")
        #expect(try mean(["1.1", "2.2", "3.3"]) == "2.2")
        #expect(try mean(["1", "2"]) == "1.5")
        #expect(try mean(["-1", "-2", "-2"]) == "\(-5.0 / 3)")
        #expect(try mean(["9007199254740993", "9007199254740995"]) == "9.007199254740994e+15")
        #expect(try mean([]) == "null")
        #expect(try sum([]) == "null")
        #expect(try mean(["1e300", "1e300"]) == "1e+300")
    }

    /// Against whole numbers of cents, which are exact.
    @Test func prices() throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            var random = Random(seed)
            let cents = (0..<500).map { _ in Int.random(in: -99_999...9_999_999, using: &random) }
            let texts = cents.map { cent in
                let text = "\(abs(cent) / 100).\(abs(cent) % 100 / 10)\(abs(cent) % 10)"
                return cent < 0 ? "-" + text : text
            }
            let total = cents.reduce(0, +)
            var queue = ByteQueue()
            queue.append(number: Double(total) / 100)
            #expect(try sum(texts) == String(decoding: queue.bytes, as: UTF8.self), "seed \(seed)")
            #expect(try mean(texts) == "\(Double(total) / 50000)", "seed \(seed)")
        }
    }

    @Test func ratios() {
        for seed in 1...2000 as ClosedRange<UInt64> {
            var random = Random(seed)
            let dividend = Int128(Int64(truncatingIfNeeded: random.next())) >> (seed % 60)
            let divisor = UInt128(random.next() >> (11 + seed % 50)) + 1
            let quotient = ratio(dividend, divisor)
            // Of whole numbers up to 2^53, IEEE 754 division is correctly rounded.
            if dividend.magnitude <= 1 << 53 {
                #expect(quotient == Double(dividend) / Double(divisor), "seed \(seed)")
            } else {
                #expect(abs(quotient / (Double(dividend) / Double(divisor)) - 1) < 3e-16)
            }
        }
        // Above the middle of two Doubles by less than 64 bits tell.
        #expect(ratio((1 << 100) + (1 << 47) + 1, 1 << 47) == 0x1p53 + 2)
        #expect(ratio((1 << 100) + (1 << 46), 1 << 47) == 0x1p53)
    }

    @Test func merging() throws {
        for seed in 1...50 as ClosedRange<UInt64> {
            var random = Random(seed)
            let forms = ["0.001", "17", "123.45", "-5e-7", "1e36", "-1e36", "1e200", "-1e200"]
            let texts = (0..<200).map { _ in forms.randomElement(using: &random)! }
            var whole = ExactSum()
            var parts = [ExactSum(), ExactSum(), ExactSum()]
            for text in texts {
                whole.add(number(text)!)
                parts[Int.random(in: 0...2, using: &random)].add(number(text)!)
            }
            parts[0].merge(parts[1])
            parts[0].merge(parts[2])
            #expect(parts[0].count == 200)
            let (left, right) = (parts[0].mean!, whole.mean!)
            // What huge numbers that cancel out leave is exact to twice the digits of a Double.
            let total = texts.reduce(0) { $0 + abs(Double($1)!) }
            #expect(abs(left - right) <= 1e-15 * abs(right) + 1e-30 * total, "seed \(seed)")
        }
    }
}

@Suite struct NumberTests {
    @Test(
        arguments: [
            ("0", 0, 0), ("-0", 0, 0), ("12", 12, 0), ("-1.50", -150, 2), ("1e2", 100, 0),
            ("1.25e1", 125, 1), ("1E-2", 1, 2), ("100e-2", 100, 2), ("0e999999999", 0, -1),
            ("1000000000000000000000000e-24", 1_000_000_000_000_000_000, 18),
            ("9999999999999999999", 9_999_999_999_999_999_999, 0),
            ("0.123456789012345678", 123_456_789_012_345_678, 18),
            ("0.1234567890123456789", 0, -1), ("1e39", 0, -1), ("1e-30", 0, -1),
            ("1e-99999999999999999999", 0, -1),
        ] as [(String, Int128, Int)])
    func parts(_ text: String, _ units: Int128, _ decimals: Int) {
        #expect(number(text)?.units == units)
        #expect(number(text)?.decimals == decimals)
        #expect(number(text)?.value == Double(text))
    }

    @Test(arguments: [
        "", "-", "01", "-01", "1.", ".5", "1.e5", "+1", "1e", "1e999", "-1e400", " 1", "1 ",
        "0x10", "nan", "inf", "1,5", "--1", "1.2.3", "00", "12345678901234567890x",
    ])
    func none(_ text: String) {
        #expect(number(text) == nil)
    }

    @Test func printing() {
        for (value, text) in [
            (1.0, "1"), (-2.0, "-2"), (0.5, "0.5"), (1e20, "1e+20"), (-0.0, "0"), (100, "100"),
            (123_456_789, "123456789"), (.leastNonzeroMagnitude, "5e-324"), (.infinity, "null"),
            (.nan, "null"),
        ] as [(Double, String)] {
            var queue = ByteQueue()
            queue.append(number: value)
            #expect(String(decoding: queue.bytes, as: UTF8.self) == text)
        }
    }
}

@Suite struct MomentTests {
    @Test func deviations() throws {
        #expect(try value("stddev(.)", ["1"]) == "null")
        #expect(try value("stddev(.)", ["1", "3"]) == "\(2.0.squareRoot())")
        #expect(try value("stddev(.)", ["5", "5", "5"]) == "0")
        #expect(try value("stddev(.)", ["1e200", "-1e200"]) == "null")
        // Without care the squares of 10^9 leave nothing of it.
        let high = try value("stddev(.)", ["1000000004", "1000000007", "1000000013", "1000000016"])
        #expect(abs(Double(high)! - 30.0.squareRoot()) < 1e-12)
    }

    @Test func merging() {
        for seed in 1...50 as ClosedRange<UInt64> {
            var random = Random(seed)
            let values = (0..<300).map { _ in 1e9 + random.unit() }
            var parts = [Moments(), Moments(), Moments()]
            for value in values { parts[Int.random(in: 0...1, using: &random)].add(value) }
            parts[2].merge(parts[0])
            parts[2].merge(parts[1])
            let mean = values.reduce(0) { $0 + ($1 - 1e9) } / 300
            let squares = values.reduce(0) { $0 + ($1 - 1e9 - mean) * ($1 - 1e9 - mean) }
            let exact = (squares / 299).squareRoot()
            #expect(abs(parts[2].standardDeviation! / exact - 1) < 1e-8, "seed \(seed)")
        }
    }
}

@Suite struct ExtremeTests {
    @Test(
        arguments: [
            (["3", "1.50", "2"], "1.50", "3"), (["1e2", "100", "99.99"], "99.99", "1e2"),
            (["9007199254740992", "9007199254740993"], "9007199254740992", "9007199254740993"),
            (["9007199254740993", "9007199254740992"], "9007199254740992", "9007199254740993"),
            (["-9007199254740992", "-9007199254740993"], "-9007199254740993", "-9007199254740992"),
            (
                ["18446744073709551615", "18446744073709551616", "18446744073709551614"],
                "18446744073709551614", "18446744073709551616"
            ),
            (["1e16", "10000000000000001"], "1e16", "1e16"), (["-5", "\"-7\""], "-7", "-5"),
            ([], "null", "null"), (["null", "1e999", "true"], "null", "null"),
            (["-0"], "-0", "-0"),
            (["1." + String(repeating: "0", count: 80)], "1", "1"),
        ] as [([String], String, String)])
    func extremes(_ lines: [String], _ least: String, _ greatest: String) throws {
        #expect(try value("min(.)", lines) == least)
        #expect(try value("max(.)", lines) == greatest)
        #expect(try value("p0(.)", lines) == least)
        #expect(try value("p100(.)", lines) == greatest)
    }
}
