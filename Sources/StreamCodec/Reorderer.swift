/// Puts items back into the order of their numbers. Holds at most `window` of them, none for
/// longer than `maxWait`; the clock is the caller's.
package struct Reorderer<Item> {
    /// By number; equal numbers as they came. Those before `first` were let go.
    private var held: [(number: Int, item: Item?)] = []
    private var first = 0
    /// As they came. Those before `oldest` were let go.
    private var arrivals: [(number: Int, time: UInt64)] = []
    private var oldest = 0
    /// The number that comes next; nil before the first item was let go.
    private var expected: Int?
    private let window: Int
    private let maxWait: UInt64

    /// `maxWait` is in the unit of the caller's clock.
    package init(window: Int, maxWait: UInt64) {
        self.window = window
        self.maxWait = maxWait
    }

    /// False when the item is late: a higher number was let go already.
    package mutating func hold(_ item: Item, number: Int, now: UInt64) -> Bool {
        if let expected, number < expected { return false }
        var index = held.count
        while index > first && held[index - 1].number > number { index -= 1 }
        held.insert((number, item), at: index)
        arrivals.append((number, now))
        return true
    }

    /// The next item that may go, and the numbers before it that were given up. With `atEnd`
    /// nothing is waited for.
    package mutating func next(
        now: UInt64, atEnd: Bool = false
    ) -> (item: Item, gap: ClosedRange<Int>?)? {
        guard first < held.count, let item = held[first].item else { return nil }
        let number = held[first].number
        let mustGo = atEnd || held.count - first > window || now >= deadline ?? .max
        var gap: ClosedRange<Int>?
        if let expected {
            if number > expected {
                if !mustGo { return nil }
                gap = expected...(number - 1)
            }
        } else if number != 0 && number != 1 && !mustGo {
            // Nobody said where the numbers begin; 0 and 1 are beginnings.
            return nil
        }
        expected = max(expected ?? .min, number == .max ? .max : number + 1)
        letGo()
        return (item, gap)
    }

    /// Drops the first item. The arrays are cut once half of them is gone, so that each item
    /// is moved a constant number of times.
    private mutating func letGo() {
        held[first].item = nil
        first += 1
        while oldest < arrivals.count, let expected, arrivals[oldest].number < expected {
            oldest += 1
        }
        if first == held.count { oldest = arrivals.count }
        if 2 * first >= held.count {
            held.removeFirst(first)
            first = 0
        }
        if 2 * oldest >= arrivals.count {
            arrivals.removeFirst(oldest)
            oldest = 0
        }
    }

    /// When the item that waited longest must go.
    package var deadline: UInt64? {
        oldest < arrivals.count ? arrivals[oldest].time + maxWait : nil
    }
}
