/// Puts items back into the order of their numbers, those of each key by themselves. Holds at
/// most `window` of a key, none for longer than `maxWait`; the clock is the caller's.
package struct Reorderer<Item>: ~Copyable {
    /// What became of an item.
    package enum Arrival {
        /// Its turn comes, perhaps at once.
        case held
        /// A higher number was let go already: it is the caller's.
        case late
        /// The same as `held`; and the numbers of its key begin anew with it.
        case restart
    }

    /// An item by its number; equal numbers as they came.
    private struct Entry: Comparable {
        var number: Int
        var serial: Int
        var item: Item

        static func == (one: Entry, other: Entry) -> Bool { one.serial == other.serial }
        static func < (one: Entry, other: Entry) -> Bool {
            (one.number, one.serial) < (other.number, other.serial)
        }
    }

    /// The order of a key.
    private struct Order {
        /// Tells it from those that had its index before.
        var id: Int
        var held = Heap<Entry>()
        /// The number that comes next; nil before the first item was let go.
        var expected: Int?
        /// The last numbers that came, if they were far below, each above the one before.
        var lows = 0
        var lastLow = Int.min
    }

    /// So many numbers in a row that are `window` or more below the expected one are those of a
    /// sender that began anew. One or two may be stragglers.
    package static var restartAfter: Int { 3 }

    private var keys: KeyTable
    /// By the key's index.
    private var orders: [Order] = []
    /// As they came. Those before `oldest` were let go.
    private var arrivals: [(index: Int, order: Int, number: Int, time: UInt64)] = []
    private var oldest = 0
    /// Items of an order that ended, which go first. Those before `nextEnded` went.
    private var ended: [(item: Item, gap: ClosedRange<Int>?)] = []
    private var nextEnded = 0
    /// The index of the key that came, or had to go, last: only its items need not wait.
    private var active: Int?
    private var serial = 0
    private let window: Int
    private let maxWait: UInt64

    /// `maxWait` is in the unit of the caller's clock. Up to `maxKeys` keys have an order; for
    /// more, that of the least recently used one ends.
    package init(window: Int, maxWait: UInt64, maxKeys: Int = 1) {
        self.window = window
        self.maxWait = maxWait
        keys = KeyTable(limit: maxKeys)
    }

    /// Keys whose order had to end for others.
    package var evictions: Int { keys.evictions }

    // MARK: Items in

    package mutating func hold(
        _ item: Item, number: Int,
        key: UnsafeBufferPointer<UInt8> = unsafe .init(start: nil, count: 0), now: UInt64
    ) -> Arrival {
        let (index, arrival) = unsafe keys.insert(key)
        if index == orders.count {
            orders.append(Order(id: nextSerial()))
        } else if arrival != .known {
            end(index)
        }
        var isRestart = false
        if let expected = orders[index].expected, number < expected {
            guard isFarBelow(number, expected, index) else { return .late }
            end(index)
            orders[index].expected = number
            isRestart = true
        }
        orders[index].lows = 0
        orders[index].held.insert(Entry(number: number, serial: nextSerial(), item: item))
        arrivals.append((index, orders[index].id, number, now))
        active = index
        return isRestart ? .restart : .held
    }

    /// True when so many numbers in a row are so far below that they count from anew.
    private mutating func isFarBelow(_ number: Int, _ expected: Int, _ index: Int) -> Bool {
        let (distance, isHuge) = expected.subtractingReportingOverflow(number)
        if !isHuge && distance < window {
            orders[index].lows = 0
            return false
        }
        let continues = orders[index].lows > 0 && number > orders[index].lastLow
        orders[index].lows = continues ? orders[index].lows + 1 : 1
        orders[index].lastLow = number
        return orders[index].lows == Self.restartAfter
    }

    /// Lets all items of a key go, and begins its order anew.
    private mutating func end(_ index: Int) {
        while let next = advance(index, mustGo: true) { ended.append(next) }
        orders[index] = Order(id: nextSerial())
        forgetArrivals()
    }

    private mutating func nextSerial() -> Int {
        serial += 1
        return serial
    }

    // MARK: Items out

    /// The next item that may go, and the numbers before it that were given up. With `atEnd`
    /// nothing is waited for.
    package mutating func next(
        now: UInt64, atEnd: Bool = false
    ) -> (item: Item, gap: ClosedRange<Int>?)? {
        if nextEnded < ended.count {
            nextEnded += 1
            return ended[nextEnded - 1]
        }
        ended.removeAll()
        nextEnded = 0
        if let active, let next = advance(active, mustGo: false) { return next }
        guard oldest < arrivals.count, atEnd || now >= deadline ?? .max else { return nil }
        let index = arrivals[oldest].index
        // What it held up goes with it.
        active = index
        return advance(index, mustGo: true)
    }

    /// When the item that waited longest must go.
    package var deadline: UInt64? {
        oldest < arrivals.count ? arrivals[oldest].time &+ maxWait : nil
    }

    /// The next item of a key that may go.
    private mutating func advance(
        _ index: Int, mustGo: Bool
    ) -> (item: Item, gap: ClosedRange<Int>?)? {
        guard let number = orders[index].held.first?.number else { return nil }
        let mustGo = mustGo || orders[index].held.count > window
        var gap: ClosedRange<Int>?
        if let expected = orders[index].expected {
            if number > expected {
                if !mustGo { return nil }
                gap = expected...(number - 1)
            }
        } else if number != 0 && number != 1 && !mustGo {
            // Nobody said where the numbers begin; 0 and 1 are beginnings.
            return nil
        }
        let next = max(orders[index].expected ?? .min, number == .max ? .max : number + 1)
        orders[index].expected = next
        let entry = orders[index].held.popFirst()
        forgetArrivals()
        return entry.map { ($0.item, gap) }
    }

    /// Passes over the arrivals that were let go. The array is cut once half of it is gone, so
    /// that each is moved a constant number of times.
    private mutating func forgetArrivals() {
        while oldest < arrivals.count {
            let (index, order, number, _) = arrivals[oldest]
            let isHeld =
                orders[index].id == order && orders[index].held.count > 0
                && number >= orders[index].expected ?? .min
            if isHeld { break }
            oldest += 1
        }
        if 2 * oldest >= arrivals.count {
            arrivals.removeFirst(oldest)
            oldest = 0
        }
    }
}
