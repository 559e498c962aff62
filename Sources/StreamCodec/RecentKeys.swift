/// The last so many keys, or those of the last so much time, to tell what came before.
package struct RecentKeys: ~Copyable {
    private var table: KeyTable
    /// When each key came first, by its index; empty without a lifetime.
    private var times: [UInt64] = []
    private let lifetime: UInt64?

    /// Remembers `limit` keys, at least one, each for `lifetime` in the unit of the caller's
    /// clock.
    package init(limit: Int, lifetime: UInt64? = nil) {
        table = KeyTable(limit: limit)
        self.lifetime = lifetime
    }

    /// Keys that were forgotten for others.
    package private(set) var evictions = 0

    /// False when the key is among the last `limit` different ones, and came first less than its
    /// lifetime ago. A key that came again is not remembered any longer for that.
    package mutating func insert(_ key: UnsafeBufferPointer<UInt8>, now: UInt64 = 0) -> Bool {
        forget(now)
        if unsafe table.index(of: key) != nil { return false }
        let (index, arrival) = unsafe table.insert(key)
        if arrival == .replaced { evictions += 1 }
        if lifetime == nil { return true }
        if index == times.count {
            times.append(now)
        } else {
            times[index] = now
        }
        return true
    }

    /// The key is as one that never came.
    package mutating func remove(_ key: UnsafeBufferPointer<UInt8>) {
        if let index = unsafe table.index(of: key) { table.remove(index) }
    }

    private mutating func forget(_ now: UInt64) {
        guard let lifetime else { return }
        while let oldest = table.oldest, now >= times[oldest] &+ lifetime {
            table.remove(oldest)
        }
    }
}
