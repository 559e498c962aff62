/// Puts items back into the order of their numbers, those of each key by themselves. Holds at
/// most `window` of a key, none for longer than `maxWait`; the clock is the caller's.
package struct Reorderer<Item>: ~Copyable {
    /// What became of an item.
    package enum Arrival {
        /// Its turn comes, perhaps at once.
        case held
        /// The same; and the numbers of its key begin anew at this one.
        case restart(at: Int)
    }

    /// An item whose turn it is.
    package struct Release {
        package var item: Item
        package var number: Int
        /// The numbers before it that were given up.
        package var gap: ClosedRange<Int>?
        /// A higher number was let go before.
        package var isLate = false
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
        /// How many of the last numbers that came were far below, each above the one before.
        var lowCount = 0
        var lastLow = Int.min
        /// Those of them that wait for what they are, and the id of the order they may begin.
        var lows: [Entry] = []
        var lowID = 0
    }

    /// So many numbers in a row that are `window` or more below the expected one are those of a
    /// sender that began anew. One or two may be stragglers: they wait for the third.
    package static var restartAfter: Int { 3 }

    private var keys: KeyTable
    /// By the key's index.
    private var orders: [Order] = []
    /// As they came. Those before `oldest` were let go.
    private var arrivals: [(index: Int, order: Int, number: Int, time: UInt64)] = []
    private var oldest = 0
    /// Late items, and those of an order that ended, which go first. Those before `nextReady` went.
    private var ready: [Release] = []
    private var nextReady = 0
    /// The index of the key that came, or had to go, last: only its items need not wait.
    private var active: Int?
    private var serial = 0
    private let window: Int
    private let maxWait: UInt64
    private let dropsLate: Bool

    /// `maxWait` is in the unit of the caller's clock. Up to `maxKeys` keys have an order; for
    /// more, that of the least recently used one ends.
    ///
    /// `dropsLate`: late items are of no use to the caller, so that one or two that are far too low
    /// are kept beyond `maxWait`, until what comes tells whether they begin anew.
    package init(window: Int, maxWait: UInt64, maxKeys: Int = 1, dropsLate: Bool = false) {
        self.window = window
        self.maxWait = maxWait
        self.dropsLate = dropsLate
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
        let entry = Entry(number: number, serial: nextSerial(), item: item)
        if let expected = orders[index].expected, number < expected {
            let (distance, isHuge) = expected.subtractingReportingOverflow(number)
            if isHuge || distance >= window { return holdLow(entry, index, now) }
            endLows(index)
            ready.append(Release(item: item, number: number, isLate: true))
            return .held
        }
        endLows(index)
        orders[index].held.insert(entry)
        arrivals.append((index, orders[index].id, number, now))
        active = index
        return .held
    }

    /// Holds an item that is a straggler, or one of the first of a sender that began anew.
    private mutating func holdLow(_ entry: Entry, _ index: Int, _ now: UInt64) -> Arrival {
        if orders[index].lowCount > 0 && entry.number <= orders[index].lastLow { endLows(index) }
        if orders[index].lows.isEmpty { orders[index].lowID = nextSerial() }
        orders[index].lowCount += 1
        orders[index].lastLow = entry.number
        orders[index].lows.append(entry)
        arrivals.append((index, orders[index].lowID, entry.number, now))
        guard orders[index].lowCount == Self.restartAfter else { return .held }
        return .restart(at: beginAnew(index))
    }

    /// The low numbers are the first of a new order. The lowest of those that still wait.
    private mutating func beginAnew(_ index: Int) -> Int {
        let (lows, id) = (orders[index].lows, orders[index].lowID)
        while let next = advance(index, mustGo: true) { ready.append(next) }
        orders[index] = Order(id: id)
        orders[index].expected = lows[0].number
        for low in lows { orders[index].held.insert(low) }
        forgetArrivals()
        active = index
        return lows[0].number
    }

    /// The row of low numbers has an end: they were stragglers.
    private mutating func endLows(_ index: Int) {
        guard orders[index].lowCount > 0 else { return }
        orders[index].lowCount = 0
        letLowsGo(index, orders[index].lows.count)
    }

    private mutating func letLowsGo(_ index: Int, _ count: Int) {
        let count = min(count, orders[index].lows.count)
        for low in orders[index].lows.prefix(count) {
            ready.append(Release(item: low.item, number: low.number, isLate: true))
        }
        orders[index].lows.removeFirst(count)
        forgetArrivals()
    }

    /// Lets all items of a key go: another has its index.
    private mutating func end(_ index: Int) {
        endLows(index)
        while let next = advance(index, mustGo: true) { ready.append(next) }
        orders[index] = Order(id: nextSerial())
        forgetArrivals()
    }

    private mutating func nextSerial() -> Int {
        serial += 1
        return serial
    }

    // MARK: Items out

    /// The next item that may go. With `atEnd` nothing is waited for.
    package mutating func next(now: UInt64, atEnd: Bool = false) -> Release? {
        while true {
            if let next = takeReady() { return next }
            if let active, let next = advance(active, mustGo: false) { return next }
            guard oldest < arrivals.count, atEnd || now >= deadline ?? .max else {
                if atEnd { orders.indices.forEach { endLows($0) } }
                return takeReady()
            }
            let (index, order, _, _) = arrivals[oldest]
            if orders[index].id == order {
                // What it held up goes with it.
                active = index
                return advance(index, mustGo: true)
            }
            if dropsLate && !atEnd {
                oldest += 1
                forgetArrivals()
            } else {
                letLowsGo(index, 1)
            }
        }
    }

    private mutating func takeReady() -> Release? {
        if nextReady < ready.count {
            nextReady += 1
            return ready[nextReady - 1]
        }
        ready.removeAll()
        nextReady = 0
        return nil
    }

    /// When the item that waited longest must go. Nil while none waits, but for those that
    /// `dropsLate` keeps.
    package var deadline: UInt64? {
        oldest < arrivals.count ? arrivals[oldest].time &+ maxWait : nil
    }

    /// The next item of a key that may go.
    private mutating func advance(_ index: Int, mustGo: Bool) -> Release? {
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
        return entry.map { Release(item: $0.item, number: number, gap: gap) }
    }

    private func isHeld(_ index: Int, _ order: Int, _ number: Int) -> Bool {
        if orders[index].id == order {
            return orders[index].held.count > 0 && number >= orders[index].expected ?? .min
        }
        guard orders[index].lowID == order, let low = orders[index].lows.first else { return false }
        return number >= low.number
    }

    /// Passes over the arrivals that were let go. The array is cut once half of it is gone, so
    /// that each is moved a constant number of times.
    private mutating func forgetArrivals() {
        while oldest < arrivals.count {
            let (index, order, number, _) = arrivals[oldest]
            if isHeld(index, order, number) { break }
            oldest += 1
        }
        if 2 * oldest >= arrivals.count {
            arrivals.removeFirst(oldest)
            oldest = 0
        }
    }
}
