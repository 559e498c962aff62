/// The last so many keys, to tell what came before.
package struct RecentKeys {
    private var order: [[UInt8]] = []
    private var known: Set<[UInt8]> = []
    /// Where in `order` the oldest key stands, once it is full.
    private var oldest = 0
    private let limit: Int

    /// Remembers `limit` keys, at least one.
    package init(limit: Int) {
        precondition(limit > 0)
        self.limit = limit
    }

    /// False when the key is among the last `limit` different ones. It is remembered either way.
    package mutating func insert(_ key: [UInt8]) -> Bool {
        guard known.insert(key).inserted else { return false }
        if order.count < limit {
            order.append(key)
        } else {
            known.remove(order[oldest])
            order[oldest] = key
            oldest = (oldest + 1) % limit
        }
        return true
    }
}
