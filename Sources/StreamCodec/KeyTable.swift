import CBytes

/// Different keys, each with an index, up to a limit: beyond it the least recently used one goes.
///
/// Indices are 0, 1, 2, … and stay below the limit, so that what belongs to a key can be kept in
/// an array beside the table. A key is any bytes, also none.
@safe
package struct KeyTable: ~Copyable {
    /// What the table knew of a key.
    package enum Arrival {
        case known, new
        /// New, and the table was full: its index was that of the least recently used key.
        case replaced
    }

    /// A longer key is remembered by its length and 128 bits of hashes.
    package static let maxKey = 1024

    /// The number of keys.
    package private(set) var count = 0
    /// How often a key had to go.
    package private(set) var evictions = 0

    private let limit: Int
    /// Entries by their index. `used` of them were handed out since the table was empty.
    private var entries: UnsafeMutablePointer<KeyEntry>
    private var capacity: Int
    private var used = 0
    /// The indices of the entries by hash, or none: open addressing with linear probing, at most
    /// half full. A power of two in number.
    private var slots: UnsafeMutablePointer<UInt32>
    private var slotMask: Int
    private var leastRecent = KeyEntry.none
    private var mostRecent = KeyEntry.none
    /// The entries that were evicted and not used again, linked by `newer`.
    private var free = KeyEntry.none
    private let hashes = KeyHash()
    /// For keys that are remembered by hashes.
    private let secondHashes = KeyHash()

    /// Up to `limit` keys, 1 to 2^31. Memory grows with the keys that come.
    package init(limit: Int) {
        precondition(limit >= 1 && limit <= 1 << 31)
        self.limit = limit
        capacity = min(16, limit)
        slotMask = 31
        unsafe entries = unsafe KeyEntry.allocate(capacity)
        unsafe slots = unsafe Self.allocateSlots(slotMask + 1)
    }

    deinit {
        var index = leastRecent
        while index != KeyEntry.none {
            unsafe entry(index).forgetKey()
            index = unsafe entry(index).pointee.newer
        }
        unsafe entries.deallocate()
        unsafe slots.deallocate()
    }

    // MARK: Keys

    /// The index of `key`, which is the most recently used one from now on. It is added if it is
    /// not known.
    package mutating func insert(
        _ key: UnsafeBufferPointer<UInt8>
    ) -> (index: Int, arrival: Arrival) {
        let hash = unsafe hashes.hash(key)
        var slot = Int(truncatingIfNeeded: hash) & slotMask
        while unsafe slots[slot] != KeyEntry.none {
            let index = unsafe slots[slot]
            if unsafe entry(index).pointee.hash == hash && entry(index).holds(key, secondHashes) {
                touch(index)
                return (Int(index), .known)
            }
            slot = (slot + 1) & slotMask
        }
        let isFull = count == limit
        if isFull { _ = evictOldest() }
        let index = freeIndex()
        unsafe entry(index).remember(key, hash: hash, secondHashes)
        addSlot(index)
        append(index)
        count += 1
        return (Int(index), isFull ? .replaced : .new)
    }

    /// The index of `key`, if it is known. Its place in the order of use stays as it is.
    package func index(of key: UnsafeBufferPointer<UInt8>) -> Int? {
        let hash = unsafe hashes.hash(key)
        var slot = Int(truncatingIfNeeded: hash) & slotMask
        while unsafe slots[slot] != KeyEntry.none {
            let index = unsafe slots[slot]
            if unsafe entry(index).pointee.hash == hash && entry(index).holds(key, secondHashes) {
                return Int(index)
            }
            slot = (slot + 1) & slotMask
        }
        return nil
    }

    /// Takes a key away, which is no eviction. Its index is one that the next new key gets.
    package mutating func remove(_ index: Int) {
        precondition(index >= 0 && index < used)
        take(UInt32(index))
    }

    private mutating func take(_ index: UInt32) {
        unlink(index)
        removeSlot(of: index)
        unsafe entry(index).forgetKey()
        unsafe entry(index).pointee.newer = free
        free = index
        count -= 1
    }

    /// Takes the least recently used key away and returns its index, which the next new key
    /// gets; nil when there is no key. Counts as an eviction.
    package mutating func evictOldest() -> Int? {
        let index = leastRecent
        guard index != KeyEntry.none else { return nil }
        take(index)
        evictions += 1
        return Int(index)
    }

    /// Forgets all keys, which are no evictions, and keeps the memory. Indices start at 0 again.
    package mutating func removeAll() {
        var index = leastRecent
        while index != KeyEntry.none {
            unsafe entry(index).forgetKey()
            // With every run of full slots cleared from where some key wants to be to its end,
            // none is left, at the cost of the keys instead of the slots.
            var slot = unsafe Int(truncatingIfNeeded: entry(index).pointee.hash) & slotMask
            while unsafe slots[slot] != KeyEntry.none {
                unsafe slots[slot] = KeyEntry.none
                slot = (slot + 1) & slotMask
            }
            index = unsafe entry(index).pointee.newer
        }
        leastRecent = KeyEntry.none
        mostRecent = KeyEntry.none
        free = KeyEntry.none
        used = 0
        count = 0
    }

    // MARK: Order of use

    /// The index of the most recently used key.
    package var newest: Int? { mostRecent == KeyEntry.none ? nil : Int(mostRecent) }

    /// The index of the least recently used key.
    package var oldest: Int? { leastRecent == KeyEntry.none ? nil : Int(leastRecent) }

    /// The key that was used last before the one at `index`; nil before the oldest.
    package func older(than index: Int) -> Int? {
        precondition(index >= 0 && index < used)
        let older = unsafe entries[index].older
        return older == KeyEntry.none ? nil : Int(older)
    }

    /// Makes a key that is in the order of use its newest.
    @inline(__always)
    private mutating func touch(_ index: UInt32) {
        if index == mostRecent { return }
        unlink(index)
        append(index)
    }

    @inline(__always)
    private mutating func append(_ index: UInt32) {
        unsafe entry(index).pointee.older = mostRecent
        unsafe entry(index).pointee.newer = KeyEntry.none
        if mostRecent == KeyEntry.none {
            leastRecent = index
        } else {
            unsafe entry(mostRecent).pointee.newer = index
        }
        mostRecent = index
    }

    @inline(__always)
    private mutating func unlink(_ index: UInt32) {
        let older = unsafe entry(index).pointee.older
        let newer = unsafe entry(index).pointee.newer
        if older == KeyEntry.none {
            leastRecent = newer
        } else {
            unsafe entry(older).pointee.newer = newer
        }
        if newer == KeyEntry.none {
            mostRecent = older
        } else {
            unsafe entry(newer).pointee.older = older
        }
    }

    // MARK: Memory

    @inline(__always)
    private func entry(_ index: UInt32) -> UnsafeMutablePointer<KeyEntry> {
        // In bounds: slots, links and `free` hold only indices below `used`.
        unsafe entries + Int(index)
    }

    /// An entry that no key has.
    private mutating func freeIndex() -> UInt32 {
        if free != KeyEntry.none {
            defer { free = unsafe entry(free).pointee.newer }
            return free
        }
        if used == capacity { grow() }
        unsafe (entries + used).initialize(to: KeyEntry())
        defer { used += 1 }
        return UInt32(used)
    }

    /// Makes room for twice as many keys.
    private mutating func grow() {
        let larger = unsafe KeyEntry.allocate(min(2 * capacity, limit))
        unsafe larger.moveInitialize(from: entries, count: used)
        unsafe entries.deallocate()
        unsafe entries = unsafe larger
        capacity = min(2 * capacity, limit)
        unsafe slots.deallocate()
        slotMask = 2 * slotMask + 1
        unsafe slots = unsafe Self.allocateSlots(slotMask + 1)
        // Entries that wait to be used again are used before the table grows: all have keys.
        for index in 0..<used { addSlot(UInt32(index)) }
    }

    private static func allocateSlots(_ count: Int) -> UnsafeMutablePointer<UInt32> {
        let slots = UnsafeMutablePointer<UInt32>.allocate(capacity: count)
        unsafe slots.initialize(repeating: KeyEntry.none, count: count)
        return unsafe slots
    }

    private mutating func addSlot(_ index: UInt32) {
        var slot = unsafe Int(truncatingIfNeeded: entry(index).pointee.hash) & slotMask
        while unsafe slots[slot] != KeyEntry.none { slot = (slot + 1) & slotMask }
        unsafe slots[slot] = index
    }

    /// Takes the slot of an entry away. What stands behind it moves up, so that no search ends
    /// too early (D. E. Knuth, The Art of Computer Programming, 6.4, algorithm R).
    private mutating func removeSlot(of index: UInt32) {
        var hole = unsafe Int(truncatingIfNeeded: entry(index).pointee.hash) & slotMask
        while unsafe slots[hole] != index { hole = (hole + 1) & slotMask }
        var slot = hole
        while true {
            slot = (slot + 1) & slotMask
            let other = unsafe slots[slot]
            if other == KeyEntry.none { break }
            let home = unsafe Int(truncatingIfNeeded: entry(other).pointee.hash) & slotMask
            // It may move if its search passes the hole: home … hole … slot, around the end.
            if (slot - home) & slotMask >= (slot - hole) & slotMask {
                unsafe slots[hole] = other
                hole = slot
            }
        }
        unsafe slots[hole] = KeyEntry.none
    }
}

/// A key of a table and its neighbours in the order of use: one cache line.
private struct KeyEntry {
    /// No entry.
    static let none = UInt32.max
    /// What is left of the 64 bytes.
    static let inlineBytes = 44

    var hash: UInt64 = 0
    var older = none
    var newer = none
    /// The key's length, as far as it fits. Above `KeyTable.maxKey` it is remembered by hashes:
    /// `hash` and the one in `bytes`.
    var length: UInt32 = 0
    /// The key when it is short, else the address of a copy that belongs to this entry.
    var bytes = InlineArray<44, UInt8>(repeating: 0)

    /// Each on a cache line, not yet initialized.
    static func allocate(_ count: Int) -> UnsafeMutablePointer<KeyEntry> {
        precondition(MemoryLayout<KeyEntry>.stride == 64)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 64 * count, alignment: 64)
        return unsafe memory.bindMemory(to: KeyEntry.self, capacity: count)
    }
}

extension UnsafeMutablePointer<KeyEntry> {
    /// Where `bytes` begins.
    @inline(__always)
    private var inline: UnsafeMutableRawPointer {
        unsafe UnsafeMutableRawPointer(self) + (64 - KeyEntry.inlineBytes)
    }

    /// Whether the entry has a copy of its key.
    @inline(__always)
    private var hasCopy: Bool {
        unsafe pointee.length > KeyEntry.inlineBytes && pointee.length <= KeyTable.maxKey
    }

    private var copy: UnsafeMutablePointer<UInt8> {
        unsafe inline.loadUnaligned(as: UnsafeMutablePointer<UInt8>.self)
    }

    /// True when this is the entry of `key`, whose hash is that of the entry.
    @inline(__always)
    func holds(_ key: UnsafeBufferPointer<UInt8>, _ second: KeyHash) -> Bool {
        guard unsafe pointee.length == UInt32(clamping: key.count) else { return false }
        guard let start = key.baseAddress, key.count > 0 else { return true }
        if key.count > KeyTable.maxKey {
            return unsafe inline.loadUnaligned(as: UInt64.self) == second.hash(key)
        }
        return unsafe memcmp(hasCopy ? UnsafeMutableRawPointer(copy) : inline, start, key.count)
            == 0
    }

    /// Gives the entry, which has none, a key.
    func remember(_ key: UnsafeBufferPointer<UInt8>, hash: UInt64, _ second: KeyHash) {
        unsafe pointee.hash = hash
        unsafe pointee.length = UInt32(clamping: key.count)
        guard let start = key.baseAddress, key.count > 0 else { return }
        if key.count > KeyTable.maxKey {
            unsafe inline.storeBytes(of: second.hash(key), as: UInt64.self)
        } else if unsafe hasCopy {
            let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: key.count)
            unsafe copy.initialize(from: start, count: key.count)
            unsafe inline.storeBytes(of: copy, as: UnsafeMutablePointer<UInt8>.self)
        } else {
            unsafe inline.copyMemory(from: start, byteCount: key.count)
        }
    }

    /// Gives back the memory that only this key needs.
    func forgetKey() {
        if unsafe hasCopy { unsafe copy.deallocate() }
        unsafe pointee.length = 0
    }
}
