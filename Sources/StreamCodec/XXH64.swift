/// XXH64, the 64-bit hash of the xxHash algorithm description (version 0.1.1): the same number
/// for the same bytes and seed on every machine and in every release.
///
/// It spreads well and is fast, but whoever chooses the bytes can make them collide, whatever
/// the seed.
package enum XXH64 {
    private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    /// The hash of `bytes`, which may be empty.
    package static func hash(_ bytes: UnsafeBufferPointer<UInt8>, seed: UInt64) -> UInt64 {
        let count = bytes.count
        guard let start = bytes.baseAddress, count > 0 else { return avalanche(seed &+ prime5) }
        let text = unsafe UnsafeRawPointer(start)
        var offset = 0
        var hash = seed &+ prime5
        if count >= 32 {
            hash = unsafe hashStripes(text, count: count, seed: seed)
            offset = count & ~31
        }
        hash &+= UInt64(count)
        while offset + 8 <= count {
            unsafe hash ^= round(0, word(text, offset))
            hash = rotate(hash, 27) &* prime1 &+ prime4
            offset += 8
        }
        if offset + 4 <= count {
            let half = unsafe text.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            hash ^= UInt64(UInt32(littleEndian: half)) &* prime1
            hash = rotate(hash, 23) &* prime2 &+ prime3
            offset += 4
        }
        while offset < count {
            unsafe hash ^= UInt64(start[offset]) &* prime5
            hash = rotate(hash, 11) &* prime1
            offset += 1
        }
        return avalanche(hash)
    }

    /// The state behind all whole stripes of 32 bytes, of which there is at least one.
    private static func hashStripes(
        _ text: UnsafeRawPointer, count: Int, seed: UInt64
    ) -> UInt64 {
        var lane1 = seed &+ prime1 &+ prime2
        var lane2 = seed &+ prime2
        var lane3 = seed
        var lane4 = seed &- prime1
        for offset in stride(from: 0, through: count - 32, by: 32) {
            lane1 = unsafe round(lane1, word(text, offset))
            lane2 = unsafe round(lane2, word(text, offset + 8))
            lane3 = unsafe round(lane3, word(text, offset + 16))
            lane4 = unsafe round(lane4, word(text, offset + 24))
        }
        var hash = rotate(lane1, 1) &+ rotate(lane2, 7)
        hash = hash &+ rotate(lane3, 12) &+ rotate(lane4, 18)
        hash = merge(hash, lane1)
        hash = merge(hash, lane2)
        hash = merge(hash, lane3)
        return merge(hash, lane4)
    }

    @inline(__always)
    private static func word(_ text: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        unsafe UInt64(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    @inline(__always)
    private static func rotate(_ word: UInt64, _ bits: UInt64) -> UInt64 {
        word &<< bits | word &>> (64 &- bits)
    }

    @inline(__always)
    private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
        rotate(lane &+ word &* prime2, 31) &* prime1
    }

    @inline(__always)
    private static func merge(_ hash: UInt64, _ lane: UInt64) -> UInt64 {
        (hash ^ round(0, lane)) &* prime1 &+ prime4
    }

    /// Each bit of the state changes about half of the bits of the result.
    @inline(__always)
    private static func avalanche(_ state: UInt64) -> UInt64 {
        var hash = state
        hash = (hash ^ hash >> 33) &* prime2
        hash = (hash ^ hash >> 29) &* prime3
        return hash ^ hash >> 32
    }
}
