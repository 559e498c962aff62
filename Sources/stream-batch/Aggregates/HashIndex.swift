/// Finds what is kept in an array by its hash: open addressing with linear probing, at most half
/// full. The hashes stand in the array.
struct HashIndex {
    /// Indices; -1 is none.
    private var slots: [Int32] = []
    private var count = 0

    @inline(__always)
    func find(_ hash: UInt64, _ hashAt: (Int) -> UInt64) -> Int? {
        if slots.isEmpty { return nil }
        var slot = home(hash)
        while slots[slot] >= 0 {
            if hashAt(Int(slots[slot])) == hash { return Int(slots[slot]) }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Takes in an index whose hash is not there.
    mutating func add(_ index: Int, _ hashAt: (Int) -> UInt64) {
        if 2 * (count + 1) > slots.count {
            let old = slots
            slots = Array(repeating: -1, count: max(16, 2 * old.count))
            for index in old where index >= 0 { place(index, hashAt(Int(index))) }
        }
        place(Int32(index), hashAt(index))
        count += 1
    }

    private mutating func place(_ index: Int32, _ hash: UInt64) {
        var slot = home(hash)
        while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = index
    }

    /// Takes an index away. What stands behind it moves up, so that no search ends too early
    /// (D. E. Knuth, The Art of Computer Programming, 6.4, algorithm R).
    mutating func remove(_ index: Int, _ hashAt: (Int) -> UInt64) {
        let mask = slots.count - 1
        var hole = home(hashAt(index))
        while slots[hole] != Int32(index) { hole = (hole + 1) & mask }
        var slot = hole
        while true {
            slot = (slot + 1) & mask
            if slots[slot] < 0 { break }
            // It may move if its search passes the hole: home … hole … slot, around the end.
            if (slot - home(hashAt(Int(slots[slot])))) & mask >= (slot - hole) & mask {
                slots[hole] = slots[slot]
                hole = slot
            }
        }
        slots[hole] = -1
        count -= 1
    }

    @inline(__always)
    private func home(_ hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash) & (slots.count - 1)
    }
}
