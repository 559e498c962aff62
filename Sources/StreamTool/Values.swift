/// Values on the command line: durations, sizes, counts.
package enum Value {
    /// Nanoseconds from `250ms`, `30s`, `5m`, `2h`, `1h30m`, `1.5s`; a bare number is seconds.
    package static func duration(_ text: String) throws(UsageError) -> UInt64 {
        let problem = UsageError(
            "expected a duration such as 250ms, 30s, 5m or 1h30m, not '\(text)'")
        var rest = Substring(text)
        var total = 0.0
        if rest.isEmpty { throw problem }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            guard let number = Double(digits), digits.first != "." else { throw problem }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            switch unit {
            case "ns": total += number
            case "us": total += number * 1e3
            case "ms": total += number * 1e6
            case "s": total += number * 1e9
            case "m": total += number * 60e9
            case "h": total += number * 3600e9
            case "d": total += number * 86400e9
            case "" where total == 0 && rest.isEmpty: total += number * 1e9
            default: throw problem
            }
        }
        // What is longer is a slip, and would overflow.
        guard total <= Double(never) else { throw problem }
        return UInt64(total)
    }

    /// A hundred years: what 0 stands for where it means never. A clock has room to add it.
    package static let never: UInt64 = 100 * 365 * 86400 * 1_000_000_000

    /// Bytes from `64K`, `1M`, `2G` or `64KiB`, ... (powers of 1024), or `5MB` (powers of 1000); a
    /// bare number is bytes.
    package static func size(_ text: String) throws(UsageError) -> Int {
        let problem = UsageError(
            "expected a size such as 512, 64K, 1M or 5MB, not '\(text)'")
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        var factor = 1
        let unit = text.dropFirst(digits.count)
        if let letter = unit.first {
            guard let index = Array("KMGT").firstIndex(of: letter == "k" ? "K" : letter) else {
                throw problem
            }
            let base: Int
            switch unit.dropFirst() {
            // dd(1) and SI write kB, and nobody k for 1024.
            case "" where letter != "k", "iB" where letter != "k": base = 1024
            case "B": base = 1000
            default: throw problem
            }
            for _ in 0...index { factor *= base }
        }
        guard let number = Int(digits), number <= Int.max / factor else { throw problem }
        return number * factor
    }

    /// From `100/s`, `30/m`, `1000/h`, `0.5/s`; a bare number is a second's.
    package static func rate(_ text: String) throws(UsageError) -> Rate {
        let problem = UsageError("expected a rate such as 100/s, 30/m or 1000/h, not '\(text)'")
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let seconds: Double
        switch parts.count == 1 ? "s" : parts.count == 2 ? parts[1] : "" {
        case "s": seconds = 1
        case "m": seconds = 60
        case "h": seconds = 3600
        case "d": seconds = 86400
        default: throw problem
        }
        // Between one in 30 years and one in a nanosecond, the clock's step.
        guard let number = decimal(parts[0]), (1e-9...1e9).contains(number / seconds)
        else { throw problem }
        return Rate(count: number, seconds: seconds)
    }

    /// A share from 0 to 1: `0.01`, `1e-3` or `1%`.
    package static func share(_ text: String) throws(UsageError) -> Double {
        let isPercent = text.hasSuffix("%")
        guard let number = decimal(isPercent ? text.dropLast() : text[...]),
            (0...1).contains(isPercent ? number / 100 : number)
        else { throw UsageError("expected a number from 0 to 1, or 1%, not '\(text)'") }
        return isPercent ? number / 100 : number
    }

    /// A number in decimal digits, `0.5`, `-2` or `1e-3`; nil for anything else that passes for a
    /// Double: hexadecimal digits, an infinity.
    package static func decimal(_ text: some StringProtocol) -> Double? {
        let isDecimal = text.utf8.allSatisfy {
            (UInt8(ascii: "+")...UInt8(ascii: "9")).contains($0) && $0 != UInt8(ascii: "/")
                || $0 | 0x20 == UInt8(ascii: "e")
        }
        return isDecimal ? Double(text).flatMap { $0.isFinite ? $0 : nil } : nil
    }

    /// A whole number in `range`.
    package static func count(
        _ text: String, in range: ClosedRange<Int>
    ) throws(UsageError) -> Int {
        guard let number = Int(text), range.contains(number), text.first != "+" else {
            let upper = range.upperBound == .max ? "up" : "to \(range.upperBound)"
            throw UsageError(
                "expected a whole number from \(range.lowerBound) \(upper), not '\(text)'")
        }
        return number
    }

    /// Ranges of whole numbers, such as `429,500-599`, all of them in `range`.
    package static func ranges(
        _ text: String, in range: ClosedRange<Int>
    ) throws(UsageError) -> [ClosedRange<Int>] {
        var ranges: [ClosedRange<Int>] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            let first = try count(String(ends[0]), in: range)
            let last = try count(String(ends[ends.count - 1]), in: range)
            guard first <= last else {
                throw UsageError("expected numbers and ranges such as 1,3-5, not '\(text)'")
            }
            ranges.append(first...last)
        }
        return ranges
    }
}

/// So many events in so many seconds.
package struct Rate {
    package var count: Double
    package var seconds: Double

    package var perSecond: Double { count / seconds }
}

/// `1.4 GB`, `12 kB`, for people; powers of 1000.
func readable(_ number: Double, unit: String) -> String {
    var scaled = number
    var prefix = ""
    for next in ["k", "M", "G", "T"] where scaled >= 1000 {
        scaled /= 1000
        prefix = next
    }
    return (prefix.isEmpty ? String(Int(scaled)) : decimal(scaled, places: 1)) + " \(prefix)\(unit)"
}

/// A number with so many digits behind the point.
package func decimal(_ number: Double, places: Int) -> String {
    var scale = 1
    for _ in 0..<places { scale *= 10 }
    let scaled = Int((number * Double(scale)).rounded())
    let fraction = String(abs(scaled) % scale)
    let sign = scaled < 0 ? "-" : ""
    if places == 0 { return sign + String(abs(scaled)) }
    return sign + "\(abs(scaled) / scale)." + String(repeating: "0", count: places - fraction.count)
        + fraction
}
