import StreamCodec
import Testing

/// Expected values are those of the reference implementation, xxHash 0.8.4, by way of Python's
/// `xxhash.xxh64_intdigest`. The first three of seed 0 are published by others, too.
@Suite struct XXH64Tests {
    /// PRIME32_1, with which the reference implementation tests itself.
    private static let seed: UInt64 = 2_654_435_761

    private func hash(_ bytes: [UInt8], seed: UInt64) -> UInt64 {
        bytes.withUnsafeBufferPointer { XXH64.hash($0, seed: seed) }
    }

    @Test(arguments: [
        ("", 0xEF46_DB37_51D8_E999, 0xAC75_FDA2_929B_17EF),
        ("abc", 0x44BC_2CF5_AD77_0999, 0x1318_DF30_094A_85FD),
        (
            "Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1,
            0x56DB_22DD_5B05_1147
        ),
        ("a", 0xD24E_C4F1_A98C_6E5B, 0x393D_A8B7_8992_279B),
        ("message digest", 0x066E_D728_FCEE_B3BE, 0xA12E_B2B5_2CDE_838E),
        ("abcdefghijklmnopqrstuvwxyz", 0xCFE1_F278_FA89_835C, 0x06E8_B29D_2627_8BB8),
    ])
    func texts(_ text: String, _ unseeded: UInt64, _ seeded: UInt64) {
        #expect(hash(bytes(text), seed: 0) == unseeded)
        #expect(hash(bytes(text), seed: Self.seed) == seeded)
    }

    /// Every path through the tail, and many stripes, in one number:
    /// `digest = digest * 0x100000001B3 ^ hash`, modulo 2^64.
    @Test(arguments: [
        (0, 0x016C_2ECA_4C76_1446, 0x7E05_36C0_0A35_1499),
        (seed, 0x2626_3ECF_87C4_AAA5, 0xB5DC_93D9_525E_4AA1),
        (.max, 0x5B30_C587_DD54_F5BA, 0xD766_3065_6045_64F7),
    ])
    func lengths(_ seed: UInt64, _ short: UInt64, _ long: UInt64) {
        let digest = { (lengths: [Int]) in
            lengths.reduce(0 as UInt64) { digest, length in
                let text = (0..<length).map {
                    UInt8(truncatingIfNeeded: $0 * $0 * 7 + $0 * 13 + length)
                }
                return digest &* 0x1_0000_0001_B3 ^ hash(text, seed: seed)
            }
        }
        #expect(digest(Array(0...100)) == short)
        #expect(digest([1000, 4096, 65537]) == long)
    }

    /// Wherever the bytes stand in memory.
    @Test func unaligned() {
        var random = SplitMix64("unaligned")
        let text = (0..<200).map { _ in random.strangeByte() }
        for start in 0...16 {
            for count in [0, 3, 4, 7, 8, 31, 32, 33, 100] {
                let part = Array(text[start..<(start + count)])
                text.withUnsafeBufferPointer { text in
                    check(
                        XXH64.hash(text.slice(start..<(start + count)), seed: 1),
                        hash(part, seed: 1), "\(count) bytes at \(start)")
                }
            }
        }
    }
}
