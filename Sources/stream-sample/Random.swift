/// xoshiro256** (Blackman and Vigna 2018), seeded by SplitMix64: the same numbers for the same
/// seed on every machine.
struct RandomSource {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init(seed: UInt64) {
        var mixer = seed
        func next() -> UInt64 {
            mixer &+= 0x9E37_79B9_7F4A_7C15
            var mixed = mixer
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
        state = (next(), next(), next(), next())
    }

    mutating func next() -> UInt64 {
        let result = rotate(state.1 &* 5, by: 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = rotate(state.3, by: 45)
        return result
    }

    private func rotate(_ word: UInt64, by count: UInt64) -> UInt64 {
        word << count | word >> (64 - count)
    }

    /// Uniform in the open interval from 0 to 1: neither end, whose logarithms would be infinite
    /// and 0.
    mutating func unit() -> Double {
        (Double(next() >> 12) + 0.5) * 0x1p-52
    }

    /// Uniform from 0 up to `bound`, which is positive. The remainder of a division would favour
    /// small numbers; the product is cut where it would (Lemire 2019).
    mutating func below(_ bound: Int) -> Int {
        let bound = UInt64(bound)
        var product = next().multipliedFullWidth(by: bound)
        if product.low < bound {
            let excess = (0 &- bound) % bound
            while product.low < excess { product = next().multipliedFullWidth(by: bound) }
        }
        return Int(product.high)
    }

    /// How many trials fail before one succeeds, when each does with a probability whose
    /// complement has this logarithm: a geometric variate, by inversion.
    mutating func failures(logOfFailure: Double) -> Int {
        if logOfFailure == 0 { return .max }
        let count = (logarithm(unit()) / logOfFailure).rounded(.down)
        return count < 0x1p62 ? Int(count) : .max
    }
}

// The mathematical library's last digit depends on the machine, and with it now and then the
// line that a seed chooses. These use only operations that IEEE 754 rounds in one way.

private let log2High = 0x1.62E42FEE00000p-1
private let log2Low = 0x1.A39EF35793C76p-33

/// The natural logarithm of a positive number, to about 1 unit in the last place.
func logarithm(_ x: Double) -> Double {
    if !(x > 0 && x < .infinity) { return x == .infinity ? x : x == 0 ? -.infinity : .nan }
    var exponent = Double(x.exponent)
    var significand = x.significand
    if significand > 1.4142135623730951 {
        significand /= 2
        exponent += 1
    }
    let series = areaTangentTwice((significand - 1) / (significand + 1))
    return exponent * log2High + (exponent * log2Low + series)
}

/// ln(1 + x), exact also where x is small.
func logarithm(onePlus x: Double) -> Double {
    abs(x) < 0.25 ? areaTangentTwice(x / (2 + x)) : logarithm(1 + x)
}

/// 2 artanh(f) for |f| below 0.18, by its series.
private func areaTangentTwice(_ f: Double) -> Double {
    let square = f * f
    var sum = 0.0
    // 0.18^23 / 23 is below the last digit.
    var divisor = 21.0
    while divisor > 1 {
        sum = (sum + 1 / divisor) * square
        divisor -= 2
    }
    return 2 * f + 2 * f * sum
}

/// e to the power of x.
func exponential(_ x: Double) -> Double {
    if !(x > -746) { return x.isNaN ? x : 0 }
    if x > 710 { return .infinity }
    let power = (x / 0.6931471805599453).rounded()
    let rest = (x - power * log2High) - power * log2Low
    return Double(sign: .plus, exponent: Int(power), significand: 1 + powersOverFactorials(rest))
}

/// e to the power of x, minus 1, exact also where x is small.
func exponentialMinusOne(_ x: Double) -> Double {
    abs(x) < 0.5 ? powersOverFactorials(x) : exponential(x) - 1
}

/// x + x²/2! + x³/3! + … for |x| up to 0.5.
private func powersOverFactorials(_ x: Double) -> Double {
    var sum = 1.0
    // 0.5^17 / 17! is below the last digit.
    var divisor = 16.0
    while divisor > 1 {
        sum = 1 + sum * x / divisor
        divisor -= 1
    }
    return sum * x
}
