/// Puts items back into the order of their numbers. Holds at most `window` of them, none for
/// longer than `maxWait`; the clock is the caller's.
package struct Reorderer<Item> {
    private struct Held {
        var number: Int
        var item: Item
        var arrival: UInt64
    }

    /// By number; equal numbers as they came.
    private var held: [Held] = []
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
        while index > 0 && held[index - 1].number > number { index -= 1 }
        held.insert(Held(number: number, item: item, arrival: now), at: index)
        return true
    }

    /// The next item that may go, and the numbers before it that were given up. With `atEnd`
    /// nothing is waited for.
    package mutating func next(
        now: UInt64, atEnd: Bool = false
    ) -> (item: Item, gap: ClosedRange<Int>?)? {
        guard let first = held.first else { return nil }
        let mustGo = atEnd || held.count > window || now >= deadline ?? .max
        var gap: ClosedRange<Int>?
        if let expected {
            if first.number > expected {
                if !mustGo { return nil }
                gap = expected...(first.number - 1)
            }
        } else if first.number != 0 && first.number != 1 && !mustGo {
            // Nobody said where the numbers begin; 0 and 1 are beginnings.
            return nil
        }
        held.removeFirst()
        expected = max(expected ?? .min, first.number == .max ? .max : first.number + 1)
        return (first.item, gap)
    }

    /// When the item that waited longest must go.
    package var deadline: UInt64? {
        held.map(\.arrival).min().map { $0 + maxWait }
    }
}
