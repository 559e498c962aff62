import StreamCodec
import Testing

/// What KeyTable promises, as arrays.
private struct KeyTableModel {
    let limit: Int
    /// From the least to the most recently used.
    var keys: [(key: [UInt8], index: Int)] = []
    /// Indices that keys had; the last one is used first.
    var free: [Int] = []
    var used = 0
    var evictions = 0

    mutating func insert(_ key: [UInt8]) -> (index: Int, arrival: KeyTable.Arrival) {
        if let place = keys.firstIndex(where: { $0.key == key }) {
            keys.append(keys.remove(at: place))
            return (keys.last!.index, .known)
        }
        let isFull = keys.count == limit
        if isFull { _ = evictOldest() }
        let index = free.popLast() ?? used
        used = max(used, index + 1)
        keys.append((key, index))
        return (index, isFull ? .replaced : .new)
    }

    mutating func evictOldest() -> Int? {
        if keys.isEmpty { return nil }
        evictions += 1
        let index = keys.removeFirst().index
        free.append(index)
        return index
    }

    mutating func remove(_ index: Int) {
        keys.removeAll { $0.index == index }
        free.append(index)
    }

    mutating func removeAll() {
        keys = []
        free = []
        used = 0
    }
}

extension KeyTable {
    fileprivate mutating func insert(_ key: [UInt8]) -> (index: Int, arrival: Arrival) {
        key.withUnsafeBufferPointer { insert($0) }
    }

    fileprivate func index(of key: [UInt8]) -> Int? {
        key.withUnsafeBufferPointer { index(of: $0) }
    }

    /// The indices from the least to the most recently used key.
    fileprivate var order: [Int] {
        var indices: [Int] = []
        var next = newest
        while let index = next {
            indices.append(index)
            next = older(than: index)
        }
        return indices.reversed()
    }
}

@Suite struct KeyTableTests {
    /// Lengths around those where a key is kept in another way.
    private static let lengths = [0, 1, 2, 8, 10, 43, 44, 45, 100, 1023, 1024, 1025, 3000]

    private func randomKey(_ random: inout SplitMix64, of different: Int) -> [UInt8] {
        let number = random.number(0...different)
        if number < Self.lengths.count {
            return [UInt8](repeating: 0, count: Self.lengths[number])
        }
        var key = bytes("key \(number)")
        if number % 7 == 0 {
            let length = Self.lengths[number / 7 % Self.lengths.count]
            key = [UInt8](repeating: UInt8(ascii: "k"), count: length) + key
        }
        return key
    }

    @Test(arguments: [1, 2, 3, 15, 16, 17, 40, 100, 257])
    func doesWhatArraysDo(limit: Int) {
        var random = SplitMix64("doesWhatArraysDo \(limit)")
        var table = KeyTable(limit: limit)
        var model = KeyTableModel(limit: limit)
        for step in 0..<4000 {
            switch random.number(0...(limit < 20 ? 100 : 1000)) {
            case 0:
                table.removeAll()
                model.removeAll()
            case 1...5:
                for _ in 0..<random.number(1...3) {
                    check(table.evictOldest(), model.evictOldest(), "step \(step)")
                }
            case 6...10:
                guard let index = model.keys.randomElement(using: &random)?.index else { break }
                table.remove(index)
                model.remove(index)
            case 11...15:
                let key = randomKey(&random, of: limit)
                let known = model.keys.first { $0.key == key }
                check(table.index(of: key), known?.index, "step \(step)")
            default:
                let key = randomKey(&random, of: random.pick([limit / 2, limit, 2 * limit + 20]))
                let (index, arrival) = table.insert(key)
                let expected = model.insert(key)
                check(index, expected.index, "step \(step)")
                check(arrival, expected.arrival, "step \(step)")
            }
            check(table.count, model.keys.count, "step \(step)")
            check(table.evictions, model.evictions, "step \(step)")
            check(table.newest, model.keys.last?.index, "step \(step)")
            check(table.oldest, model.keys.first?.index, "step \(step)")
            if limit < 20 || step % 50 == 0 {
                check(table.order, model.keys.map(\.index), "step \(step)")
            }
        }
    }

    /// A limit that is never reached costs nothing.
    @Test func growsWithItsKeys() {
        var table = KeyTable(limit: 1 << 31)
        for number in 0..<100_000 {
            let (index, arrival) = table.insert(bytes("\(number)"))
            check(index, number)
            check(arrival, .new)
        }
        for number in (0..<100_000).reversed() {
            let (index, arrival) = table.insert(bytes("\(number)"))
            check(index, number)
            check(arrival, .known)
        }
        check(table.count, 100_000)
        check(table.newest, 0)
        check(table.evictions, 0)
    }

    /// Many evictions leave the searches for the other keys right.
    @Test func manyEvictions() {
        var table = KeyTable(limit: 1000)
        for number in 0..<100_000 {
            let (index, arrival) = table.insert(bytes("\(number)"))
            check(index, number % 1000)
            check(arrival, number < 1000 ? .new : .replaced)
            guard number % 5000 == 4999 else { continue }
            // In their order, which stays the same.
            for other in (number - 999)...number {
                check(table.insert(bytes("\(other)")).arrival, .known, "\(other) of \(number)")
            }
        }
        check(table.evictions, 99_000)
    }

    @Test func limitOfOne() {
        var table = KeyTable(limit: 1)
        check(table.evictOldest(), nil)
        for key in ["a", "b", "", "a"] {
            let (index, arrival) = table.insert(bytes(key))
            check(index, 0)
            check(arrival, key == "a" && table.evictions == 0 ? .new : .replaced)
            check(table.insert(bytes(key)).arrival, .known)
            check(table.order, [0])
        }
        check(table.evictOldest(), 0)
        check(table.count, 0)
        check(table.newest, nil)
        check(table.insert(bytes("a")).arrival, .new)
        check(table.evictions, 4)
    }

    @Test func anEvictedIndexIsTheNextOne() {
        var table = KeyTable(limit: 10)
        for key in ["a", "b", "c"] { _ = table.insert(bytes(key)) }
        check(table.evictOldest(), 0)
        check(table.evictOldest(), 1)
        check(table.insert(bytes("d")).index, 1)
        check(table.insert(bytes("e")).index, 0)
        check(table.insert(bytes("f")).index, 3)
        check(table.order, [2, 1, 0, 3])
    }

    /// Keys that are kept as hashes differ in their length, their first and their last byte.
    @Test func longKeys() {
        var table = KeyTable(limit: 100)
        var keys: [[UInt8]] = []
        for length in [1022, 1023, 1024, 1025, 1026, 100_000] {
            let key = [UInt8](repeating: UInt8(ascii: "x"), count: length)
            keys += [key, [0] + key.dropFirst(), key.dropLast() + [0]]
        }
        for (index, key) in keys.enumerated() {
            let inserted = table.insert(key)
            check(inserted.index, index)
            check(inserted.arrival, .new)
        }
        for (index, key) in keys.enumerated() {
            let inserted = table.insert(key)
            check(inserted.index, index)
            check(inserted.arrival, .known)
        }
    }

    @Test func removeAllForgets() {
        var table = KeyTable(limit: 5000)
        for round in 0..<20 {
            for number in 0..<(round % 3 == 0 ? 5000 : 7) {
                let (index, arrival) = table.insert(bytes("\(number * (round + 1))"))
                check(index, number)
                check(arrival, .new)
            }
            table.removeAll()
            check(table.count, 0)
            check(table.newest, nil)
        }
        check(table.evictions, 0)
    }
}
