import Foundation

/// The seed of this run: $SEED, or a new one.
enum Seed {
    static let value: UInt64 = {
        let given = ProcessInfo.processInfo.environment["SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("SEED=\(seed)")
        return seed
    }()
}

/// S. Vigna's SplitMix64: the same numbers for the same seed and name.
struct Random: RandomNumberGenerator {
    private var state: UInt64

    init(_ name: String, _ round: Int = 0) {
        state = Seed.value &+ UInt64(round) &* 0xD134_2543_DE82_EF95
        for byte in name.utf8 { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }

    mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }

    mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }
}
