import Glibc
import StreamCodec
import Testing

@Suite struct JSONNumberTests {
    private func parse(_ text: String) -> Double? {
        bytes(text).withUnsafeBufferPointer { JSONNumber.parse($0) }
    }

    /// Both functions against strtod, to the last bit.
    private func compare(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let expected = strtod(text, nil).bitPattern
        let value = bytes(text).withUnsafeBufferPointer { JSONNumber.value($0) }
        check(value.bitPattern, expected, text, sourceLocation: sourceLocation)
        check(parse(text)?.bitPattern, expected, text, sourceLocation: sourceLocation)
    }

    private static let zeros = String(repeating: "0", count: 400)

    @Test(arguments: [
        "0", "-0", "0.0", "-0.0e5", "1", "-1", "10", "1.5", "0.1", "1E+5", "1e-5", "1e05", "0e0",
        // At the end of what one multiplication or division can do.
        "9007199254740991", "9007199254740992", "9007199254740993", "9007199254740993.0000001",
        "9007199254740991e22", "9007199254740991e-22", "1e22", "1e23", "1e-22", "1e-23", "3e-23",
        "8.5e22", "123456789e-30",
        // Nineteen digits, and more.
        "999999999999999999", "9999999999999999999", "10000000000000000000",
        "18446744073709551615", "18446744073709551616", "1000000000000000000.1",
        "1.000000000000000000",
        "1.0000000000000000000", "1.00000000000000000001",
        "9007199254740992.00000000000000000000001",
        "9007199254740993.00000000000000000000000", "0.00000000000000000000000000000000000001",
        // Too large, too small, and the last ones that are not.
        "1e308", "1.7976931348623157e308", "1.7976931348623159e308", "1e309", "-1e400",
        "1e99999999999999999999999", "-1e-99999999999999999999999", "0e99999999999999999999999",
        "2.2250738585072014e-308", "2.2250738585072011e-308", "5e-324", "2.5e-324", "2.4e-324",
        "1\(zeros)", "1\(zeros)e-400", "1\(zeros)e-700", "0.\(zeros)1", "0.\(zeros)1e401",
        "0.\(zeros)1e100", "123456789\(zeros).\(zeros)e-409", "-\(zeros.dropFirst(399)).\(zeros)",
    ])
    func edges(_ text: String) { compare(text) }

    @Test(arguments: [
        "", "-", "+1", "--1", "01", "-01", "00", ".5", "-.5", "5.", "5.e1", "1e", "1e+", "1e-",
        "1E", "1e1.5", "1e1e1", "1ee1", "1.2.3", "1 ", " 1", "1\n", "1_000", "1,5", "0x10", "1f",
        "inf", "nan", "-Infinity", "NaN", "true", "null", "\"1\"", "١", "1\u{0}", "e5", "-e5",
    ])
    func notANumber(_ text: String) {
        #expect(parse(text) == nil)
        // The scanner of JSON texts agrees where no space is around.
        if text.first != " " && text.last?.isWhitespace != true && jsonError(bytes(text)) == nil {
            #expect(text == "true" || text == "null" || text.first == "\"")
        }
    }

    @Test func randomTexts() {
        var random = SplitMix64("randomTexts")
        for _ in 0..<50_000 { compare(randomNumber(&random)) }
    }

    /// The shortest spelling of any Double and its neighbours' middle.
    @Test func randomDoubles() {
        var random = SplitMix64("randomDoubles")
        for _ in 0..<20_000 {
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            compare("\(value)".replacing("+", with: ""))
            let middle = UInt64.random(in: 1 << 53...(1 << 62), using: &random) | 1
            compare("\(middle)")
            compare("\(middle)e\(random.number(-30...30))")
            compare("\(middle).\(random.number(0...9))")
        }
    }

    /// What the grammar refuses is refused, one changed byte at a time.
    @Test func nearlyNumbers() {
        var random = SplitMix64("nearlyNumbers")
        for _ in 0..<20_000 {
            var number = bytes(randomNumber(&random))
            let place = random.number(0...(number.count - 1))
            switch random.number(0...2) {
            case 0: number[place] = random.pick(bytes("0123456789+-.eE x\u{0}"))
            case 1: number.remove(at: place)
            default: number.insert(random.pick(bytes("0123456789+-.eE x")), at: place)
            }
            let isNumber =
                jsonError(number) == nil && number.first != UInt8(ascii: " ")
                && number.last != UInt8(ascii: " ")
            check(parse(text(number)) != nil, isNumber, text(number))
            if isNumber { compare(text(number)) }
        }
    }

    private func randomNumber(_ random: inout SplitMix64) -> String {
        var text = random.chance(1, in: 3) ? "-" : ""
        text += digits(&random, leadingZero: false)
        if random.chance(1, in: 2) { text += "." + digits(&random, leadingZero: true) }
        if random.chance(1, in: 2) {
            text += random.pick(["e", "E"]) + random.pick(["", "+", "-"])
            text += String(random.number(0...random.pick([3, 25, 330])))
        }
        return text
    }

    private func digits(_ random: inout SplitMix64, leadingZero: Bool) -> String {
        let count = random.pick([1, 2, 5, 10, 16, 17, 19, 20, 21, 40])
        var digits = (0..<random.number(1...count)).map { _ in random.number(0...9) }
        if random.chance(1, in: 5) { digits = digits.map { _ in 0 } }
        if !leadingZero {
            digits = Array(digits.drop { $0 == 0 })
            if digits.isEmpty { digits = [0] }
        }
        return digits.map(String.init).joined()
    }
}
