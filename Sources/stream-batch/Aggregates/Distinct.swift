/// How many different values there were, by their 64-bit hashes: exact up to `exactLimit`, and
/// beyond by HyperLogLog (P. Flajolet and others, 2007) with a standard error of 0.81 %,
/// 1.04 / √16384.
struct Distinct {
    static let exactLimit = 1024
    /// 2^14 registers of one byte.
    private static let indexBits = 14
    /// The most a register counts: the other 50 bits are 0, and one more.
    private static let highest = 64 - indexBits + 1

    /// The hashes, while they are few: open addressing with linear probing, at most three
    /// quarters full. 0 is none.
    private var hashes: [UInt64] = []
    private var hashCount = 0
    /// Empty while the hashes are few.
    private var registers: [UInt8] = []

    mutating func add(_ hash: UInt64) {
        if !registers.isEmpty {
            count(hash)
            return
        }
        let hash = max(hash, 1)
        if 4 * (hashCount + 1) > 3 * hashes.count { grow() }
        let slot = slot(of: hash)
        if hashes[slot] == hash { return }
        hashes[slot] = hash
        hashCount += 1
        if hashCount > Self.exactLimit { useRegisters() }
    }

    /// Two of them merged are the one of all their values.
    mutating func merge(_ other: Distinct) {
        if other.registers.isEmpty {
            for hash in other.hashes where hash != 0 { add(hash) }
            return
        }
        if registers.isEmpty { useRegisters() }
        for index in registers.indices {
            registers[index] = max(registers[index], other.registers[index])
        }
    }

    var estimate: Int { registers.isEmpty ? hashCount : Int(cardinality.rounded()) }

    // MARK: Few

    private func slot(of hash: UInt64) -> Int {
        let mask = hashes.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while hashes[slot] != 0 && hashes[slot] != hash { slot = (slot + 1) & mask }
        return slot
    }

    private mutating func grow() {
        let old = hashes
        hashes = Array(repeating: 0, count: max(8, 2 * old.count))
        for hash in old where hash != 0 { hashes[slot(of: hash)] = hash }
    }

    // MARK: Many

    private mutating func useRegisters() {
        registers = Array(repeating: 0, count: 1 << Self.indexBits)
        for hash in hashes where hash != 0 { count(hash) }
        hashes = []
        hashCount = 0
    }

    /// The first bits choose a register, which keeps where the first 1 stands behind them.
    private mutating func count(_ hash: UInt64) {
        let index = Int(hash >> UInt64(64 - Self.indexBits))
        let place = min((hash << UInt64(Self.indexBits)).leadingZeroBitCount + 1, Self.highest)
        registers[index] = max(registers[index], UInt8(place))
    }

    /// The improved raw estimate, good for few and many alike (O. Ertl, New Cardinality Estimation
    /// Algorithms for HyperLogLog Sketches, 2017, algorithm 6).
    private var cardinality: Double {
        var counts = [Double](repeating: 0, count: Self.highest + 1)
        for register in registers { counts[Int(register)] += 1 }
        let size = Double(registers.count)
        var sum = size * Self.tau(1 - counts[Self.highest] / size)
        for place in (1..<Self.highest).reversed() { sum = 0.5 * (sum + counts[place]) }
        sum += size * Self.sigma(counts[0] / size)
        let ln2 = 0.693_147_180_559_945_3
        return size * size / (2 * ln2 * sum)
    }

    /// x + the sum over k from 1 of x^(2^k) 2^(k-1): what empty registers weigh.
    private static func sigma(_ share: Double) -> Double {
        // There are values, so that `share` is below 1 and the sum has an end.
        var power = share
        var weight = 1.0
        var sum = share
        while true {
            power *= power
            let last = sum
            sum += power * weight
            if sum == last { return sum }
            weight *= 2
        }
    }

    /// 1/3 of (1 - x - the sum over k from 1 of (1 - x^(2^-k))² 2^-k): what full ones weigh.
    private static func tau(_ share: Double) -> Double {
        if share == 0 || share == 1 { return 0 }
        var root = share
        var weight = 1.0
        var sum = 1 - share
        while true {
            root = root.squareRoot()
            let last = sum
            weight *= 0.5
            sum -= (1 - root) * (1 - root) * weight
            if sum == last { return sum / 3 }
        }
    }
}
