/// A sketch of numbers that tells their quantiles with a bounded relative error: DDSketch
/// (C. Masson, J. E. Rim and H. K. Lee, DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
/// Relative-Error Guarantees, 2019). Positive and negative numbers are counted by bins of their
/// magnitude.
///
/// The number of bins is bounded (see `binLimit`): where there would be more, those with the lowest
/// magnitudes are counted together. The bound holds for all numbers whose magnitude is more than
/// 5 × 10^-18 of the greatest of their sign, with errors up to 1 %. For one of the others the
/// answer lies between it and that magnitude.
///
/// Two sketches merged are the one of all their numbers.
struct Quantiles {
    private var bins: SignedBins
    private var least = Double.infinity
    private var greatest = -Double.infinity

    init(_ scale: LogScale) {
        bins = SignedBins(limit: scale.binLimit)
    }

    @inline(__always)
    mutating func add(_ value: Double, _ scale: LogScale) {
        least = min(least, value)
        greatest = max(greatest, value)
        if value > 0 {
            bins.positive.add(scale.bin(value))
        } else if value < 0 {
            bins.negative.add(scale.bin(-value))
        } else {
            bins.zeros += 1
        }
    }

    mutating func merge(_ other: Quantiles) {
        bins.merge(other.bins)
        least = min(least, other.least)
        greatest = max(greatest, other.greatest)
    }

    /// The number with that rank, as near as the sketch tells; nil without numbers.
    func value(_ percentile: Percentile, _ scale: LogScale) -> Double? {
        let negatives = bins.negative.total
        let count = negatives + bins.zeros + bins.positive.total
        if count == 0 { return nil }
        let rank = percentile.rank(among: count)
        let value: Double
        if rank < negatives {
            value = -scale.value(bins.negative.bin(rank: negatives - 1 - rank))
        } else if rank < negatives + bins.zeros {
            value = 0
        } else {
            value = scale.value(bins.positive.bin(rank: rank - negatives - bins.zeros))
        }
        return max(least, min(greatest, value))
    }
}

extension Bins {
    /// The bin of that rank from below, from 0.
    fileprivate func bin(rank: Int) -> Int {
        var left = rank
        for bin in range {
            left -= self[bin]
            if left < 0 { return bin }
        }
        preconditionFailure("the rank is below the total")
    }
}

/// A share of numbers in order, p99.9.
struct Percentile: Equatable {
    /// The percentage × 10^`decimals`.
    private let digits: UInt64
    private let decimals: Int

    /// A percentage from 0 to 100 with at most nine decimals; nil for other texts.
    init?(_ text: Substring) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let isDigits = { (part: Substring) in
            (1...9).contains(part.utf8.count) && part.utf8.allSatisfy { (48...57).contains($0) }
        }
        guard parts.count <= 2, parts.allSatisfy(isDigits),
            let digits = UInt64(parts.joined())
        else { return nil }
        self.digits = digits
        decimals = parts.count == 2 ? parts[1].utf8.count : 0
        if UInt128(digits) > 100 * self.scale { return nil }
    }

    private var scale: UInt128 { UInt128(powersOfTen.whole[decimals]) }

    var isLeast: Bool { digits == 0 }
    var isGreatest: Bool { UInt128(digits) == 100 * scale }

    /// The rank floor(q (n - 1)), from 0, of the quantile among so many numbers.
    func rank(among count: Int) -> Int {
        Int(UInt128(digits) * UInt128(count - 1) / (100 * scale))
    }
}

/// Bins of magnitudes, in each of which the greatest is at most (1 + e) / (1 - e) times the least,
/// so that one value is within the relative error `e` of all of a bin.
///
/// The binary logarithm of a significand 1 + s is replaced by a cubic polynomial, that of the
/// authors of DDSketch, which has the logarithm's values 0 and 1 at the ends of an octave. Its
/// slope by ln (1 + s) is (50 + 8 s - 24 s^2 + 18 s^3) / 35, least at s = 0 and s = 2/3, where it
/// is 10/7; that of log2 is 1 / ln 2 = 1.443. So bins are at most as wide as promised, and there
/// are 1 % more.
struct LogScale {
    private static let cubic = 6.0 / 35
    private static let square = -3.0 / 5
    private static let linear = 10.0 / 7
    /// Added to exponents, so that all are above 0 and cutting decimals off rounds down.
    private static let bias = 1100.0

    private let error: Double
    private let binsPerOctave: Double
    /// So many bins of each sign are enough for magnitudes that are 2 × 10^17 apart: 2048, with
    /// an error below 1 % as many more as they are narrower.
    let binLimit: Int

    /// `error` from 0.0001 to 0.5.
    init(error: Double) {
        precondition(error >= 0.0001 && error <= 0.5)
        // Rounding moves the edges of bins by less than 10^-12, a ten thousandth of this.
        self.error = error * (1 - 1e-7)
        binsPerOctave = 1 / (Self.linear * Self.width(error: self.error))
        binLimit = max(64, Int(20.48 / error) / Bins.step) * Bins.step
    }

    /// The bin of a magnitude above 0.
    @inline(__always)
    func bin(_ magnitude: Double) -> Int {
        var bits = magnitude.bitPattern
        var bias = Self.bias - 1023
        if bits < 1 << 52 {
            // A subnormal number gets a significand by 54 more powers of two.
            bits = (magnitude * 0x1p54).bitPattern
            bias -= 54
        }
        let exponent = Double(Int(bits >> 52)) + bias
        let s = Double(bitPattern: bits & (1 << 52 - 1) | 0x3FF << 52) - 1
        return Int((exponent + Self.logarithm(s)) * binsPerOctave)
    }

    /// What stands for all magnitudes in the bin.
    func value(_ bin: Int) -> Double {
        let position = Double(bin) / binsPerOctave
        let exponent = position.rounded(.down)
        let fraction = position - exponent
        // Newton's method: at the start s is off by less than 0.09, and each step squares that.
        var s = fraction
        for _ in 0..<5 {
            let slope = (3 * Self.cubic * s + 2 * Self.square) * s + Self.linear
            s -= (Self.logarithm(s) - fraction) / slope
        }
        let edge = Double(
            sign: .plus, exponent: Int(exponent - Self.bias), significand: 1 + s)
        // From the lower edge, (1 + e) is as far as from (1 + e) / (1 - e) times it.
        return edge * (1 + error)
    }

    @inline(__always)
    private static func logarithm(_ s: Double) -> Double {
        ((cubic * s + square) * s + linear) * s
    }

    /// ln((1 + e) / (1 - e)) = 2 artanh(e), by its series, the same on every machine.
    private static func width(error e: Double) -> Double {
        var sum = 0.0
        var power = e
        for term in stride(from: 1.0, through: 99, by: 2) {
            sum += power / term
            power *= e * e
        }
        return 2 * sum
    }
}
